"""The forms in which people and W&B agents write options, all made into the one that argparse reads.

A W&B sweep file can hand a configuration over as `--key=value` (the default), `--key value`, `key=value`,
`+key=value`, one JSON object, or the path of a JSON file: see `command:` in W&B's sweep documentation.
"""

import ast
import json
import re
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from math import inf
from pathlib import Path
from typing import Any, NoReturn, get_args, get_origin

from selector.text import first_line, nearest, printable

Kinds = Mapping[str, Any]  # option, with underscores → the type that it is declared with

HELP = ("-h", "--help")
_PAIR = re.compile(r"\+{0,2}([A-Za-z_][\w-]*)=(.*)", re.DOTALL)


def fail(prog: str, message: str) -> NoReturn:
    """Ends the program as after wrong usage: one line on stderr, exit status 2."""
    print(f"{prog}: {' '.join(printable(message).split())} (see {prog} --help)", file=sys.stderr)
    raise SystemExit(2)


def expand(
    argv: Sequence[str], kinds: Kinds, prog: str, positional: bool = False, agent: bool = False
) -> list[str]:
    """A command line whose options are all known, each as `--name=value`, or as `--flag` or `--no-flag`.

    Options come first, then `--` and the positional arguments. An unknown option ends the program with its
    nearest name.

    Args:
        argv: Arguments as they came.
        kinds: The options that exist, with their types.
        prog: The program's name in messages.
        positional: Whether there are positional arguments; if so, and if no other word is one, the last
            word of `--metric a b SOURCE` is, whatever follows.
        agent: Whether an argument without dashes is `name=value`, JSON, or a JSON file, and --config a YAML
            file, such as `selector best --output` writes, whose settings stand in its place.
    """
    waiting, options, others = deque(argv), list[str](), list[str]()
    last_of_several = None
    while waiting:
        token = waiting.popleft()
        if token == "--":
            others += waiting
            break
        if token in HELP:
            options.append(token)
        elif agent and token.partition("=")[0] == "--config":
            settings = _read_config(token.partition("=")[2], waiting, prog)
            waiting.extendleft(reversed(_flags(_flat(settings, kinds, prog))))
        elif token.startswith("--"):
            added = _option(token, waiting, kinds, prog, agent)
            options += added
            if len(added) > 1:
                last_of_several = len(options) - 1
        elif not agent:
            if token.startswith("-"):
                fail(prog, f"unexpected argument '{token}'")
            others.append(token)
        elif pair := _PAIR.fullmatch(token):
            waiting.appendleft(f"--{pair[1]}={pair[2]}")
        else:
            waiting.extendleft(reversed(_read_json(token, kinds, prog)))
    if positional and not others and last_of_several is not None:
        others.append(options.pop(last_of_several).partition("=")[2])
    return [*options, *(["--", *others] if others else [])]


def takes_several(kind: Any) -> bool:
    """Whether an option of this type may be given several values, or several times."""
    return get_origin(kind) is tuple


def _option(token: str, waiting: deque[str], kinds: Kinds, prog: str, agent: bool) -> list[str]:
    name, equals, value = token[2:].partition("=")
    field = name.replace("-", "_")
    flag = f"--{field.replace('_', '-')}"
    if field == "_wandb":  # an agent adds it when it restarts a preempted run
        return []
    if kinds.get(field.removeprefix("no_")) is bool and not equals and field not in kinds:
        return [flag]
    if field not in kinds:
        group = value or (waiting[0] if waiting else "")
        if not agent or not group.startswith("{"):
            known = [option.replace("_", "-") for option in kinds]
            hint = nearest(flag[2:], known).replace("'", "'--", 1)
            fail(prog, f"unknown option --{name}{hint}")
        if not equals:
            waiting.popleft()
        waiting.extendleft(reversed(_flags(_flat({name: _literal(group, name, prog)}, kinds, prog))))
        return []
    kind = kinds[field]
    values = [value] if equals else _values(kind, waiting)
    if not values:
        fail(prog, f"--{name} needs a value")
    if kind is bool:
        if values[0].lower() not in ("true", "false"):
            fail(prog, f"--{name} cannot be '{values[0]}' (one of True, False)")
        return [flag if values[0].lower() == "true" else f"--no-{flag[2:]}"]
    return [f"{flag}={one}" for one in (values if takes_several(kind) else [" ".join(values)])]


def _values(kind: Any, waiting: deque[str]) -> list[str]:
    """The arguments after an option that are its value."""
    if kind is bool:
        given = bool(waiting) and waiting[0].lower() in ("true", "false")
        return [waiting.popleft()] if given else ["True"]
    pair = any(takes_several(one) for one in get_args(kind))  # tuple[float, float] | None
    most = inf if takes_several(kind) else 2 if pair else 1
    values: list[str] = []
    while waiting and not waiting[0].startswith("--") and len(values) < most:
        values.append(waiting.popleft())
    return values


def _read_config(file: str, waiting: deque[str], prog: str) -> dict[str, Any]:
    """The settings in a YAML file, by default the next argument."""
    if not file and not waiting:
        fail(prog, "--config needs the name of a YAML file")
    file = file or waiting.popleft()
    import yaml

    try:
        settings = yaml.safe_load(Path(file).read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        fail(prog, f"--config {file} cannot be read: {first_line(error)}")
    if not isinstance(settings, dict):
        fail(prog, f"--config {file} holds no settings, such as learning_rate: 0.1")
    return settings


def _read_json(token: str, kinds: Kinds, prog: str) -> list[str]:
    """The flags in a JSON object or in a file that holds one: an agent's ${args_json}, ${args_json_file}."""
    text = token
    if not token.lstrip().startswith("{"):
        try:
            text = Path(token).read_text(encoding="utf-8")
        except (OSError, ValueError):
            fail(prog, f"unexpected argument '{token}'; options are written --name value")
    try:
        values = json.loads(text, object_pairs_hook=_without_repeats)
    except ValueError as error:
        fail(prog, f"'{token}' is not a JSON object: {error}")
    if not isinstance(values, dict):
        fail(prog, f"'{token}' is not a JSON object but {json.dumps(values)[:40]}")
    return _flags(_flat(values, kinds, prog))


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a name is given twice")
    return dict(pairs)


def _literal(text: str, name: str, prog: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        fail(prog, f"--{name} is not a group of options: {text}")


def _flat(values: Mapping[str, Any], kinds: Kinds, prog: str) -> dict[str, Any]:
    """Nested groups of a sweep, merged: a group's name says nothing, the names inside are the options."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        field = str(name).replace("-", "_")
        inner = {field: value}
        if isinstance(value, dict) and field not in kinds:
            if not value:
                fail(prog, f"unknown option --{name}{nearest(field, kinds)}")
            inner = _flat(value, kinds, prog)
        if repeated := flat.keys() & inner.keys():
            fail(prog, f"{min(repeated)} is given twice")
        flat |= inner
    return flat


def _flags(values: Mapping[str, Any]) -> list[str]:
    return [f"--{name}={value}" for name, value in values.items()]
