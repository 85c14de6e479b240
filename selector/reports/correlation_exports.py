"""Table I for other programs: CSV, LaTeX, and the object that `correlate --json` prints."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

from selector.metrics.metrics import LabelFreeMetric
from selector.reports.correlation_tables import (
    NO_CELLS,
    Cell,
    Column,
    label_free_names,
    table_columns,
)
from selector.reports.tables import correlation
from selector.selection.block_bootstrap import BLOCK_RULE, LEAST_MILESTONES
from selector.selection.bootstrap import LEVEL, RESAMPLES, SEED
from selector.selection.milestone_correlation import (
    LEAST_PAIRS,
    RUNS_RULE,
    SIGNIFICANT,
    CorrelationGroup,
    CorrelationReport,
    MetricCorrelation,
    RunCorrelation,
)
from selector.selection.published import (
    DATASETS,
    PUBLISHED_METRICS,
    TABLE_I_SOURCE,
    published_correlation,
)
from selector.text import csv_cell, printable

_LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%",
    "_": r"\_", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}",
}  # fmt: skip


@dataclass(frozen=True)
class CsvRow:
    """One line of the CSV file: a run, the median over the runs of a group, or the paper's figure."""

    source: str
    method: str
    dataset: str
    run: str
    metric: str
    label_free: bool | None
    initial_network: str
    n: int | None
    pearson: float | None
    p_optimistic: float | None
    marked: bool
    interval_low: float | None
    interval_high: float | None
    block_length: int | None
    spearman: float | None
    spearman_p_optimistic: float | None
    kendall_tau: float | None
    kendall_p_optimistic: float | None
    reason: str


def correlations_csv(report: CorrelationReport, published: bool = False) -> str:
    """A line a run, then their median, for each method, data set and metric, with milestone 0 and without."""
    file = io.StringIO()
    names = [field.name for field in fields(CsvRow)]
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(names)
    for row in csv_rows(report, published):
        writer.writerow([csv_cell(getattr(row, name)) for name in names])
    return file.getvalue()


def csv_rows(report: CorrelationReport, published: bool = False) -> Iterator[CsvRow]:
    """The lines of `correlations_csv`; of one run there is no median."""
    for group in report.groups:
        for initial, cells in (("with", group.with_init), ("without", group.without_init)):
            for cell in cells:
                yield from _run_rows(group, initial, cell)
                if len(cell.runs) > 1:
                    yield _median_row(group, initial, cell)
    for method in dict.fromkeys(group.method for group in report.groups) if published else ():
        for name in PUBLISHED_METRICS:
            yield from _paper_rows(method, name)


def correlations_latex(report: CorrelationReport, published: bool = False) -> str:
    r"""Table I as a tabular, for \usepackage{booktabs,xcolor}; as in the paper gray: p >= .05, red: r < 0."""
    columns = _each_once(table_columns(report, published))
    metrics = list(dict.fromkeys(name for column in columns for name in column.cells))
    label_free = label_free_names(report)
    heads = [(c.method, f"{c.dataset} (paper)" if c.paper else c.dataset) for c in columns]
    lines = [
        "% Pearson's r with " + " ".join(printable(report.oracle.key).split()) + " over milestones",
        "% gray: p >= 0.05, where p is optimistic: it takes milestones for independent",
        r"\begin{tabular}{lc" + "rr" * len(columns) + "}",
        r"\toprule",
        " & " + "".join(rf" & \multicolumn{{2}}{{c}}{{{latex(method)}}}" for method, _ in heads) + r" \\",
        " & " + "".join(rf" & \multicolumn{{2}}{{c}}{{{latex(dataset)}}}" for _, dataset in heads) + r" \\",
        "Metric & Label-free" + " & w/ init & w/o" * len(columns) + r" \\",
        r"\midrule",
    ]
    for name in metrics:
        mark = r"$\checkmark$" if name in label_free else r"$\times$"
        figures = [cell for column in columns for cell in column.cells.get(name, NO_CELLS)]
        lines.append(" & ".join([latex(name), mark, *map(_latex_cell, figures)]) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def latex(text: str) -> str:
    """Text from elsewhere for LaTeX: never a command."""
    return "".join(_LATEX.get(character, character) for character in printable(text))


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
        "p_values": "optimistic: they take milestones for independent, and neighbours are alike",
        "least_milestones": LEAST_PAIRS,
        "bootstrap": {
            "over": "blocks of consecutive milestones of a run (moving-block bootstrap of Pearson's r)",
            "block_length": BLOCK_RULE,
            "resamples": RESAMPLES,
            "seed": SEED,
            "level": LEVEL,
            "least_milestones": LEAST_MILESTONES,
        },
        "published_source": TABLE_I_SOURCE if published else None,
        "excluded": gone,
        "warnings": list(report.warnings),
    }


def _group_object(group: CorrelationGroup, published: bool) -> dict[str, Any]:
    both = zip(group.with_init, group.without_init, strict=True)
    return {
        "method": group.method or None,
        "dataset": group.dataset or None,
        "runs": [run.id for run in group.runs],
        "metrics": [
            {
                "metric": given.metric.name,
                "key": given.metric.key,
                "label_free": isinstance(given.metric, LabelFreeMetric),
                "with_init": _cell_object(given),
                "without_init": _cell_object(without),
                "published": _published_object(given.metric.name, group.method) if published else None,
            }
            for given, without in both
        ],
    }


def _cell_object(cell: MetricCorrelation) -> dict[str, Any]:
    return {
        "pearson": cell.pearson,
        "marked": cell.marked,
        "runs_with_value": cell.defined,
        "runs_significant": cell.significant,
        "interval": cell.interval,
        "spearman": cell.spearman,
        "kendall_tau": cell.kendall,
        "reason": cell.reason or None,
        "interval_reason": cell.interval_reason or None,
        "runs": [_run_object(one) for one in cell.runs],
    }


def _run_object(one: RunCorrelation) -> dict[str, Any]:
    return {
        "run": one.run.id,
        "milestones": one.n,
        "left_out": one.left_out,
        "pearson": one.pearson.value,
        "pearson_p": one.pearson.p_value,
        "spearman": one.spearman.value,
        "spearman_p": one.spearman.p_value,
        "kendall_tau": one.kendall.value,
        "kendall_p": one.kendall.p_value,
        "p_method": one.pearson.method,
        "interval": one.interval,
        "block_length": one.block_length,
        "reason": one.reason or None,
        "interval_reason": one.interval_reason or None,
    }


def _published_object(metric: str, method: str) -> dict[str, Any]:
    return {
        dataset: {
            name: {"pearson": figure.value, "milestones": figure.milestones, "marked": figure.significant}
            for name, initial in (("with_init", True), ("without_init", False))
            if (figure := published_correlation(metric, method, dataset, initial))
        }
        for dataset in DATASETS
        if published_correlation(metric, method, dataset, True)
    }


def _each_once(columns: list[Column]) -> list[Column]:
    """The paper's columns stand beside each of our groups of their method; in one tabular once is enough."""
    return list({(column.paper, column.method, column.dataset): column for column in columns}.values())


def _run_rows(group: CorrelationGroup, initial: str, cell: MetricCorrelation) -> Iterator[CsvRow]:
    for one in cell.runs:
        low, high = one.interval or (None, None)
        p = one.pearson.p_value
        yield CsvRow(
            "run", group.method, group.dataset, one.run.id, cell.metric.name,
            isinstance(cell.metric, LabelFreeMetric), initial, one.n,
            one.pearson.value, p, p is not None and p < 0.05, low, high, one.block_length,
            one.spearman.value, one.spearman.p_value, one.kendall.value, one.kendall.p_value,
            one.reason or one.interval_reason,
        )  # fmt: skip


def _median_row(group: CorrelationGroup, initial: str, cell: MetricCorrelation) -> CsvRow:
    low, high = cell.interval or (None, None)
    return CsvRow(
        "median", group.method, group.dataset, "", cell.metric.name,
        isinstance(cell.metric, LabelFreeMetric), initial, None,
        cell.pearson, None, cell.marked, low, high, None, cell.spearman, None, cell.kendall, None,
        cell.reason or cell.interval_reason,
    )  # fmt: skip


def _paper_rows(method: str, name: str) -> Iterator[CsvRow]:
    for dataset in DATASETS:
        for initial in (True, False):
            if figure := published_correlation(name, method, dataset, initial):
                yield CsvRow(
                    "paper", method, dataset, "", name, None, "with" if initial else "without",
                    figure.milestones, figure.value, None, figure.significant,
                    None, None, None, None, None, None, None, "",
                )  # fmt: skip


def _latex_cell(cell: Cell) -> str:
    text = "--" if cell.value is None else f"${correlation(cell.value)}$"
    if cell.value is None or not cell.marked:
        return rf"\textcolor{{gray}}{{{text}}}"
    return rf"\textcolor{{red}}{{{text}}}" if cell.value < 0 else text
