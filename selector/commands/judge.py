"""`selector judge`."""

from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from selector.commands.arguments import Choice, Runs, warn
from selector.errors import UsageError, UserError
from selector.parameters import Shown
from selector.text import printable

if TYPE_CHECKING:
    from selector.selection.judging import Judgement

Labels = Annotated[Path, Shown("DIR|FILE.csv")]


def judge(
    runs: Runs,
    choice: Choice = Choice(),  # noqa: B008 - frozen
    *,
    labelled: Labels,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    json: bool = False,
) -> int:
    """Say what the choice cost, using labels that came later: probe the last checkpoint of every ranked run.

    Args:
        runs: Which runs.
        choice: How the pick was chosen.
        labelled: A folder with a sub-folder per class, or a CSV file of (file name, label).
        device: Where to compute the embeddings.
        json: Print one JSON object.
    """
    from selector.commands.encoders import encoder_of_run
    from selector.reports.progress import StepLine
    from selector.selection.judging import judge as judge_runs
    from selector.training.embed_files import embed_files
    from selector.training.late_labels import knn_accuracy, probed, read_labelled
    from selector.training.processes import device_named

    if choice.epoch != "last":
        raise UsageError("judge probes the last checkpoint of each run: leave out --milestone")
    images = read_labelled(labelled)
    _, ranking = choice.rank(runs)
    warnings = list(ranking.warnings)
    where, judgements = device_named(device), []
    with StepLine(runs.quiet) as line:
        for group in ranking.groups:
            right, knn, names = {}, {}, {}
            for number, ranked in enumerate(group.ranking, start=1):
                run = ranked.run
                head = f"[{number}/{len(group.ranking)}] {run.id}: "
                try:
                    encode = encoder_of_run(run, runs.sources).to(where)
                except UserError as error:
                    if run is group.chosen:
                        raise
                    warnings.append(f"run {run.id} is left out: {error}")
                    continue
                say = partial(_say, line, head)
                found = embed_files(encode, images.files, 64, skip_bad=False, progress=say)
                say("probing")
                right[run.id] = probed(found.features, images.labels)
                knn[run.id] = knn_accuracy(found.features, images.labels)
                names[run.id] = run.name
            judgements.append(judge_runs(right, knn, names, group.chosen.id))
    warn(warnings)
    if json:
        from selector.reports.objects import as_json

        content = {
            "labels": len(images.files),
            "classes": list(images.classes),
            "metric": ranking.metric.name,
            "groups": [asdict(one) for one in judgements],
            "warnings": warnings,
        }
        print(as_json(content))
    else:
        for one in judgements:
            _print(one, ranking.metric.name)
    return 0


def _say(line: Callable[[str], None], head: str, text: str) -> None:
    line(head + text)


def _print(found: "Judgement", metric: str) -> None:
    from rich.table import Table
    from rich.text import Text

    from selector.reports.late_labels import judgement_lines
    from selector.reports.tables import open_console, paragraph

    console = open_console()
    paragraph(console, f"{found.labels} labelled images; linear probe, cross-validated, in percent")
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in ("run", "accuracy", "± standard error", "kNN", ""):
        table.add_column(title, justify="left" if title in ("run", "") else "right")
    for run in found.runs:
        note = "the pick" if run.pick else "" if run.told_from_pick else "cannot be told from the pick"
        texts = (run.run, f"{100 * run.accuracy:.1f}", f"{100 * run.standard_error:.1f}")
        table.add_row(*(Text(printable(text)) for text in (*texts, f"{100 * run.knn_accuracy:.1f}", note)))
    console.print(table)
    for line in judgement_lines(found, metric):
        paragraph(console, line)
