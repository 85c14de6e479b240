"""Command lines: tyro's parser, with one clear line for every mistake."""

import ast
import contextlib
import functools
import inspect
import io
import json
import os
import re
import shutil
import sys
import textwrap
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

import tyro

from selector.argument_forms import HELP, expand, fail
from selector.text import first_line, nearest

if TYPE_CHECKING:
    from selector.config import TrainConfig

T = TypeVar("T")

_CHOICE = re.compile(r"invalid choice '(.*)' for argument '(\S+)'\. Expected one of \((.*)\)")
_NUMBER = re.compile(r"Error parsing (\S+): .*(invalid literal for int|string to float).*: '(.*)'")
_SECTIONS = {
    "dataset": "data",
    "backbone": "encoder",
    "epochs": "optimiser",
    "crop_scale_min": "views",
    "milestone_every": "milestones",
    "seed": "machine",
}
_CONFIG_HELP = """\
--config FILE reads these settings from a YAML file, such as `selector best
SOURCE --output FILE` writes. Options after it take precedence."""
_MARKERS = (tyro.conf.FlagConversionOff,)  # an agent writes --labels=False, never --no-labels
_FLAGS = (tyro.conf.FlagCreatePairsOff,)  # help shows --json alone, not --no-json beside it


def parse_config(argv: Sequence[str], prog: str = "train.py") -> "TrainConfig":
    """The configuration that a command line of train.py asks for.

    What is not given comes from the paper's recipe for the method. A mistake ends the program with one line
    on stderr and exit status 2; `--help` prints the recipe of the method and ends it with status 0.

    Args:
        argv: Arguments without the program's name, in any form that a W&B agent or a person writes.
        prog: The program's name in messages.
    """
    from selector.config import Method, TrainConfig, paper_recipe  # here: other commands start without it

    tokens = expand(with_config(argv, prog), get_type_hints(TrainConfig), prog, values_without_dashes=True)
    method = _last_value(tokens, "method")
    methods: tuple[Method, ...] = get_args(Method)
    recipe = paper_recipe(next((known for known in methods if known == method), "simclr"))
    shown = io.TextIOWrapper(io.BytesIO(), getattr(sys.stdout, "encoding", None), write_through=True)
    try:
        with contextlib.redirect_stdout(shown):
            return _run_tyro(
                lambda: tyro.cli(TrainConfig, prog=prog, args=tokens, default=recipe, config=_MARKERS),
                tokens,
                prog,
            )
    finally:
        shown.seek(0)
        if help := shown.read():
            print(in_sections(help), _CONFIG_HELP, sep="\n")


def in_sections(help: str) -> str:
    """Help with a heading above the first field of each section of TrainConfig."""
    from selector.config import OWN_FIELDS, TrainConfig

    own = next(field.name for field in fields(TrainConfig) if field.name in OWN_FIELDS)
    for name, title in {**_SECTIONS, own: "single methods: loss, heads, momentum encoder"}.items():
        option = re.escape(f"--{name.replace('_', '-')}")
        found = re.search(rf"^(\W*){option} .*$", help, re.MULTILINE)
        if found and found[1].strip():  # in a box
            heading = f"├─ {title} ".ljust(len(found[0]) - 1, "─") + "┤"
            help = f"{help[: found.start()]}{heading}\n{help[found.start() :]}"
        elif found:
            help = f"{help[: found.start()]}\n{title}:\n{help[found.start() :]}"
    return help


def with_config(argv: Sequence[str], prog: str) -> list[str]:
    """A command line whose --config FILE is replaced by the settings of that YAML file.

    Options after it take precedence. `selector best --output` writes such a file.
    """
    tokens = list(argv)
    for place, token in enumerate(tokens):
        name, equals, file = token.partition("=")
        if name != "--config":
            continue
        if not equals and place + 1 == len(tokens):
            fail(prog, "--config needs the name of a YAML file")
        file = file if equals else tokens[place + 1]
        import yaml

        try:
            settings = yaml.safe_load(Path(file).read_text(encoding="utf-8"))
        except (OSError, ValueError, yaml.YAMLError) as error:
            fail(prog, f"--config {file} cannot be read: {first_line(error)}")
        if not isinstance(settings, dict):
            fail(prog, f"--config {file} holds no settings, such as learning_rate: 0.1")
        rest = tokens[place + (1 if equals else 2) :]
        return [*tokens[:place], json.dumps(settings, default=str), *with_config(rest, prog)]
    return tokens


def parse_command(
    commands: Mapping[str, Callable[..., T]], argv: Sequence[str], prog: str, description: str
) -> Callable[[], T]:
    """The subcommand that a command line names, with its arguments bound; calling it runs it.

    Args:
        commands: Name → function. Positional-only parameters are positional on the command line,
            keyword-only ones are options.
        argv: Arguments without the program's name.
        prog: The program's name in messages.
        description: What `--help` says above the list of commands.
    """
    tokens = list(argv)
    if not tokens:
        fail(prog, f"name a command: {', '.join(commands)}")
    name, *tokens = tokens
    if name == "help" and tokens:  # of one command
        name, tokens = tokens[0], ["--help"]
    if name in (*HELP, "help"):
        print(overview(commands, prog, description))
        raise SystemExit(0)
    if name not in commands:
        known = [*commands, "--help", "--version"]
        fail(prog, f"unknown command '{name}'{nearest(name, known)}: {', '.join(commands)}")
    prog, command = f"{prog} {name}", commands[name]
    options = _options_of(command)
    tokens = _as_flags(expand(tokens, options, prog), options)
    if any(token in HELP for token in tokens):
        _describe(command)
    bind = _bind_only(command)
    return _run_tyro(
        lambda: tyro.cli(bind, prog=prog, args=tokens, description="", config=_FLAGS), tokens, prog
    )


def overview(commands: Mapping[str, Callable[..., Any]], prog: str, description: str) -> str:
    """What `--help` prints without a command: each command with the first sentence of what it does.

    Args:
        commands: As for `parse_command`.
        prog: The program's name.
        description: What it is for.
    """
    width, column = min(80, shutil.get_terminal_size().columns), max(map(len, commands)) + 4
    lines = [f"usage: {prog} [--help | --version] COMMAND …", "", *textwrap.wrap(description, width), ""]
    for name, command in commands.items():
        summary = " ".join((command.__doc__ or "").strip().split("\n\n")[0].split())
        indent = " " * column
        first = f"  {name}".ljust(column)
        lines += textwrap.wrap(summary, width, initial_indent=first, subsequent_indent=indent)
    lines += ["", *textwrap.wrap(f"{prog} COMMAND --help shows a command's options.", width)]
    return "\n".join(lines)


def completion_script(commands: Mapping[str, Callable[..., Any]], prog: str, shell: str) -> str:
    """A script that lets a shell complete the commands and their options with the tabulator key.

    Args:
        commands: As for `parse_command`.
        prog: The program's name.
        shell: "bash", "zsh" or "fish".
    """
    out = io.StringIO()
    binders = {name: _bind_only(function) for name, function in commands.items()}
    with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
        tyro.extras.subcommand_cli_from_dict(
            binders, prog=prog, args=["--tyro-print-completion", shell], config=_FLAGS
        )
    # Where bash knows nothing to complete, as of a SOURCE, it shall offer files as it does elsewhere.
    return out.getvalue().replace("complete -F ", "complete -o default -F ")


def _last_value(tokens: Sequence[str], field: str) -> str | None:
    values = [token.partition("=")[2] for token in tokens if token.startswith(f"--{field}=")]
    return values[-1] if values else None


def _options_of(function: Callable[..., Any]) -> dict[str, Any]:
    """Its keyword-only parameters, and the fields of the groups of options among the others."""
    hints = get_type_hints(function)
    options: dict[str, Any] = {}
    for parameter in inspect.signature(function).parameters.values():
        hint = hints[parameter.name]
        if is_dataclass(hint):
            options |= get_type_hints(hint)
        elif parameter.kind is parameter.KEYWORD_ONLY:
            options[parameter.name] = hint
    return options


def _as_flags(tokens: Sequence[str], options: Mapping[str, Any]) -> list[str]:
    """`--json=True` as the `--json` that a subcommand's help shows, and `--json=False` as nothing."""
    flags: dict[str, bool] = {}
    others = []
    for token in tokens:
        name, _, value = token.removeprefix("--").partition("=")
        if options.get(name) is bool and value in ("True", "False"):
            flags[name] = value == "True"
        else:
            others.append(token)
    return [f"--{name}" for name, given in flags.items() if given] + others


def _bind_only(function: Callable[..., T]) -> Callable[..., Callable[[], T]]:
    """The function's parameters for tyro, without its work: only parsing happens while stderr is captured."""

    def bind(*args: Any, **kwargs: Any) -> Callable[[], T]:
        return functools.partial(function, *args, **kwargs)

    hints = {name: _as_union(hint) for name, hint in get_type_hints(function, include_extras=True).items()}
    signature = inspect.signature(function)
    parameters = [p.replace(annotation=hints[p.name]) for p in signature.parameters.values()]
    bind.__name__, bind.__doc__ = function.__name__, _arguments_doc(function)
    bind.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    bind.__annotations__ = hints
    return bind


def _as_union(hint: Any) -> Any:
    """`A | B` as Union[A, B], which tyro checks without loading typeguard."""
    if isinstance(hint, types.UnionType):
        return Union[get_args(hint)]  # noqa: UP007
    if get_origin(hint) is Annotated:
        inner, *more = get_args(hint)
        return Annotated[_as_union(inner), *more]
    return hint


def _describe(function: Callable[..., Any]) -> None:
    """Prints what a command does, wrapped, which tyro does not do."""
    description = inspect.cleandoc(function.__doc__ or "").partition("\n\nArgs:\n")[0]
    width = min(80, shutil.get_terminal_size().columns)
    for paragraph in description.split("\n\n"):
        print(textwrap.fill(" ".join(paragraph.split()), width), end="\n\n")


def _arguments_doc(function: Callable[..., Any]) -> str:
    """What a docstring says of the arguments, one line each: help wraps these to the terminal."""
    arguments = inspect.cleandoc(function.__doc__ or "").partition("\n\nArgs:\n")[2]
    return f"{function.__name__}\n\nArgs:\n" + re.sub(r"\n {5,}", " ", arguments)


def _run_tyro(parse: Callable[[], T], tokens: Sequence[str], prog: str) -> T:
    box = io.StringIO()
    try:
        with contextlib.redirect_stderr(box), _terminal_for(tokens):
            return parse()
    except SystemExit as stop:
        if stop.code in (0, None):
            raise
        fail(prog, _one_line(box.getvalue()))


_NARROWEST = 20  # below that tyro looks for room without end


@contextlib.contextmanager
def _terminal_for(tokens: Sequence[str]) -> Iterator[None]:
    """Lets tyro write a message on one line, help as wide as the terminal, and either as NO_COLOR says."""
    wanted = {} if any(token in HELP for token in tokens) else {"COLUMNS": "100000"}
    if not wanted and shutil.get_terminal_size().columns < _NARROWEST:
        wanted["COLUMNS"] = str(_NARROWEST)
    if os.environ.get("NO_COLOR"):
        wanted["TERM"] = "dumb"  # the one thing that tyro looks at
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _one_line(box: str) -> str:
    """What tyro's box says, in one line and in this project's words where they are clearer."""
    text = _text_of(box)
    if choice := _CHOICE.search(text):
        choices = [str(value) for value in ast.literal_eval(f"[{choice[3]}]")]
        hint = f"{nearest(choice[1], choices)} (one of {', '.join(choices)})"
        return f"{choice[2]} cannot be '{choice[1]}'{hint}"
    if number := _NUMBER.search(text):
        kind = "a whole number" if number[2].endswith("int") else "a number"
        return f"{number[1]} must be {kind}{' or None' if 'NoneType' in text else ''}, got '{number[3]}'"
    if missing := re.search(r"Missing from (.*?): +(\S+)", text):
        return f"{missing[2]} is missing"
    if unexpected := re.search(r"Unrecognized options: (.*)", text):
        return f"unexpected argument '{unexpected[1]}'"
    return re.sub(r"^Error parsing [A-Z]\w*: ", "", text)


def _text_of(box: str) -> str:
    """The first section of tyro's box, without its title, borders and colours.

    Where stdout cannot show box characters, the box has a rule of hyphens under its title and no sides.
    """
    lines = []
    for line in re.sub(r"\x1b\[[0-9;]*m", "", box).splitlines()[1:]:
        inside = line.strip("│ ")
        if not re.fullmatch(r"╰?[─-]{3,}╯?", inside):
            lines.append(inside)
        elif lines:
            break
    return " ".join(line for line in lines if line)
