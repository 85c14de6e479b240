"""Table I for people and for other programs: metrics against the oracle over the milestones of training."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console

from selector.metrics import LabelledMetric
from selector.paper import published as paper
from selector.paper.along_training import CorrelationReport, Group
from selector.paper.association import (
    BLOCK_RULE,
    COVERAGE,
    DRAWS,
    LEAST_MILESTONES,
    LEAST_PAIRS,
    RESAMPLES,
    SEED,
    SIGNIFICANT,
    STATISTICS,
    Entry,
)
from selector.paper.layout import (
    UNKNOWN,
    Column,
    columns_of,
    draw_columns,
    interval_text,
    reason_lines,
    shown,
    to_csv,
    to_latex,
)
from selector.reports.tables import paragraph, table_of
from selector.reports.words import correlation, label, sparkline

SIDE_BY_SIDE = 3  # runs whose training is drawn, which fill 80 columns with a metric's name
STAR = (
    "p takes milestones for independent, and neighbours are alike: a random walk beside a curve that levels"
    " off gets a star in 59 to 78 % of cases (17 to 50 milestones). Stars are not corrected for the number"
    " of metrics"
)
_WIDTH = 16
_COLUMNS_A_TABLE = 6  # what fits on 80 columns beside the metrics' names
_CSV = (
    "source method dataset run metric label_free initial_network n pearson p_optimistic marked interval_low"
    " interval_high block_length spearman spearman_p_optimistic kendall_tau kendall_p_optimistic reason"
)
_RENAMED = {"group": "method", "pearson_p": "p_optimistic"}  # in the CSV file
_RENAMED |= {name: f"{name}_optimistic" for name in ("spearman_p", "kendall_p")}
_CELL = "pearson spearman kendall_tau runs_with_value runs_significant marked interval reason interval_reason"
_RUN = f"{STATISTICS} run n left_out block_length interval_reason"


def table_columns(report: CorrelationReport, published: bool) -> list[Column]:
    """Two columns per group, with milestone 0 and without; with `published`, the paper's beside ours."""
    columns = []
    for group in report.groups:
        columns += columns_of([*group.entries, *(paper.table_one(group.method) if published else ())])
    return columns


def association_rows(group: Group) -> list[tuple[str, ...]]:
    """All statistics of a group: name, with milestone 0 or without, r, ρ, τ, 95 % of r, the runs' r."""
    rows: list[tuple[str, ...]] = []
    for both in zip(group.with_init, group.without_init, strict=True):
        for entry, name in zip(both, (both[0].metric, ""), strict=True):
            each = [one.pearson for one in entry.runs if one.pearson is not None]
            figures = shown(entry), correlation(entry.spearman), correlation(entry.kendall_tau)
            span = interval_text((min(each), max(each))) if len(each) > 1 else UNKNOWN
            rows.append((name, entry.heads[-1], *figures, interval_text(entry.interval), span))
    return rows


def course_rows(group: Group, oracle: LabelledMetric) -> list[tuple[str, str]]:
    """The oracle, then each metric, along the first runs' training, milestone 0 included.

    Each line has a scale of its own: only its shape can be compared.
    """
    keys = {oracle.name: oracle.key} | {entry.metric: entry.key for entry in group.with_init}
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
        draw_columns(console, columns[first : first + _COLUMNS_A_TABLE])
    for group in report.groups:
        console.print()
        paragraph(console, group_line(group))
        titles = ("metric", "init", "r", "ρ", "τ", "95 % of r", "runs' r")
        console.print(table_of(titles, association_rows(group), right=titles[2:]))
        for line in reason_lines(group.entries, head=-1):
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
    for entries in (group.with_init, group.without_init):
        n = sorted({one.n or 0 for entry in entries for one in entry.runs})
        spans.append("–".join(map(str, n if len(n) == 1 else (n[0], n[-1]))))
    return f"{name}: {runs}, {spans[0]} milestones w/, {spans[1]} w/o"


def correlations_csv(report: CorrelationReport, published: bool = False) -> str:
    """One line per run, then the median of several; for each metric with milestone 0 and without."""
    entries: list[Entry] = []
    for median in (median for group in report.groups for median in group.entries):
        entries += [*median.runs, median] if len(median.runs) > 1 else median.runs
    for method in dict.fromkeys(group.method for group in report.groups if published):
        entries += paper.table_one(method)
    rows = [vars(one) | {"initial_network": f"{one.initial}".removesuffix("_init")} for one in entries]
    return to_csv(rows, _CSV.split(), _RENAMED)


def correlations_latex(report: CorrelationReport, published: bool = False) -> str:
    r"""Table I as a tabular, for \usepackage{booktabs,xcolor}."""
    what = f"Pearson's r with {report.oracle.key} over milestones"
    comments = (what, f"gray: p >= {SIGNIFICANT}; {STAR}")
    return to_latex(table_columns(report, published), comments)


def correlations_object(report: CorrelationReport, published: bool = False) -> dict[str, Any]:
    """What `correlate --json` prints: null, with a reason beside it, for what is undefined."""
    return {
        "oracle": report.oracle.name,
        "oracle_key": report.oracle.key,
        "groups": [_group_object(group, published) for group in report.groups],
        "several_runs": "each run by itself; of several runs the median, marked where more than half of the"
        " runs that have a correlation have p < 0.05 and the sign of the median",
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
        "excluded": [vars(one) for one in report.excluded],
        "warnings": list(report.warnings),
    }


def _group_object(group: Group, published: bool) -> dict[str, Any]:
    metrics = []
    for both in zip(group.with_init, group.without_init, strict=True):
        row = both[0].object("metric key label_free")
        for entry in both:
            runs = [one.object(_RUN, n="milestones") for one in entry.runs]
            row[entry.initial or ""] = entry.object(_CELL) | {"runs": runs}
        row["published"] = {} if published else None
        for one in paper.table_one(group.method) if published else ():
            if one.metric == both[0].metric:
                figure = one.object("pearson n marked", n="milestones")
                row["published"].setdefault(one.dataset, {})[one.initial] = figure
        metrics.append(row)
    ids = [run.id for run in group.runs]
    return {"method": group.method, "dataset": group.dataset, "runs": ids, "metrics": metrics}


def _beside(texts: Sequence[str]) -> str:
    return "  ".join(text.ljust(_WIDTH) for text in texts).rstrip()
