"""`selector best`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from selector.commands.arguments import (
    Epoch,
    Group,
    Name,
    Source,
    Tag,
    keys_of,
    milestone_choice,
    named_label_free,
    read_runs,
    warn,
)
from selector.errors import UserError, writing
from selector.text import printable

if TYPE_CHECKING:
    from selector.selection.ranking import Ranking


def best(
    source: Source,
    /,
    *,
    metric: Name = "consensus",
    milestone: Epoch = "last",
    direction: Literal["max", "min"] | None = None,
    allow_mixed: bool = False,
    tag: Tag = None,
    group: Group = None,
    output: Path | None = None,
    quiet: bool = False,
    json: bool = False,
) -> int:
    """Hand over the best run: hyperparameters as YAML, the command that repeats it, its checkpoint.

    Args:
        source: A folder of offline runs, entity/project/sweep_id, entity/project, or the URL of a W&B sweep
            or project.
        metric: A label-free metric, or any key that the runs logged; such a key needs a direction. The
            consensus is the mean rank by three metrics, or rankme where most runs lack one.
        milestone: The epoch to choose at, or last.
        direction: Which way is better; None takes the metric's own, for the method of the runs.
        allow_mixed: Choose among runs that may not be compared, at your own risk.
        tag: Only runs that carry this W&B tag.
        group: Only runs of this W&B group.
        output: File to write the hyperparameters to; None prints them.
        quiet: Show no progress; warnings still come.
        json: Print one JSON object.
    """
    from selector.reports.best import best_object, best_of, best_yaml, checkpoint_line
    from selector.selection.consensus import prepared
    from selector.selection.ranking import rank as rank_runs

    prog = "selector best"
    chosen, epoch = named_label_free(metric, direction, prog), milestone_choice(milestone, prog)
    runs = read_runs(source, tag=tag, group=group, keys=keys_of(chosen), quiet=quiet)
    runs, chosen = prepared(runs, chosen, epoch, allow_mixed)
    ranking = rank_runs(runs, chosen, epoch, allow_mixed, direction)
    warn(ranking.warnings)
    winners = [best_of(group) for group in ranking.groups]
    if output is not None:
        _write(output, [best_yaml(winner, ranking) for winner in winners], ranking)
    if json:
        from selector.reports.objects import as_json

        written = str(output) if output else None
        print(as_json({"best": [best_object(winner, ranking) for winner in winners], "output": written}))
    elif output is None:
        print("---\n".join(best_yaml(winner, ranking) for winner in winners), end="")
    else:
        print(f"best: {printable(winners[0].run.id)}, written to {output}")
        print(f"repeat it: {printable(winners[0].command) or 'it is not a run of train.py'}")
        print(f"checkpoint: {printable(checkpoint_line(winners[0]))}")
    return 0


def _write(output: Path, documents: Sequence[str], ranking: "Ranking") -> None:
    if len(documents) > 1:
        raise UserError(
            f"{output} is one file, but {len(documents)} groups of runs cannot be compared by"
            f" {ranking.metric.name}: leave out --output to see the best of each"
        )
    with writing(output):
        output.write_text(documents[0], encoding="utf-8")
