"""Metrics by the names that a command line gives them."""

from selector.errors import UsageError, UserError
from selector.metrics import (
    LABEL_FREE_PREFIX,
    LABELLED_PREFIX,
    METRICS,
    Direction,
    LabelFreeMetric,
    LabelledMetric,
    declared_label_free,
    declared_labelled,
    label_free_metric,
    labelled_metric,
)
from selector.runs import RunSet
from selector.selection.consensus import CONSENSUS
from selector.selection.pooled import POOLED
from selector.selection.preparation import PRETEXT_PARTS


def named_label_free(name: str, direction: Direction | None) -> LabelFreeMetric:
    """A metric of the table, the consensus, or a key of other people's runs with the direction they gave."""
    for among_others in (CONSENSUS, POOLED):
        if name in (among_others.name, among_others.key):
            return among_others
    try:
        return label_free_metric(name)
    except UserError as error:
        if name.startswith(LABELLED_PREFIX) or name in {m.name for m in METRICS}:
            raise UsageError(
                f"'{name}' reads labels, and choosing must not: `selector metrics` lists what may be used"
            ) from None
        if name.startswith(LABEL_FREE_PREFIX) or direction is None:
            raise UsageError(f"{error}; a key of your own runs needs --direction max or min") from None
        return declared_label_free(name, direction)


def refuse_consensus(name: str) -> None:
    """Refuses it where a run's own score is needed, whatever other runs there are."""
    if name in (CONSENSUS.name, CONSENSUS.key):
        parts = ", ".join(key.removeprefix(LABEL_FREE_PREFIX) for key in CONSENSUS.parts)
        raise UsageError(
            "the consensus is a run's place among the others, not a score of its own: name pretext_score, or"
            f" one of the metrics in it, {parts}"
        )


def keys_of(metric: LabelFreeMetric) -> list[str]:
    """The history keys that a choice by the metric reads."""
    if metric is POOLED:
        return [label_free_metric("hog_probe").key]  # logged by the runs that leave a fingerprint
    instead = [*CONSENSUS.parts, label_free_metric("rankme").key]
    if metric.name == "pretext_score":  # a pool may have to leave out a part of it
        return [*(known.key for known in METRICS if known.name in (*PRETEXT_PARTS, metric.name)), *instead]
    return instead if metric is CONSENSUS else [metric.key]


def named_labelled(name: str, direction: Direction) -> LabelledMetric:
    """A metric of the table, or a key of other people's runs by which they judge."""
    try:
        return labelled_metric(name)
    except UserError as error:
        if name.startswith((LABELLED_PREFIX, LABEL_FREE_PREFIX)):
            raise UsageError(str(error)) from None
        return declared_labelled(name, direction)


def named_metric(name: str) -> LabelFreeMetric | LabelledMetric:
    """A metric of the table, or a key of other people's runs; which way is better does not matter."""
    refuse_consensus(name)
    known = {known.name: known for known in METRICS} | {known.key: known for known in METRICS}
    return known.get(name) or declared_label_free(name, "max")


def held_metrics(runs: RunSet) -> list[LabelFreeMetric]:
    """Metrics of the table that some run logged: what `rank` chooses by comes first."""
    keys = {key for run in runs.runs for row in run.milestones for key in row.values}
    known = [metric for metric in METRICS if isinstance(metric, LabelFreeMetric)]
    first = [label_free_metric("pretext_score"), CONSENSUS]
    held = [one for one in (*first, *(other for other in known if other not in first)) if one.key in keys]
    if not held:
        raise UserError(
            f"no run in {runs.source} logged one of our label-free metrics:"
            " name their own keys with --metric KEY --direction max or min"
        )
    return held
