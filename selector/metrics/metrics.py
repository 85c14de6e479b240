"""The metrics of this project by name, and those that other scripts log."""

from selector.errors import UserError
from selector.metrics.metric import (
    CONSENSUS_KEY,
    LABEL_FREE_PREFIX,
    LABELLED_PREFIX,
    NOISE_PREFIX,
    SPECTRUM_PREFIX,
    Direction,
    LabelFreeMetric,
    LabelledMetric,
    Metric,
)
from selector.metrics.metric_table import METRICS, SAME_TRAINING
from selector.text import nearest

__all__ = [
    "CONSENSUS_KEY",
    "LABELLED_PREFIX",
    "LABEL_FREE_PREFIX",
    "METRICS",
    "NOISE_PREFIX",
    "SPECTRUM_PREFIX",
    "Direction",
    "LabelFreeMetric",
    "LabelledMetric",
    "Metric",
    "declared_label_free",
    "declared_labelled",
    "label_free_metric",
    "labelled_metric",
]

_DECLARED = "logged by another script"


def label_free_metric(name: str) -> LabelFreeMetric:
    """The label-free metric of that name in METRICS; "label_free/" before it does no harm.

    Raises:
        UserError: No such name, or the name of a metric that reads labels.
    """
    own = name.removeprefix(LABEL_FREE_PREFIX)
    known = {metric.name: metric for metric in METRICS if isinstance(metric, LabelFreeMetric)}
    if own in known:
        return known[own]
    if any(metric.key == name or metric.name == name for metric in METRICS):
        raise UserError(f"'{name}' reads labels, and choosing must not: use one of {', '.join(known)}")
    raise UserError(f"unknown metric '{name}'{nearest(own, known)} (one of {', '.join(known)})")


def labelled_metric(name: str) -> LabelledMetric:
    """The labelled metric of that name in METRICS; "labelled/" before it does no harm.

    Raises:
        UserError: No such name.
    """
    own = name.removeprefix(LABELLED_PREFIX)
    known = {metric.name: metric for metric in METRICS if isinstance(metric, LabelledMetric)}
    if own in known:
        return known[own]
    raise UserError(f"unknown labelled metric '{name}'{nearest(own, known)} (one of {', '.join(known)})")


def declared_label_free(key: str, direction: Direction) -> LabelFreeMetric:
    """A metric of somebody else's script, logged under `key`, that the user declares to read no label."""
    return LabelFreeMetric(
        name=key, symbol=key, meaning=_DECLARED, formula="unknown", space="unknown", direction=direction,
        cost="unknown", source=_DECLARED, comparable=SAME_TRAINING, logged_as=key,
    )  # fmt: skip


def declared_labelled(key: str, direction: Direction = "max") -> LabelledMetric:
    """A metric of somebody else's script, logged under `key`, by which the user judges a choice."""
    return LabelledMetric(
        name=key, symbol=key, meaning=_DECLARED, formula="unknown", space="unknown", direction=direction,
        cost="unknown", source=_DECLARED, comparable=("dataset",), logged_as=key,
    )  # fmt: skip
