"""Table I for people and for other programs: metrics against the oracle over the milestones of training."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console

from selector.metrics import LabelledMetric
from selector.paper import published as paper
from selector.paper.along_training import RUNS_RULE, CorrelationReport, Group
from selector.paper.association import (
    BLOCK_RULE,
    COVERAGE,
    DRAWS,
    LEAST_MILESTONES,
    LEAST_PAIRS,
    RESAMPLES,
    SEED,
    SIGNIFICANT,
)
from selector.paper.layout import (
    UNKNOWN,
    Column,
    draw_columns,
    interval_text,
    reason_lines,
    shown,
    to_csv,
    to_latex,
)
from selector.paper.published import Initial
from selector.reports.tables import paragraph, table_of
from selector.reports.words import correlation, label, sparkline

SIDE_BY_SIDE = 3  # runs whose training is drawn, which fill 80 columns with a metric's name
STAR = (
    "p takes milestones for independent, and neighbours are alike: a random walk beside a curve that levels"
    " off gets a star in 55 to 79 % of cases (17 to 50 milestones). Stars are not corrected for the number"
    " of metrics"
)
_WIDTH = 16
_COLUMNS_A_TABLE = 6  # what fits on 80 columns beside the metrics' names
_INIT: dict[Initial, str] = {"with_init": "w/", "without_init": "w/o"}
_CSV = (
    "source method dataset run metric label_free initial_network n pearson p_optimistic marked interval_low"
    " interval_high block_length spearman spearman_p_optimistic kendall_tau kendall_p_optimistic reason"
)
_P_VALUES = ("pearson_p", "spearman_p", "kendall_p")


def table_columns(report: CorrelationReport, published: bool) -> list[Column]:
    """Two columns per group, with milestone 0 and without; with `published`, the paper's beside ours."""
    columns = []
    for group in report.groups:
        method, dataset = group.method or "", group.dataset or ""
        columns += [Column((method, dataset, w), group.cells(initial)) for initial, w in _INIT.items()]
        for (data, initial), cells in paper.table_one(group.method).items() if published else ():
            columns.append(Column((method, f"{data} (paper)", _INIT[initial]), cells))
    return columns


def association_rows(group: Group) -> list[tuple[str, ...]]:
    """All statistics of a group: name, with milestone 0 or without, r, ρ, τ, 95 % of r, the runs' r."""
    rows: list[tuple[str, ...]] = []
    for row in group.metrics:
        for initial, short in _INIT.items():
            cell = row.cell(initial)
            each = [one.pearson for one in cell.runs if one.pearson is not None]
            figures = shown(cell), correlation(cell.spearman), correlation(cell.kendall_tau)
            span = interval_text((min(each), max(each))) if len(each) > 1 else UNKNOWN
            name = row.metric if initial == "with_init" else ""
            rows.append((name, short, *figures, interval_text(cell.interval), span))
    return rows


def course_rows(group: Group, oracle: LabelledMetric) -> list[tuple[str, str]]:
    """The oracle, then each metric, along the first runs' training, milestone 0 included.

    Each line has a scale of its own: only its shape can be compared.
    """
    keys = {oracle.name: oracle.key} | {row.metric: row.key for row in group.metrics}
    rows = []
    for name, key in keys.items():
        courses = [[row.values[key] for row in run.milestones if key in row.values] for run in group.runs]
        rows.append((name, _beside([sparkline(values, width=_WIDTH) for values in courses[:SIDE_BY_SIDE]])))
    return rows


def print_correlations(report: CorrelationReport, console: Console, published: bool = False) -> None:
    """Draws Table I, then all statistics group by group."""
    paragraph(console, f"Pearson's r of each metric with {report.oracle.key} over milestones")
    columns = table_columns(report, published)
    for first in range(0, len(columns), _COLUMNS_A_TABLE):
        draw_columns(console, columns[first : first + _COLUMNS_A_TABLE], _label_free(report))
    for group in report.groups:
        console.print()
        paragraph(console, group_line(group))
        titles = ("metric", "init", "r", "ρ", "τ", "95 % of r", "runs' r")
        console.print(table_of(titles, association_rows(group), right=titles[2:]))
        for line in group_reasons(group):
            paragraph(console, line)
        console.print()
        some = f" of the first {SIDE_BY_SIDE} runs" if len(group.runs) > SIDE_BY_SIDE else ""
        paragraph(console, f"Along training{some}, each line on its own scale, milestone 0 first:")
        runs = _beside([label(run)[:_WIDTH] for run in group.runs[:SIDE_BY_SIDE]])
        console.print(table_of(("metric", runs), course_rows(group, report.oracle)))
    console.print()
    for line in notes(report, published):
        paragraph(console, line)


def notes(report: CorrelationReport, published: bool) -> list[str]:
    """What is printed below the tables."""
    lines = [
        f"w/, w/o: with and without the untrained network, milestone 0. * p < {SIGNIFICANT}, but {STAR}."
        f" 95 %: moving-block bootstrap of the milestones ({RESAMPLES} resamples, seed {SEED}), from"
        f" {LEAST_MILESTONES} milestones on; milestone 0 stands in every resample of w/, and {COVERAGE}."
        " ρ, τ: Spearman, Kendall (τ-b). Of several runs: medians, * where more than half have p <"
        f" {SIGNIFICANT} and the median's sign; --csv and --json hold each run."
    ]
    if published:
        lines.append(f"paper: {paper.TABLE_I_SOURCE}; * from the number of its milestones.")
        others = sorted({group.method or "" for group in report.groups} - set(paper.METHODS))
        lines += [f"The paper has no figures for method {method or 'unknown'}." for method in others]
    if report.excluded:
        gone = ", ".join(dict.fromkeys(f"{one.run} ({one.category})" for one in report.excluded))
        lines.append(f"Left out: {gone}.")
    return lines


def group_line(group: Group) -> str:
    """What a group holds, in a sentence."""
    name = ", ".join(filter(None, (group.method, group.dataset))) or "all runs"
    runs = "1 run" if len(group.runs) == 1 else f"medians of {len(group.runs)} runs"
    spans = []
    for initial in _INIT:
        n = {one.milestones for cell in group.cells(initial).values() for one in cell.runs}
        spans.append(f"{min(n)}–{max(n)}" if len(n) > 1 else f"{min(n)}")
    return f"{name}: {runs}, {spans[0]} milestones w/, {spans[1]} w/o"


def group_reasons(group: Group) -> list[str]:
    """Why a group's figures are missing."""
    cells = [(short, name, cell) for init, short in _INIT.items() for name, cell in group.cells(init).items()]
    missing = [(short, name, cell.reason) for short, name, cell in cells if cell.reason]
    return reason_lines(missing, len(group.metrics))


def correlations_csv(report: CorrelationReport, published: bool = False) -> str:
    """One line per run, then their median, for each group and metric, with milestone 0 and without."""
    renamed = {"milestones": "n"} | {name: f"{name.replace('pearson_', '')}_optimistic" for name in _P_VALUES}
    return to_csv(_csv_rows(report, published), _CSV.split(), renamed)


def correlations_latex(report: CorrelationReport, published: bool = False) -> str:
    r"""Table I as a tabular, for \usepackage{booktabs,xcolor}."""
    what = f"Pearson's r with {report.oracle.key} over milestones"
    comments = (what, f"gray: p >= {SIGNIFICANT}; {STAR}")
    return to_latex(table_columns(report, published), _label_free(report), comments)


def correlations_object(report: CorrelationReport, published: bool = False) -> dict[str, Any]:
    """What `correlate --json` prints: null, with a reason beside it, for what is undefined."""
    gone = [
        {"run": one.run, "name": one.name, "category": one.category, "reason": one.reason}
        for one in report.excluded
    ]
    return {
        "oracle": report.oracle.name,
        "oracle_key": report.oracle.key,
        "groups": [_group_object(group, published) for group in report.groups],
        "several_runs": RUNS_RULE,
        "significant_below": SIGNIFICANT,
        "p_values": f"optimistic: {STAR}",
        "least_milestones": LEAST_PAIRS,
        "bootstrap": {
            "over": "circular blocks of consecutive milestones of a run (moving-block bootstrap of Pearson's"
            " r); milestone 0 stands in every resample of with_init",
            "block_length": BLOCK_RULE,
            **DRAWS,
            "coverage": COVERAGE,
            "least_milestones": LEAST_MILESTONES,
        },
        "published_source": paper.TABLE_I_SOURCE if published else None,
        "excluded": gone,
        "warnings": list(report.warnings),
    }


def _group_object(group: Group, published: bool) -> dict[str, Any]:
    metrics = [asdict(row) | {"published": None} for row in group.metrics]
    for row in metrics if published else ():
        row["published"] = {}
        for (dataset, initial), figures in paper.table_one(group.method).items():
            if figure := figures.get(row["metric"]):
                entry = {"pearson": figure.pearson, "milestones": figure.n, "marked": figure.marked}
                row["published"].setdefault(dataset, {})[initial] = entry
    runs = [run.id for run in group.runs]
    return {"method": group.method, "dataset": group.dataset, "runs": runs, "metrics": metrics}


def _csv_rows(report: CorrelationReport, published: bool) -> Iterator[dict[str, Any]]:
    """Lines of the CSV file; of one run there is no median."""
    for group in report.groups:
        place = {"method": group.method or "", "dataset": group.dataset or ""}
        for initial in _INIT:
            for row in group.metrics:
                cell = row.cell(initial)
                head = place | {"metric": row.metric, "label_free": row.label_free}
                head["initial_network"] = initial.removesuffix("_init")
                yield from (head | {"source": "run"} | vars(one) for one in cell.runs)
                if len(cell.runs) > 1:
                    yield head | {"source": "median"} | vars(cell)
    for method in dict.fromkeys(group.method or "" for group in report.groups if published):
        for (dataset, initial), figures in paper.table_one(method).items():
            head = {"source": "paper", "method": method, "dataset": dataset}
            head["initial_network"] = initial.removesuffix("_init")
            yield from (head | {"metric": name} | vars(one) for name, one in figures.items())


def _label_free(report: CorrelationReport) -> set[str]:
    return {row.metric for group in report.groups for row in group.metrics if row.label_free}


def _beside(texts: Sequence[str]) -> str:
    return "  ".join(text.ljust(_WIDTH) for text in texts).rstrip()
