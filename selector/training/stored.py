"""A checkpoint of train.py as what it holds: a configuration, an epoch and weights."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from math import isfinite
from pathlib import Path
from types import UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from torch import Tensor

from selector.config import TrainConfig
from selector.errors import UserError
from selector.text import first_line, nearest, printable
from selector.training.torch_file import load_plain

# What a run cannot go on without.
_TO_GO_ON = {"train_config", "epoch", "global_step", "state_dict", "loops", "optimizer_states"}
_MOST_PIXELS = 2**14  # a side; one image of that size is 3 GB of numbers, and no run was trained on such
_COUNTED = ("epoch_progress", "batch_progress", "scheduler_progress", "step_progress")  # Lightning's names


@dataclass(frozen=True, eq=False)
class Stored:
    """One milestone of a run, as it lies on disk.

    Attributes:
        path: The file.
        epoch: Epochs trained.
        config: What the run was asked for.
        state: Weights and buffers by name.
        pixel_range: The numbers in the training images that became black and white.
    """

    path: Path
    epoch: int
    config: TrainConfig
    state: dict[str, Tensor]
    pixel_range: tuple[float, float] = (0.0, 255.0)


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
        return Stored(path, _epoch(content, shown), config, dict(content["state_dict"]), (low, high))
    except (TypeError, ValueError, AttributeError, OverflowError) as error:
        raise UserError(f"checkpoint {shown} is damaged ({printable(str(error))[:200]})") from error


def read_checkpoint(path: Path, advice: str = "remove it to start from the one before") -> dict[str, Any]:
    """All that a run goes on from, as tensors and plain values; nothing in it is executed."""
    return _content(path, _TO_GO_ON, advice, advice)


def _content(path: Path, wanted: set[str], if_unreadable: str, if_foreign: str) -> dict[str, Any]:
    """A checkpoint with the wanted parts. Other parts may be missing; each part that is there has been
    checked. Lightning and torch trust what they load, and can fail anywhere with a traceback.
    """
    shown = repr(printable(str(path)))
    try:
        content: Any = load_plain(path)
    except FileNotFoundError as error:
        raise UserError(f"there is no checkpoint {shown}") from error
    except Exception as error:
        raise UserError(
            f"checkpoint {shown} cannot be read ({first_line(error)}): {if_unreadable}"
        ) from error
    if not isinstance(content, dict) or not wanted <= content.keys():
        raise UserError(f"{shown} is not a checkpoint of train.py: {if_foreign}")
    for part, sound in _PARTS.items():
        if part in content and not sound(content[part]):
            raise UserError(
                f"checkpoint {shown} is damaged, or of another program: its {part} is not"
                " what train.py writes; remove it, or name another one"
            )
    return content


def _is_count(value: object) -> bool:
    return type(value) is int and value >= 0  # a truth value is a number to isinstance


def _is_named(value: object, *names: str) -> bool:
    """Whether it is a dictionary of texts that holds these."""
    return isinstance(value, dict) and all(isinstance(key, str) for key in value) and value.keys() >= {*names}


def _are_weights(value: Any) -> bool:
    # Beside tensors there is what a module itself wrote, as MoCo's queue in the first edition.
    return _is_named(value) and all(
        isinstance(weight, dict if name.endswith("_extra_state") else Tensor)
        for name, weight in value.items()
    )


def _are_loops(value: Any) -> bool:
    """Whether it is Lightning's count of what is done."""
    if not _is_named(value, "fit_loop") or not _is_named(value["fit_loop"], "epoch_progress"):
        return False
    return all(
        _is_progress(part) if name.endswith(_COUNTED) else _is_named(part)
        for name, part in value["fit_loop"].items()
    )


def _is_progress(value: Any) -> bool:
    return _is_named(value, "total", "current") and all(
        _is_named(value[span]) and all(map(_is_count, value[span].values())) for span in ("total", "current")
    )


def _are_optimizers(value: Any) -> bool:
    return isinstance(value, list) and all(
        _is_named(one, "state", "param_groups")
        and isinstance(one["state"], dict)
        and isinstance(one["param_groups"], list)
        and all(_is_named(group, "params") for group in one["param_groups"])
        for one in value
    )


_PARTS: Mapping[str, Callable[[Any], bool]] = {
    "train_config": _is_named,
    "epoch": _is_count,
    "global_step": _is_count,
    "state_dict": _are_weights,
    "loops": _are_loops,
    "optimizer_states": _are_optimizers,
    "lr_schedulers": lambda value: isinstance(value, list) and all(map(_is_named, value)),
    "pixel_range": lambda value: (
        isinstance(value, list)
        and [type(number) for number in value] == [float] * 2
        and all(map(isfinite, value))
    ),
    "milestones": lambda value: (
        isinstance(value, list) and all(_is_named(row, "epoch") and _is_count(row["epoch"]) for row in value)
    ),
}


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
    kinds = get_type_hints(TrainConfig)
    for name, value in values.items():
        if not _is_of(value, kinds[name]):
            raise UserError(
                f"checkpoint {shown} is damaged, or was written by another version: this one does not know"
                f" the {name} {printable(repr(value))[:80]}"
            )
    try:
        config = TrainConfig(**values)
    except (TypeError, ValueError) as error:
        raise UserError(f"checkpoint {shown} was written by another version: {error}") from error
    if config.image_size is not None and config.image_size > _MOST_PIXELS:
        raise UserError(
            f"checkpoint {shown} is damaged: its image_size is {config.image_size}, and no run has more than"
            f" {_MOST_PIXELS}; name another checkpoint"
        )
    return config


def _is_of(value: object, kind: Any) -> bool:
    """Whether a value is of the type of a field."""
    if get_origin(kind) is Literal:
        return any(type(value) is type(known) and value == known for known in get_args(kind))
    if get_origin(kind) is UnionType:
        return any(_is_of(value, one) for one in get_args(kind))
    if get_origin(kind) is tuple:
        return isinstance(value, tuple) and all(map(_is_of, value, get_args(kind)))
    return type(value) is kind or (kind is float and type(value) is int)
