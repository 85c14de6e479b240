"""Table I for people: how well metrics follow the oracle over the milestones of training."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from selector.metrics.metrics import LabelFreeMetric
from selector.reports.along_training import SIDE_BY_SIDE, course_rows, course_title
from selector.reports.tables import correlation, draw, paragraph
from selector.selection.block_bootstrap import LEAST_MILESTONES
from selector.selection.bootstrap import RESAMPLES, SEED
from selector.selection.milestone_correlation import CorrelationGroup, CorrelationReport
from selector.selection.published import (
    DATASETS,
    METHODS,
    PUBLISHED_METRICS,
    TABLE_I_SOURCE,
    published_correlation,
)
from selector.text import printable

_COLUMNS_A_TABLE = 3  # of two figures each: what fits on 80 columns beside the metrics' names
_UNKNOWN = "–"


@dataclass(frozen=True)
class Cell:
    """One figure of Table I."""

    value: float | None
    marked: bool


NO_CELLS = (Cell(None, False), Cell(None, False))


@dataclass(frozen=True)
class Column:
    """One method and data set of Table I; by metric, its figure with the initial network and without."""

    method: str
    dataset: str
    paper: bool
    cells: Mapping[str, tuple[Cell, Cell]]


@dataclass(frozen=True)
class AssociationRow:
    """All statistics of one metric, with the initial network or without."""

    metric: str
    initial: str
    pearson: str
    spearman: str
    kendall: str
    interval: str
    runs: str


def table_columns(report: CorrelationReport, published: bool) -> list[Column]:
    """The columns of Table I; with `published`, the paper's for the same method beside each of ours."""
    columns: list[Column] = []
    for group in report.groups:
        columns.append(Column(group.method, group.dataset, False, _cells(group)))
        if published:
            columns += _paper_columns(group.method)
    return columns


def association_rows(group: CorrelationGroup) -> list[AssociationRow]:
    """All statistics of a group: two rows a metric."""
    rows = []
    for pair in zip(group.with_init, group.without_init, strict=True):
        for initial, cell in zip(("w/", "w/o"), pair, strict=True):
            each = [one.pearson.value for one in cell.runs if one.pearson.value is not None]
            row = AssociationRow(
                cell.metric.name if initial == "w/" else "",
                initial,
                shown(Cell(cell.pearson, cell.marked)),
                shown(Cell(cell.spearman, False)),
                shown(Cell(cell.kendall, False)),
                _UNKNOWN if cell.interval is None else "…".join(map(correlation, cell.interval)),
                f"{correlation(min(each))}…{correlation(max(each))}" if len(each) > 1 else _UNKNOWN,
            )
            rows.append(row)
    return rows


def print_correlations(report: CorrelationReport, console: Console, published: bool = False) -> None:
    """Draws Table I, then all statistics group by group."""
    paragraph(console, f"Pearson's r of each metric with {report.oracle.key} over milestones")
    columns = table_columns(report, published)
    for first in range(0, len(columns), _COLUMNS_A_TABLE):
        _draw_table_one(console, columns[first : first + _COLUMNS_A_TABLE], label_free_names(report))
    for group in report.groups:
        console.print()
        paragraph(console, group_line(group))
        draw(
            console,
            association_rows(group),
            ("metric", "init", "r", "ρ", "τ", "95 % of r", "runs' r"),
            right=("pearson", "spearman", "kendall", "interval", "runs"),
        )
        for line in reason_lines(group):
            paragraph(console, line)
        console.print()
        some = f" of the first {SIDE_BY_SIDE} runs" if len(group.runs) > SIDE_BY_SIDE else ""
        paragraph(console, f"Along training{some}, each line on its own scale, milestone 0 first:")
        draw(console, course_rows(group, report.oracle), ("metric", printable(course_title(group))))
    console.print()
    for line in notes(report, published):
        paragraph(console, line)


def notes(report: CorrelationReport, published: bool) -> list[str]:
    """What stands below the tables."""
    lines = [
        "w/, w/o: with and without the untrained network, milestone 0. * p < 0.05, optimistic: this p takes"
        " milestones for independent, and neighbours are alike."
        f" 95 %: moving-block bootstrap of the milestones ({RESAMPLES} resamples, seed {SEED}), from"
        f" {LEAST_MILESTONES} milestones on. ρ, τ: Spearman, Kendall (τ-b). Of several runs: medians, * where"
        " more than half have p < 0.05 and the median's sign; --csv and --json hold each run."
    ]
    if published:
        lines.append(f"paper: {TABLE_I_SOURCE}; * from the number of its milestones.")
        others = sorted({group.method for group in report.groups} - set(METHODS))
        lines += [f"The paper has no figures for method {method or 'unknown'}." for method in others]
    if report.excluded:
        gone = ", ".join(dict.fromkeys(f"{one.run} ({one.category})" for one in report.excluded))
        lines.append(f"Left out: {gone}.")
    return lines


def group_line(group: CorrelationGroup) -> str:
    """What a group holds, in a sentence."""
    n = [one.n for cell in group.with_init for one in cell.runs]
    trained = [one.n for cell in group.without_init for one in cell.runs]
    runs = "1 run" if len(group.runs) == 1 else f"medians of {len(group.runs)} runs"
    return f"{_name(group.method, group.dataset)}: {runs}, {_span(n)} milestones w/, {_span(trained)} w/o"


def reason_lines(group: CorrelationGroup) -> list[str]:
    """Why figures are missing, each reason once with the metrics that it concerns."""
    concerned: dict[tuple[str, str], list[str]] = {}
    for initial, cells in (("w/", group.with_init), ("w/o", group.without_init)):
        for cell in cells:
            if cell.reason:
                concerned.setdefault((initial, cell.reason), []).append(cell.metric.name)
    return [
        f"{_UNKNOWN} {initial} ({', '.join(names) if len(names) < len(group.with_init) else 'all'}): {reason}"
        for (initial, reason), names in concerned.items()
    ]


def shown(cell: Cell) -> str:
    """A correlation in two decimals, with a star where it is marked; a dash where there is none."""
    return _UNKNOWN if cell.value is None else correlation(cell.value) + "*" * cell.marked


def _draw_table_one(console: Console, columns: Sequence[Column], label_free: set[str]) -> None:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=0, show_edge=False)  # the box parts by a space
    table.add_column("metric", overflow="fold")
    table.add_column("no\nlabels", overflow="fold")
    for column in columns:
        head = f"{printable(column.method)}\n{printable(column.dataset)}"
        heads = Text(f"{head}\n{'paper w/' if column.paper else 'w/'}"), Text("\n\nw/o")
        for text in heads:
            table.add_column(text, justify="right", overflow="fold", max_width=8)
    for name in dict.fromkeys(name for column in columns for name in column.cells):
        figures = [shown(cell) for column in columns for cell in column.cells.get(name, NO_CELLS)]
        texts = [printable(name), "✓" if name in label_free else "", *figures]
        table.add_row(*(Text(text) for text in texts))
    console.print(table)


def _cells(group: CorrelationGroup) -> dict[str, tuple[Cell, Cell]]:
    return {
        given.metric.name: (Cell(given.pearson, given.marked), Cell(without.pearson, without.marked))
        for given, without in zip(group.with_init, group.without_init, strict=True)
    }


def _paper_columns(method: str) -> list[Column]:
    columns = []
    for dataset in DATASETS if method in METHODS else ():
        cells = {
            name: (_paper_cell(name, method, dataset, True), _paper_cell(name, method, dataset, False))
            for name in PUBLISHED_METRICS
        }
        columns.append(Column(method, dataset, True, cells))
    return columns


def _paper_cell(name: str, method: str, dataset: str, initial: bool) -> Cell:
    figure = published_correlation(name, method, dataset, initial)
    return Cell(figure.value, figure.significant) if figure else Cell(None, False)


def label_free_names(report: CorrelationReport) -> set[str]:
    """Names of the metrics of Table I that read no label."""
    metrics = (cell.metric for group in report.groups for cell in group.with_init)
    ours = {metric.name for metric in metrics if isinstance(metric, LabelFreeMetric)}
    return ours | {name for name in PUBLISHED_METRICS if not name.endswith("_labels")}


def _name(method: str, dataset: str) -> str:
    return ", ".join(part for part in (method, dataset) if part) or "all runs"


def _span(counts: Sequence[int]) -> str:
    return str(min(counts)) if min(counts) == max(counts) else f"{min(counts)}–{max(counts)}"
