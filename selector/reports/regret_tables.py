"""Selection regret for people: who picked what, and what it cost."""

from collections.abc import Sequence
from math import inf, isfinite

from rich.console import Console

from selector.metrics import LabelledMetric
from selector.reports.rows import along, choice_rows
from selector.reports.tables import paragraph, table_of
from selector.reports.words import label, number, share, sparkline
from selector.selection.comparability import describe
from selector.selection.regret import RegretGroup, RegretReport
from selector.selection.stopping import STOPPING_RULE
from selector.text import counted

_ROOM = 26  # columns for the names of the metrics that chose a run


def print_regret(report: RegretReport, console: Console) -> None:
    """Draws a regret report, group by group."""
    for group in report.groups:
        paragraph(console, f"Selection regret in {report.oracle.key}: {describe(group.group)}")
        paragraph(console, accuracy_line(group))
        titles = ("chosen by", "run", "acc.", "regret", "95 %", "ρ", "τ")
        rows = [row.cells for row in choice_rows(group)]
        console.print(table_of(titles, rows, right=titles[2:], after=len(group.metrics)))
        for line in [*tie_lines(group), *repetition_lines(group)]:
            paragraph(console, line)
        if stops := training_rows(group):
            paragraph(console, f"Stopping earlier by a rule: {STOPPING_RULE}, and finish the choice.")
            heads = ("metric", "stops at epoch", "saves", "costs", "regret by epoch")
            console.print(table_of(heads, stops))
        if any(len(judged.run.trained_milestones) > 1 for judged in group.judged):
            metric = group.metrics[0].metric.name
            paragraph(console, f"{report.oracle.name} and {metric} along training:")
            columns = ("run", "acc.", "by epoch", metric, "by epoch", "chosen by")
            console.print(table_of(columns, run_rows(group, report.oracle), right=("acc.", metric)))
        console.print()
    paragraph(
        console,
        "acc., regret: in percent, regret = best less chosen. 95 %: interval of the true regret among these"
        " checkpoints (multiple comparisons with the best). ρ, τ: Spearman and Kendall (τ-b) with the oracle,"
        " * p < 0.05. ↑↓: the better direction.",
    )


def accuracy_line(group: RegretGroup) -> str:
    """What was at stake."""
    percent = group.in_percent
    best, worst = group.best, group.judged[-1]
    mean = sum(judged.accuracy for judged in group.judged) / len(group.judged)
    runs = len(group.accuracies)
    error = "" if best.standard_error is None else f" ± {share(best.standard_error, percent)}"
    text = (
        f"{counted(runs, 'run')}, {counted(group.configurations, 'configuration')}: best"
        f" {share(best.accuracy, percent)}{error} ({label(best.run)}), mean {share(mean, percent)},"
        f" worst {share(worst.accuracy, percent)}"
    )
    if group.near_best is not None and group.near_best > 1:
        text += f"; the oracle cannot tell {group.near_best} of them from the best"
    return text


def tie_lines(group: RegretGroup) -> list[str]:
    """What the choice among tied runs could have cost."""
    percent = group.in_percent
    return [
        f"{regret.metric.name}: {len(regret.tie_set)} runs tied; expected regret"
        f" {share(regret.tied_expected, percent)}, worst {share(regret.tied_worst, percent)}"
        for regret in group.metrics
        if len(regret.tie_set) > 1
    ]


def repetition_lines(group: RegretGroup) -> list[str]:
    """What other seeds would change, of the first metric; or why that is unknown."""
    regret = group.metrics[0]
    if group.repetition_reason or regret.chosen is None:
        return [f"With other seeds: –, {group.repetition_reason}"] if len(group.judged) > 1 else []
    ends = (regret.repetition_interval, regret.configuration_interval)
    again, own = ("–".join(share(end, group.in_percent) for end in pair or ()) for pair in ends)
    return [
        f"{regret.metric.name}: regret of this configuration, whatever its seeds, {own} (95 %);"
        f" in a repetition of the sweep with other seeds {again} (95 %)"
    ]


def training_rows(group: RegretGroup) -> list[tuple[str, ...]]:
    """Where the stopping rule would have ended the sweep, by each metric that chose at several epochs."""
    rows: list[tuple[str, ...]] = []
    for regret in group.metrics:
        points = regret.training.points
        if len(points) > 1:
            settled = regret.training.settled
            most = group.best.quality - group.judged[-1].quality or 1.0
            rows.append(
                (
                    regret.metric.name,
                    f"{settled.epoch} of {points[-1].epoch}" if settled else f"not by {points[-1].epoch}",
                    f"{settled.saved_finishing_choice:.0%}" if settled else "–",
                    share(settled.regret - points[-1].regret, group.in_percent) if settled else "–",
                    sparkline([point.regret for point in points], 0.0, most),
                )
            )
    return rows


def run_rows(group: RegretGroup, oracle: LabelledMetric) -> list[tuple[str, ...]]:
    """The runs that some metric chose, and the best and the worst by labels; the best by labels first.

    Lines have one scale for all runs of the group, and begin at the first trained milestone.
    """
    metric = group.metrics[0].metric
    by: dict[str, list[str]] = {group.judged[-1].run.id: ["(worst)"], group.best.run.id: ["(best)"]}
    for regret in group.metrics:
        if regret.chosen is not None:
            by.setdefault(regret.chosen.id, []).append(regret.metric.name)
    runs, accuracies = [run for judged in group.judged for run in judged.runs], group.accuracies
    bounds = {}
    for key in (oracle.key, metric.key):
        finite = [value for run in runs for value in along(run, key) if isfinite(value)]
        bounds[key] = min(finite, default=inf), max(finite, default=-inf)
    rows: list[tuple[str, ...]] = []
    for run in runs:
        if names := by.get(run.id):
            scores = along(run, metric.key)
            rows.append(
                (
                    label(run),
                    share(accuracies[run.id], group.in_percent),
                    sparkline(along(run, oracle.key), *bounds[oracle.key]),
                    number(scores[-1] if scores else None),
                    sparkline(scores, *bounds[metric.key]),
                    _listed(names),
                )
            )
    return rows


def _listed(names: Sequence[str]) -> str:
    """As many names as there is room for, at least one."""
    for named in range(len(names), 0, -1):
        more = [f"{len(names) - named} more"] if named < len(names) else []
        text = ", ".join([*names[:named], *more])
        if len(text) <= _ROOM:
            break
    return text
