"""How well each metric follows the linear probe over models, by family and over all: the paper's Table II."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

import numpy as np

from selector.metrics.metrics import METRICS, LabelFreeMetric, LabelledMetric, labelled_metric
from selector.selection.block_bootstrap import percentile_interval, resampled_pearson
from selector.selection.bootstrap import LEAST_CONFIGURATIONS
from selector.selection.correlation import Correlation, pearson_test, spearman_test

LEAST_MODELS = 3  # two models are always on one line
LEAST_FOR_INTERVAL = LEAST_CONFIGURATIONS
OVERALL = "overall"

Metric = LabelFreeMetric | LabelledMetric


@dataclass(frozen=True)
class ModelRow:
    """What was measured of one model.

    Attributes:
        model: Its name.
        family: Models of one architecture in several sizes.
        weights: What its weights are.
        resolution: Side of the images that it was given, in pixels.
        values: W&B key of a metric → value.
    """

    model: str
    family: str
    weights: str
    resolution: int
    values: Mapping[str, float]


@dataclass(frozen=True)
class Study:
    """Models on one data set.

    Attributes:
        dataset: Its name; a folder with its path.
        train_images: Images that the probe learns from.
        evaluation_images: Images that the metrics are computed from.
        settings: How the metrics were computed.
        untrained: Whether the networks had random weights.
        rows: One a model.
        warnings: One line each.
    """

    dataset: str
    train_images: int
    evaluation_images: int
    settings: Mapping[str, Any]
    untrained: bool
    rows: tuple[ModelRow, ...]
    warnings: tuple[str, ...] = field(default_factory=tuple)

    @property
    def metrics(self) -> list[Metric]:
        """Metrics of the table that some model has."""
        keys = {key for row in self.rows for key in row.values}
        return [metric for metric in METRICS if metric.key in keys]


@dataclass(frozen=True)
class ModelCorrelation:
    """One figure of Table II.

    Attributes:
        metric: Held against the linear probe.
        group: A family, or "overall".
        pearson: Over the models of the group.
        spearman: Likewise.
        interval: 95 % interval of Pearson's r, models resampled with replacement; None for fewer than 8.
        reason: Why there is no correlation, or "".
    """

    metric: Metric
    group: str
    pearson: Correlation
    spearman: Correlation
    interval: tuple[float, float] | None
    reason: str = ""


def correlate_models(study: Study) -> list[ModelCorrelation]:
    """Every metric with linear-probe accuracy: a figure a family, then one over all models.

    Empty where no model has an accuracy. Where all models are of one family there is no `overall`.
    """
    oracle = labelled_metric("linear_probe_accuracy")
    if not any(oracle.key in row.values for row in study.rows):
        return []
    families = list(dict.fromkeys(row.family for row in study.rows))
    groups = {family: [row for row in study.rows if row.family == family] for family in families}
    if len(families) > 1:
        groups[OVERALL] = list(study.rows)
    metrics = [metric for metric in study.metrics if metric.key != oracle.key]
    return [_correlate(metric, oracle, group, rows) for metric in metrics for group, rows in groups.items()]


def _correlate(metric: Metric, oracle: Metric, group: str, rows: Sequence[ModelRow]) -> ModelCorrelation:
    pairs = [(row.values.get(metric.key, np.nan), row.values.get(oracle.key, np.nan)) for row in rows]
    finite = [pair for pair in pairs if isfinite(pair[0]) and isfinite(pair[1])]
    x, y = np.array(finite, dtype=np.float64).reshape(-1, 2).T
    constant = [m.name for m, series in ((metric, x), (oracle, y)) if len(x) and np.ptp(series) == 0]
    reason = ""
    if len(x) < LEAST_MODELS:
        reason = f"{len(x)} model{'' if len(x) == 1 else 's'} with both values, {LEAST_MODELS} are needed"
    elif constant:
        reason = f"{' and '.join(constant)} the same for all {len(x)} models"
    if reason:
        none = Correlation(None, None, len(x), "exact")
        return ModelCorrelation(metric, group, none, none, None, reason)
    interval = None
    if len(x) >= LEAST_FOR_INTERVAL:
        interval = percentile_interval(resampled_pearson(x, y, 1, f"{group} {metric.name}"))
    return ModelCorrelation(metric, group, pearson_test(x, y), spearman_test(x, y), interval)
