"""Command lines: tyro's parser, with one clear line for every mistake."""

import ast
import contextlib
import functools
import inspect
import io
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar, get_args, get_type_hints

import tyro

from selector.argument_forms import HELP, expand, fail
from selector.config import Method, TrainConfig, paper_recipe
from selector.text import nearest

T = TypeVar("T")

_CHOICE = re.compile(r"invalid choice '(.*)' for argument '(\S+)'\. Expected one of \((.*)\)")
_NUMBER = re.compile(r"Error parsing (\S+): .*(invalid literal for int|string to float).*: '(.*)'")
_MARKERS = (tyro.conf.FlagConversionOff,)  # an agent writes --labels=False, never --no-labels


def parse_config(argv: Sequence[str], prog: str = "train.py") -> TrainConfig:
    """The configuration that a command line of train.py asks for.

    What is not given comes from the paper's recipe for the method. A mistake ends the program with one line
    on stderr and exit status 2; `--help` prints the recipe of the method and ends it with status 0.

    Args:
        argv: Arguments without the program's name, in any form that a W&B agent or a person writes.
        prog: The program's name in messages.
    """
    tokens = expand(argv, get_type_hints(TrainConfig), prog, values_without_dashes=True)
    method = _last_value(tokens, "method")
    methods: tuple[Method, ...] = get_args(Method)
    recipe = paper_recipe(next((known for known in methods if known == method), "simclr"))
    return _run_tyro(
        lambda: tyro.cli(TrainConfig, prog=prog, args=tokens, default=recipe, config=_MARKERS), tokens, prog
    )


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
    if tokens[0] in commands:
        command = commands[tokens[0]]
        options = _options_of(command)
        tokens[1:] = [
            _as_flag(token, options) for token in expand(tokens[1:], options, f"{prog} {tokens[0]}")
        ]
    elif tokens[0] not in HELP:
        fail(prog, f"unknown command '{tokens[0]}'{nearest(tokens[0], commands)}: {', '.join(commands)}")
    bound: Callable[[], T] = _run_tyro(
        lambda: tyro.extras.subcommand_cli_from_dict(
            {name: _bind_only(function) for name, function in commands.items()},
            prog=prog, args=tokens, description=description,
        ),
        tokens,
        prog if tokens[0] not in commands else f"{prog} {tokens[0]}",
    )  # fmt: skip
    return bound


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
        tyro.extras.subcommand_cli_from_dict(binders, prog=prog, args=["--tyro-print-completion", shell])
    return out.getvalue()


def _last_value(tokens: Sequence[str], field: str) -> str | None:
    values = [token.partition("=")[2] for token in tokens if token.startswith(f"--{field}=")]
    return values[-1] if values else None


def _options_of(function: Callable[..., Any]) -> dict[str, Any]:
    hints = get_type_hints(function)
    parameters = inspect.signature(function).parameters.values()
    return {p.name: hints[p.name] for p in parameters if p.kind is p.KEYWORD_ONLY}


def _as_flag(token: str, options: Mapping[str, Any]) -> str:
    """`--json=True` as the `--json` that a subcommand's help shows; only train.py takes a value there."""
    name, _, value = token.removeprefix("--").partition("=")
    if options.get(name) is not bool or value not in ("True", "False"):
        return token
    return f"--{name}" if value == "True" else f"--no-{name}"


def _bind_only(function: Callable[..., T]) -> Callable[..., Callable[[], T]]:
    """The function's parameters for tyro, without its work: only parsing happens while stderr is captured."""

    @functools.wraps(function)
    def bind(*args: Any, **kwargs: Any) -> Callable[[], T]:
        return functools.partial(function, *args, **kwargs)

    return bind


def _run_tyro(parse: Callable[[], T], tokens: Sequence[str], prog: str) -> T:
    box = io.StringIO()
    try:
        with contextlib.redirect_stderr(box), _unwrapped(tokens):
            return parse()
    except SystemExit as stop:
        if stop.code in (0, None):
            raise
        fail(prog, _one_line(box.getvalue()))


@contextlib.contextmanager
def _unwrapped(tokens: Sequence[str]) -> Iterator[None]:
    """Lets tyro write each message on one line; help keeps the terminal's width."""
    if any(token in HELP for token in tokens):
        yield
        return
    width = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = "100000"
    try:
        yield
    finally:
        if width is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = width


def _one_line(box: str) -> str:
    """What tyro's box says, in one line and in this project's words where they are clearer."""
    text = _text_of(box)
    if choice := _CHOICE.search(text):
        choices = [str(value) for value in ast.literal_eval(f"[{choice[3]}]")]
        hint = f"{nearest(choice[1], choices)} (one of {', '.join(choices)})"
        return f"{choice[2]} cannot be '{choice[1]}'{hint}"
    if number := _NUMBER.search(text):
        kind = "a whole number" if number[2].endswith("int") else "a number"
        return f"{number[1]} wants {kind}{' or None' if 'NoneType' in text else ''}, got '{number[3]}'"
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
