"""What a run of train.py writes down: its record first, and from there what W&B gets."""

import errno
import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from selector.config import TrainConfig
from selector.errors import UserError
from selector.milestone import Milestone
from selector.record import RECORD, Record, Status
from selector.text import first_line, printable
from selector.tracking.artifacts import WandbCheckpoints
from selector.tracking.log import WandbLog, open_run
from selector.tracking.stop import stop_was_requested
from selector.training.run_folder import last_checkpoint
from selector.training.stopping import Stopped, StopSignals

# A disk that is full, over quota, read-only or broken.
_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO}


class RunLog:
    """A run's record, and W&B's mirror of it. At the start, the mirror gets what it lacks."""

    def __init__(self, record: Record, wandb_log: WandbLog, checkpoints: WandbCheckpoints | None) -> None:
        """`checkpoints`: where checkpoints go in W&B; None where they stay on this machine."""
        self.record, self.wandb_log, self._checkpoints = record, wandb_log, checkpoints
        if definition := record.content.definition:
            wandb_log.define(definition)
        for milestone in record.content.milestones:
            wandb_log.milestone(milestone)

    @property
    def rows(self) -> list[Milestone]:
        """All milestones so far, those of earlier processes of this run included."""
        return list(self.record.content.milestones)

    def define(self, definition: Mapping[str, Any]) -> None:
        """Store how the metrics are computed."""
        self.record.define(definition)
        self.wandb_log.define(definition)

    def milestone(self, milestone: Milestone) -> None:
        """Store one milestone."""
        self.record.milestone(milestone)
        self.wandb_log.milestone(milestone)

    def restore(self, rows: list[Milestone]) -> None:
        """Take over from a checkpoint what the record lacks, as on another machine than the last one."""
        known = {milestone.epoch for milestone in self.rows}
        for milestone in rows:
            if milestone.epoch not in known:
                self.milestone(milestone)

    def keep(self, path: Path, epoch: int) -> None:
        """A milestone's checkpoint is on disk: W&B gets it in the background, if it is online."""
        if self._checkpoints is not None:
            self._checkpoints.upload(path, f"milestone-{epoch}")

    def end(self, status: Status, epoch: int, detail: str = "", checkpoint: Path | None = None) -> None:
        """How the run ended."""
        self.record.end(status, epoch, detail, checkpoint)
        self.wandb_log.end(status, epoch, checkpoint)

    def tell(self, *lines: str) -> None:
        """What people should know of the run."""
        print(*lines, sep="\n", file=sys.stderr)

    def stopped(self, stop: Stopped, asked: threading.Event, checkpoint: Path | None) -> None:
        """The run was told to stop, and may go on elsewhere.

        SIGTERM is how SLURM, Kubernetes and cloud machines take a node back: W&B is told that the run is
        preempted, and gives it to the next agent. W&B's own agent sends SIGTERM, too, for a run that the
        user or hyperband has stopped in W&B: that run is not to come back.
        """
        if self._checkpoints is not None:
            if checkpoint is not None:
                self._checkpoints.upload(checkpoint)
            if stop.signum == signal.SIGTERM:
                if stop_was_requested(self.wandb_log.run):
                    asked.set()
                else:
                    self.wandb_log.run.mark_preempting()
        status: Status = "stopped" if asked.is_set() else "interrupted"
        detail = "stopped in W&B" if asked.is_set() else stop.signum.name
        self._end_early(status, detail, checkpoint)

    def failed(self, error: BaseException) -> None:
        """The run ended by an error."""
        self._end_early("failed", printable(first_line(error)))

    def _end_early(self, status: Status, detail: str, checkpoint: Path | None = None) -> None:
        with suppress(UserError):  # as on a full disk, of which more is said elsewhere
            self.record.end(status, self.rows[-1].epoch if self.rows else 0, detail, checkpoint)


class SilentLog:
    """The log of one of several processes of a run, or of a run that reports nothing: it keeps only rows."""

    def __init__(self) -> None:
        self.rows: list[Milestone] = []

    def restore(self, rows: list[Milestone]) -> None:
        """Keeps the milestones of an earlier process for the next checkpoint."""
        self.rows = list(rows)

    def _nothing(self, *_: Any) -> None:
        """What it does with all else that it is told."""

    define = milestone = end = tell = keep = _nothing


@contextmanager
def run_log(config: TrainConfig, folder: Path, signals: StopSignals) -> Iterator[RunLog]:
    """The log of the run of `folder`, or its continuation, open while within.

    A run that is stopped ends with the exit code of its signal; left by another exception, with 1.

    Raises:
        UserError: W&B refuses the run or could not be reached to its end, the record cannot be written, or
            the sweep asks for other values than `config`.
    """
    asked = threading.Event()

    def stop() -> None:
        asked.set()
        if signals.received is None:
            os.kill(os.getpid(), signal.SIGINT)

    try:
        signals.holding = True
        run = open_run(asdict(config), folder.name, [config.method, config.dataset], stop)
        mirror = WandbLog(run, whole=(folder / RECORD).exists())
        log: RunLog | None = None
        exit_code = 1
        try:
            _refuse_other_values(config, run.config)
            checkpoints = None
            if not (run.offline or run.disabled):
                checkpoints = WandbCheckpoints(run, config.keep)
                checkpoints.fetch(folder, last_checkpoint)
            log = RunLog(_record(config, folder, run), mirror, checkpoints)
            signals.release()
            yield log
            exit_code = 0
        except Stopped as stopped:
            if log is not None:
                log.stopped(stopped, asked, last_checkpoint(folder))
            exit_code = 128 + stopped.signum
            raise
        except BaseException as error:
            if log is not None:
                log.failed(error)
            raise
        finally:
            mirror.finish(exit_code)
    except OSError as error:
        if error.errno not in _DISK:
            raise
        where = error.filename2 or error.filename or config.output_dir
        raise UserError(
            f"cannot write {repr(str(where)) if where else 'files of the run'}"
            f" ({error.strerror}): what was saved before is intact; make room, and the same command with"
            " --resume continues the run"
        ) from error


def _record(config: TrainConfig, folder: Path, run: Any) -> Record:
    name = "" if run.disabled else run.name or ""
    return Record(
        folder, asdict(config), id=folder.name, name=name, group=run.group or "", job_type="train",
        sweep_id=run.sweep_id or "", project=run.project or "", tags=run.tags or (),
    )  # fmt: skip


def _refuse_other_values(config: TrainConfig, shown: Any) -> None:
    """In W&B a sweep's values win over those of wandb.init: it would show what is not trained with."""
    for name, value in asdict(config).items():
        if shown[name] != value:
            raise UserError(
                f"the sweep sets {name} to {printable(str(shown[name]))}, and the command line to {value}:"
                " let the sweep's `command` pass its values on, by ${args}"
            )
