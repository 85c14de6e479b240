"""`selector best`."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from selector.commands.arguments import Choice, Json, Runs, warn
from selector.errors import UsageError, UserError, writing
from selector.files import refuse_existing
from selector.ranges import Shown
from selector.text import printable

if TYPE_CHECKING:
    from selector.reports.opinions import Opinions
    from selector.selection.ranking import Ranking

Folder = Annotated[Path, Shown("DIR")]


def best(
    runs: Runs,
    choice: Choice = Choice(),  # noqa: B008 - frozen
    *,
    output: Path | None = None,
    checkpoint: Literal["last", "any"] = "last",
    export: Folder | None = None,
    onnx: bool = False,
    json: Json = False,
) -> int:
    """Give the best run: its hyperparameters as YAML, the command that repeats it, and its encoder.

    Args:
        output: File to write the hyperparameters to; None prints them.
        checkpoint: The last milestone of the chosen run, or any: of all milestones that kept a checkpoint,
            the one that the metric ranks highest. In this project's records, any gained little unless a run
            got worse (docs/training.md).
        export: New folder for the encoder: encoder.safetensors (torchvision's names), encoder.pt2 (loads with
            torch alone), config.json and README.md, the model card.
        onnx: With --export: write encoder.onnx too.
    """
    from selector.reports.best import at_best_milestone, best_object, best_yaml, checkpoint_line, command_line
    from selector.reports.objects import as_json

    if onnx and export is None:
        raise UsageError("--onnx needs --export: without it, nothing is written")
    if export is not None:
        refuse_existing(export)
    found, ranking = choice.rank(runs)
    warn(ranking.warnings)
    opinions = choice.opinions(found, ranking)
    if checkpoint == "any":
        groups = tuple(at_best_milestone(group, ranking.metric) for group in ranking.groups)
        ranking = replace(ranking, groups=groups)
    winners = list(zip(ranking.groups, opinions, strict=True))
    documents = [best_yaml(group, ranking.metric, said) for group, said in winners]
    for name, place in (("output", output), ("export", export)):
        if place is not None and len(documents) > 1:
            raise UserError(
                f"{place} is for one run, but {len(documents)} groups of runs cannot be compared by"
                f" {ranking.metric.name}: leave out --{name} to see the best of each"
            )
    if export is not None:
        _export(ranking, opinions[0], runs.sources, export, onnx)
    if output is not None:
        with writing(output):
            output.write_text(documents[0], encoding="utf-8")
    if json:
        written = {"output": output and str(output), "export": export and str(export)}
        found_best = [best_object(group, ranking.metric, said) for group, said in winners]
        print(as_json({"best": found_best, **written}))
        return 0
    run = ranking.groups[0].chosen
    if (output or export) and opinions[0].others:
        print(*map(printable, opinions[0].lines()), sep="\n")
    if export is not None:
        print(f"best: {printable(run.id)}, its encoder is in {export}; start with its README.md")
    elif output is None:
        print("---\n".join(documents), end="")
    else:
        print(f"best: {printable(run.id)}, written to {output}")
        print(f"repeat it: {printable(command_line(run)) or 'it is not a run of train.py'}")
        print(f"checkpoint: {printable(checkpoint_line(run))}")
    return 0


def _export(
    ranking: "Ranking", opinions: "Opinions", sources: Sequence[str], folder: Path, onnx: bool
) -> None:
    from selector.commands.encoders import encoder_of_run
    from selector.reports.model_card import model_card
    from selector.training.exported import write_encoder

    encoder = encoder_of_run(ranking.groups[0].chosen, sources)
    config = encoder.config
    card = model_card(ranking, opinions, config.image_size, config.channels, config.representation_dim)
    write_encoder(encoder, folder, card, onnx)
