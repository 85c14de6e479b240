"""A sweep over this project's own train.py, checked before the first run: names, types and values."""

import ast
import math
import re
import types
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from selector.config import Method, TrainConfig, paper_recipe
from selector.sweeping.located_yaml import KeyPath, hint, shown
from selector.sweeping.parameters import number_in_yaml
from selector.sweeping.sweep_file import SweepFile
from selector.text import nearest

_MOST_CHECKED = 2_000
_FIELDS: Mapping[str, Any] = get_type_hints(TrainConfig)


def imported_modules(program: Path) -> frozenset[str]:
    """Modules that a Python program imports anywhere in its source; empty where it is no Python."""
    try:
        tree = ast.parse(program.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return frozenset()
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(found)


def check_train_fields(sweep: SweepFile, configs: Iterable[Mapping[str, Any]]) -> None:
    """Refuse a sweep that train.py would refuse run by run.

    Args:
        sweep: The sweep.
        configs: The configurations that would run, or some of them; the first 2,000 are checked.

    Raises:
        UserError: Names the line of the parameter and what train.py has against it.
    """
    for config in islice(configs, _MOST_CHECKED):
        train_config(sweep, config)


def train_config(sweep: SweepFile, config: Mapping[str, Any]) -> TrainConfig | None:
    """What train.py would train; None where the command sets fields of its own, which are not read here.

    Raises:
        UserError: As `check_train_fields` does.
    """
    keys: dict[str, KeyPath] = {}
    values: dict[str, Any] = {}
    for key, field, value in _leaves(config, ()):
        if field not in _FIELDS:
            known = tuple(_FIELDS)
            raise sweep.yaml.error(key, f"train.py knows no parameter {shown(field)}{hint(field, known)}")
        if field in keys:
            raise sweep.yaml.error(key, f"{field} is given twice, in two groups of parameters")
        if value is False and "${args_no_boolean_flags}" in sweep.command:
            left_out = f"${{args_no_boolean_flags}} leaves out {field} false"
            raise sweep.yaml.error(key, f"{left_out}, and train.py would use its default: use ${{args}}")
        try:
            keys[field], values[field] = key, _typed(value, _FIELDS[field])
        except ValueError as error:
            raise sweep.yaml.error(key, f"train.py refuses {field} {shown(value)}: {error}") from None
    if not all(part.startswith("${") for part in sweep.command):
        return None
    method: Method = values.get("method", "simclr")
    try:
        return replace(paper_recipe(method), **values)
    except ValueError as error:
        words = re.findall(r"\w+", str(error))
        key = next((keys[word] for word in words if word in keys), ("parameters",))
        chosen = ", ".join(f"{field}={shown(value)}" for field, value in values.items())
        raise sweep.yaml.error(key, f"train.py refuses {chosen}: {error}") from None


def _leaves(config: Mapping[str, Any], at: KeyPath) -> Iterator[tuple[KeyPath, str, Any]]:
    """Where each field stands in the file, its name and value; groups are opened as train.py does."""
    for name, value in config.items():
        key, field = (*at, "parameters", name), name.replace("-", "_")
        if isinstance(value, dict) and field not in _FIELDS:
            yield from _leaves(value, key)
        else:
            yield key, field, value


def _typed(value: Any, declared: Any) -> Any:
    """The value as train.py would read it from its command line.

    Raises:
        ValueError: It would not; says what is wanted.
    """
    kinds = get_args(declared) if isinstance(declared, types.UnionType) else (declared,)
    if value is None and type(None) in kinds:
        return None
    kind = next(kind for kind in kinds if kind is not type(None))
    if get_origin(kind) is tuple:
        parts = get_args(kind)
        if not isinstance(value, list | tuple) or len(value) != len(parts):
            raise ValueError(f"it must be a list of {len(parts)} numbers")
        return tuple(_typed(part, of) for part, of in zip(value, parts, strict=True))
    if get_origin(kind) is Literal:
        return _choice(value, get_args(kind))
    if kind in (int, float) and isinstance(value, str) and (better := number_in_yaml(value)):
        raise ValueError(f"YAML reads it as a text; write {better}")
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind is float and number:
        return float(value)
    if kind is int and number and math.isfinite(value) and value == int(value):
        return int(value)  # W&B's quantised distributions draw 64.0
    if kind in (bool, str) and isinstance(value, kind):
        return value
    words = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
    raise ValueError(f"it must be {words[kind]}{' or null' if len(kinds) > 1 else ''}")


def _choice(value: Any, allowed: tuple[str, ...]) -> str:
    # An agent hands over 32 as it hands over "32".
    if isinstance(value, bool) or str(value) not in allowed:
        raise ValueError(f"it is not one of {', '.join(allowed)}{nearest(str(value), allowed)}")
    return str(value)
