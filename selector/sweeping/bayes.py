"""Bayesian search without a server: Optuna's TPE sampler proposes, the ledger remembers.

W&B's own engine fits a Gaussian process; here a tree-structured Parzen estimator takes its place (Bergstra et
al. 2011), so the proposals differ from W&B's while the search space and its laws are the same. As in W&B's
engine the search happens in quantiles: every continuous distribution is one axis from 0 to 1.
"""

import hashlib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from selector.sweeping.distributions import Categorical, Constant, IntUniform, quantile
from selector.sweeping.parameters import Parameter
from selector.sweeping.search import nested

Coordinates = Mapping[str, float]


@dataclass(frozen=True)
class Trial:
    """A configuration that was proposed before.

    Attributes:
        coordinates: Where it lies in the search space, as `propose` returned it.
        outcome: The objective, or "failed", or "running".
    """

    coordinates: Coordinates
    outcome: float | Literal["failed", "running"]


def propose(
    parameters: Sequence[Parameter], trials: Sequence[Trial], maximize: bool, seed: int, index: int
) -> tuple[dict[str, Any], dict[str, float]]:
    """The index-th configuration of a sweep and its coordinates in the search space.

    The answer depends on the arguments alone: the sampler starts afresh with a seed of (seed, index), so that
    an interrupted sweep proposes what an uninterrupted one would have.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with warnings.catch_warnings():
        # Optuna calls options of TPE experimental that it has had for years.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.TPESampler(
            seed=_sampler_seed(seed, index), multivariate=True, constant_liar=True
        )
    study = optuna.create_study(direction="maximize" if maximize else "minimize", sampler=sampler)
    axes = _axes(parameters)
    for trial in trials:
        study.add_trial(_optuna_trial(trial, axes))
    coordinates = study.ask(axes).params
    return nested((p, _value(p, coordinates)) for p in parameters), coordinates


def _axes(parameters: Sequence[Parameter]) -> dict[str, Any]:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    axes: dict[str, Any] = {}
    for parameter in parameters:
        match parameter.distribution:
            case Constant():
                pass
            case Categorical(values, None):
                # Positions, because Optuna takes no lists or dictionaries as choices.
                axes[parameter.name] = CategoricalDistribution(range(len(values)))
            case IntUniform(low, high):
                axes[parameter.name] = IntDistribution(low, high)
            case _:
                axes[parameter.name] = FloatDistribution(0.0, 1.0)
    return axes


def _value(parameter: Parameter, coordinates: Coordinates) -> Any:
    match parameter.distribution:
        case Constant(value):
            return value
        case Categorical(values, None):
            return values[int(coordinates[parameter.name])]
        case IntUniform():
            return int(coordinates[parameter.name])
        case distribution:
            return quantile(distribution, coordinates[parameter.name])


def _optuna_trial(trial: Trial, axes: Mapping[str, Any]) -> Any:
    from optuna.trial import TrialState, create_trial

    match trial.outcome:
        case "failed":
            state, value = TrialState.FAIL, None
        case "running":
            state, value = TrialState.RUNNING, None
        case outcome:
            state, value = TrialState.COMPLETE, outcome
    return create_trial(state=state, value=value, params=dict(trial.coordinates), distributions=dict(axes))


def _sampler_seed(seed: int, index: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}/{index}".encode()).digest()[:4])
