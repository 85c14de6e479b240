"""Drawing configurations: grid and random search, where the n-th configuration depends on n alone."""

import random
from collections.abc import Iterable, Mapping, Sequence
from math import prod
from typing import Any

from selector.sweeping.distributions import grid_values, quantile
from selector.sweeping.parameters import Parameter


def grid_size(parameters: Sequence[Parameter]) -> int:
    """Number of different configurations of a grid."""
    return prod(len(values) for values in _axes(parameters))


def grid_config(parameters: Sequence[Parameter], index: int) -> dict[str, Any]:
    """The index-th configuration of a grid in W&B's order: itertools.product over the sorted names.

    The last name changes fastest. Nothing is stored, so that a grid may be of any size.
    """
    values: list[Any] = []
    for axis in reversed(_axes(parameters)):
        index, position = divmod(index, len(axis))
        values.append(axis[position])
    if index:
        raise ValueError("index is beyond the end of the grid")
    return nested(zip(parameters, reversed(values), strict=True))


def random_config(parameters: Sequence[Parameter], seed: int, index: int) -> dict[str, Any]:
    """The index-th configuration of a random search.

    Each parameter has a random stream of its own, addressed by seed, index and name: a draw depends neither
    on how often the sweep was interrupted nor on the other parameters.
    """
    return nested(
        (
            parameter,
            quantile(parameter.distribution, random.Random(f"{seed}/{index}/{parameter.name}").random()),
        )
        for parameter in parameters
    )


def nested(values: Iterable[tuple[Parameter, Any]]) -> dict[str, Any]:
    """A configuration as W&B sends it: nested parameters as dictionaries, names sorted on each level."""
    config: dict[str, Any] = {}
    for parameter, value in values:
        level = config
        for name in parameter.path[:-1]:
            level = level.setdefault(name, {})
        level[parameter.path[-1]] = value
    return config


def _axes(parameters: Sequence[Parameter]) -> list[Sequence[Any]]:
    axes = [grid_values(parameter.distribution) for parameter in parameters]
    return [axis for axis in axes if axis is not None]


def flag_values(config: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration as W&B's agent protocol wraps it: {"learning_rate": {"value": 0.1}}."""
    return {name: {"value": value} for name, value in config.items()}
