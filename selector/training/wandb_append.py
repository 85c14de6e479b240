"""Metrics that are computed after the fact, added to the W&B run that they belong to."""

import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import wandb
from wandb.proto import wandb_internal_pb2

from selector.errors import UserError
from selector.runs import Milestone, Run
from selector.text import first_line, printable
from selector.tracking.completion import CHECKPOINT, EPOCH, STATUS
from selector.tracking.offline_file import DamagedFile, read_payloads
from selector.tracking.wandb_modes import settings_of_wandb
from selector.training.spectrum_chart import with_chart
from selector.training.wandb_log import SERVICE_GONE, WandbLog, offline_file, refuse_lost_rows

_protocol: Any = wandb_internal_pb2
_AGAIN = "what it had before is as it was; make room, and the same command adds what is missing"
_QUIET: dict[str, Any] = {
    "silent": True,
    "console": "off",
    "disable_git": True,
    "disable_code": True,
    "x_disable_stats": True,
    "x_disable_meta": True,
}


def append_rows(run: Run, rows: Sequence[Milestone], entity: str = "", project: str = "") -> None:
    """Log more values of milestones that a run has logged before.

    An offline run gets one more file, beside those that it has: readers merge them by epoch, and
    `wandb sync` adds it to the run. A run on a server is resumed. The completion marker is repeated, so
    that the run is as complete as it was, and before the rows, so that a file that a kill or a full disk
    cuts short takes nothing back; and the summary holds the last milestone, as before.

    Args:
        run: Finished or diverged.
        rows: What is to be added, one milestone each.
        entity: Owner of the project, for a run on a server.
        project: Its project, likewise.

    Raises:
        UserError: The run cannot be opened, or its file could not be written whole.
    """
    ordered = sorted(rows, key=lambda row: row.epoch)
    with _opened(run, entity, project) as opened:
        WandbLog(opened)  # declares the axis of every metric
        opened.summary.update(_marker(run))
        for row in ordered:
            opened.log(with_chart(row))
        last = run.milestones[-1]
        if ordered[-1].epoch != last.epoch:
            logged_again = {k: last.values[k] for row in ordered for k in row.values if k in last.values}
            opened.summary.update({"epoch": last.epoch} | logged_again)


def _marker(run: Run) -> dict[str, Any]:
    """What train.py wrote into the summary when the run ended."""
    marker: dict[str, Any] = {STATUS: "completed", EPOCH: run.milestones[-1].epoch}
    if run.state == "diverged":
        epoch = re.search(r"in epoch (\d+)$", run.detail)  # as `completion.marked_state` tells it
        marker = {STATUS: "diverged"} | ({EPOCH: int(epoch[1])} if epoch else {})
    return marker if run.checkpoint is None else marker | {CHECKPOINT: run.checkpoint}


def _init(run: Run, entity: str, project: str) -> "wandb.Run":
    settings = wandb.Settings(**_QUIET)
    if run.directory is None:
        return wandb.init(entity=entity, project=project, id=run.id, resume="must", settings=settings)
    return wandb.init(
        **_place_of(Path(run.directory)), id=run.id, mode="offline", settings=settings,
        name=None if run.name == run.id else run.name, group=run.group or None,
        job_type=run.job_type or None, tags=list(run.tags) or None,
    )  # fmt: skip


@contextmanager
def _opened(run: Run, entity: str, project: str) -> Iterator["wandb.Run"]:
    logging.raiseExceptions = False  # wandb's own log, on a full disk, would bury what is to be said
    try:
        with settings_of_wandb():
            opened = _init(run, entity, project)
    except (wandb.Error, OSError) as error:
        raise UserError(f"run {printable(run.id)} cannot be added to: {first_line(error)}") from error
    file = offline_file(opened)
    exit_code = 1
    try:
        try:
            yield opened
            exit_code = 0
        finally:
            opened.finish(exit_code)
    except (OSError, *SERVICE_GONE) as error:
        raise UserError(
            f"run {printable(run.id)} was not added to as a whole: {first_line(error)}; {_AGAIN}"
        ) from error
    if file is not None:
        refuse_lost_rows(file, _AGAIN)


def _place_of(directory: Path) -> dict[str, Any]:
    """Project, owner and folder of an offline run, from the file that its first process wrote."""
    place: dict[str, Any] = {"dir": str(directory.parent.parent)}
    if directory.parent.name != "wandb":  # W&B puts runs into a folder of that name
        place["dir"] = str(directory.parent)
    for file in sorted(directory.glob("*.wandb")):
        try:
            with file.open("rb") as stream:
                for payload in read_payloads(stream):
                    record = _protocol.Record.FromString(payload)
                    if record.HasField("run"):
                        known = {"project": record.run.project, "entity": record.run.entity}
                        return place | {name: value for name, value in known.items() if value}
        except (OSError, DamagedFile):
            continue
    return place
