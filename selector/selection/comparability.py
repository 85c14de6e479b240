"""Which runs a metric may compare, which repeat one configuration, and what a sweep varies."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from sys import float_info
from typing import Any, TypeGuard

from selector.errors import UserError
from selector.metrics import AUGMENTATIONS, CONFIG_FIELDS, METRICS, Metric
from selector.runs import MACHINE_SETTINGS, Run

_encode = json.JSONEncoder(sort_keys=True, default=str).encode
_FROM_CONFIG = CONFIG_FIELDS | {"data_dir"}
# What some metric may not be compared across. A metric that does not name one of these does not depend on it:
# entropy is the same quantity whatever the projector's width.
_SEPARATING = {field for metric in METRICS for field in metric.comparable}
# What else may differ in a definition and concerns only the metrics that name it, or none of them. Fields
# that are not here, such as the version, concern all.
_SPECIFIC = {field for metric in METRICS for field in metric.settings} | {"spectrum_points"}


@dataclass(frozen=True)
class Pool:
    """Runs that may be compared, and what they share: field → value, without fields that no run knows."""

    group: Mapping[str, Any]
    runs: tuple[Run, ...]


def pools(runs: Sequence[Run], metrics: Sequence[Metric], allow_mixed: bool = False) -> list[Pool]:
    """Splits runs into what all of some metrics may compare, in the order of the groups' names.

    Args:
        runs: Runs to choose from.
        metrics: The metric that chooses and, if there is one, the one that judges: the `comparable` fields
            of each separate the pools.
        allow_mixed: Put all runs into one pool, at the user's own risk.

    Raises:
        UserError: When a metric was computed in different ways within a pool.
    """
    names = list(dict.fromkeys(name for metric in metrics for name in metric.comparable))
    if allow_mixed:
        return [Pool(_shared(runs, names), tuple(runs))] if runs else []
    members: dict[str, list[Run]] = {}
    for run in runs:
        members.setdefault(canonical(_fields(run, names)), []).append(run)
    for group in members.values():
        for metric in metrics:
            check_definitions(group, metric)
    # Augmentations are many, and seldom swept: they are only named where they tell pools apart.
    silent = _shared(runs, names).keys() & AUGMENTATIONS if runs else set()
    return [
        Pool(
            {name: value for name, value in _shared(group, names).items() if name not in silent}, tuple(group)
        )
        for _, group in sorted(members.items())
    ]


def check_definitions(runs: Sequence[Run], metric: Metric) -> None:
    """Refuses runs whose metric was computed in different ways.

    Raises:
        UserError: Names the field that differs and a run for each of its values.
    """
    if metric.logged_as:
        return  # somebody else's metric: our definition says nothing about it
    fields = {field for run in runs for field in run.definition} - _SEPARATING
    for field in sorted(fields - (_SPECIFIC - set(metric.settings))):
        holders: dict[str, Run] = {}
        for run in runs:
            holders.setdefault(canonical(run.definition.get(field)), run)
        if len(holders) > 1:
            values = " and ".join(f"{value} in run {run.id}" for value, run in sorted(holders.items()))
            raise UserError(
                f"{metric.name} was not computed the same way in these runs: {field} is {values};"
                " select from runs of one definition, or pass --allow-mixed to compare them all the same"
            )


def describe(group: Mapping[str, Any]) -> str:
    """A group in a few words: "method simclr, dataset digits"."""
    return ", ".join(f"{field} {value}" for field, value in group.items()) or "all runs"


def differing(groups: Sequence[Mapping[str, Any]]) -> list[str]:
    """The fields that tell some groups apart."""
    fields = dict.fromkeys(field for group in groups for field in group)
    return [field for field in fields if len({canonical(group.get(field)) for group in groups}) > 1]


def _fields(run: Run, names: Sequence[str]) -> dict[str, Any]:
    if "dataset" in names and run.config.get("dataset") == "folder":
        names = (*names, "data_dir")  # `folder` says nothing about which images
    return {name: (run.config if name in _FROM_CONFIG else run.definition).get(name) for name in names}


def _shared(runs: Sequence[Run], names: Sequence[str]) -> dict[str, Any]:
    """Fields that are known and equal in all runs."""
    first, *others = [_fields(run, names) for run in runs]
    return {
        name: value
        for name, value in first.items()
        if value is not None and all(canonical(other.get(name)) == canonical(value) for other in others)
    }


def hyperparameters(run: Run) -> dict[str, Any]:
    """The run's configuration without what only says where it ran."""
    ignored = MACHINE_SETTINGS
    if run.config.get("dataset") != "folder":  # elsewhere the same images may lie in another place
        ignored = ignored | {"data_dir"}
    return {name: value for name, value in run.config.items() if name not in ignored}


def configuration(run: Run, seed_key: str = "seed") -> str:
    """Equal for runs that differ in their seed alone."""
    return canonical({name: value for name, value in hyperparameters(run).items() if name != seed_key})


def swept(runs: Sequence[Run]) -> tuple[str, ...]:
    """Names of the hyperparameters that differ between the runs: in alphabetical order, the seed last."""
    values: dict[str, set[str]] = {}
    settings = [hyperparameters(run) for run in runs]
    for name in {name for setting in settings for name in setting}:
        values[name] = {canonical(setting.get(name)) for setting in settings}
    return tuple(sorted((name for name in values if len(values[name]) > 1), key=lambda n: (n == "seed", n)))


def smallest_first(run: Run, names: Sequence[str]) -> tuple[tuple[int, float, str], ...]:
    """A sort key: numbers by size, after None and before text."""
    return tuple(_sort_key(run.config.get(name)) for name in names)


def canonical(value: Any) -> str:
    """One text for one value, whatever the order of its parts; 1 and 1.0 are one value."""
    return _encode(_plain(value))


def is_finite_number(value: Any) -> TypeGuard[float]:
    """Whether it is a number that a float can hold; True and False are none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= float_info.max


def _plain(value: Any) -> Any:
    match value:
        case Mapping():
            return {str(name): _plain(inner) for name, inner in value.items()}
        case list() | tuple():
            return [_plain(inner) for inner in value]
        case float() if value.is_integer():
            return int(value)
    return value


def _sort_key(value: Any) -> tuple[int, float, str]:
    match value:
        case None:
            return (0, 0.0, "")
        case bool() | int() | float() if value == value:
            return (1, value, "")  # not as a float: an integer may be larger than any
    return (2, 0.0, canonical(value))
