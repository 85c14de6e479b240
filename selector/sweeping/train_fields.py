"""A sweep over this project's own train.py, checked before the first run: names, types and values."""

import ast
import io
import json
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import redirect_stderr
from dataclasses import fields
from itertools import islice
from pathlib import Path
from typing import Any

from selector.command_line import parse_config
from selector.config import TrainConfig
from selector.sweeping.command import build_command
from selector.sweeping.located_yaml import KeyPath, shown
from selector.sweeping.parameters import number_in_yaml
from selector.sweeping.sweep_file import SweepFile

_MOST_CHECKED = 2_000
_FIELDS = frozenset(field.name for field in fields(TrainConfig))


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
    leaves = tuple(_leaves(config, ()))
    keys: dict[str, KeyPath] = {}
    for key, field, _ in leaves:
        if field in keys:
            raise sweep.yaml.error(key, f"{field} is given twice, in two groups of parameters")
        keys[field] = key
    plain = all(part.startswith("${") for part in sweep.command)
    said = io.StringIO()
    try:
        with redirect_stderr(said):
            found = parse_config(_arguments(sweep, config))
    except SystemExit:
        words = [word.strip("-").replace("-", "_") for word in re.findall(r"[\w-]+", said.getvalue())]
        key = next((keys[word] for word in words if word in keys), ())
        if key or plain:
            raise sweep.yaml.error(key or ("parameters",), said.getvalue().strip()) from None
        return None
    for key, field, value in leaves:
        used = getattr(found, field, value)
        if used == (tuple(value) if isinstance(value, list) else value) or used == str(value):
            continue
        if isinstance(value, str):
            better = number_in_yaml(value) or json.dumps(used)
            raise sweep.yaml.error(key, f"{field} {value}: YAML reads it as a text; write {better}")
        reason = f"train.py would use {field} {shown(used)}, not {shown(value)}: hand it over by ${{args}}"
        raise sweep.yaml.error(key, reason)
    return found if plain else None


def _arguments(sweep: SweepFile, config: Mapping[str, Any]) -> list[str]:
    """What the sweep's command hands over to train.py, by whatever macro."""
    parts = sweep.command[sweep.command.index("${program}") + 1 :]
    if not any(part.startswith("${args") for part in parts):
        parts = (*parts, "${args}")
    return build_command(parts, None, config, json.dumps(config), sys.executable, os.environ)


def _leaves(config: Mapping[str, Any], at: KeyPath) -> Iterator[tuple[KeyPath, str, Any]]:
    """Where each field stands in the file, its name and value; groups are opened as train.py does."""
    for name, value in config.items():
        key, field = (*at, "parameters", name), name.replace("-", "_")
        if isinstance(value, dict) and field not in _FIELDS:
            yield from _leaves(value, key)
        else:
            yield key, field, value
