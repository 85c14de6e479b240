"""A checkpoint of train.py, read for what it is: a configuration, an epoch and weights."""

import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from torch import Tensor

from selector.config import TrainConfig
from selector.errors import UserError
from selector.text import nearest, printable
from selector.training.torch_file import load_plain

CHECKPOINT_NAME = re.compile(r"milestone-(\d+)\.ckpt")


@dataclass(frozen=True, eq=False)
class Stored:
    """One milestone of a run, as it lies on disk.

    Attributes:
        path: The file.
        epoch: Epochs trained.
        config: What the run was asked for.
        state: Weights and buffers by name.
    """

    path: Path
    epoch: int
    config: TrainConfig
    state: dict[str, Tensor]


def read_stored(path: Path) -> Stored:
    """Read a checkpoint; nothing in it is executed.

    A field of the configuration that the file lacks is younger than the file, and has its default.

    Raises:
        UserError: It cannot be read, is not train.py's, or is of a version that this one does not understand.
    """
    shown = repr(printable(str(path)))
    try:
        content: Any = load_plain(path)
    except FileNotFoundError as error:
        raise UserError(f"there is no checkpoint {shown}") from error
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"checkpoint {shown} cannot be read ({reason}): is it whole, and of train.py?"
        ) from error
    if not isinstance(content, dict) or not {"train_config", "epoch", "state_dict"} <= content.keys():
        raise UserError(f"{shown} is no checkpoint of train.py: it holds no train_config beside its weights")
    try:
        return Stored(
            path, _epoch(content, shown), _config(content["train_config"], shown), dict(content["state_dict"])
        )
    except (TypeError, ValueError, AttributeError, OverflowError) as error:
        raise UserError(f"checkpoint {shown} is damaged ({printable(str(error))[:200]})") from error


def _epoch(content: dict[str, Any], shown: str) -> int:
    """Epochs trained. Lightning counts from 0, and a milestone is saved in its epoch's last hook."""
    epoch = int(content["epoch"]) + 1
    progress = content.get("loops", {}).get("fit_loop", {}).get("epoch_progress", {}).get("current", {})
    if progress.get("processed", epoch) != epoch:
        raise UserError(
            f"checkpoint {shown} was written in the middle of epoch {epoch}, to continue an interrupted run:"
            " only those of milestones (milestone-*.ckpt) can be evaluated"
        )
    return epoch


def _config(values: dict[str, Any], shown: str) -> TrainConfig:
    known = [field.name for field in fields(TrainConfig)]
    if unknown := [name for name in values if name not in known]:
        raise UserError(
            f"checkpoint {shown} was written by another version: this one does not know its {unknown[0]!r}"
            f"{nearest(unknown[0], known)}; read it with the version that trained it"
        )
    try:
        return TrainConfig(**values)
    except (TypeError, ValueError) as error:
        raise UserError(f"checkpoint {shown} was written by another version: {error}") from error
