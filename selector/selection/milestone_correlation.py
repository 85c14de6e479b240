"""How well each metric follows the oracle while a network trains: Table I of the paper for any runs.

A correlation is computed over the milestones of one run. Several runs of one method and data set are never
pooled into one series, which would mix the course of training with differences between configurations: each
has its own figures, and the table shows their medians.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selector.errors import UserError
from selector.metrics.metrics import METRICS, LabelFreeMetric, LabelledMetric
from selector.runs import Run, RunSet
from selector.selection.block_bootstrap import (
    LEAST_MILESTONES,
    block_length,
    percentile_interval,
    resampled_pearson,
)
from selector.selection.candidates import Excluded, finished_runs
from selector.selection.comparability import describe, differing
from selector.selection.correlation import Correlation, kendall_test, pearson_test, spearman_test
from selector.selection.hyperparameters import canonical
from selector.text import nearest

LEAST_PAIRS = 3  # two milestones are always on one line
SIGNIFICANT = 0.05
RUNS_RULE = (
    "each run by itself; of several runs the median, marked where more than half of the runs that have a"
    " correlation have p < 0.05 and the sign of the median"
)

Floats = NDArray[np.float64]
Metric = LabelFreeMetric | LabelledMetric


@dataclass(frozen=True)
class RunCorrelation:
    """How well a metric follows the oracle over the milestones of one run.

    Attributes:
        run: The run.
        n: Milestones with finite values of both.
        left_out: Milestones with one of the two, or with a value that is not finite.
        pearson: Its p-value takes the milestones for independent observations, and so is optimistic.
        spearman: Likewise.
        kendall: τ-b, likewise.
        interval: 95 % interval of Pearson's r by moving-block bootstrap, or None.
        block_length: Milestones a block, or None without an interval.
        reason: Why there is no correlation, or "".
        interval_reason: Why there is no interval, or "".
    """

    run: Run
    n: int
    left_out: int
    pearson: Correlation
    spearman: Correlation
    kendall: Correlation
    interval: tuple[float, float] | None
    block_length: int | None
    reason: str
    interval_reason: str


@dataclass(frozen=True)
class MetricCorrelation:
    """One cell of Table I: a metric over the milestones of one run, or the median over several runs.

    Attributes:
        metric: The metric.
        runs: Each run's figures.
        defined: Runs that have a correlation; the medians are over these.
        significant: Of those, runs with p < 0.05 and the sign of the median.
        pearson: Median of Pearson's r, -1 to 1; None without any.
        spearman: Median of Spearman's ρ.
        kendall: Median of Kendall's τ-b.
        interval: 95 % interval of `pearson` over resampled milestones, the runs being the ones that there
            are; None where one of the runs has none.
        reason: Why there is no correlation, or "".
        interval_reason: Why there is no interval, or "".
    """

    metric: Metric
    runs: tuple[RunCorrelation, ...]
    defined: int
    significant: int
    pearson: float | None
    spearman: float | None
    kendall: float | None
    interval: tuple[float, float] | None
    reason: str
    interval_reason: str

    @property
    def marked(self) -> bool:
        """Whether more than half of the runs have p < 0.05 and the sign of the median."""
        return 2 * self.significant > self.defined


@dataclass(frozen=True)
class CorrelationGroup:
    """Runs of one method and data set.

    Attributes:
        method: Their method, or "" where no run names one.
        dataset: Their data set, or ""; a folder of images with its path.
        runs: In the order of their ids.
        with_init: All milestones, a metric an entry.
        without_init: All but milestone 0, the untrained network.
    """

    method: str
    dataset: str
    runs: tuple[Run, ...]
    with_init: tuple[MetricCorrelation, ...]
    without_init: tuple[MetricCorrelation, ...]


@dataclass(frozen=True)
class CorrelationReport:
    """What `selector correlate` found.

    Attributes:
        oracle: What the metrics were correlated with.
        groups: In the order of method and data set.
        excluded: Runs that are not finished, and duplicates.
        warnings: One line each.
    """

    oracle: LabelledMetric
    groups: tuple[CorrelationGroup, ...]
    excluded: tuple[Excluded, ...]
    warnings: tuple[str, ...]


def correlate_milestones(
    runs: RunSet, oracle: LabelledMetric, metrics: Sequence[Metric] = ()
) -> CorrelationReport:
    """Correlates metrics with the oracle over the milestones of each finished run.

    Args:
        runs: What a source holds.
        oracle: What the metrics are held against.
        metrics: Label-free or labelled; none: all of METRICS that a finished run logged.

    Raises:
        UserError: When no finished run logged the oracle, or none a metric.
    """
    finished, excluded = finished_runs(runs)
    logged = {key for run in finished for row in run.milestones for key in row.values}
    if oracle.key not in logged:
        raise UserError(
            f"none of the {len(finished)} finished runs of {runs.source} logged {oracle.key}"
            f"{nearest(oracle.key, logged)}: name what they should be held against with --oracle KEY"
        )
    chosen = [m for m in metrics or METRICS if m.key in logged and m.key != oracle.key]
    if unknown := [metric.key for metric in metrics if metric.key not in logged]:
        raise UserError(
            f"no finished run of {runs.source} logged {unknown[0]}{nearest(unknown[0], logged)}:"
            " name a key that they hold"
        )
    if not chosen:
        raise UserError(f"{runs.source} has no metric beside {oracle.key}: name the runs' keys with --metric")
    members: dict[tuple[str, str], list[Run]] = {}
    for run in finished:
        members.setdefault(_method_and_dataset(run), []).append(run)
    groups = tuple(
        CorrelationGroup(
            *place,
            tuple(group),
            tuple(correlate_metric(group, metric, oracle, initial=True) for metric in chosen),
            tuple(correlate_metric(group, metric, oracle, initial=False) for metric in chosen),
        )
        for place, group in sorted(members.items())
    )
    warnings = (*runs.warnings, *(warning for group in groups for warning in _warnings(group)))
    return CorrelationReport(oracle, groups, tuple(excluded), warnings)


def correlate_metric(runs: Sequence[Run], metric: Metric, oracle: Metric, initial: bool) -> MetricCorrelation:
    """One cell of Table I: a metric over the milestones of runs of one method and data set.

    Args:
        runs: At least one.
        metric: Held against the oracle.
        oracle: Labelled.
        initial: Whether milestone 0 takes part; a run without one then has no correlation.
    """
    each = [correlate_run(run, metric, oracle, initial) for run in runs]
    defined = [one for one in each if one.pearson.value is not None]
    pearson = _median(one.pearson.value for one in defined)
    interval, interval_reason = _median_interval(defined, metric, oracle, initial)
    return MetricCorrelation(
        metric=metric,
        runs=tuple(each),
        defined=len(defined),
        significant=sum(_significant(one.pearson, pearson) for one in defined),
        pearson=pearson,
        spearman=_median(one.spearman.value for one in defined),
        kendall=_median(one.kendall.value for one in defined),
        interval=interval,
        reason="" if defined else "; ".join(dict.fromkeys(one.reason for one in each)),
        interval_reason=interval_reason,
    )


def correlate_run(run: Run, metric: Metric, oracle: Metric, initial: bool) -> RunCorrelation:
    """A metric over the milestones of one run.

    Args:
        run: Its milestones in the order of training.
        metric: Held against the oracle.
        oracle: Labelled.
        initial: Whether milestone 0 takes part.
    """
    x, y, left_out = _series(run, metric, oracle, initial)
    reason = _undefined(run, x, y, metric, oracle, initial)
    if reason:
        none = Correlation(None, None, len(x), "exact")
        return RunCorrelation(run, len(x), left_out, none, none, none, None, None, reason, reason)
    length = block_length(x, y) if len(x) >= LEAST_MILESTONES else None
    interval = percentile_interval(resampled_pearson(x, y, length, run.id)) if length else None
    tests = pearson_test(x, y), spearman_test(x, y), kendall_test(x, y)
    why = "" if interval else _no_interval(len(x))
    return RunCorrelation(run, len(x), left_out, *tests, interval, length if interval else None, "", why)


def _series(run: Run, metric: Metric, oracle: Metric, initial: bool) -> tuple[Floats, Floats, int]:
    """Finite pairs in the order of training, and how many milestones lack one side."""
    rows = run.milestones if initial else run.trained_milestones
    held = [row.values for row in rows if metric.key in row.values or oracle.key in row.values]
    pairs = [(values.get(metric.key, np.nan), values.get(oracle.key, np.nan)) for values in held]
    finite = [pair for pair in pairs if isfinite(pair[0]) and isfinite(pair[1])]
    x, y = np.array(finite, dtype=np.float64).reshape(-1, 2).T
    return x, y, len(held) - len(finite)


def _undefined(run: Run, x: Floats, y: Floats, metric: Metric, oracle: Metric, initial: bool) -> str:
    if initial and len(run.trained_milestones) == len(run.milestones):
        return "milestone 0, the untrained network, was not logged"
    if len(x) < LEAST_PAIRS:
        return f"{len(x)} milestone{'' if len(x) == 1 else 's'} with both values, {LEAST_PAIRS} are needed"
    constant = [name for name, series in ((metric.name, x), (oracle.name, y)) if np.ptp(series) == 0]
    return f"{' and '.join(constant)} the same at all {len(x)} milestones" if constant else ""


def _no_interval(n: int) -> str:
    if n < LEAST_MILESTONES:
        return f"{n} milestones, an interval needs {LEAST_MILESTONES}"
    return "constant in most resamples"


def _median_interval(
    defined: Sequence[RunCorrelation], metric: Metric, oracle: Metric, initial: bool
) -> tuple[tuple[float, float] | None, str]:
    """Of the median over runs: each run's milestones are resampled by themselves."""
    if not defined:
        return None, "no correlation"
    if without := [one for one in defined if one.interval is None]:
        return None, without[0].interval_reason
    if len(defined) == 1:
        return defined[0].interval, ""
    resampled = [
        resampled_pearson(*_series(one.run, metric, oracle, initial)[:2], one.block_length or 1, one.run.id)
        for one in defined
    ]
    interval = percentile_interval(np.median(resampled, axis=0))
    return interval, "" if interval else "constant in most resamples"


def _significant(correlation: Correlation, centre: float | None) -> bool:
    value, p = correlation.value, correlation.p_value
    return bool(value and centre and p is not None and p < SIGNIFICANT and value * centre > 0)


def _median(values: Any) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None


def _method_and_dataset(run: Run) -> tuple[str, str]:
    dataset = _text(run.config.get("dataset"))
    if dataset == "folder":  # says nothing about which images
        dataset = f"folder {_text(run.config.get('data_dir'))}".strip()
    return _text(run.config.get("method")), dataset


def _text(value: Any) -> str:
    match value:
        case None:
            return ""
        case str():
            return value
    return canonical(value)


def _warnings(group: CorrelationGroup) -> list[str]:
    where = describe({k: v for k, v in (("method", group.method), ("dataset", group.dataset)) if v})
    warnings = []
    if fields := differing([run.definition for run in group.runs]):
        warnings.append(
            f"{where}: the median is over runs whose metrics were not computed alike ({', '.join(fields)});"
            " each run's own correlations are not touched by that"
        )
    if left_out := max(one.left_out for cell in group.with_init for one in cell.runs):
        warnings.append(
            f"{where}: up to {left_out} milestones of a run lack a finite value of a metric or of the oracle"
            " and were left out"
        )
    return warnings
