"""How well each metric follows the oracle while a network trains: Table I of the paper for any runs.

A correlation is computed over the milestones of one run. Several runs of one method and data set are never
pooled into one series, which would mix the course of training with differences between configurations: each
has its own figures, and the table shows their medians.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

from selector.errors import UserError
from selector.metrics import METRICS, LabelFreeMetric, LabelledMetric
from selector.paper.association import (
    LEAST_MILESTONES,
    Association,
    Floats,
    Metric,
    associate,
    block_length,
    finite_pairs,
    percentile_interval,
    resampled_pearson,
    undefined,
)
from selector.paper.published import Initial
from selector.runs import Run, RunSet
from selector.selection.candidates import Excluded, finished_runs
from selector.selection.comparability import canonical, describe, differing
from selector.text import counted, nearest

RUNS_RULE = (
    "each run by itself; of several runs the median, marked where more than half of the runs that have a"
    " correlation have p < 0.05 and the sign of the median"
)


@dataclass(frozen=True, kw_only=True)
class RunCorrelation(Association):
    """A metric over the milestones of one run.

    Attributes:
        run: Id of the run.
        milestones: With finite values of both.
        left_out: Milestones with one of the two values, or with one that is not finite.
        block_length: Milestones per block of the bootstrap, or None without an interval.
        interval_reason: Why there is no interval, or None.
    """

    run: str
    milestones: int
    left_out: int
    block_length: int | None
    interval_reason: str | None


@dataclass(frozen=True)
class Cell:
    """One cell of Table I: medians over the runs that have a correlation, None without any.

    Attributes:
        runs_significant: Runs with p < 0.05 and the sign of the median.
        marked: Whether these are more than half of those with a correlation.
        interval: 95 % interval of `pearson` over resampled milestones, the runs being the ones that there
            are; None where one of the runs has none.
    """

    pearson: float | None
    spearman: float | None
    kendall_tau: float | None
    runs_with_value: int
    runs_significant: int
    marked: bool
    interval: tuple[float, float] | None
    reason: str | None
    interval_reason: str | None
    runs: tuple[RunCorrelation, ...]


@dataclass(frozen=True)
class MetricRow:
    """A metric's row of Table I: two cells, with and without the untrained network."""

    metric: str
    key: str
    label_free: bool
    with_init: Cell
    without_init: Cell

    def cell(self, initial: Initial) -> Cell:
        """One of the two."""
        return self.with_init if initial == "with_init" else self.without_init


@dataclass(frozen=True)
class Group:
    """Runs of one method and data set; None where no run names one. A folder of images has its path."""

    method: str | None
    dataset: str | None
    runs: tuple[Run, ...]
    metrics: tuple[MetricRow, ...]

    def cells(self, initial: Initial) -> dict[str, Cell]:
        """By name of the metric."""
        return {row.metric: row.cell(initial) for row in self.metrics}


@dataclass(frozen=True)
class CorrelationReport:
    """What `selector correlate` found: groups in the order of method and data set, and runs left out."""

    oracle: LabelledMetric
    groups: tuple[Group, ...]
    excluded: tuple[Excluded, ...]
    warnings: tuple[str, ...]


def correlate_milestones(
    runs: RunSet, oracle: LabelledMetric, metrics: Sequence[Metric] = ()
) -> CorrelationReport:
    """Correlates metrics with the oracle over the milestones of each finished run.

    Args:
        runs: What a source holds.
        oracle: What the metrics are held against.
        metrics: Label-free or labelled; none takes all of METRICS that a finished run logged.

    Raises:
        UserError: When no finished run logged the oracle, or none a metric.
    """
    finished, excluded = finished_runs(runs)
    logged = {key for run in finished for row in run.milestones for key in row.values}
    if oracle.key not in logged:
        raise UserError(
            f"no finished run of {runs.source} logged {oracle.key}"
            f"{nearest(oracle.key, logged)}: name what to compare them with, by --oracle KEY"
        )
    chosen = [m for m in metrics or METRICS if m.key in logged and m.key != oracle.key]
    if unknown := [metric.key for metric in metrics if metric.key not in logged]:
        raise UserError(
            f"no finished run of {runs.source} logged {unknown[0]}{nearest(unknown[0], logged)}:"
            " name a key that they hold"
        )
    if not chosen:
        raise UserError(
            f"{runs.source} has no metric besides {oracle.key}: name the runs' keys with --metric"
        )
    members: dict[tuple[str, str], list[Run]] = {}
    for run in finished:
        members.setdefault(_method_and_dataset(run), []).append(run)
    groups = []
    for (method, dataset), group in sorted(members.items()):
        rows = []
        for metric in chosen:
            cells = [correlate_metric(group, metric, oracle, initial) for initial in (True, False)]
            rows.append(MetricRow(metric.name, metric.key, isinstance(metric, LabelFreeMetric), *cells))
        groups.append(Group(method or None, dataset or None, tuple(group), tuple(rows)))
    warnings = (*runs.warnings, *(warning for group in groups for warning in _warnings(group)))
    return CorrelationReport(oracle, tuple(groups), tuple(excluded), warnings)


def correlate_metric(runs: Sequence[Run], metric: Metric, oracle: Metric, initial: bool) -> Cell:
    """A metric over the milestones of runs of one method and data set, of which there is at least one.

    `initial`: whether milestone 0 takes part; a run without one then has no correlation.
    """
    each, draws = zip(*(_correlate_run(run, metric, oracle, initial) for run in runs), strict=True)
    defined = [one for one in each if one.reason is None]
    interval, why = None, "no correlation"
    if defined:
        without = [one.interval_reason for one in defined if one.interval_reason]
        # Each run's milestones were resampled by themselves; this is the median's interval over the draws.
        drawn = [resampled for resampled in draws if resampled is not None]
        interval = None if without else percentile_interval(np.median(drawn, axis=0))
        why = without[0] if without else "constant in most resamples"
    centre = _median([one.pearson for one in defined])
    significant = sum(one.marked and (one.pearson or 0.0) * (centre or 0.0) > 0 for one in defined)
    return Cell(
        pearson=centre,
        spearman=_median([one.spearman for one in defined]),
        kendall_tau=_median([one.kendall_tau for one in defined]),
        runs_with_value=len(defined),
        runs_significant=significant,
        marked=2 * significant > len(defined),
        interval=interval,
        reason=None if defined else "; ".join(dict.fromkeys(str(one.reason) for one in each)),
        interval_reason=None if interval else why,
        runs=each,
    )


def _correlate_run(
    run: Run, metric: Metric, oracle: Metric, initial: bool
) -> tuple[RunCorrelation, Floats | None]:
    """One run's figures, and Pearson's r of each resample."""
    rows = run.milestones if initial else run.trained_milestones
    x, y, left_out = finite_pairs([row.values for row in rows], metric, oracle)
    reason = undefined(x, y, metric, oracle, "milestone")
    if initial and len(run.trained_milestones) == len(run.milestones):
        reason = "milestone 0, the untrained network, was not logged"
    length, resampled, interval, why = None, None, None, reason
    if reason is None and len(x) < LEAST_MILESTONES:
        why = f"{counted(len(x), 'milestone')}, an interval needs {LEAST_MILESTONES}"
    elif reason is None:
        untrained = finite_pairs([run.milestones[0].values], metric, oracle)[0]
        length = block_length(x, y)
        resampled = resampled_pearson(x, y, length, run.id, keep_first=initial and len(untrained) == 1)
        interval = percentile_interval(resampled)
        why = None if interval else "constant in most resamples"
    found = RunCorrelation(
        run=run.id,
        milestones=len(x),
        left_out=left_out,
        block_length=length if interval else None,
        interval_reason=why,
        **associate(x, y, interval, reason),
    )
    return found, resampled


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None


def _method_and_dataset(run: Run) -> tuple[str, str]:
    dataset = _text(run.config.get("dataset"))
    if dataset == "folder":  # says nothing about which images
        dataset = f"folder {_text(run.config.get('data_dir'))}".strip()
    return _text(run.config.get("method")), dataset


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else canonical(value)


def _warnings(group: Group) -> list[str]:
    where = describe({k: v for k, v in (("method", group.method), ("dataset", group.dataset)) if v})
    warnings = []
    if fields := differing([run.definition for run in group.runs]):
        warnings.append(
            f"{where}: the median is over runs whose metrics were not computed the same way"
            f" ({', '.join(fields)}); each run's own correlations are unaffected"
        )
    if left_out := max(one.left_out for row in group.metrics for one in row.with_init.runs):
        warnings.append(
            f"{where}: up to {left_out} milestones of a run lack a finite value of a metric or of the oracle"
            " and were left out"
        )
    return warnings
