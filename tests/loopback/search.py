"""The two searches that this backend answers itself: grid and random."""

import itertools
import math
import random
from collections.abc import Iterator, Mapping
from typing import Any


def check(config: Mapping[str, Any]) -> None:
    """Refuse what W&B would refuse, so that no test passes on a sweep file that W&B cannot run."""
    if config.get("scheduler"):
        return  # its engine, on the user's machine, says what it cannot run
    if config.get("method") not in ("grid", "random", "bayes"):
        raise ValueError(f"invalid sweep config: method {config.get('method')!r}")
    if not isinstance(config.get("parameters"), dict) or not config["parameters"]:
        raise ValueError("invalid sweep config: parameters missing")
    if config["method"] == "bayes" and "name" not in config.get("metric", {}):
        raise ValueError("invalid sweep config: bayes needs metric.name")
    draw(config["parameters"], random.Random(0))


def draws(config: Mapping[str, Any], seed: int) -> Iterator[dict[str, Any]]:
    """Configurations in the order in which agents get them; bayes is drawn at random here."""
    if config.get("scheduler"):
        return
    if config["method"] == "grid":
        yield from grid(config["parameters"])
        return
    rng = random.Random(seed)
    while True:
        yield draw(config["parameters"], rng)


def grid(parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
    """All combinations, in the order of the file."""
    choices = [_choices(name, parameter) for name, parameter in parameters.items()]
    return [dict(zip(parameters, values, strict=True)) for values in itertools.product(*choices)]


def _choices(name: str, parameter: Mapping[str, Any]) -> list[Any]:
    if "parameters" in parameter:
        return grid(parameter["parameters"])
    if "value" in parameter:
        return [parameter["value"]]
    if "values" in parameter:
        return list(parameter["values"])
    if parameter.get("distribution") == "int_uniform":
        return list(range(parameter["min"], parameter["max"] + 1))
    raise ValueError(f"invalid sweep config: {name} has no values for a grid")


def draw(parameters: Mapping[str, Any], rng: random.Random) -> dict[str, Any]:
    """One configuration at random."""
    return {name: _draw(name, parameter, rng) for name, parameter in parameters.items()}


def _draw(name: str, parameter: Mapping[str, Any], rng: random.Random) -> Any:
    if "parameters" in parameter:
        return draw(parameter["parameters"], rng)
    if "value" in parameter:
        return parameter["value"]
    if "values" in parameter:
        return rng.choices(parameter["values"], weights=parameter.get("probabilities"))[0]
    low, high, q = parameter.get("min"), parameter.get("max"), parameter.get("q", 1)
    match parameter.get("distribution"):
        case "int_uniform":
            return rng.randint(low, high)
        case "uniform":
            return rng.uniform(low, high)
        case "q_uniform":
            return round(rng.uniform(low, high) / q) * q
        case "log_uniform_values":
            return math.exp(rng.uniform(math.log(low), math.log(high)))
        case "q_log_uniform_values":
            return round(math.exp(rng.uniform(math.log(low), math.log(high))) / q) * q
        case "normal":
            return rng.gauss(parameter.get("mu", 0), parameter.get("sigma", 1))
    raise ValueError(f"invalid sweep config: {name} has distribution {parameter.get('distribution')!r}")
