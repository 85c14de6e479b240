"""A checkpoint of train.py as what it holds: a configuration, an epoch and weights."""

import pickle
import zipfile
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import torch
from torch import Tensor

from selector.config import TrainConfig
from selector.errors import UserError
from selector.files import is_regular
from selector.text import first_line, nearest, printable

# What a run cannot go on without.
_TO_GO_ON = {"train_config", "epoch", "global_step", "state_dict", "loops", "optimizer_states"}
_FOLDER = 0x10  # among the attributes of a part of a zip file


@dataclass(frozen=True, eq=False)
class Stored:
    """One milestone of a run, as it lies on disk; `state` holds weights and buffers by name."""

    path: Path
    epoch: int
    config: TrainConfig
    state: dict[str, Tensor]
    pixel_range: tuple[float, float] = (0.0, 255.0)  # what became black and white


def read_stored(path: Path) -> Stored:
    """Read a checkpoint; nothing in it is executed.

    Fields that were added to the configuration after the file was written have their defaults.
    """
    content = _content(
        path,
        {"train_config", "epoch", "state_dict"},
        "is it complete, and from train.py?",
        "it holds no train_config next to its weights",
    )
    shown = repr(printable(str(path)))
    try:
        config = _config(content["train_config"], shown)
        low, high = content.get("pixel_range") or config.pixel_range or (0.0, 255.0)
        state, epoch = dict(content["state_dict"]), _epoch(content, shown)
        return Stored(path, epoch, config, state, (float(low), float(high)))
    except (TypeError, ValueError, AttributeError, LookupError, ArithmeticError) as error:
        raise UserError(
            f"checkpoint {shown} is damaged, or of another program ({printable(str(error))[:200]})"
        ) from error


def read_checkpoint(path: Path, advice: str = "remove it to start from the one before") -> dict[str, Any]:
    """All that a run goes on from, as tensors and plain values; nothing in it is executed."""
    return _content(path, _TO_GO_ON, advice, advice)


def load_plain(path: Path, *, unchecked: bool = False) -> Any:
    """The content of a file as tensors and plain values, on the CPU.

    Nothing in it is executed. Checksums are looked at, which torch leaves out (it builds its zip reader with
    MINIZ_DISABLE_ZIP_READER_CRC32_CHECKS): one flipped bit would be another weight, and other metrics.

    Args:
        path: The file.
        unchecked: Also read what torch before 1.6 saved: pickles without checksums.

    Raises:
        Exception: Whatever zipfile and torch meet in a file that is missing, damaged or of another kind.
    """
    if not is_regular(path):
        raise ValueError("it is not a regular file")
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
            if any(part.compress_type != zipfile.ZIP_STORED for part in parts):
                # and can unpack to anything
                raise ValueError("its parts are compressed, which torch never does")
            # For what calls itself a folder torch hands out memory as it happens to be.
            if any(part.external_attr & _FOLDER or part.is_dir() for part in parts):
                raise ValueError("one of its parts is marked as a folder, which torch never does")
            if (damaged := archive.testzip()) is not None:
                raise ValueError(f"{Path(damaged).name} in it has a wrong checksum")
    elif not unchecked:
        raise ValueError(
            "it is not a zip file with checksums, as torch 1.6 and later save: load a file of an older torch"
            " with a newer one and save it again"
        )
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:  # torch's words would advise to run what is in it
        raise ValueError("it holds objects or code, where only tensors and plain values are read") from error


def _content(path: Path, wanted: set[str], if_unreadable: str, if_foreign: str) -> dict[str, Any]:
    """A checkpoint with the wanted parts; others may be missing."""
    shown = repr(printable(str(path)))
    try:
        content: Any = load_plain(path)
    except FileNotFoundError as error:
        raise UserError(f"there is no checkpoint {shown}") from error
    except Exception as error:
        raise UserError(
            f"checkpoint {shown} cannot be read ({first_line(error)}): {if_unreadable}"
        ) from error
    named = isinstance(content, dict) and wanted <= content.keys()
    if not named or not all(isinstance(content[part], dict) for part in ("train_config", "state_dict")):
        raise UserError(f"{shown} is not a checkpoint of train.py: {if_foreign}")
    found: dict[str, Any] = content
    return found


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
    for name, kind in get_type_hints(TrainConfig).items():
        if get_origin(kind) is Literal and name in values and values[name] not in get_args(kind):
            raise UserError(
                f"checkpoint {shown} is damaged, or was written by another version: this one does not know"
                f" the {name} {printable(repr(values[name]))[:80]}"
            )
    try:
        return TrainConfig(**values)
    except ValueError as error:
        raise UserError(f"checkpoint {shown} was written by another version: {error}") from error
