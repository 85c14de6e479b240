"""The command lines of train.py and of `selector`; a mistake ends either with one clear line."""

import ast
import inspect
import sys
import textwrap
from argparse import ArgumentParser
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_type_hints

from selector.argument_forms import HELP, expand, fail
from selector.parameters import argument, arguments_of, bound, help_width, parser_of, read
from selector.text import nearest

if TYPE_CHECKING:
    from selector.config import TrainConfig

T = TypeVar("T")

_SECTIONS = {
    "dataset": "data",
    "backbone": "encoder",
    "epochs": "optimiser",
    "crop_scale_min": "views",
    "milestone_every": "milestones",
    "seed": "machine",
}
_type_hints = cache(get_type_hints)
_CONFIG_HELP = """\
--config FILE reads these settings from a YAML file, such as `selector best
SOURCE --output FILE` writes. Options after it take precedence."""


def parse_config(argv: Sequence[str], prog: str = "train.py") -> "TrainConfig":
    """The configuration that a command line of train.py asks for.

    What is not given comes from the paper's recipe for the method. A mistake ends the program with one line
    on stderr and exit status 2; `--help` prints the recipe of the method and ends it with status 0.

    Args:
        argv: Arguments without the program's name, in any form that a W&B agent or a person writes.
        prog: The program's name in messages.
    """
    from selector.config import Method, TrainConfig, paper_recipe  # other commands do not need it

    tokens = expand(argv, _type_hints(TrainConfig), prog, agent=True)
    named = [token.partition("=")[2] for token in tokens if token.startswith("--method=")]
    methods: tuple[Method, ...] = get_args(Method)
    recipe = paper_recipe(next((known for known in methods if known == (named or [""])[-1]), "simclr"))
    given = read(_parser_of(recipe, prog), tokens)
    try:
        return replace(recipe, **given)
    except ValueError as error:
        fail(prog, str(error))


@cache  # the check of a sweep asks for the same ones a thousand times
def _parser_of(recipe: "TrainConfig", prog: str) -> ArgumentParser:
    """What reads the settings that a command line gives; the recipe's values are in `--help`."""
    from selector.config import OWN_FIELDS, TrainConfig

    hints = get_type_hints(TrainConfig, include_extras=True)
    docs = _field_docs(TrainConfig)
    arguments = [
        argument(name, hint, getattr(recipe, name), docs.get(name, "")) for name, hint in hints.items()
    ]
    own = next(name for name in hints if name in OWN_FIELDS)
    sections = {**_SECTIONS, own: "single methods: loss, heads, momentum encoder"}
    return parser_of(prog, TrainConfig.__doc__ or "", arguments, sections, _CONFIG_HELP)


def parse_command(
    commands: Mapping[str, Callable[..., T]], argv: Sequence[str], prog: str, description: str
) -> Callable[[], T]:
    """The subcommand that a command line names, with its arguments bound; calling it runs it.

    Args:
        commands: Name → function. Positional-only parameters are positional on the command line,
            keyword-only ones are options, and a dataclass is a group of both.
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
    arguments = arguments_of(command)
    kinds = {one.name: one.kind for one in arguments if not one.positional}
    positional = len(kinds) < len(arguments)
    about = inspect.cleandoc(command.__doc__ or "").partition("\n\nArgs:\n")[0]
    return bound(
        command, read(parser_of(prog, about, arguments, {}), expand(tokens, kinds, prog, positional))
    )


def overview(commands: Mapping[str, Callable[..., Any]], prog: str, description: str) -> str:
    """What `--help` prints without a command: each command with the first sentence of what it does.

    Args:
        commands: As for `parse_command`.
        prog: The program's name.
        description: What it is for.
    """
    column = max(map(len, commands)) + 4
    lines = [
        f"usage: {prog} [--help | --version] COMMAND …",
        "",
        *textwrap.wrap(description, help_width()),
        "",
    ]
    for name, command in commands.items():
        first, indent = f"  {name}".ljust(column), " " * column
        summary = " ".join((command.__doc__ or "").strip().split("\n\n")[0].split())
        lines += textwrap.wrap(summary, help_width(), initial_indent=first, subsequent_indent=indent)
    lines += ["", *textwrap.wrap(f"{prog} COMMAND --help shows a command's options.", help_width())]
    return "\n".join(lines)


def completion_script(commands: Mapping[str, Callable[..., Any]], prog: str, shell: str) -> str:
    """A script that lets a shell complete the commands and their options with the tabulator key.

    Args:
        commands: As for `parse_command`.
        prog: The program's name.
        shell: "bash", "zsh" or "fish".
    """
    flags = {
        name: [one.flag for one in arguments_of(command) if not one.positional]
        for name, command in commands.items()
    }
    return {"bash": _for_bash, "zsh": _for_zsh, "fish": _for_fish}[shell](prog, flags)


def _for_bash(prog: str, flags: Mapping[str, Sequence[str]]) -> str:
    cases = "\n".join(f"        {name}) words='{' '.join(some)}' ;;" for name, some in flags.items())
    # Where this offers nothing, as for a SOURCE, bash completes file names as it does elsewhere.
    return f"""\
_{prog}() {{
    local words='{" ".join(flags)}'
    [ "$COMP_CWORD" -gt 1 ] && case "${{COMP_WORDS[1]}}" in
{cases}
        *) words='' ;;
    esac
    COMPREPLY=($(compgen -W "$words" -- "${{COMP_WORDS[COMP_CWORD]}}"))
}}
complete -o default -F _{prog} {prog}
"""


def _for_zsh(prog: str, flags: Mapping[str, Sequence[str]]) -> str:
    pairs = "\n".join(f"    {name} '{' '.join(some)}'" for name, some in flags.items())
    return f"""\
#compdef {prog}
local -A flags=(
{pairs}
)
if (( CURRENT == 2 )); then
    compadd -- {" ".join(flags)}
elif [[ $PREFIX == -* ]]; then
    compadd -- ${{=flags[$words[2]]}}
else
    _files
fi
"""


def _for_fish(prog: str, flags: Mapping[str, Sequence[str]]) -> str:
    lines = [f"complete -c {prog} -n __fish_use_subcommand -a '{' '.join(flags)}'"]
    for name, some in flags.items():
        begins = f"complete -c {prog} -n '__fish_seen_subcommand_from {name}'"
        lines += [f"{begins} -l {flag[2:]}" for flag in some]
    return "\n".join(lines) + "\n"


def _field_docs(config: type) -> dict[str, str]:
    """The docstrings below the fields of a dataclass."""
    # Python 3.13 finds the source of a written class only, and TrainConfig is made from one of that name.
    module = ast.parse(inspect.getsource(sys.modules[config.__module__]))
    written = (one for one in module.body if isinstance(one, ast.ClassDef) and one.name == config.__name__)
    docs = {}
    for field, text in pairwise(next(written).body):
        match field, text:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(doc))):
                docs[name] = doc
    return docs
