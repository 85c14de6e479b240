"""The command `selector`: each subcommand a plain function. Results go to stdout, all else to stderr."""

import errno
import gc
import io
import os
import sys
from collections.abc import Callable, Sequence
from typing import Literal

from selector.argument_forms import fail
from selector.command_line import completion_script, parse_command
from selector.commands.best import best
from selector.commands.correlate import correlate
from selector.commands.demo import demo
from selector.commands.embed import embed
from selector.commands.evaluate import evaluate
from selector.commands.export import export
from selector.commands.figures import figures
from selector.commands.init import init
from selector.commands.judge import judge
from selector.commands.metrics import metrics
from selector.commands.pretrained import pretrained
from selector.commands.rank import rank
from selector.commands.regret import regret
from selector.commands.report import report
from selector.commands.stop_losers import stop_losers
from selector.commands.sweep import sweep
from selector.commands.watch import watch
from selector.errors import UsageError, UserError
from selector.text import printable


def completion(shell: Literal["bash", "zsh", "fish"], /) -> int:
    """Print a script that lets your shell complete commands and options.

    bash: `eval "$(selector completion bash)"`, which you can put into ~/.bashrc; zsh: write it to a file
    _selector in a folder of $fpath; fish: `selector completion fish | source`.

    Args:
        shell: bash, zsh or fish.
    """
    print(completion_script(COMMANDS, "selector", shell), end="")
    return 0


_ALL: tuple[Callable[..., int], ...] = (
    *(demo, init, sweep, watch, stop_losers, rank, regret, correlate, best, embed),
    *(judge, report, figures, pretrained, evaluate, export, metrics, completion),
)
COMMANDS = {command.__name__.replace("_", "-"): command for command in _ALL}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs `selector`; the exit status: 0 done, 1 the request cannot be met, 2 wrong usage."""
    argv = list(sys.argv[1:] if arguments is None else arguments)
    # A command keeps what it reads. To look for cycles in it every 700 objects is an eighth of a ranking.
    gc.set_threshold(100_000)
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115 - `>&-`: nobody wants to read
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without ρ or ▂ shows ?
    try:
        try:
            if argv == ["--version"]:
                return _version()
            return parse_command(
                COMMANDS, argv, "selector", "Pick the best run of a self-supervised sweep without labels."
            )()
        finally:
            sys.stdout.flush()  # here, and not when Python ends: its reader may be gone
    except UsageError as error:
        fail(f"selector {argv[0]}", str(error))
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "selector":
            raise
        print(
            f"selector: `selector {argv[0]}` needs {error.name}, which is not installed:"
            " pip install 'ssl-sweep-selector[train]'",
            file=sys.stderr,
        )
        return 1
    except UserError as error:
        print(f"selector: {' '.join(printable(str(error)).split())}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        print("selector: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        _write_nowhere()
        return 0
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EIO) or error.filename is not None:
            raise
        _write_nowhere()
        print(
            f"selector: cannot write the result: {error.strerror}; make room and try again", file=sys.stderr
        )
        return 1


def _version() -> int:
    from importlib.metadata import version

    print(f"selector {version('ssl-sweep-selector')}")
    return 0


def _write_nowhere() -> None:
    """What is left in the buffer of stdout would be an error once more when Python ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
