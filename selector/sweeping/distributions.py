"""The distributions of W&B sweeps, each as its quantile function: probability in, value out.

Laws and defaults are those of https://docs.wandb.ai/models/sweeps/sweep-config-keys and of W&B's own search
engine (PyPI package sweeps 0.3.0), beside which they were compared quantile by quantile.
"""

import json
import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from statistics import NormalDist
from typing import Any


@dataclass(frozen=True)
class Constant:
    """One value, always."""

    value: Any


@dataclass(frozen=True)
class Categorical:
    """One of several values, equally likely unless `probabilities` (same length, sum 1) says otherwise."""

    values: Sequence[Any]
    probabilities: tuple[float, ...] | None = None


@dataclass(frozen=True)
class IntUniform:
    """Integers from `min` to `max`, both included."""

    min: int
    max: int


@dataclass(frozen=True)
class Uniform:
    """Real numbers from `min` to `max`."""

    min: float
    max: float


@dataclass(frozen=True)
class LogUniform:
    """Real numbers from `min` > 0 to `max` whose logarithm is uniform.

    Also the law of W&B's inv_log_uniform: where log(1/x) is uniform, so is log(x).
    """

    min: float
    max: float


@dataclass(frozen=True)
class Normal:
    """Mean `mu`, standard deviation `sigma`."""

    mu: float = 0.0
    sigma: float = 1.0


@dataclass(frozen=True)
class LogNormal:
    """Numbers whose natural logarithm has mean `mu` and standard deviation `sigma`."""

    mu: float = 0.0
    sigma: float = 1.0


@dataclass(frozen=True)
class Beta:
    """Beta distribution on [0, 1] with shapes `a` and `b`."""

    a: float = 1.0
    b: float = 1.0


@dataclass(frozen=True)
class Quantised:
    """Another law, rounded to the nearest multiple of `q`, counted from 0 as W&B does.

    The outermost multiples may lie up to q/2 outside the base's bounds. An integer q gives integers.
    """

    base: "Distribution"
    q: float


Distribution = (
    Constant | Categorical | IntUniform | Uniform | LogUniform | Normal | LogNormal | Beta | Quantised
)


def quantile(distribution: Distribution, probability: float) -> Any:
    """The value below which a share `probability` in [0, 1] of the draws lies.

    Args:
        distribution: What to draw from.
        probability: A uniform random number gives a random draw; 0 and 1 are moved to the nearest number
            inside, where a normal law is still finite.
    """
    p = min(max(probability, 2.0**-53), 1 - 2.0**-53)
    match distribution:
        case Constant(value):
            return value
        case Categorical(values, None):
            return values[int(p * len(values))]
        case Categorical(values, tuple(probabilities)):
            return values[_drawn(probabilities, p)]
        case IntUniform(low, high):
            return min(low + int(p * (high - low + 1)), high)
        case Uniform(low, high):
            return low + p * (high - low)
        case LogUniform(low, high):
            # Rounding in exp(log(x)) must not leave the bounds.
            return min(max(math.exp(math.log(low) + p * (math.log(high) - math.log(low))), low), high)
        case Normal(mu, sigma):
            return NormalDist(mu, sigma).inv_cdf(p)
        case LogNormal(mu, sigma):
            return math.exp(NormalDist(mu, sigma).inv_cdf(p))
        case Beta(a, b):
            from scipy.special import betaincinv

            return float(betaincinv(a, b, p))
        case Quantised(base, q):
            return round(quantile(base, p) / q) * q


def _drawn(probabilities: Sequence[float], p: float) -> int:
    """Position whose interval of the cumulated probabilities holds p; one of probability 0 is never drawn."""
    cumulated = list(accumulate(probabilities))
    last_possible = max(i for i, share in enumerate(probabilities) if share > 0)
    # The sum may miss 1 by a rounding error (W&B tolerates 1e-5), which the last possible value absorbs.
    return min(bisect_right(cumulated, p), last_possible)


def grid_values(distribution: Distribution) -> Sequence[Any] | None:
    """All values of a distribution that a grid can step through, in W&B's order; None where it cannot.

    W&B steps a q_uniform from `min`, with `max` left out, as NumPy's arange does, unlike its random draws,
    which are multiples of q.
    """
    match distribution:
        case Constant(value):
            return [value]
        case Categorical(values, None):
            return _distinct(values)
        case IntUniform(low, high):
            return range(low, high + 1)
        case Quantised(Uniform(low, high), q):
            step = (low + q) - low  # arange's own step: it carries the rounding of its second value
            return [low + i * step for i in range(max(math.ceil((high - low) / q), 0))]
        case _:
            return None


def _distinct(values: Sequence[Any]) -> list[Any]:
    """Values in the order of first appearance; of equal ones (1 and 1.0) the last is kept, as in W&B."""
    kept: dict[str, Any] = {}
    for value in values:
        whole = isinstance(value, float) and value.is_integer()
        kept[json.dumps(int(value) if whole else value, sort_keys=True)] = value
    return list(kept.values())
