"""Where a run's checkpoints live, and which of them it continues from."""

import dataclasses
import hashlib
import json
import os
import re
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from selector.config import TrainConfig
from selector.errors import UserError
from selector.record import RECORD, read_record
from selector.training.processes import is_main_process

# What may change between an interruption and the continuation without making it another run.
_NOT_IDENTITY = (
    "resume", "output_dir", "threads", "compile", "device", "devices", "data_dir", "keep",
    "checkpoint_minutes",
)  # fmt: skip
_CHECKPOINT = re.compile(r"milestone-(\d+)\.ckpt")
LAST = "last.ckpt"


@dataclass(frozen=True)
class RunFolder:
    """One run's place on disk.

    Attributes:
        run_id: W&B run id, and the folder's name.
        path: The folder.
    """

    run_id: str
    path: Path


def open_run_folder(config: TrainConfig) -> RunFolder:
    """Find or name the folder of this run.

    Under a sweep, $WANDB_RUN_ID names the run, and a run of that id that was interrupted is continued.
    Otherwise the id is made from the configuration: `--resume` finds the interrupted run of this very
    configuration, and without it a new folder is taken, so that nothing is overwritten.

    Raises:
        UserError: $WANDB_RUN_ID cannot name a folder, or there is no place for one.
    """
    default = Path(os.environ.get("WANDB_DIR") or ".") / "runs"
    parent = Path(config.output_dir) if config.output_dir else default
    _refuse_no_place(parent)
    if given := os.environ.get("WANDB_RUN_ID"):
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", given):
            raise UserError(f"WANDB_RUN_ID {given!r} cannot name a folder: use letters, digits, '-', '_'")
        return RunFolder(given, parent / given)
    base = f"{config.method}-{config.dataset}-{_fingerprint(config)}"
    names = [base, *(f"{base}-{number}" for number in range(2, 10_000))]
    free = next(number for number, name in enumerate(names) if not (parent / name).exists())
    if config.resume and free > 0:
        free -= 1
    elif config.resume and is_main_process() and (other := _run_of_other_epochs(parent, config)):
        print(
            f"--resume: {other} trained another number of epochs, and its learning rate followed a schedule"
            f" of that length, so it cannot go on to {config.epochs}; a new run starts"
            f" (--init-from {last_checkpoint(other)} would start it from those weights)",
            file=sys.stderr,
        )
    return RunFolder(names[free], parent / names[free])


def _run_of_other_epochs(parent: Path, config: TrainConfig) -> Path | None:
    """A run here that differs in `epochs` alone and left a checkpoint."""
    wanted = _identity(config) | {"epochs": None}
    for record in sorted(parent.glob(f"{config.method}-{config.dataset}-*/{RECORD}")):
        with suppress(UserError):
            before = {**read_record(record, lists=False).header.config, "epochs": None}
            same = all(before.get(name) == value for name, value in wanted.items())
            if same and last_checkpoint(record.parent) is not None:
                return record.parent
    return None


def _refuse_no_place(folder: Path) -> None:
    """Refuse, before anything is trained, a folder that could not be made or written to."""
    try:
        there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
        problem = "is not a folder" if not there.is_dir() else ""
    except OSError as error:
        there, problem = folder, f"cannot be looked into ({error.strerror})"
    if not problem and not os.access(there, os.W_OK | os.X_OK):
        problem = "is not writable for you"
    if problem:
        raise UserError(
            f"no place for checkpoints in {str(folder)!r}: {str(there)!r} {problem};"
            " --output-dir names another folder"
        )


def last_checkpoint(folder: Path) -> Path | None:
    """The latest checkpoint in `folder`, or None; `last.ckpt` is later than every milestone's."""
    if (last := folder / LAST).exists():
        return last
    found = [(int(m[1]), path) for path in folder.glob("*.ckpt") if (m := _CHECKPOINT.fullmatch(path.name))]
    return max(found)[1] if found else None


def checkpoint_path(folder: Path, epoch: int) -> Path:
    """Where the checkpoint of one milestone belongs."""
    return folder / f"milestone-{epoch:04d}.ckpt"


def refuse_other_configuration(config: TrainConfig, checkpoint: dict[str, Any]) -> None:
    """Refuse to continue a run that was asked for something else.

    Raises:
        UserError: Names the first field that differs.
    """
    asked, stored = _identity(config), checkpoint.get("train_config", {})
    for name, value in asked.items():
        if name in stored and stored[name] != value:
            raise UserError(
                f"the checkpoint was trained with {name} {stored[name]!r}, this run asks for {value!r}:"
                " use another --output-dir, or the same configuration"
            )


def _identity(config: TrainConfig) -> dict[str, Any]:
    return {k: v for k, v in dataclasses.asdict(config).items() if k not in _NOT_IDENTITY}


def _fingerprint(config: TrainConfig) -> str:
    content = json.dumps(_identity(config), sort_keys=True).encode()
    return hashlib.sha256(content).hexdigest()[:8]
