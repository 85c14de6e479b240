"""What `selector judge` found by labels that came later: in words, and read again for the report."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from selector.errors import UserError
from selector.reports.report import Report
from selector.reports.tables import paragraph, table_of
from selector.selection.judging import JudgedRun, Judgement
from selector.text import printable


def points(value: float) -> str:
    """A share of images, or a difference of two, in percent."""
    return f"{100 * value:.1f}"


def judgement_lines(found: Judgement, metric: str) -> list[str]:
    """What the pick cost, and whether so many labels can tell."""
    interval = "" if found.interval is None else " (95 %: {} to {})".format(*map(points, found.interval))
    lines = [f"Regret of the pick by {metric}: {points(found.regret)} points{interval}."]
    rival = "the second best run" if found.pick == found.best else "the best run"
    if found.told_apart:
        lines.append(f"{found.labels} labels are enough to tell the pick from {rival}.")
    elif found.labels_needed is not None:
        lines.append(
            f"{found.labels} labels cannot tell the pick from {rival}: if the gap is as large as it seems,"
            f" about {found.labels_needed:,} would."
        )
    return lines


def print_judgements(found: Sequence[Judgement], metric: str, console: Console) -> None:
    """Draws the accuracy of every run by the late labels, and what the pick cost."""
    for one in found:
        paragraph(console, f"{one.labels} labelled images; linear probe, cross-validated, in percent")
        numbers = ("accuracy", "± standard error", "kNN")
        rows = [
            (run.run, *map(points, (run.accuracy, run.standard_error, run.knn_accuracy)), _note(run))
            for run in one.runs
        ]
        console.print(table_of(("run", *numbers, ""), rows, right=numbers))
        for line in judgement_lines(one, metric):
            paragraph(console, line)


def _note(run: JudgedRun) -> str:
    return "the pick" if run.pick else "" if run.told_from_pick else "cannot be told from the pick"


def read_judgements(file: Path) -> list[Judgement]:
    """The groups in a file that `selector judge --json` wrote.

    Raises:
        UserError: It cannot be read, or is something else.
    """
    from pydantic import BaseModel, ValidationError

    class File(BaseModel):
        groups: list[Judgement]

    shown = printable(str(file))
    try:
        return File.model_validate_json(file.read_bytes()).groups
    except OSError as error:
        raise UserError(f"{shown!r} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        reason = printable(f"{place} {first['msg']}".strip())
        raise UserError(
            f"{shown!r} is not a result of `selector judge` ({reason}): write one with"
            " selector judge SOURCE --labelled DIR --json > judged.json"
        ) from error


def with_judgements(report: Report, judgements: Sequence[Judgement], file: Path) -> Report:
    """The report with what late labels say of each group whose runs they judged.

    Raises:
        UserError: The file is about other runs, or about another pick.
    """
    groups = []
    for group in report.groups:
        members = {run.id for place in group.ranked.ranking for run in place.runs}
        late = next((one for one in judgements if {run.run for run in one.runs} <= members), None)
        if late is not None and late.pick != group.ranked.chosen.id:
            raise UserError(
                f"{printable(str(file))!r} judges the pick {late.pick}, and this page's pick is"
                f" {group.ranked.chosen.id}: run judge and report with the same options"
            )
        groups.append(replace(group, late=late))
    if not any(group.late for group in groups):
        raise UserError(f"{printable(str(file))!r} judges none of the runs that are ranked here")
    return replace(report, groups=tuple(groups))
