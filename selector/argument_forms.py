"""The forms in which people and W&B agents pass options, all made into `--name=value`.

A W&B sweep file can hand a configuration over as `--key=value` (the default), `--key value`, `key=value`,
`+key=value`, one JSON object, or the path of a JSON file: see `command:` in W&B's sweep documentation.
"""

import ast
import json
import re
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, get_args, get_origin

from selector.text import nearest, printable

Options = Mapping[str, Any]  # option → the type that it is declared with

HELP = ("-h", "--help")
_TRUE_FALSE = {"true": "True", "false": "False"}
_PAIR = re.compile(r"\+{0,2}([A-Za-z_][\w-]*)=(.*)", re.DOTALL)


def fail(prog: str, message: str) -> NoReturn:
    """Ends the program as after wrong usage: one line on stderr, exit status 2."""
    print(f"{prog}: {' '.join(printable(message).split())} (see {prog} --help)", file=sys.stderr)
    raise SystemExit(2)


def expand(
    argv: Sequence[str], options: Options, prog: str, values_without_dashes: bool = False
) -> list[str]:
    """A command line whose options are all known, each as `--name=value`.

    `--name value`, `--no-name`, a bare `--name` for True, YAML's `null` and whole numbers such as 64.0 are
    understood. An unknown option ends the program with its nearest name.

    Args:
        argv: Arguments as they came.
        options: The options that exist, with their types.
        prog: The program's name in messages.
        values_without_dashes: Also read `name=value`, JSON and JSON files, as an agent may write them;
            otherwise an argument without dashes is positional.
    """
    waiting, tokens = deque(argv), list[str]()
    while waiting:
        token = waiting.popleft()
        if token == "--":
            return [*tokens, token, *waiting]
        if token in HELP or not (token.startswith("--") or values_without_dashes):
            tokens.append(token)
        elif token.startswith("--"):
            tokens += _expand_option(token, waiting, options, prog, values_without_dashes)
        elif pair := _PAIR.fullmatch(token):
            waiting.appendleft(f"--{pair[1]}={pair[2]}")
        else:
            waiting.extendleft(reversed(_read_json(token, options, prog)))
    return _join_repeated(tokens, options)


def _expand_option(token: str, waiting: deque[str], options: Options, prog: str, groups: bool) -> list[str]:
    name, equals, value = token[2:].partition("=")
    field = name.replace("-", "_")
    if field == "_wandb":  # an agent adds it when it restarts a preempted run
        return []
    if field.startswith("no_") and options.get(field[3:]) is bool and not equals:
        return [f"--{field[3:]}=False"]
    if field not in options:
        group = value or (waiting[0] if waiting else "")
        if groups and group.startswith("{"):
            if not equals:
                waiting.popleft()
            waiting.extendleft(reversed(_flags(_flat({name: _literal(group, name, prog)}, options, prog))))
            return []
        known = [option.replace("_", "-") for option in options]
        hint = nearest(name.replace("_", "-"), known).replace("'", "'--", 1)
        fail(prog, f"unknown option --{name}{hint}")
    declared = options[field]
    if declared is bool and not equals and (not waiting or waiting[0].lower() not in _TRUE_FALSE):
        return [f"--{field}=True"]
    if _takes_several(declared):
        return [f"--{field}", *([value] if equals else [])]
    if count := _fixed_length(declared):
        return [f"--{field}", *_numbers(value if equals else "", waiting, count)]
    if not equals:
        if not waiting or waiting[0].startswith("--"):
            fail(prog, f"--{name} needs a value")
        value = waiting.popleft()
    return [f"--{field}={_as_declared(value, declared)}"]


def _as_declared(value: str, declared: Any) -> str:
    """YAML's true and null, and the 64.0 that W&B's quantised distributions draw for a whole number."""
    if declared is bool:
        return _TRUE_FALSE.get(value.lower(), value)
    kinds = {declared, *get_args(declared)}
    if type(None) in kinds and value == "null":
        return "None"
    if int in kinds and re.fullmatch(r"[+-]?\d+\.0*", value):
        return value.partition(".")[0]
    return value


def _takes_several(declared: Any) -> bool:
    origin: object = get_origin(declared)
    return origin is tuple


def _fixed_length(declared: Any) -> int:
    """How many values an option takes that is `tuple[float, float] | None`; 0 for others."""
    return next((len(get_args(kind)) for kind in get_args(declared) if _takes_several(kind)), 0)


def _numbers(value: str, waiting: deque[str], count: int) -> list[str]:
    """The values in `0 4095`, `[0, 4095]` or `(0.0, 4095.0)`, or in so many of the arguments that follow."""
    values = [value] if value else []
    while not value and waiting and not waiting[0].startswith("--") and len(values) < count:
        values.append(waiting.popleft())
        count = 1 if values[0] in ("None", "null") else count
    found = re.sub(r"[\[\](),]", " ", " ".join(values)).split()
    return ["None"] if found == ["null"] else found


def _join_repeated(tokens: list[str], options: Options) -> list[str]:
    """`--metric a --metric b` → `--metric a b`, which is tyro's only form."""
    joined = list(tokens)
    for name in (f"--{field}" for field, declared in options.items() if _takes_several(declared)):
        while joined.count(name) > 1:
            start = joined.index(name)
            stop = next(i for i in range(start + 1, len(joined)) if joined[i].startswith("--"))
            values = joined[start + 1 : stop]
            del joined[start:stop]
            second = joined.index(name)
            joined[second + 1 : second + 1] = values
    return joined


def _read_json(token: str, options: Options, prog: str) -> list[str]:
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
    return _flags(_flat(values, options, prog))


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a name is given twice")
    return dict(pairs)


def _literal(text: str, name: str, prog: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        fail(prog, f"--{name} is not a group of options: {text}")


def _flat(values: Mapping[str, Any], options: Options, prog: str) -> dict[str, Any]:
    """Nested groups of a sweep, merged: a group's name says nothing, the names inside are the options."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        field = str(name).replace("-", "_")
        inner = {field: value}
        if isinstance(value, dict) and field not in options:
            if not value:
                fail(prog, f"unknown option --{name}{nearest(field, options)}")
            inner = _flat(value, options, prog)
        if repeated := flat.keys() & inner.keys():
            fail(prog, f"{min(repeated)} is given twice")
        flat |= inner
    return flat


def _flags(values: Mapping[str, Any]) -> list[str]:
    return [f"--{name}={value}" for name, value in values.items()]
