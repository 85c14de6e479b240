"""The command line of a run, with the macros of W&B's `command:` filled in as `wandb agent` does."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from selector.sweeping.located_yaml import hint, shown

DEFAULT_COMMAND = ("${env}", "${interpreter}", "${program}", "${args}")

_ENVIRONMENT = re.compile(r"\$\{envvar:([A-Z0-9_]*)\}")


def unknown_macro(part: str) -> str | None:
    """What is wrong with one part of a command, or None. `wandb agent` would silently drop such a part."""
    if not (part.startswith("${") and part.endswith("}")) or _ENVIRONMENT.search(part):
        return None
    name = part[2:-1]
    if name.startswith("envvar:"):
        return f"{shown(part)}: names of environment variables are A-Z, 0-9 and _"
    known = ("env", "interpreter", "program", "args_json_file", *_macros({}))
    return None if name in known else f"unknown macro {shown(part)}{hint(name, known)}"


def build_command(
    template: Sequence[str],
    program: str | None,
    config: Mapping[str, Any],
    args_json_file: str,
    interpreter: str,
    environment: Mapping[str, str],
) -> list[str]:
    """Command line of one run.

    Args:
        template: Parts of the sweep file's `command`, macros included.
        program: Training script.
        config: Hyperparameter → value; nested ones are one dictionary, as in W&B.
        args_json_file: Path for ${args_json_file}.
        interpreter: What ${interpreter} stands for.
        environment: Where ${envvar:NAME} is looked up; an unset one gives NAME itself, as in W&B.
    """
    macros = _macros(config) | {
        "env": ["/usr/bin/env"],
        "interpreter": [interpreter],
        "program": [program] if program is not None else [],
        "args_json_file": [args_json_file],
    }
    command: list[str] = []
    for part in template:
        part = _ENVIRONMENT.sub(lambda match: environment.get(match[1], match[1]), part)
        # Only a whole part is a macro; "--config=${args_json_file}" reaches the program as it is written.
        whole = part.startswith("${") and part.endswith("}")
        command += macros.get(part[2:-1], []) if whole else [part]
    return command


def _macros(config: Mapping[str, Any]) -> dict[str, list[str]]:
    pairs = [f"{name}={value}" for name, value in config.items()]
    flags = {name: f"--{pair}" for name, pair in zip(config, pairs, strict=True)}
    booleans = {
        name: [f"--{name}"] if value else [] for name, value in config.items() if isinstance(value, bool)
    }
    return {
        "args": list(flags.values()),
        "args_no_equals": [part for name, value in config.items() for part in (f"--{name}", str(value))],
        "args_no_hyphens": pairs,
        "args_no_boolean_flags": [
            part for name, flag in flags.items() for part in booleans.get(name, [flag])
        ],
        "args_json": [json.dumps(config)],
        "args_append_hydra": [f"+{pair}" for pair in pairs],
        "args_override_hydra": [f"++{pair}" for pair in pairs],
    }
