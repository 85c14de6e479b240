"""Results for people: at most 80 columns, rows first and ink second.

Whatever comes from W&B or a file is drawn as plain text: never markup, never terminal escapes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, TextIO

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from selector.metrics.metrics import LabelFreeMetric
from selector.reports.sparkline import sparkline
from selector.runs import Run
from selector.selection.candidates import Excluded
from selector.selection.comparability import describe
from selector.selection.ranking import TIE_BREAK, Coverage, Ranked, RankedGroup, Ranking
from selector.text import printable

WIDTH = 80
BASELINES = {
    "random": "random (expected)",
    "lowest_loss": "lowest loss",
    "default": "default configuration",
    "last": "last run",
    "oracle": "label oracle",
}
MOST_ALIKE = 5  # runs left out for one reason that are named one by one


@dataclass(frozen=True)
class RankRow:
    """One run's line in a ranking."""

    rank: str
    run: str
    score: str
    training: str
    hyperparameters: str


@dataclass(frozen=True)
class ExcludedRow:
    """One line of what was not ranked."""

    run: str
    reason: str


class _Console(Console):
    """Rich's own would end the program with status 1 when its reader, such as `head`, has seen enough."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def open_console(file: TextIO | None = None) -> Console:
    """A console of at most 80 columns on a stream (None: stdout)."""
    console = _Console(file=file, highlight=False, markup=False, emoji=False)
    console.width = min(WIDTH, console.width)
    return console


def ranking_rows(group: RankedGroup, metric: LabelFreeMetric) -> list[RankRow]:
    """The ranking of one group; runs tied with the best are marked with =."""
    series = {
        ranked.run.id: [m.values[metric.key] for m in ranked.run.trained_milestones if metric.key in m.values]
        for ranked in group.ranking
    }
    every = [value for values in series.values() for value in values if abs(value) < float("inf")]
    return [
        RankRow(
            f"{ranked.rank}{'=' if ranked.tied else ''}",
            label(ranked.run),
            score_text(ranked),
            sparkline(series[ranked.run.id], min(every), max(every)),
            settings(ranked.run, group.swept),
        )
        for ranked in group.ranking
    ]


def score_text(ranked: Ranked) -> str:
    """The score with its standard error; of several seeds their mean ± standard deviation, and how many."""
    if ranked.deviation is not None:
        return f"{number(ranked.score)} ±{number(ranked.deviation, 2)} over {len(ranked.runs)}"
    return number(ranked.score) + (f" ±{number(ranked.standard_error, 2)}" if ranked.standard_error else "")


def excluded_rows(excluded: Sequence[Excluded]) -> list[ExcludedRow]:
    """What was not ranked, and why; many runs of one reason, such as a project's other runs, in one row."""
    alike: dict[str, list[str]] = {}
    for gone in excluded:
        alike.setdefault(gone.reason, []).append(gone.run)
    rows = []
    for reason, runs in alike.items():
        if len(runs) > MOST_ALIKE:
            rows.append(ExcludedRow(f"{len(runs)} runs", f"{reason} ({', '.join(runs[:3])}, …)"))
        else:
            rows += [ExcludedRow(run, reason) for run in runs]
    return rows


def print_ranking(ranking: Ranking, console: Console) -> None:
    """Draws a ranking, group by group, and what was not ranked."""
    where = "last milestone" if ranking.milestone == "last" else f"epoch {ranking.milestone}"
    for group in ranking.groups:
        better = "higher" if group.direction == "max" else "lower"
        paragraph(console, f"{ranking.metric.name}, {better} is better, {where}: {describe(group.group)}")
        draw(
            console,
            ranking_rows(group, ranking.metric),
            ("rank", "run", ranking.metric.name, "training", "hyperparameters"),
            right=("rank", "score"),
        )
        paragraph(console, f"Chosen: {label(group.chosen)}{_tie_note(group)}")
        console.print()
    if ranking.excluded:
        paragraph(console, "Not ranked, never chosen:")
        draw(console, excluded_rows(ranking.excluded), ("run", "why"))
    paragraph(console, coverage_line(ranking.coverage))


def coverage_line(coverage: Coverage) -> str:
    """How much of the sweep was ranked, in a sentence."""
    parts = [f"{coverage.ranked} of {coverage.found} runs ranked"]
    if coverage.planned is not None:
        parts.append(f"{coverage.planned} planned")
    if coverage.not_started:
        parts.append(f"{coverage.not_started} not started")
    unfinished = coverage.ranked < coverage.found or coverage.not_started
    if coverage.finish_command and unfinished:
        parts.append(f"to finish: {coverage.finish_command}")
    return "; ".join(parts)


def draw(
    console: Console, rows: Sequence[Any], titles: Sequence[str], right: Sequence[str] = (), after: int = 0
) -> None:
    """A table of dataclass rows, a column a field; a line after the first `after` rows.

    Args:
        console: Where to.
        rows: Dataclasses whose fields are texts; at least one.
        titles: Column heads, in the order of the fields.
        right: Fields that are aligned to the right.
        after: Rows above a dividing line; 0 draws none.
    """
    names = [field.name for field in fields(rows[0])]
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1), show_edge=False)
    for name, title in zip(names, titles, strict=True):
        table.add_column(title, justify="right" if name in right else "left", overflow="fold")
    for index, row in enumerate(rows, start=1):
        cells = [Text(printable(getattr(row, name))) for name in names]
        table.add_row(*cells, end_section=index == after)
    console.print(table)


def paragraph(console: Console, text: str) -> None:
    """A line of text, wrapped."""
    console.print(Text(printable(text)))


def label(run: Run) -> str:
    """How a run is called: its id, and its display name where that is another one."""
    return run.id if run.name in ("", run.id) else f"{run.id} {run.name}"


def settings(run: Run, names: Sequence[str]) -> str:
    """Some of a run's hyperparameters, in words."""
    return settings_of({name: run.config.get(name) for name in names})


def settings_of(config: Mapping[str, Any]) -> str:
    """Hyperparameters in words."""
    return " ".join(f"{name}={_value(value)}" for name, value in config.items())


def number(value: float | None, digits: int = 4) -> str:
    """A number in few digits; a dash where there is none."""
    return "–" if value is None else f"{value:#.{digits}g}".rstrip(".")


def correlation(value: float | None) -> str:
    """A correlation in two decimals, never -0.00; a dash where there is none."""
    return "–" if value is None else f"{round(value, 2) + 0.0:.2f}"


def hyperparameter(value: float) -> str:
    """A number that was swept: whole ones in full, others in four digits."""
    return f"{value:.0f}" if float(value).is_integer() and abs(value) < 1e6 else f"{value:.4g}"


def _value(value: Any) -> str:
    match value:
        case bool() | None:
            return str(value)
        case float():
            return hyperparameter(value)
        case Mapping() | list() | tuple():
            return str(value)[:40]
    return str(value)


def _tie_note(group: RankedGroup) -> str:
    ties = len(group.tie_set)
    if ties < 2:
        return ""
    equal = sum(ranked.score == group.ranking[0].score for ranked in group.ranking)
    note = f", tied with {ties - 1} other{'s' if ties > 2 else ''} (=)"
    if equal < ties:
        note += " within what the metric's measured noise explains"
    return note + (f"; {TIE_BREAK}" if equal > 1 else "")
