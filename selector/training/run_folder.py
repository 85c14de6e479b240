"""Where a run's checkpoints live, and which of them it continues from."""

import dataclasses
import hashlib
import json
import os
import re
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from selector.config import TrainConfig
from selector.errors import UserError
from selector.record import RECORD, read_record
from selector.runs import NO_IDENTITY
from selector.training.processes import is_main_process

_CHECKPOINT = re.compile(r"milestone-(\d+)\.ckpt")
LAST = "last.ckpt"


def open_run_folder(config: TrainConfig) -> Path:
    """Find or name the folder of this run; its name is the run's id.

    Under a sweep, $WANDB_RUN_ID names the run, and a run of that id that was interrupted is continued.
    Otherwise the id is made from the configuration: `--resume` finds the interrupted run of this very
    configuration, and without it a new folder is taken, so that nothing is overwritten.
    """
    default = Path(os.environ.get("WANDB_DIR") or ".") / "runs"
    parent = Path(config.output_dir) if config.output_dir else default
    _refuse_no_place(parent)
    if given := os.environ.get("WANDB_RUN_ID"):
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", given):
            raise UserError(f"WANDB_RUN_ID {given!r} cannot name a folder: use letters, digits, '-', '_'")
        return parent / given
    base = f"{config.method}-{config.dataset}-{_fingerprint(config)}"
    folders = [parent / base, *(parent / f"{base}-{number}" for number in range(2, 10_000))]
    free = next(number for number, folder in enumerate(folders) if not folder.exists())
    if config.resume and free > 0:
        free -= 1
    elif config.resume and is_main_process() and (other := _run_of_other_epochs(parent, config)):
        print(
            f"--resume: {other} trained another number of epochs, and its learning rate followed a schedule"
            f" of that length, so it cannot go on to {config.epochs}; a new run starts"
            f" (--init-from {last_checkpoint(other)} would start it from those weights)",
            file=sys.stderr,
        )
    return folders[free]


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
    return max(milestone_checkpoints(folder).items(), default=(0, None))[1]


def milestone_checkpoints(folder: Path) -> dict[int, Path]:
    """Epoch → checkpoint of the milestones in a run's folder, in their order."""
    named = ((_CHECKPOINT.fullmatch(path.name), path) for path in folder.glob("*.ckpt"))
    return dict(sorted((int(name[1]), path) for name, path in named if name is not None))


def checkpoint_path(folder: Path, epoch: int) -> Path:
    """Where the checkpoint of one milestone belongs."""
    return folder / f"milestone-{epoch:04d}.ckpt"


def refuse_other_configuration(config: TrainConfig, checkpoint: dict[str, Any]) -> None:
    """Refuse to continue a run that was asked for something else."""
    asked, stored = _identity(config), checkpoint.get("train_config", {})
    for name, value in asked.items():
        if name in stored and stored[name] != value:
            raise UserError(
                f"the checkpoint was trained with {name} {stored[name]!r}, this run asks for {value!r}:"
                " use another --output-dir, or the same configuration"
            )


def _identity(config: TrainConfig) -> dict[str, Any]:
    return {k: v for k, v in dataclasses.asdict(config).items() if k not in NO_IDENTITY}


def _fingerprint(config: TrainConfig) -> str:
    content = json.dumps(_identity(config), sort_keys=True).encode()
    return hashlib.sha256(content).hexdigest()[:8]
