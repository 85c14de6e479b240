"""A W&B sweep file: read, checked, and refused with the line and the reason where it cannot be run."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from selector.sweeping.command import DEFAULT_COMMAND, unknown_macro
from selector.sweeping.distributions import Categorical, Constant
from selector.sweeping.hyperband import Hyperband, bands
from selector.sweeping.located_yaml import LocatedYaml, hint, not_finite, read_yaml, refuse_unknown, shown
from selector.sweeping.parameters import Parameter, check_grid, deprecated, read_parameters

SearchMethod = Literal["grid", "random", "bayes"]
Goal = Literal["minimize", "maximize"]
Impute = Literal["latest", "best", "worst"]


@dataclass(frozen=True)
class Objective:
    """The file's `metric` section: what bayes searches for and hyperband compares.

    Attributes:
        name: W&B history key.
        goal: Which way is better; W&B minimises where nothing is said.
        target: The sweep is over once a run reaches this value; None never ends it.
        impute: What bayes takes for a run that failed or has no finite value: the worst result of all runs
            keeps it away from there, which is W&B's default.
    """

    name: str
    goal: Goal = "minimize"
    target: float | None = None
    impute: Impute = "worst"

    def better(self, value: float, than: float) -> bool:
        """Whether `value` is strictly better."""
        return value < than if self.goal == "minimize" else value > than

    def reached(self, value: float) -> bool:
        """Whether `value` meets the target."""
        return self.target is not None and (value == self.target or self.better(value, self.target))


@dataclass(frozen=True)
class SweepFile:
    """What a sweep file asks for.

    Attributes:
        yaml: The whole content with its lines, for later errors.
        method: How configurations are chosen.
        parameters: The flattened search space, in W&B's order.
        objective: Metric to optimise, or None.
        early_terminate: Hyperband's settings, or None.
        run_cap: Most runs that the sweep may have, or None.
        program: Training script as the file names it, or None.
        command: Command line with macros.
        project: W&B project that the runs are for, or None.
        entity: W&B user or team that the runs are for, or None.
        warnings: One line each.
    """

    yaml: LocatedYaml
    method: SearchMethod
    parameters: tuple[Parameter, ...]
    objective: Objective | None
    early_terminate: Hyperband | None
    run_cap: int | None
    program: str | None
    command: tuple[str, ...]
    project: str | None
    entity: str | None
    warnings: tuple[str, ...]


_LEAST_ETA = 1.01  # below, bands are closer together than iterations for thousands of them
_TEXTS = ("program", "name", "description", "project", "entity", "apiVersion", "kind")
_KNOWN = (
    "method", "parameters", "metric", "early_terminate", "run_cap", "command", "controller", "scheduler",
    "metrics", "job", "image_uri", *_TEXTS,
)  # fmt: skip


def read_sweep_file(path: Path) -> SweepFile:
    """Read and check a W&B sweep file.

    Raises:
        UserError: The file cannot be read or run; one line with the file, its line and the reason.
    """
    yaml = read_yaml(path)
    if not isinstance(yaml.data, dict):
        raise yaml.error((), f"a sweep file is a mapping with method and parameters, got {shown(yaml.data)}")
    refuse_unknown(yaml, (), _KNOWN, "a key of a sweep file")
    _refuse_what_needs_a_server(yaml)
    for key in _TEXTS:
        if key in yaml.data and not isinstance(yaml.data[key], str):
            raise yaml.error((key,), f"{key} must be a text, got {shown(yaml.data[key])}; quote it")
    method = _read_method(yaml)
    parameters = read_parameters(yaml)
    objective = _read_objective(yaml)
    early_terminate = _read_early_terminate(yaml)
    for at, number in not_finite(yaml.data):
        raise yaml.error(at, f"a number must be finite, got {shown(number)}")
    match method:
        case "grid":
            check_grid(yaml, parameters)
        case "bayes" if objective is None:
            raise yaml.error(("method",), "method bayes needs a metric section with the name to optimise")
        case "bayes" if not any(_searchable(parameter) for parameter in parameters):
            raise yaml.error(("parameters",), "method bayes needs a parameter with more than one value")
    if early_terminate and objective is None:
        raise yaml.error(
            ("early_terminate",), "early_terminate needs a metric section with the name to compare"
        )
    command = _read_command(yaml)
    return SweepFile(
        yaml=yaml,
        method=method,
        parameters=parameters,
        objective=objective,
        early_terminate=early_terminate,
        run_cap=_read_run_cap(yaml),
        program=yaml.data.get("program"),
        command=command,
        project=yaml.data.get("project"),
        entity=yaml.data.get("entity"),
        warnings=_warnings(yaml, method, parameters, early_terminate),
    )


def _refuse_what_needs_a_server(yaml: LocatedYaml) -> None:
    scheduler = yaml.data.get("scheduler")
    if scheduler is not None and scheduler != {"engine": "wandb"}:
        raise yaml.error(("scheduler",), "a scheduler of your own runs only with `wandb sweep-scheduler`")
    for key in ("job", "image_uri"):
        if key in yaml.data:
            raise yaml.error(
                (key,), f"{key} is for W&B Launch; here a sweep runs its program on this machine"
            )
    if "metrics" in yaml.data:
        raise yaml.error(("metrics",), "several metrics need method custom and W&B's scheduler; use metric")


def _read_method(yaml: LocatedYaml) -> SearchMethod:
    if "method" not in yaml.data:
        raise yaml.error((), "method is missing: grid, random or bayes")
    match yaml.data["method"]:
        case "grid" | "random" | "bayes" as method:
            return cast(SearchMethod, method)
        case "custom":
            raise yaml.error(("method",), "method custom runs only with `wandb sweep-scheduler`")
        case other:
            known = ("grid", "random", "bayes")
            raise yaml.error(("method",), f"unknown method {shown(other)}{hint(other, known)}")


def _searchable(parameter: Parameter) -> bool:
    match parameter.distribution:
        case Constant():
            return False
        case Categorical(values):
            return len(values) > 1
        case _:
            return True


def _read_objective(yaml: LocatedYaml) -> Objective | None:
    if "metric" not in yaml.data:
        return None
    section = yaml.data["metric"]
    if not isinstance(section, dict) or not isinstance(section.get("name"), str):
        raise yaml.error(("metric",), f"metric must be a mapping with a name, got {shown(section)}")
    known = ("name", "goal", "target", "impute", "impute_while_running")
    refuse_unknown(yaml, ("metric",), known, "a key of metric")
    choices = {
        "goal": ("minimize", "maximize"),
        "impute": ("latest", "best", "worst"),
        "impute_while_running": ("latest", "best", "worst", "false", False),
    }
    for key, allowed in choices.items():
        if key in section and section[key] not in allowed:
            words = ", ".join(str(word) for word in allowed[:4])
            raise yaml.error(("metric", key), f"{key} is one of {words}; got {shown(section[key])}")
    target = section.get("target")
    if "target" in section and (isinstance(target, bool) or not isinstance(target, int | float)):
        raise yaml.error(("metric", "target"), f"target must be a number, got {shown(target)}")
    return Objective(section["name"], section.get("goal", "minimize"), target, section.get("impute", "worst"))


def _read_early_terminate(yaml: LocatedYaml) -> Hyperband | None:
    if "early_terminate" not in yaml.data:
        return None
    at = ("early_terminate",)
    section = yaml.data["early_terminate"]
    if not isinstance(section, dict) or section.get("type") != "hyperband":
        raise yaml.error(at, f"early_terminate must be a mapping with type: hyperband, got {shown(section)}")
    refuse_unknown(
        yaml, at, ("type", "min_iter", "max_iter", "s", "eta", "strict"), "a key of early_terminate"
    )
    for key, least in (("min_iter", 1), ("max_iter", 1), ("s", 1), ("eta", 1)):
        value = section.get(key, least)
        whole = isinstance(value, int) or (key in ("s", "eta") and isinstance(value, float))
        if isinstance(value, bool) or not whole or not least <= value < 1e9:
            raise yaml.error((*at, key), f"{key} must be a number of at least {least}, got {shown(value)}")
    if section.get("eta", 3) < _LEAST_ETA:
        raise yaml.error(
            (*at, "eta"),
            f"eta must be greater than 1, {_LEAST_ETA} at least: hyperband keeps the best 1/eta of the runs",
        )
    if not isinstance(section.get("strict", True), bool):
        raise yaml.error((*at, "strict"), f"strict is true or false, got {shown(section['strict'])}")
    if "max_iter" not in section and "min_iter" not in section:
        raise yaml.error(at, "hyperband needs min_iter, or max_iter together with s")
    if "max_iter" in section and "s" not in section:
        raise yaml.error((*at, "max_iter"), "max_iter needs s, the number of brackets before it")
    settings = Hyperband(
        min_iter=section.get("min_iter"),
        max_iter=section.get("max_iter"),
        s=section.get("s"),
        eta=section.get("eta", 3),
        strict=section.get("strict", True),
    )
    if not bands(settings, longest=10**9):
        raise yaml.error((*at, "max_iter"), "max_iter is below eta: hyperband has nowhere to stop a run")
    return settings


def _read_run_cap(yaml: LocatedYaml) -> int | None:
    if "run_cap" not in yaml.data:
        return None
    cap = yaml.data["run_cap"]
    if isinstance(cap, bool) or not isinstance(cap, int) or cap < 1:
        raise yaml.error(("run_cap",), f"run_cap must be a whole number of at least 1, got {shown(cap)}")
    return cap


def _read_command(yaml: LocatedYaml) -> tuple[str, ...]:
    section = yaml.data.get("command", list(DEFAULT_COMMAND))
    if not isinstance(section, list) or not section:
        raise yaml.error(("command",), f"command must be a list such as {shown(list(DEFAULT_COMMAND))}")
    for position, part in enumerate(section):
        if isinstance(part, list | dict) or part is None:
            raise yaml.error(("command", position), f"a part of command must be a text, got {shown(part)}")
        if wrong := unknown_macro(str(part)):
            raise yaml.error(("command", position), wrong)
    if "${program}" in section and "program" not in yaml.data:
        raise yaml.error(("command",), "program is missing: the training script that the runs execute")
    return tuple(str(part) for part in section)


def _warnings(
    yaml: LocatedYaml, method: SearchMethod, parameters: tuple[Parameter, ...], hyperband: Hyperband | None
) -> tuple[str, ...]:
    warnings = deprecated(yaml, parameters)
    if (method == "bayes" or hyperband) and "goal" not in yaml.data["metric"]:
        warnings.append(str(yaml.error(("metric",), "metric has no goal; W&B minimises then")))
    if hyperband and hyperband.max_iter is not None and hyperband.min_iter is not None:
        reason = "both min_iter and max_iter are given; W&B goes by max_iter"
        warnings.append(str(yaml.error(("early_terminate", "min_iter"), reason)))
    return tuple(warnings)
