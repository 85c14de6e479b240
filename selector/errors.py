"""The exceptions that a user's own mistakes raise."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from selector.text import printable


class UserError(Exception):
    """A request that cannot be met; its text is one line: what came, what was wanted, what to do.

    The command line prints that line to stderr and exits with `exit_status`; no traceback is shown.
    """

    exit_status = 1


class UsageError(UserError):
    """A command line that makes no sense, whatever the runs hold: exit status 2."""


@contextmanager
def writing(file: Path, instead: str = "") -> Iterator[None]:
    """Turns a disk error into one line, which ends with what to do instead."""
    try:
        yield
    except OSError as error:
        raise UserError(f"cannot write {printable(str(file))}: {error.strerror}{instead}") from error
