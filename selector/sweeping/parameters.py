"""The `parameters` section of a sweep file: names, nesting, and the distributions of W&B sweeps.

Each distribution is known by its quantile function: probability in, value out. Laws and defaults are those of
https://docs.wandb.ai/models/sweeps/sweep-config-keys and of W&B's own search engine (PyPI package sweeps
0.3.0), beside which they were compared quantile by quantile.
"""

import json
import math
import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from itertools import accumulate
from statistics import NormalDist
from typing import Any

from selector.sweeping.located_yaml import Wrong, hint, refuse_unknown, shown


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


@dataclass(frozen=True)
class Parameter:
    """One hyperparameter of the search space."""

    key: tuple[str, ...]  # where it stands in the sweep file
    kind: str  # W&B's name for its distribution
    distribution: Distribution

    @property
    def path(self) -> tuple[str, ...]:
        """Its name, and before it the names of the parameters that it is nested in."""
        return self.key[1::2]  # between them stands `parameters`

    @property
    def name(self) -> str:
        """The path as one text; "/" cannot be part of a name."""
        return "/".join(self.path)


_LAWS: Mapping[str, type[Any]] = {
    "constant": Constant,
    "int_uniform": IntUniform,
    "uniform": Uniform,
    "log_uniform": LogUniform,
    "log_uniform_values": LogUniform,
    "inv_log_uniform": LogUniform,
    "inv_log_uniform_values": LogUniform,
    "normal": Normal,
    "log_normal": LogNormal,
    "beta": Beta,
}
_QUANTISED = ("uniform", "log_uniform", "log_uniform_values", "normal", "log_normal", "beta")
# Distribution → the keys that it takes beside `distribution`, each with its default or MISSING.
_TAKES: dict[str, dict[str, Any]] = {
    kind: {field.name: field.default for field in fields(law)} for kind, law in _LAWS.items()
}
_TAKES |= {f"q_{kind}": _TAKES[kind] | {"q": 1.0} for kind in _QUANTISED}
_TAKES["categorical"] = {"values": MISSING}
_TAKES["categorical_w_probabilities"] = {"values": MISSING, "probabilities": MISSING}
_KEYS = ("distribution", "parameters", *sorted({key for takes in _TAKES.values() for key in takes}))
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")  # W&B's own rule
_LONGEST_GRID_AXIS = 1_000_000
# Beyond these a drawn number, or its quotient by q, could leave the range of a float.
_LARGEST = 1e150
_LARGEST_EXPONENT = math.log(_LARGEST)


def read_parameters(level: Any, at: tuple[str, ...] = ()) -> Iterator[Parameter]:
    """The search space, nested parameters flattened, in W&B's order: by name at each level.

    Args:
        level: The section, or one that is nested in it.
        at: The keys that lead to a nested one.

    Raises:
        Wrong: A parameter is unknown, incomplete or contradictory.
    """
    if not isinstance(level, dict) or not level:
        raise Wrong(f"parameters must be a mapping of at least one parameter, got {shown(level)}", *at)
    for name, section in sorted(level.items()):
        key = (*at, name)
        if not _NAME.fullmatch(name):
            reason = "is not a parameter name: use letters, digits, _ . - and no digit first"
            raise Wrong(f"{shown(name)} {reason}", *key)
        if not isinstance(section, dict):
            raise Wrong(f"{name} must be a mapping such as {{value: {shown(section)}}}", *key)
        if section.keys() == {"parameters"}:
            yield from read_parameters(section["parameters"], (*key, "parameters"))
            continue
        try:
            kind = _kind(section)
            yield Parameter(("parameters", *key), kind, _distribution(kind, section))
        except Wrong as wrong:
            raise Wrong(f"{name}: {wrong}", *key, *wrong.path) from None


def _kind(section: Mapping[str, Any]) -> str:
    refuse_unknown(section, _KEYS, "a key of a parameter")
    if "parameters" in section:
        others = ", ".join(sorted(section.keys() - {"parameters"}))
        raise Wrong(f"both parameters and {others} are given; keep one")
    if "distribution" not in section:
        return _inferred(section)
    kind = section["distribution"]
    if not isinstance(kind, str) or kind not in _TAKES:
        raise Wrong(f"unknown distribution {shown(kind)}{hint(kind, tuple(_TAKES))}", "distribution")
    return kind


def _inferred(section: Mapping[str, Any]) -> str:
    """W&B's rule for a parameter without `distribution`."""
    if "value" in section and "values" in section:
        raise Wrong("both value and values are given; keep one", "values")
    if "value" in section:
        return "constant"
    if "values" in section:
        return "categorical_w_probabilities" if "probabilities" in section else "categorical"
    if not section.keys() & {"min", "max"}:
        given = ", ".join(section) or "nothing"
        raise Wrong(f"it needs value, values, min and max, or a distribution (got {given})")
    if "q" in section:
        raise Wrong("q needs a distribution, such as distribution: q_uniform", "q")
    whole = all(isinstance(section.get(key, 0), int) for key in ("min", "max"))
    return "int_uniform" if whole else "uniform"


def _distribution(kind: str, section: Mapping[str, Any]) -> Distribution:
    takes = _TAKES[kind]
    for key, default in takes.items():
        if default is MISSING and key not in section:
            raise Wrong(f"{kind} needs {key}")
    for key in section:
        if key != "distribution" and key not in takes:
            raise Wrong(f"{kind} takes {' and '.join(takes)}, not {key}", key)
    match kind:
        case "constant":
            return Constant(section["value"])
        case "categorical" | "categorical_w_probabilities":
            return _categorical(section)
    numbers = {
        key: _number(section[key], key) if key in section else default for key, default in takes.items()
    }
    return _law(kind, numbers)


def _categorical(section: Mapping[str, Any]) -> Categorical:
    values = section["values"]
    if not isinstance(values, list) or not values:
        raise Wrong(f"values must be a list of at least one, got {shown(values)}", "values")
    if "probabilities" not in section:
        return Categorical(tuple(values))
    shares = section["probabilities"]
    if not isinstance(shares, list) or len(shares) != len(values):
        got = len(shares) if isinstance(shares, list) else shown(shares)
        raise Wrong(f"{len(values)} values need as many probabilities, got {got}", "probabilities")
    numbers = tuple(float(_number(share, "probabilities", i)) for i, share in enumerate(shares))
    if min(numbers) < 0:
        raise Wrong(f"a probability must not be negative, got {min(numbers)}", "probabilities")
    if not math.isclose(sum(numbers), 1, rel_tol=1e-5, abs_tol=1e-8):  # W&B's tolerance (numpy.isclose)
        raise Wrong(f"probabilities must sum to 1, got {sum(numbers):.6g}", "probabilities")
    return Categorical(tuple(values), numbers)


def _number(value: Any, *path: str | int) -> float:
    if isinstance(value, str) and (better := number_in_yaml(value)):
        raise Wrong(f"{path[0]}: YAML reads {value} as a text; write {better}", *path)
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) >= _LARGEST:
        raise Wrong(f"{path[0]}: a number within ±{_LARGEST:g} is needed, got {shown(value)}", *path)
    return value


def number_in_yaml(text: str) -> str | None:
    """How to write a text such as 1e-4, which YAML 1.1 does not take for a number, so that it does."""
    if not re.fullmatch(r"[-+]?[0-9.]+[eE][-+]?[0-9]+", text):
        return None
    mantissa, exponent = text.lower().split("e")
    mantissa = mantissa if "." in mantissa else mantissa + ".0"
    return f"{mantissa}e{exponent if exponent[0] in '+-' else '+' + exponent}"


def _law(kind: str, numbers: dict[str, float]) -> Distribution:
    for key in ("sigma", "a", "b", "q"):
        if key in numbers and numbers[key] < 1 / _LARGEST:
            raise Wrong(f"{key} must be greater than 0, got {numbers[key]}", key)
    if "min" in numbers and numbers["min"] >= numbers["max"]:
        raise Wrong(f"min {numbers['min']} is not below max {numbers['max']}", "min")
    q = numbers.pop("q", None)
    match kind.removeprefix("q_"):
        case "int_uniform":
            for key, number in numbers.items():
                if not isinstance(number, int):
                    raise Wrong(f"{key} must be a whole number, got {number}", key)
        case "log_uniform_values" | "inv_log_uniform_values" if numbers["min"] <= 0:
            raise Wrong(f"min of {kind} must be greater than 0, got {numbers['min']}", "min")
        case "log_uniform" | "inv_log_uniform":
            # The bounds are exponents of e; inv_ bounds the logarithm of 1/x.
            low, high = numbers["min"], numbers["max"]
            low, high = (-high, -low) if kind.startswith("inv") else (low, high)
            if max(-low, high) > _LARGEST_EXPONENT:
                reason = f"{kind} takes exponents of e, but {numbers['min']} to {numbers['max']} go too far"
                raise Wrong(f"{reason}; {kind}_values takes the bounds themselves")
            numbers = {"min": math.exp(low), "max": math.exp(high)}
        case "log_normal" if (highest := numbers["mu"] + 9 * numbers["sigma"]) > _LARGEST_EXPONENT:
            reason = f"mu and sigma of {kind} are those of the logarithm"
            raise Wrong(f"{reason}; draws would reach e^{highest:.4g}")
    law: Distribution = _LAWS[kind.removeprefix("q_")](**numbers)
    return law if q is None else Quantised(law, q)


def check_grid(parameters: Sequence[Parameter]) -> None:
    """Refuse a grid over a parameter that has no list of values.

    Raises:
        Wrong: Names the parameter.
    """
    for parameter in parameters:
        name, key = parameter.name, parameter.key
        match parameter.distribution:
            case Quantised(Uniform(low, high), q) if (high - low) / q > _LONGEST_GRID_AXIS:
                raise Wrong(
                    f"{name}: a grid over q {q} would have more than {_LONGEST_GRID_AXIS} values", *key
                )
            case IntUniform(low, high) if high - low >= _LONGEST_GRID_AXIS:
                reason = f"a grid over {low} to {high} would have more than {_LONGEST_GRID_AXIS} values"
                raise Wrong(f"{name}: {reason}", *key)
            case Categorical(_, probabilities) if probabilities is not None:
                reason = "a grid runs every value once and takes no probabilities"
                raise Wrong(f"{name}: {reason}", *key, "probabilities")
            case distribution if grid_values(distribution) is None:
                reason = "method grid needs values, or a step: int_uniform, or q_uniform with q"
                raise Wrong(f"{name} is continuous; {reason}", *key)


def deprecated(parameter: Parameter) -> str:
    """A warning where the bounds are exponents of e, as W&B itself gives; else ""."""
    if parameter.kind not in ("log_uniform", "inv_log_uniform", "q_log_uniform"):
        return ""
    kind = parameter.kind
    return f"{parameter.name}: {kind} takes exponents of e; {kind}_values takes the bounds themselves"
