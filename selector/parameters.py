"""The parameters of a function, or the fields of a dataclass, as arguments that argparse reads."""

import argparse
import functools
import inspect
import re
import shutil
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NoReturn, TypeVar, Union, get_args, get_origin, get_type_hints

from selector.argument_forms import fail, takes_several
from selector.ranges import Shown
from selector.text import nearest

T = TypeVar("T")

_REQUIRED: Any = object()


@dataclass(frozen=True)
class Argument:
    """One argument of a command line."""

    name: str
    kind: Any
    default: Any
    metavar: str
    help: str
    positional: bool

    @property
    def flag(self) -> str:
        """Such as --seed-key."""
        return f"--{self.name.replace('_', '-')}"


def arguments_of(function: Callable[..., Any]) -> list[Argument]:
    """Its parameters as arguments of a command line; a dataclass gives one argument per field."""
    hints = get_type_hints(function, include_extras=True)
    block = inspect.cleandoc(function.__doc__ or "").partition("\n\nArgs:\n")[2]
    docs = dict(re.findall(r"^ {4}(\w+): (.*(?:\n {5,}.*)*)", block, re.MULTILINE))
    found: list[Argument] = []
    for one in inspect.signature(function).parameters.values():
        hint = hints[one.name]
        if is_dataclass(hint):
            inner = get_type_hints(hint, include_extras=True)
            found += [argument(field.name, inner[field.name], field.default) for field in fields(hint)]
        else:
            positional = one.kind is one.POSITIONAL_ONLY
            found.append(argument(one.name, hint, one.default, docs.get(one.name, ""), positional))
    return found


def value_of(text: str, kind: Any) -> Any:
    """Read a text as a value of this type.

    YAML's null means None, and the 64.0 that W&B's quantised distributions draw is a whole number.

    Raises:
        ArgumentTypeError: It is no such value; the message follows the name of the option.
    """
    wanted, optional = _without_none(kind)
    if optional and text in ("None", "null"):
        return None
    if get_origin(wanted) is Literal:
        choices = [*(["None"] if optional else []), *get_args(wanted)]
        if text in choices:
            return text
        hint = f"{nearest(text, choices)} (one of {', '.join(choices)})"
        raise argparse.ArgumentTypeError(f"cannot be '{text}'{hint}")
    try:
        if takes_several(wanted):
            low, high = re.sub(r"[\[\](),]", " ", text).split()
            return float(low), float(high)
        if wanted is int and re.fullmatch(r"[+-]?\d+\.0*", text):
            return int(text.partition(".")[0])
        return wanted(text)
    except ValueError:
        name = {int: "a whole number", float: "a number"}.get(wanted, "two numbers")
        message = f"must be {name}{' or None' if optional else ''}, got '{text}'"
        raise argparse.ArgumentTypeError(message) from None


def _without_none(kind: Any) -> tuple[Any, bool]:
    """`A | None` as A and True, anything else as it is and False."""
    kinds = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    return next(one for one in kinds if one is not NoneType), NoneType in kinds


def argument(name: str, hint: Any, default: Any, doc: str = "", positional: bool = False) -> Argument:
    """One argument; its help is `doc`, or what its Annotated type says."""
    kind, *more = get_args(hint) if get_origin(hint) is Annotated else (hint,)
    shown = next((one for one in more if isinstance(one, Shown)), Shown())
    positional = positional or shown.positional
    metavar = shown.metavar or (name.upper() if positional else _metavar(kind))
    known = default not in (inspect.Parameter.empty, MISSING) and not positional
    text = " ".join((doc or shown.help).split())
    return Argument(name, kind, default if known else _REQUIRED, metavar, text, positional)


def _metavar(kind: Any) -> str:
    wanted, optional = _without_none(kind)
    if get_origin(wanted) is Literal:
        return f"{{{','.join([*(['None'] if optional else []), *get_args(wanted)])}}}"
    name = {str: "TEXT", float: "NUMBER", int: "N", Path: "PATH"}.get(wanted, "LOW HIGH")
    return f"{name}|None" if optional else name


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Ends the program with one line, in this project's words where they are clearer."""
        for pattern, words in (
            (r"the following arguments are required: ([^,]+).*", r"\1 is missing"),
            (r"unrecognized arguments: (?:-- )?(.*)", r"unexpected argument '\1'"),
            (r"argument (\S.*?): (.*)", r"\1 \2"),
        ):
            message = re.sub(f"^{pattern}$", words, message, flags=re.DOTALL)
        fail(self.prog, message)


def parser_of(
    prog: str, about: str, arguments: Sequence[Argument], sections: Mapping[str, str], epilog: str = ""
) -> _Parser:
    """The parser; `sections` are headings in help, above the arguments of these names."""
    paragraphs = [" ".join(part.split()) for part in inspect.cleandoc(about).split("\n\n")]
    sources = [f"{one.metavar}{' …' * takes_several(one.kind)}" for one in arguments if one.positional]
    parser = _Parser(
        prog=prog,
        usage=" ".join(("%(prog)s [-h] [OPTIONS]", *sources)),
        description="\n\n".join(textwrap.fill(part, help_width()) for part in paragraphs),
        epilog=epilog,
        formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(prog, width=help_width()),
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    group: argparse._ActionsContainer = parser
    for one in arguments:
        if one.name in sections:
            group = parser.add_argument_group(sections[one.name])
        _add(one, group)
    return parser


def _add(one: Argument, group: argparse._ActionsContainer) -> None:
    several = takes_several(one.kind)
    text = one.help.replace("%", "%%")
    if one.kind is not bool and one.default not in (_REQUIRED, None, (), ""):
        text += f" (default: {' '.join(one.default) if several else one.default})"
    type = functools.partial(value_of, kind=get_args(one.kind)[0] if several else one.kind)
    if one.positional:
        group.add_argument(
            one.name, nargs="+" if several else None, metavar=one.metavar, type=type, help=text
        )
    elif one.kind is bool:
        on, off = (argparse.SUPPRESS, text) if one.default else (text, argparse.SUPPRESS)
        group.add_argument(one.flag, action="store_true", help=on)
        group.add_argument(f"--no-{one.flag[2:]}", dest=one.name, action="store_false", help=off)
    else:
        group.add_argument(
            one.flag,
            action="append" if several else "store",
            required=one.default is _REQUIRED,
            metavar=one.metavar,
            type=type,
            help=text,
        )


def read(parser: argparse.ArgumentParser, tokens: Sequence[str]) -> dict[str, Any]:
    """What the tokens give, by name."""
    given = vars(parser.parse_args(tokens))
    return {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}


def bound(function: Callable[..., T], values: Mapping[str, Any]) -> Callable[[], T]:
    """The function with its arguments; those not given have its defaults."""
    hints = get_type_hints(function)
    positional, named = [], {}
    for one in inspect.signature(function).parameters.values():
        hint = hints[one.name]
        if one.kind is one.POSITIONAL_ONLY:
            positional.append(values[one.name])
        elif is_dataclass(hint) and isinstance(hint, type):
            inner = [field.name for field in fields(hint) if field.name in values]
            named[one.name] = hint(**{name: values[name] for name in inner})
        elif one.name in values:
            named[one.name] = values[one.name]
    return functools.partial(function, *positional, **named)


def help_width() -> int:
    """Columns for help: those of the terminal, at most 80."""
    return min(80, shutil.get_terminal_size().columns)
