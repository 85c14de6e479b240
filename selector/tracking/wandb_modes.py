"""What WANDB_MODE means, and one line for settings that wandb does not take."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from selector.errors import UserError
from selector.text import first_line, printable

MODES = ("online", "offline", "disabled", "shared", "dryrun", "run")
SILENT_MODES = {"offline", "disabled", "dryrun"}  # nothing is to be sent


@contextmanager
def settings_of_wandb() -> Iterator[None]:
    """For wandb's first calls, which read the WANDB_* variables and W&B's own files of settings.

    Raises:
        UserError: wandb does not take one of them.
    """
    if os.environ.get("WANDB_MODE") == "":
        del os.environ["WANDB_MODE"]  # empty is unset, as for W&B's other variables
    try:
        yield
    except (ValueError, RuntimeError) as error:  # of pydantic's, and of a user without a home folder
        raise UserError(
            f"W&B refuses a setting ({_problem(error)}): see the WANDB_ variables of the environment"
        ) from error


def _problem(error: Exception) -> str:
    """Which setting and why, without its value, which may be a key."""
    from pydantic import ValidationError

    if isinstance(error, ValidationError):
        first = error.errors(include_input=False, include_url=False)[0]
        return printable(f"{'.'.join(map(str, first['loc']))}: {first['msg']}")
    return printable(first_line(error))
