"""Hyperparameters of runs: which of them a sweep varies, and which runs repeat one configuration."""

import json
from collections.abc import Mapping, Sequence
from sys import float_info
from typing import Any, TypeGuard

from selector.runs import MACHINE_SETTINGS, Run

_encode = json.JSONEncoder(sort_keys=True, default=str).encode


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
