"""Selection regret for people: who picked what, and what it cost."""

from dataclasses import dataclass

from rich.console import Console

from selector.reports.along_training import run_rows
from selector.reports.sparkline import sparkline
from selector.reports.tables import BASELINES, correlation, draw, label, number, paragraph
from selector.selection.comparability import describe
from selector.selection.regret import Regret, RegretGroup, RegretReport
from selector.selection.stopping import STOPPING_RULE


@dataclass(frozen=True)
class RegretRow:
    """What one metric or baseline picks."""

    chosen_by: str
    run: str
    accuracy: str
    regret: str
    interval: str
    spearman: str
    kendall: str


@dataclass(frozen=True)
class TrainingRow:
    """How early one metric's choice was final."""

    metric: str
    settled: str
    saved: str
    cost: str
    regrets: str


def regret_rows(group: RegretGroup) -> list[RegretRow]:
    """Metrics, then baselines; accuracies and regrets in percent where they are fractions."""
    percent = group.in_percent
    rows = [
        RegretRow(
            f"{regret.metric.name} {_arrow(regret)}",
            label(regret.chosen) if regret.chosen else "–",
            _share(regret.chosen_accuracy, percent),
            _share(regret.regret, percent),
            "–" if regret.interval is None else "–".join(_share(end, percent) for end in regret.interval),
            correlation(regret.spearman.value) + _star(regret.spearman.p_value),
            correlation(regret.kendall.value) + _star(regret.kendall.p_value),
        )
        for regret in group.metrics
    ]
    return rows + [
        RegretRow(
            BASELINES[baseline.name],
            label(baseline.run) if baseline.run else "–",
            _share(baseline.accuracy, percent),
            _share(baseline.regret, percent),
            "", "", "",
        )
        for baseline in group.baselines
    ]  # fmt: skip


def training_rows(group: RegretGroup) -> list[TrainingRow]:
    """Metrics that chose something at more than one epoch."""
    rows = []
    for regret in group.metrics:
        points = regret.training.points
        if len(points) > 1:
            settled = regret.training.settled
            line = sparkline(
                [point.regret for point in points], 0.0, group.best.quality - group.judged[-1].quality or 1.0
            )
            row = TrainingRow(
                regret.metric.name,
                f"{settled.epoch} of {points[-1].epoch}" if settled else f"not by {points[-1].epoch}",
                f"{settled.saved_finishing_choice:.0%}" if settled else "–",
                _share(settled.regret - points[-1].regret, group.in_percent) if settled else "–",
                line,
            )
            rows.append(row)
    return rows


def print_regret(report: RegretReport, console: Console) -> None:
    """Draws a regret report, group by group."""
    for group in report.groups:
        paragraph(console, f"Selection regret in {report.oracle.key}: {describe(group.group)}")
        paragraph(console, accuracy_line(group))
        draw(
            console,
            regret_rows(group),
            ("chosen by", "run", "acc.", "regret", "95 %", "ρ", "τ"),
            right=("accuracy", "regret", "interval", "spearman", "kendall"),
            after=len(group.metrics),
        )
        for line in [*tie_lines(group), *repetition_lines(group)]:
            paragraph(console, line)
        if rows := training_rows(group):
            paragraph(console, f"Stopping earlier by a rule: {STOPPING_RULE}, and finish the choice.")
            draw(console, rows, ("metric", "stops at epoch", "saves", "costs", "regret by epoch"))
        if any(len(judged.run.trained_milestones) > 1 for judged in group.judged):
            metric = group.metrics[0].metric.name
            paragraph(console, f"{report.oracle.name} and {metric} along training:")
            draw(
                console,
                run_rows(group, report.oracle),
                ("run", "acc.", "by epoch", metric, "by epoch", "chosen by"),
                right=("accuracy", "score"),
            )
        console.print()
    paragraph(
        console,
        "acc., regret: in percent, regret = best less chosen. 95 %: interval of the true regret among these"
        " checkpoints (multiple comparisons with the best). ρ, τ: Spearman and Kendall (τ-b) with the oracle,"
        " * p < 0.05. ↑↓: the better direction.",
    )


def accuracy_line(group: RegretGroup) -> str:
    """What there was to win."""
    percent = group.in_percent
    best, worst = group.best, group.judged[-1]
    mean = sum(judged.accuracy for judged in group.judged) / len(group.judged)
    runs = len(group.accuracies)
    error = "" if best.standard_error is None else f" ± {_share(best.standard_error, percent)}"
    text = (
        f"{runs} runs, {group.configurations} configurations: best"
        f" {_share(best.accuracy, percent)}{error} ({label(best.run)}), mean {_share(mean, percent)},"
        f" worst {_share(worst.accuracy, percent)}"
    )
    if group.near_best is not None and group.near_best > 1:
        text += f"; the oracle cannot tell {group.near_best} of them from the best"
    return text


def tie_lines(group: RegretGroup) -> list[str]:
    """What the choice among tied runs could have cost."""
    percent = group.in_percent
    return [
        f"{regret.metric.name}: {len(regret.tie_set)} runs tied; expected regret"
        f" {_share(regret.tied_expected, percent)}, worst {_share(regret.tied_worst, percent)}"
        for regret in group.metrics
        if len(regret.tie_set) > 1
    ]


def repetition_lines(group: RegretGroup) -> list[str]:
    """What other seeds would change, of the first metric; or why nobody knows."""
    regret = group.metrics[0]
    if group.repetition_reason or regret.chosen is None:
        return [f"With other seeds: –, {group.repetition_reason}"] if len(group.judged) > 1 else []
    ends = (regret.repetition_interval, regret.configuration_interval)
    again, own = ("–".join(_share(end, group.in_percent) for end in pair or ()) for pair in ends)
    return [
        f"{regret.metric.name}: regret of this configuration, whatever its seeds, {own} (95 %);"
        f" in a repetition of the sweep with other seeds {again} (95 %)"
    ]


def _share(value: float | None, percent: bool) -> str:
    if value is None or not percent:
        return number(value)
    return f"{100 * value:.1f}"


def _arrow(regret: Regret) -> str:
    return {"max": "↑", "min": "↓", None: ""}[regret.direction]


def _star(p_value: float | None) -> str:
    return "*" if p_value is not None and p_value < 0.05 else ""
