"""The next configuration of a sweep. In grid and random search the n-th one depends on n alone.

No configuration is repeated while there are others, not even in random search, where W&B repeats itself.

For bayes Optuna's TPE sampler proposes and the ledger remembers. W&B's own engine fits a Gaussian process;
here a tree-structured Parzen estimator takes its place (Bergstra et al. 2011), so the proposals differ from
W&B's while the search space and its laws are the same. As in W&B's engine the search happens in quantiles:
every continuous distribution is one axis from 0 to 1.
"""

import hashlib
import itertools
import random
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from math import prod
from typing import Any

from selector.sweeping.parameters import (
    Categorical,
    Constant,
    Distribution,
    IntUniform,
    Parameter,
    Quantised,
    grid_values,
    quantile,
)
from selector.sweeping.state import SweepRun
from selector.sweeping.sweep_file import Objective, SweepFile

_TRIED_DRAWS = 256
_MOST_REPEATED = 10_000
_BAYES_TRIES = 10


def draw(
    sweep: SweepFile, runs: Sequence[SweepRun], seed: int, index: int
) -> tuple[dict[str, Any], dict[str, float] | None]:
    """The index-th configuration, and for bayes its coordinates in the search space.

    Grid and random look at the index alone, bayes also at how the runs before it ended.
    """
    match sweep.method:
        case "grid":
            return grid_config(sweep.parameters, index), None
        case "random":
            return random_config(sweep.parameters, seed, index), None
        case "bayes":
            assert sweep.metric is not None  # read_sweep_file asks for it
            return propose(sweep.parameters, runs, sweep.metric, seed, index)


def foreseen(sweep: SweepFile, seed: int, planned: int | None) -> Iterator[dict[str, Any]]:
    """The configurations that a new sweep will run, as far as they are known; for bayes, random ones."""
    if sweep.method == "grid":
        size = grid_size(sweep.parameters)
        for index in range(size if planned is None else min(planned, size)):
            yield grid_config(sweep.parameters, index)
    else:
        number = _TRIED_DRAWS if planned is None or sweep.method == "bayes" else planned
        yield from islice(_random_configs(sweep.parameters, seed), number)


def planned_runs(sweep: SweepFile, count: int | None) -> int | None:
    """Number of runs: the least of count, run_cap and the size of a grid; None for no end."""
    limits = [limit for limit in (count, sweep.run_cap) if limit is not None]
    if sweep.method == "grid":
        limits.append(grid_size(sweep.parameters))
    return min(limits, default=None)


def grid_size(parameters: Sequence[Parameter]) -> int:
    """Number of different configurations of a grid."""
    return prod(len(axis) for axis in _grid_axes(parameters))


def grid_config(parameters: Sequence[Parameter], index: int) -> dict[str, Any]:
    """The index-th configuration of a grid in W&B's order: itertools.product over the sorted names.

    The last name changes fastest. Nothing is stored, so that a grid may be of any size.
    """
    values: list[Any] = []
    for axis in reversed(_grid_axes(parameters)):
        index, position = divmod(index, len(axis))
        values.append(axis[position])
    if index:
        raise ValueError("index is beyond the end of the grid")
    return nested(zip(parameters, reversed(values), strict=True))


def _grid_axes(parameters: Sequence[Parameter]) -> list[Sequence[Any]]:
    axes = [grid_values(parameter.distribution) for parameter in parameters]
    return [axis for axis in axes if axis is not None]


def random_config(parameters: Sequence[Parameter], seed: int, index: int) -> dict[str, Any]:
    """The index-th configuration of a random search; none is repeated before all others were drawn."""
    if _may_repeat(parameters):
        return next(islice(_different_draws(parameters, seed), index, None))
    return _nth_draw(parameters, seed, index)


def _random_configs(parameters: Sequence[Parameter], seed: int) -> Iterator[dict[str, Any]]:
    """All configurations of a random search in order, each drawn once."""
    if _may_repeat(parameters):
        return _different_draws(parameters, seed)
    return (_nth_draw(parameters, seed, n) for n in itertools.count())


def _different_draws(parameters: Sequence[Parameter], seed: int) -> Iterator[dict[str, Any]]:
    """Draw without repeats; once all were drawn, or the rest are too improbable, start again."""
    different = number_of_draws(parameters)
    seen: set[str] = set()
    repeated = 0
    for n in itertools.count():
        config = _nth_draw(parameters, seed, n)
        repeated = repeated + 1 if repr(config) in seen else 0
        if len(seen) == different or repeated > _MOST_REPEATED:
            seen, repeated = set(), 0
        if not repeated:
            seen.add(repr(config))
            yield config


def _nth_draw(parameters: Sequence[Parameter], seed: int, n: int) -> dict[str, Any]:
    """Each parameter has a random stream of its own, addressed by seed, n and name.

    So a draw depends neither on how often the sweep was interrupted nor on the other parameters.
    """
    draws = {p.name: random.Random(f"{seed}/{n}/{p.name}").random() for p in parameters}
    return nested((p, quantile(p.distribution, draws[p.name])) for p in parameters)


def _may_repeat(parameters: Sequence[Parameter]) -> bool:
    """Whether a draw may come twice: not where one parameter is continuous."""
    stepped = Constant | Categorical | IntUniform | Quantised
    return all(isinstance(parameter.distribution, stepped) for parameter in parameters)


def number_of_draws(parameters: Sequence[Parameter]) -> int | None:
    """How many different configurations a random search may draw; None where they were not counted."""
    sizes = [_number_of_values(parameter.distribution) for parameter in parameters]
    return prod(size for size in sizes if size) if all(sizes) else None


def _number_of_values(distribution: Distribution) -> int | None:
    match distribution:
        case Constant():
            return 1
        case IntUniform(low, high):
            return high - low + 1
        case Categorical(values, shares):
            possible = itertools.compress(values, shares or itertools.repeat(1))
            return len({repr(value) for value in possible})
        case _:
            return None


def nested(values: Iterable[tuple[Parameter, Any]]) -> dict[str, Any]:
    """A configuration as W&B sends it: nested parameters as dictionaries, names sorted on each level."""
    config: dict[str, Any] = {}
    for parameter, value in values:
        level = config
        for name in parameter.path[:-1]:
            level = level.setdefault(name, {})
        level[parameter.path[-1]] = value
    return config


def propose(
    parameters: Sequence[Parameter], runs: Sequence[SweepRun], objective: Objective, seed: int, index: int
) -> tuple[dict[str, Any], dict[str, float]]:
    """The index-th configuration of a bayes search and its coordinates in the search space.

    The answer depends on the arguments alone: the sampler starts afresh with a seed of (seed, index), so that
    an interrupted sweep proposes what an uninterrupted one would have. Of the runs, those that are going on
    count as bad ones (constant_liar), so that agents side by side look in different places.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler_seed = int.from_bytes(hashlib.sha256(f"{seed}/{index}".encode()).digest()[:4])
    with warnings.catch_warnings():
        # Optuna calls options of TPE experimental that it has had for years.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.TPESampler(seed=sampler_seed, multivariate=True, constant_liar=True)
    study = optuna.create_study(direction=objective.goal, sampler=sampler)
    axes = {p.name: axis for p in parameters if (axis := _axis(p))}
    for run in runs:
        if run.coordinates is not None:
            state, value = outcome(run, runs, objective)
            params = dict(run.coordinates)
            study.add_trial(
                optuna.trial.create_trial(state=state, value=value, params=params, distributions=axes)
            )
    tried = [run.config for run in runs]
    for _ in range(_BAYES_TRIES):  # with few values, TPE proposes the same ones again
        coordinates = study.ask(axes).params
        config = nested((p, _value(p, coordinates)) for p in parameters)
        if config not in tried:
            break
    return config, coordinates


def outcome(run: SweepRun, runs: Sequence[SweepRun], objective: Objective) -> tuple[Any, float | None]:
    """What bayes knows of a run: Optuna's state of a trial, and the value where it has one.

    A run without a result counts as what `metric: impute:` says, if that is known.
    """
    from optuna.trial import TrialState

    better, worse = (min, max) if objective.goal == "minimize" else (max, min)
    value = run.objective
    match run.status, objective.impute:
        case "running" | "interrupted", _:
            return TrialState.RUNNING, None
        case _ if value is not None:
            pass
        case _, "worst":
            value = worse((other.objective for other in runs if other.objective is not None), default=None)
        case _, "best":
            value = better(run.values, default=None)
        case _, "latest":
            value = run.values[-1] if run.values else None
    return (TrialState.FAIL if value is None else TrialState.COMPLETE), value


def _axis(parameter: Parameter) -> Any:
    """Optuna's distribution of its coordinate; None for a constant."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    match parameter.distribution:
        case Constant():
            return None
        case Categorical(values, None):
            return CategoricalDistribution(range(len(values)))  # positions: Optuna takes no lists as choices
        case IntUniform(low, high):
            return IntDistribution(low, high)
        case _:
            return FloatDistribution(0.0, 1.0)


def _value(parameter: Parameter, coordinates: Mapping[str, float]) -> Any:
    match parameter.distribution:
        case Constant(value):
            return value
        case Categorical(values, None):
            return values[int(coordinates[parameter.name])]
        case IntUniform():
            return int(coordinates[parameter.name])
        case distribution:
            return quantile(distribution, coordinates[parameter.name])
