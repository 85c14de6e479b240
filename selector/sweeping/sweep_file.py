"""A W&B sweep file: read, checked, and refused with the line and the reason where it cannot be run."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, TypeVar, cast, get_args

from selector.sweeping.command import DEFAULT_COMMAND, unknown_macro
from selector.sweeping.distributions import Categorical, Constant
from selector.sweeping.hyperband import Hyperband, bands
from selector.sweeping.located_yaml import LocatedYaml, Wrong, hint, read_yaml, refuse_unknown, shown
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
    "method",
    "parameters",
    "metric",
    "early_terminate",
    "run_cap",
    "command",
    "controller",
    "scheduler",
    "metrics",
    "job",
    "image_uri",
    *_TEXTS,
)
_CHOICES: Mapping[str, tuple[str | bool, ...]] = {
    "goal": get_args(Goal),
    "impute": get_args(Impute),
    "impute_while_running": (*get_args(Impute), "false", False),
}
T = TypeVar("T")


def read_sweep_file(path: Path) -> SweepFile:
    """Read and check a W&B sweep file.

    Raises:
        UserError: The file cannot be read or run; one line with the file, its line and the reason.
    """
    yaml = read_yaml(path)
    if not isinstance(yaml.data, dict):
        raise yaml.error((), f"a sweep file is a mapping with method and parameters, got {shown(yaml.data)}")
    try:
        return _read(yaml)
    except Wrong as wrong:
        raise yaml.error(wrong.path, str(wrong)) from None


def _read(yaml: LocatedYaml) -> SweepFile:
    content = yaml.data
    refuse_unknown(content, _KNOWN, "a key of a sweep file")
    _refuse_what_needs_a_server(content)
    for key in _TEXTS:
        if key in content and not isinstance(content[key], str):
            raise Wrong(f"{key} must be a text, got {shown(content[key])}; quote it", key)
    method = _method(content)
    parameters = read_parameters(content)
    objective = _section(content, "metric", _objective)
    early_terminate = _section(content, "early_terminate", _hyperband)
    match method:
        case "grid":
            check_grid(parameters)
        case "bayes" if objective is None:
            raise Wrong("method bayes needs a metric section with the name to optimise", "method")
        case "bayes" if not any(_searchable(parameter) for parameter in parameters):
            raise Wrong("method bayes needs a parameter with more than one value", "parameters")
    if early_terminate and objective is None:
        raise Wrong("early_terminate needs a metric section with the name to compare", "early_terminate")
    command = _section(content, "command", _command) or DEFAULT_COMMAND
    if "${program}" in command and "program" not in content:
        raise Wrong("program is missing: the training script that the runs execute", "command")
    return SweepFile(
        yaml=yaml,
        method=method,
        parameters=parameters,
        objective=objective,
        early_terminate=early_terminate,
        run_cap=_section(content, "run_cap", _run_cap),
        program=content.get("program"),
        command=command,
        project=content.get("project"),
        entity=content.get("entity"),
        warnings=_warnings(yaml, method, parameters, early_terminate),
    )


def _section(content: Mapping[str, Any], key: str, read: Callable[[Any], T]) -> T | None:
    """What a section of the file says; None where there is none."""
    if key not in content:
        return None
    try:
        return read(content[key])
    except Wrong as wrong:
        raise Wrong(str(wrong), key, *wrong.path) from None


def _refuse_what_needs_a_server(content: Mapping[str, Any]) -> None:
    if content.get("scheduler") not in (None, {"engine": "wandb"}):
        how = "`wandb sweep`, then `wandb sweep-scheduler` and `wandb agent`"
        raise Wrong(f"a scheduler runs only with W&B: {how}; for selector sweep, leave it out", "scheduler")
    reasons = {
        "job": "job is for W&B Launch; here a sweep runs its program on this machine",
        "image_uri": "image_uri is for W&B Launch; here a sweep runs its program on this machine",
        "metrics": "several metrics need W&B's scheduler (scheduler: {engine: optuna}); use metric",
    }
    for key, reason in reasons.items():
        if key in content:
            raise Wrong(reason, key)


def _method(content: Mapping[str, Any]) -> SearchMethod:
    if "method" not in content:
        raise Wrong("method is missing: grid, random or bayes")
    match content["method"]:
        case "grid" | "random" | "bayes" as method:
            return cast(SearchMethod, method)
        case "custom":
            raise Wrong("method custom runs only with `wandb sweep-scheduler`", "method")
        case other:
            known = ("grid", "random", "bayes")
            raise Wrong(f"unknown method {shown(other)}{hint(other, known)}", "method")


def _searchable(parameter: Parameter) -> bool:
    match parameter.distribution:
        case Constant() | Categorical([_]):
            return False
        case _:
            return True


def _objective(section: Any) -> Objective:
    if not isinstance(section, dict) or not isinstance(section.get("name"), str):
        raise Wrong(f"metric must be a mapping with a name, got {shown(section)}")
    refuse_unknown(section, ("name", "target", *_CHOICES), "a key of metric")
    for key, allowed in _CHOICES.items():
        if key in section and section[key] not in allowed:
            words = ", ".join(str(word) for word in allowed[:4])
            raise Wrong(f"{key} must be one of {words}; got {shown(section[key])}", key)
    target = section.get("target")
    if "target" in section and (isinstance(target, bool) or not isinstance(target, int | float)):
        raise Wrong(f"target must be a number, got {shown(target)}", "target")
    return Objective(section["name"], section.get("goal", "minimize"), target, section.get("impute", "worst"))


def _hyperband(section: Any) -> Hyperband:
    if not isinstance(section, dict) or section.get("type") != "hyperband":
        raise Wrong(f"early_terminate must be a mapping with type: hyperband, got {shown(section)}")
    settings = {key: value for key, value in section.items() if key != "type"}
    refuse_unknown(settings, [field.name for field in fields(Hyperband)], "a key of early_terminate")
    strict = settings.pop("strict", True)
    if not isinstance(strict, bool):
        raise Wrong(f"strict must be true or false, got {shown(strict)}", "strict")
    for key, value in settings.items():
        whole = isinstance(value, int) or (key in ("s", "eta") and isinstance(value, float))
        if isinstance(value, bool) or not whole or not 1 <= value < 1e9:
            raise Wrong(f"{key} must be a number of at least 1, got {shown(value)}", key)
    hyperband = Hyperband(**settings, strict=strict)
    if hyperband.eta < _LEAST_ETA:
        reason = "hyperband keeps the best 1/eta of the runs"
        raise Wrong(f"eta must be greater than 1, {_LEAST_ETA} at least: {reason}", "eta")
    if hyperband.max_iter is None and hyperband.min_iter is None:
        raise Wrong("hyperband needs min_iter, or max_iter together with s")
    if hyperband.max_iter is not None and hyperband.s is None:
        raise Wrong("max_iter needs s, the number of brackets before it", "max_iter")
    if not bands(hyperband, longest=10**9):
        raise Wrong("max_iter is below eta: hyperband has nowhere to stop a run", "max_iter")
    return hyperband


def _run_cap(cap: Any) -> int:
    if isinstance(cap, bool) or not isinstance(cap, int) or cap < 1:
        raise Wrong(f"run_cap must be a whole number of at least 1, got {shown(cap)}")
    return cap


def _command(parts: Any) -> tuple[str, ...]:
    if not isinstance(parts, list) or not parts:
        raise Wrong(f"command must be a list such as {shown(list(DEFAULT_COMMAND))}")
    for position, part in enumerate(parts):
        if isinstance(part, list | dict) or part is None:
            raise Wrong(f"a part of command must be a text, got {shown(part)}", position)
        if wrong := unknown_macro(str(part)):
            raise Wrong(wrong, position)
    return tuple(str(part) for part in parts)


def _warnings(
    yaml: LocatedYaml, method: SearchMethod, parameters: tuple[Parameter, ...], hyperband: Hyperband | None
) -> tuple[str, ...]:
    warnings = [str(yaml.error(p.key, text)) for p in parameters if (text := deprecated(p))]
    if (method == "bayes" or hyperband) and "goal" not in yaml.data["metric"]:
        warnings.append(str(yaml.error(("metric",), "metric has no goal, so W&B minimises it")))
    if hyperband and hyperband.max_iter is not None and hyperband.min_iter is not None:
        reason = "both min_iter and max_iter are given; W&B uses max_iter"
        warnings.append(str(yaml.error(("early_terminate", "min_iter"), reason)))
    return tuple(warnings)
