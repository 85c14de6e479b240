"""How well each metric follows the oracle while a network trains: Table I of the paper for any runs.

A correlation is computed over the milestones of one run. Several runs of one method and data set are never
pooled into one series, which would mix the course of training with differences between configurations: each
has its own figures, and the table shows their medians.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite, nan
from statistics import median
from typing import Any

import numpy as np

from selector.errors import UserError
from selector.metrics import METRICS, LabelledMetric
from selector.paper.association import (
    INITIAL,
    LEAST_MILESTONES,
    Entry,
    Floats,
    Initial,
    Metric,
    associate,
    block_length,
    percentile_interval,
    resampled_pearson,
)
from selector.runs import Run, RunSet
from selector.selection.candidates import Excluded, finished_runs
from selector.selection.comparability import canonical, describe, differing
from selector.text import counted, nearest


@dataclass(frozen=True)
class Group:
    """Runs of one method and data set; None where no run names one. A folder of images has its path.

    Each metric has an entry over the runs with milestone 0 and one without, in the same order.
    """

    method: str | None
    dataset: str | None
    runs: tuple[Run, ...]
    with_init: tuple[Entry, ...]
    without_init: tuple[Entry, ...]

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Both columns of Table I, one after the other."""
        return self.with_init + self.without_init


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
    advice = {oracle.key: "name what to compare them with, by --oracle KEY"}
    for key in (oracle.key, *(metric.key for metric in metrics)):
        if key not in logged:
            raise UserError(
                f"no finished run of {runs.source} logged {key}{nearest(key, logged)}:"
                f" {advice.get(key, 'name a key that they hold')}"
            )
    chosen = [m for m in metrics or METRICS if m.key in logged and m.key != oracle.key]
    if not chosen:
        raise UserError(
            f"{runs.source} has no metric besides {oracle.key}: name the runs' keys with --metric"
        )
    members: dict[tuple[str, str], list[Run]] = {}
    for run in finished:
        members.setdefault(_method_and_dataset(run), []).append(run)
    groups = []
    for (method, dataset), group in sorted(members.items()):
        columns = [tuple(correlate_metric(group, m, oracle, initial) for m in chosen) for initial in INITIAL]
        groups.append(Group(method or None, dataset or None, tuple(group), *columns))
    warnings = (*runs.warnings, *(warning for group in groups for warning in _warnings(group)))
    return CorrelationReport(oracle, tuple(groups), tuple(excluded), warnings)


def correlate_metric(runs: Sequence[Run], metric: Metric, oracle: Metric, initial: Initial) -> Entry:
    """A metric over the milestones of runs of one method and data set, of which there is at least one.

    A run without milestone 0 has no correlation with it.
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
    return Entry(
        source="median",
        group=each[0].group,
        dataset=each[0].dataset,
        initial=initial,
        metric=metric.name,
        key=metric.key,
        label_free=each[0].label_free,
        pearson=centre,
        spearman=_median([one.spearman for one in defined]),
        kendall_tau=_median([one.kendall_tau for one in defined]),
        marked=2 * significant > len(defined),
        interval=interval,
        reason=None if defined else "; ".join(dict.fromkeys(str(one.reason) for one in each)),
        interval_reason=None if interval else why,
        runs=each,
        runs_with_value=len(defined),
        runs_significant=significant,
    )


def _correlate_run(run: Run, metric: Metric, oracle: Metric, initial: Initial) -> tuple[Entry, Floats | None]:
    """One run's entry, and Pearson's r of each resample."""
    method, dataset = _method_and_dataset(run)
    with_init = initial == "with_init"
    trained, missing = run.trained_milestones, None
    if with_init and len(trained) == len(run.milestones):
        missing = "milestone 0, the untrained network, was not logged"
    rows = [row.values for row in (run.milestones if with_init else trained)]
    fields, x, y = associate(rows, metric, oracle, "milestone", missing)
    length, resampled, interval, why = None, None, None, fields["reason"]
    if why is None and len(x) < LEAST_MILESTONES:
        why = f"{counted(len(x), 'milestone')}, an interval needs {LEAST_MILESTONES}"
    elif why is None:
        first_is_finite = all(isfinite(rows[0].get(one.key, nan)) for one in (metric, oracle))
        length = block_length(x, y)
        resampled = resampled_pearson(x, y, length, run.id, keep_first=with_init and first_is_finite)
        interval = percentile_interval(resampled)
        why = None if interval else "constant in most resamples"
    entry = Entry(
        source="run",
        group=method,
        dataset=dataset,
        initial=initial,
        run=run.id,
        interval=interval,
        block_length=length if interval else None,
        interval_reason=why,
        **fields,
    )
    return entry, resampled


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
    if left_out := max(one.left_out for entry in group.with_init for one in entry.runs):
        warnings.append(
            f"{where}: up to {left_out} milestones of a run lack a finite value of a metric or of the oracle"
            " and were left out"
        )
    return warnings
