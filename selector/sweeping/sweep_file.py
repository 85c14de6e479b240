"""A W&B sweep file: read, checked, and refused with the line and the reason where it cannot be run."""

import re
from collections.abc import Callable, Mapping
from inspect import signature
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    InstanceOf,
    PlainValidator,
    ValidationError,
    model_validator,
)
from pydantic.dataclasses import dataclass

from selector.sweeping.command import DEFAULT_COMMAND, unknown_macro
from selector.sweeping.hyperband import Hyperband
from selector.sweeping.located_yaml import LocatedYaml, Wrong, read_yaml, refuse_unknown, shown
from selector.sweeping.parameters import (
    Categorical,
    Constant,
    Parameter,
    check_grid,
    deprecated,
    read_parameters,
)
from selector.text import nearest

SearchMethod = Literal["grid", "random", "bayes"]
Goal = Literal["minimize", "maximize"]
Impute = Literal["latest", "best", "worst"]
T = TypeVar("T")
_WORDS = {
    "Input should be": "must be",
    "a valid string": "a text (quote it)",
    "a valid integer": "a whole number",
    "a valid number": "a number",
    "a valid boolean": "true or false",
    "greater than or equal to": "at least",
}


@dataclass(config=ConfigDict(strict=True), frozen=True)
class Objective:
    """The file's `metric` section: what bayes searches for and hyperband compares."""

    name: str  # W&B history key
    goal: Goal = "minimize"  # W&B minimises where nothing is said
    target: float | None = None  # the sweep is over once a run reaches it; None never ends it
    # What bayes takes for a run that failed or has no finite value. The worst result of all runs, W&B's own
    # default, keeps it away from there.
    impute: Impute = "worst"
    impute_while_running: Literal["latest", "best", "worst", "false", False] = "worst"  # without effect here

    def better(self, value: float, than: float) -> bool:
        """Whether `value` is strictly better."""
        return value < than if self.goal == "minimize" else value > than

    def reached(self, value: float) -> bool:
        """Whether `value` meets the target."""
        return self.target is not None and (value == self.target or self.better(value, self.target))


def _checked(model: Callable[..., T], given: Any, what: str, **more: Any) -> T:
    """What a section of the file says, as its model; `more` are fields that are not in the file."""
    if not isinstance(given, dict):
        raise Wrong(f"{what} must be a mapping, got {shown(given)}")
    refuse_unknown(given, [key for key in signature(model).parameters if key not in more], f"a key of {what}")
    if empty := [key for key, value in given.items() if value is None and key != "parameters"]:
        raise Wrong(f"{empty[0]} must not be empty, got None: leave it out", empty[0])
    try:
        return model(**given, **more)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
    match first:
        case {"ctx": {"error": Wrong() as wrong}, "loc": at}:
            raise Wrong(str(wrong), *at, *wrong.path)
        case {"type": "missing", "loc": [key]}:
            raise Wrong(f"{what} needs {key}")
    wanted, name = first["msg"], ".".join(map(str, first["loc"]))
    for its, ours in _WORDS.items():
        wanted = wanted.replace(its, ours)
    near = nearest(str(first["input"]), re.findall("'([^']*)'", wanted))
    raise Wrong(f"{name} {wanted}, got {shown(first['input'])}{near}", *first["loc"])


def _parameters(section: Any) -> tuple[Parameter, ...]:
    return tuple(read_parameters(section))


def _objective(section: Any) -> Objective:
    return _checked(Objective, section, "metric")


def _hyperband(section: Any) -> Hyperband:
    if not isinstance(section, dict) or section.get("type") != "hyperband":
        raise Wrong(f"early_terminate must be a mapping with type: hyperband, got {shown(section)}")
    settings = {key: value for key, value in section.items() if key != "type"}
    return _checked(Hyperband, settings, "early_terminate")


def _command(parts: Any) -> tuple[str, ...]:
    if not isinstance(parts, list) or not parts:
        raise Wrong(f"command must be a list such as {shown(list(DEFAULT_COMMAND))}")
    for position, part in enumerate(parts):
        if isinstance(part, list | dict) or part is None:
            raise Wrong(f"a part of command must be a text, got {shown(part)}", position)
        if wrong := unknown_macro(str(part)):
            raise Wrong(wrong, position)
    return tuple(str(part) for part in parts)


class SweepFile(BaseModel):
    """What a sweep file asks for, under the file's own keys."""

    model_config = ConfigDict(strict=True, frozen=True)

    yaml: InstanceOf[LocatedYaml]  # the whole content with its lines, for later errors
    method: SearchMethod
    # The flattened search space, in W&B's order.
    parameters: Annotated[tuple[Parameter, ...], PlainValidator(lambda given: tuple(read_parameters(given)))]
    metric: Annotated[
        Objective | None, PlainValidator(lambda given: _checked(Objective, given, "metric"))
    ] = None
    early_terminate: Annotated[Hyperband | None, PlainValidator(_hyperband)] = None
    run_cap: Annotated[int, Field(ge=1)] | None = None
    program: str | None = None
    command: Annotated[tuple[str, ...], PlainValidator(_command)] = DEFAULT_COMMAND
    project: str | None = None
    entity: str | None = None
    # Without effect here, or refused before.
    name: str | None = None
    description: str | None = None
    apiVersion: str | None = None
    kind: str | None = None
    controller: Any = None
    scheduler: Any = None
    metrics: Any = None
    job: Any = None
    image_uri: Any = None

    @model_validator(mode="after")
    def _fits_together(self) -> "SweepFile":
        if self.method == "grid":
            check_grid(self.parameters)
        if self.method == "bayes" and self.metric is None:
            raise Wrong("method bayes needs a metric section with the name to optimise", "method")
        if self.method == "bayes" and not any(_searchable(parameter) for parameter in self.parameters):
            raise Wrong("method bayes needs a parameter with more than one value", "parameters")
        if self.early_terminate and self.metric is None:
            raise Wrong("early_terminate needs a metric section with the name to compare", "early_terminate")
        if "${program}" in self.command and self.program is None:
            raise Wrong("program is missing: the training script that the runs execute", "command")
        return self

    @property
    def warnings(self) -> list[str]:
        """One line each."""
        said = [(p.key, text) for p in self.parameters if (text := deprecated(p))]
        hyperband = self.early_terminate
        if (self.method == "bayes" or hyperband) and "goal" not in self.yaml.data["metric"]:
            said.append((("metric",), "metric has no goal, so W&B minimises it"))
        if hyperband and hyperband.max_iter is not None and hyperband.min_iter is not None:
            reason = "both min_iter and max_iter are given; W&B uses max_iter"
            said.append((("early_terminate", "min_iter"), reason))
        return [str(self.yaml.error(key, text)) for key, text in said]


def _searchable(parameter: Parameter) -> bool:
    match parameter.distribution:
        case Constant() | Categorical([_]):
            return False
        case _:
            return True


def read_sweep_file(path: Path) -> SweepFile:
    """Read and check a W&B sweep file.

    Raises:
        UserError: The file cannot be read or run; one line with the file, its line and the reason.
    """
    yaml = read_yaml(path)
    try:
        if isinstance(yaml.data, dict):
            _refuse_what_needs_a_server(yaml.data)
        return _checked(SweepFile, yaml.data, "a sweep file", yaml=yaml)
    except Wrong as wrong:
        raise yaml.error(wrong.path, str(wrong)) from None


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
    if content.get("method") == "custom":
        raise Wrong("method custom runs only with `wandb sweep-scheduler`", "method")
