"""Checkpoints that runs left in W&B as artifacts."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from selector.errors import UserError
from selector.text import first_line, printable


def fetched_file(path: str, name: str) -> bytes | None:
    """One file of an artifact, or None where there is no such artifact or file.

    Args:
        path: entity/project/model-RUN:ALIAS.
        name: Of the file.
    """
    import wandb

    with tempfile.TemporaryDirectory() as folder:
        try:
            entry = wandb.Api().artifact(path).get_entry(name)
            return Path(entry.download(folder, skip_cache=True)).read_bytes()
        except (wandb.Error, ValueError, OSError, KeyError):
            return None


@contextmanager
def fetched_checkpoint(path: str) -> Iterator[Path]:
    """The last milestone's checkpoint in an artifact, downloaded for as long as the context lasts.

    Args:
        path: entity/project/model-RUN:ALIAS.

    Raises:
        UserError: There is no such artifact, or no checkpoint in it.
    """
    import wandb

    with tempfile.TemporaryDirectory() as folder:
        try:
            wandb.Api().artifact(path).download(folder, skip_cache=True)
        except (wandb.Error, ValueError, OSError) as error:
            raise UserError(
                f"artifact {printable(path)!r} cannot be fetched from W&B ({printable(first_line(error))}):"
                " name it as entity/project/model-RUN:ALIAS"
            ) from error
        milestones = sorted(Path(folder).glob("milestone-*.ckpt"))
        if not milestones:
            raise UserError(f"artifact {printable(path)!r} holds no milestone-*.ckpt of train.py")
        yield milestones[-1]
