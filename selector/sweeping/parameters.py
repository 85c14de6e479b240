"""The `parameters` section of a sweep file: names, nesting and distributions, checked key by key."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from selector.sweeping.distributions import (
    Beta,
    Categorical,
    Constant,
    Distribution,
    IntUniform,
    LogNormal,
    LogUniform,
    Normal,
    Quantised,
    Uniform,
    grid_values,
)
from selector.sweeping.located_yaml import KeyPath, LocatedYaml, hint, not_finite, refuse_unknown, shown


@dataclass(frozen=True)
class Parameter:
    """One hyperparameter of the search space.

    Attributes:
        path: Its name, and before it the names of the parameters that it is nested in.
        distribution: Where its values come from.
        key: Where it stands in the sweep file.
    """

    path: tuple[str, ...]
    distribution: Distribution
    key: KeyPath

    @property
    def name(self) -> str:
        """The path as one text; "/" cannot be part of a name."""
        return "/".join(self.path)


# Keys beside `distribution`: those needed, and those with a default.
_NUMBERS: Mapping[str, tuple[tuple[str, ...], Mapping[str, float]]] = {
    "int_uniform": (("min", "max"), {}),
    "uniform": (("min", "max"), {}),
    "q_uniform": (("min", "max"), {"q": 1.0}),
    "log_uniform": (("min", "max"), {}),
    "log_uniform_values": (("min", "max"), {}),
    "inv_log_uniform": (("min", "max"), {}),
    "inv_log_uniform_values": (("min", "max"), {}),
    "q_log_uniform": (("min", "max"), {"q": 1.0}),
    "q_log_uniform_values": (("min", "max"), {"q": 1.0}),
    "normal": ((), {"mu": 0.0, "sigma": 1.0}),
    "q_normal": ((), {"mu": 0.0, "sigma": 1.0, "q": 1.0}),
    "log_normal": ((), {"mu": 0.0, "sigma": 1.0}),
    "q_log_normal": ((), {"mu": 0.0, "sigma": 1.0, "q": 1.0}),
    "beta": ((), {"a": 1.0, "b": 1.0}),
    "q_beta": ((), {"a": 1.0, "b": 1.0, "q": 1.0}),
}
_CHOICES: Mapping[str, tuple[str, ...]] = {
    "constant": ("value",),
    "categorical": ("values",),
    "categorical_w_probabilities": ("values", "probabilities"),
}
DISTRIBUTIONS = (*_CHOICES, *_NUMBERS)
_KEYS = (
    "distribution", "value", "values", "probabilities", "min", "max", "mu", "sigma", "a", "b", "q",
    "parameters",
)  # fmt: skip
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")  # W&B's own rule
_LONGEST_GRID_AXIS = 1_000_000
# Beyond these a drawn number, or its quotient by q, could leave the range of a float.
_LARGEST = 1e150
_LARGEST_EXPONENT = math.log(_LARGEST)


def read_parameters(yaml: LocatedYaml) -> tuple[Parameter, ...]:
    """The search space, nested parameters flattened, in W&B's order: by name at each level.

    Raises:
        UserError: A parameter is unknown, incomplete or contradictory; says the line and the reason.
    """
    if "parameters" not in yaml.data:
        raise yaml.error((), "parameters is missing: a sweep needs at least one")
    return tuple(_read_level(yaml, ("parameters",), yaml.data["parameters"], ()))


def _read_level(yaml: LocatedYaml, at: KeyPath, level: Any, path: tuple[str, ...]) -> list[Parameter]:
    if not isinstance(level, dict) or not level:
        raise yaml.error(at, f"parameters must be a mapping of at least one parameter, got {shown(level)}")
    found: list[Parameter] = []
    for name, section in sorted(level.items()):
        key = (*at, name)
        if not _NAME.fullmatch(name):
            raise yaml.error(
                key, f"{shown(name)} is no parameter name: letters, digits, _ . - and no digit first"
            )
        if not isinstance(section, dict):
            raise yaml.error(key, f"{name} must be a mapping such as {{value: {shown(section)}}}")
        refuse_unknown(yaml, key, _KEYS, f"a key of parameter {name}")
        if "parameters" in section:
            if len(section) > 1:
                others = ", ".join(sorted(section.keys() - {"parameters"}))
                raise yaml.error(key, f"{name} has both parameters and {others}")
            found += _read_level(yaml, (*key, "parameters"), section["parameters"], (*path, name))
        else:
            found.append(Parameter((*path, name), _read_distribution(yaml, key, name, section), key))
    return found


def _read_distribution(yaml: LocatedYaml, at: KeyPath, name: str, section: Mapping[str, Any]) -> Distribution:
    kind = section.get("distribution", None)
    if "distribution" not in section:
        kind = _inferred(yaml, at, name, section)
    elif kind not in DISTRIBUTIONS:
        reason = f"unknown distribution {shown(kind)}{hint(kind, DISTRIBUTIONS)}"
        raise yaml.error((*at, "distribution"), f"{name}: {reason}")
    needed, defaults = _NUMBERS[kind] if kind in _NUMBERS else (_CHOICES[kind], {})
    for key in needed:
        if key not in section:
            raise yaml.error(at, f"{name}: {kind} needs {key}")
    for key in section:
        if key not in ("distribution", *needed, *defaults):
            takes = " and ".join((*needed, *defaults))
            raise yaml.error((*at, key), f"{name}: {kind} takes {takes}, not {key}")
    if kind in _CHOICES:
        return _choice(yaml, at, name, section)
    numbers = dict(defaults) | {
        key: _number(yaml, (*at, key), f"{name}: {key}", section[key], whole=kind == "int_uniform")
        for key in section
        if key != "distribution"
    }
    _check_numbers(yaml, at, name, kind, numbers)
    return _law(yaml, at, name, kind, numbers)


def _inferred(yaml: LocatedYaml, at: KeyPath, name: str, section: Mapping[str, Any]) -> str:
    """W&B's rule for a parameter without `distribution`."""
    if "value" in section and "values" in section:
        raise yaml.error((*at, "values"), f"{name} has both value and values; keep one")
    if "value" in section:
        return "constant"
    if "values" in section:
        return "categorical_w_probabilities" if "probabilities" in section else "categorical"
    if not section.keys() & {"min", "max"}:
        given = ", ".join(section) or "nothing"
        raise yaml.error(at, f"{name} needs value, values, min and max, or a distribution (got {given})")
    for key in ("mu", "sigma", "a", "b", "q"):
        if key in section:
            example = "q_uniform" if key == "q" else "normal" if key in ("mu", "sigma") else "beta"
            raise yaml.error(
                (*at, key), f"{name}: {key} needs a distribution, such as distribution: {example}"
            )
    whole = all(isinstance(section.get(key, 0), int) for key in ("min", "max"))
    return "int_uniform" if whole else "uniform"


def _choice(yaml: LocatedYaml, at: KeyPath, name: str, section: Mapping[str, Any]) -> Constant | Categorical:
    for key in ("value", "values"):
        if key in section and any(not_finite(section[key])):
            raise yaml.error((*at, key), f"{name}: {key} holds a number that is not finite")
    if "value" in section:
        return Constant(section["value"])
    values = section["values"]
    if not isinstance(values, list) or not values:
        raise yaml.error(
            (*at, "values"), f"{name}: values must be a list of at least one, got {shown(values)}"
        )
    if "probabilities" not in section:
        return Categorical(tuple(values))
    at = (*at, "probabilities")
    shares = section["probabilities"]
    if not isinstance(shares, list) or len(shares) != len(values):
        got = f"{len(shares)}" if isinstance(shares, list) else shown(shares)
        raise yaml.error(at, f"{name}: {len(values)} values need as many probabilities, got {got}")
    numbers = tuple(
        float(_number(yaml, (*at, i), f"{name}: a probability", share)) for i, share in enumerate(shares)
    )
    if min(numbers) < 0:
        raise yaml.error(at, f"{name}: a probability must not be negative, got {min(numbers)}")
    if not math.isclose(sum(numbers), 1, rel_tol=1e-5, abs_tol=1e-8):  # W&B's tolerance (numpy.isclose)
        raise yaml.error(at, f"{name}: probabilities must sum to 1, got {sum(numbers):.6g}")
    return Categorical(tuple(values), numbers)


def _number(yaml: LocatedYaml, at: KeyPath, what: str, value: Any, whole: bool = False) -> float:
    if isinstance(value, str) and (better := number_in_yaml(value)):
        raise yaml.error(at, f"{what} must be a number; YAML reads {value} as a text: write {better}")
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < _LARGEST:
        raise yaml.error(at, f"{what} must be a finite number, got {shown(value)}")
    if whole and not isinstance(value, int):
        raise yaml.error(at, f"{what} must be a whole number, got {shown(value)}")
    return value


def number_in_yaml(text: str) -> str | None:
    """How to write a text such as 1e-4, which YAML 1.1 does not take for a number, so that it does."""
    if not re.fullmatch(r"[-+]?[0-9.]+[eE][-+]?[0-9]+", text):
        return None
    mantissa, exponent = text.lower().split("e")
    mantissa = mantissa if "." in mantissa else mantissa + ".0"
    return f"{mantissa}e{exponent if exponent[0] in '+-' else '+' + exponent}"


def _check_numbers(
    yaml: LocatedYaml, at: KeyPath, name: str, kind: str, numbers: Mapping[str, float]
) -> None:
    for key in ("sigma", "a", "b", "q"):
        if key in numbers and numbers[key] < 1 / _LARGEST:
            raise yaml.error((*at, key), f"{name}: {key} must be greater than 0, got {numbers[key]}")
    if kind.endswith("log_normal") and numbers["mu"] + 9 * numbers["sigma"] > _LARGEST_EXPONENT:
        reason = f"mu and sigma of {kind} are those of the logarithm; draws would reach e^"
        raise yaml.error(at, f"{name}: {reason}{numbers['mu'] + 9 * numbers['sigma']:.4g}")
    if "min" not in numbers:
        return
    if numbers["min"] >= numbers["max"]:
        raise yaml.error((*at, "min"), f"{name}: min {numbers['min']} is not below max {numbers['max']}")
    if kind.endswith("log_uniform_values") and numbers["min"] <= 0:
        raise yaml.error((*at, "min"), f"{name}: min of {kind} must be greater than 0, got {numbers['min']}")


def _law(yaml: LocatedYaml, at: KeyPath, name: str, kind: str, numbers: Mapping[str, float]) -> Distribution:
    if kind.startswith("q_"):
        base = _law(yaml, at, name, kind.removeprefix("q_"), numbers)
        assert isinstance(base, Uniform | LogUniform | Normal | LogNormal | Beta)
        return Quantised(base, numbers["q"])
    match kind:
        case "int_uniform":
            return IntUniform(int(numbers["min"]), int(numbers["max"]))
        case "uniform":
            return Uniform(numbers["min"], numbers["max"])
        case "log_uniform_values" | "inv_log_uniform_values":
            return LogUniform(numbers["min"], numbers["max"])
        case "log_uniform" | "inv_log_uniform":
            # The bounds are exponents of e; inv_ bounds the logarithm of 1/x.
            low, high = numbers["min"], numbers["max"]
            low, high = (low, high) if kind == "log_uniform" else (-high, -low)
            if max(-low, high) > _LARGEST_EXPONENT:
                reason = f"{kind} takes exponents of e, and {numbers['min']} to {numbers['max']} go too far"
                raise yaml.error(at, f"{name}: {reason}; {kind}_values takes the bounds themselves")
            return LogUniform(math.exp(low), math.exp(high))
        case "normal":
            return Normal(numbers["mu"], numbers["sigma"])
        case "log_normal":
            return LogNormal(numbers["mu"], numbers["sigma"])
        case _:
            return Beta(numbers["a"], numbers["b"])


def check_grid(yaml: LocatedYaml, parameters: tuple[Parameter, ...]) -> None:
    """Refuse a grid over a parameter that has no list of values.

    Raises:
        UserError: Names the parameter and its line.
    """
    for parameter in parameters:
        match parameter.distribution:
            case Quantised(Uniform(low, high), q) if (high - low) / q > _LONGEST_GRID_AXIS:
                reason = f"a grid over q {q} would have more than {_LONGEST_GRID_AXIS} values"
                raise yaml.error(parameter.key, f"{parameter.name}: {reason}")
            case IntUniform(low, high) if high - low >= _LONGEST_GRID_AXIS:
                reason = f"a grid over {low} to {high} would have more than {_LONGEST_GRID_AXIS} values"
                raise yaml.error(parameter.key, f"{parameter.name}: {reason}")
            case Categorical(_, probabilities) if probabilities is not None:
                reason = "a grid runs every value once and takes no probabilities"
                raise yaml.error((*parameter.key, "probabilities"), f"{parameter.name}: {reason}")
            case distribution if grid_values(distribution) is None:
                reason = "method grid needs values, or a step: int_uniform, or q_uniform with q"
                raise yaml.error(parameter.key, f"{parameter.name} is continuous; {reason}")


def deprecated(yaml: LocatedYaml, parameters: tuple[Parameter, ...]) -> list[str]:
    """A warning for each distribution whose bounds are exponents of e, as W&B itself gives."""
    warnings = []
    for parameter in parameters:
        section = yaml.data
        for key in parameter.key:
            section = section[key]
        kind = section.get("distribution")
        if kind in ("log_uniform", "inv_log_uniform", "q_log_uniform"):
            reason = f"{kind} takes exponents of e; {kind}_values takes the bounds themselves"
            warnings.append(str(yaml.error(parameter.key, f"{parameter.name}: {reason}")))
    return warnings
