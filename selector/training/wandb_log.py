"""What a run tells W&B: one history row a milestone, how the metrics are defined, and how the run ended."""

import errno
import glob
import logging
import os
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, get_args

import wandb
from wandb.sdk.mailbox import HandleAbandonedError, MailboxClosedError

from selector.config import TrainConfig
from selector.errors import UserError
from selector.metrics.embeddings import Space
from selector.metrics.metrics import SPECTRUM_PREFIX
from selector.metrics.milestone import Milestone
from selector.record import joined_versions, versions
from selector.text import first_line, printable
from selector.tracking.completion import VERSIONS
from selector.tracking.offline_file import DamagedFile, NothingWritten, read_segment
from selector.tracking.wandb_modes import MODES, settings_of_wandb
from selector.training.run_folder import RunFolder, last_checkpoint
from selector.training.spectrum_chart import with_chart
from selector.training.stopping import Stopped, StopSignals
from selector.training.wandb_checkpoints import WandbCheckpoints
from selector.training.wandb_stop import stop_was_requested

# Seconds that the end of a run waits for W&B to take what is left; then `wandb sync` is for the rest.
_FINISH_SECONDS = 600.0
# Seconds that the file of an ended run may take to be whole where W&B's service goes on.
_SERVICE_SECONDS = 10.0
# A disk that is full, over quota, read-only or broken.
_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO}
# How wandb fails when the process that it writes through is not there any more.
SERVICE_GONE = (ConnectionError, MailboxClosedError, HandleAbandonedError)


class WandbLog:
    """Writes milestones to one W&B run; see design: history keys, `definition`, completion marker.

    Attributes:
        run: The W&B run.
        rows: Milestones logged so far, those of earlier processes of this run included.
    """

    def __init__(self, run: "wandb.Run", checkpoints: WandbCheckpoints | None = None) -> None:
        """Declare the epoch as the axis of every metric, so that the summary holds the last milestone.

        Args:
            run: The W&B run.
            checkpoints: Where checkpoints go in W&B; None where they stay on this machine.
        """
        self.run = run
        self.rows: list[Milestone] = []
        self._checkpoints = checkpoints
        summary: Any = run.summary
        self._known_epoch = summary.get("epoch", -1) if run.resumed else -1
        earlier = str(summary.get(VERSIONS, "")) if run.resumed else ""
        summary[VERSIONS] = joined_versions([earlier, versions()])
        run.define_metric("epoch", hidden=True)
        for prefix in ("label_free", "labelled", "noise", "train", "cost"):
            run.define_metric(f"{prefix}/*", step_metric="epoch")
        for space in get_args(Space):  # lists stay in the history; W&B draws the chart from the summary
            run.define_metric(f"{SPECTRUM_PREFIX}{space}*", step_metric="epoch", summary="none")

    def define(self, definition: Mapping[str, Any]) -> None:
        """Store how the metrics are computed; runs that differ here must not be compared."""
        if "definition" not in self.run.config:
            self.run.config["definition"] = dict(definition)

    def milestone(self, milestone: Milestone) -> None:
        """One history row, with its `epoch`; none where an earlier process has logged that epoch."""
        self.rows.append(milestone)
        if milestone.epoch > self._known_epoch:
            self.run.log(with_chart(milestone))

    def restore(self, rows: list[Milestone]) -> None:
        """Go on after these milestones, and log those of them that W&B has not received.

        Offline those are not in the files of earlier processes: a kill takes along what W&B's service has
        not written yet, and that is every row of the last second and the one before.
        """
        if not self.run.offline:
            for row in rows:
                self.milestone(row)
            return
        written = epochs_on_disk(Path(self.run.dir).parent, self.run.id)
        self.rows += rows
        for row in rows:
            if row.epoch not in written:
                self.run.log(with_chart(row))

    def keep(self, path: Path, epoch: int) -> None:
        """A milestone's checkpoint is on disk: W&B gets it in the background, if it is online."""
        if self._checkpoints is not None:
            self._checkpoints.upload(path, f"milestone-{epoch}")

    def fetch_checkpoint(self, folder: Path) -> None:
        """Where the run has worked on another machine, get its last checkpoint from W&B."""
        if self._checkpoints is not None and self.run.resumed:
            self._checkpoints.fetch(folder)

    def stopped(self, signum: signal.Signals, checkpoint: Path | None) -> None:
        """The run was told to stop, and may go on elsewhere.

        SIGTERM is how SLURM, Kubernetes and cloud machines take a node back: W&B is told that the run is
        preempted, and gives it to the next agent. W&B's own agent sends SIGTERM, too, for a run that the
        user or hyperband has stopped in W&B: that run is not to come back.
        """
        if self._checkpoints is None:
            return
        if signum == signal.SIGTERM and not stop_was_requested(self.run):
            self.run.mark_preempting()
        if checkpoint is not None:
            self._checkpoints.upload(checkpoint)

    def completed(self, epoch: int) -> None:
        """The completion marker of training that came to its end."""
        self.end("completed", epoch)

    def end(
        self, status: Literal["completed", "diverged"], epoch: int, checkpoint: Path | None = None
    ) -> None:
        """The completion marker: W&B's own state also says "finished" of runs that were interrupted."""
        self.run.summary["completion/status"] = status
        self.run.summary["completion/epoch"] = epoch
        if checkpoint is not None:
            self.run.summary["checkpoint"] = str(checkpoint.resolve())


def epochs_on_disk(run_folder: Path, run_id: str) -> set[int]:
    """Epochs whose rows earlier processes of a run have left beside the folder of the present one."""
    epochs: set[int] = set()
    for folder in run_folder.parent.glob(f"*run-*-{glob.escape(run_id)}"):
        if folder == run_folder:
            continue
        try:
            history = read_segment(folder / f"run-{run_id}.wandb").history
        except (OSError, NothingWritten, DamagedFile):
            continue
        epochs |= {row.epoch for row in history.milestones()}
    return epochs


@contextmanager
def wandb_log(config: TrainConfig, folder: RunFolder, signals: StopSignals) -> Iterator[WandbLog]:
    """The W&B run of `folder`, or its continuation, with what was asked for as its config, open while within.

    Without $WANDB_MODE and without an API key the run is written offline: no account, no server, no network.
    A run that is stopped ends with the exit code of its signal; left by another exception, with 1.

    Raises:
        UserError: W&B refuses the run or cannot be reached, its service on this machine has ended or could
            not write its file, or the sweep asks for other values than `config`.
    """
    try:
        with _open_log(config, folder, signals) as log:
            offline = offline_file(log.run)
            yield log
        if offline is not None:
            wandb.teardown()  # under load its file is on disk only once its service has ended
            refuse_lost_rows(offline, "make room, and the same command with --resume logs what is missing")
    except SERVICE_GONE as error:
        with suppress(Exception):
            wandb.teardown()  # or wandb would try to say goodbye to it, and print how that failed
        raise UserError(
            "W&B's service on this machine (wandb-core) has ended, as when it is killed or memory is short:"
            " the same command with --resume continues the run"
        ) from error
    except OSError as error:
        if error.errno not in _DISK:
            raise
        raise UserError(
            f"cannot write {str(error.filename2 or error.filename or config.output_dir or 'the run')!r}"
            f" ({error.strerror}): what was saved before is whole; make room, and the same command with"
            " --resume continues the run"
        ) from error


@contextmanager
def _open_log(config: TrainConfig, folder: RunFolder, signals: StopSignals) -> Iterator[WandbLog]:
    logging.raiseExceptions = False  # wandb's own log, on a full disk, would bury what is to be said
    mode: Any = os.environ.get("WANDB_MODE") or ("online" if _logged_in() else "offline")
    if mode not in MODES:
        raise UserError(f"WANDB_MODE is {mode!r}: W&B knows {', '.join(MODES)}")
    signals.holding = True
    run = _init(config, folder.run_id, mode)
    # Not `with run`: that prints the traceback of whatever ends the run, a user's Ctrl-C included.
    exit_code = 1
    log = WandbLog(run, WandbCheckpoints(run, config.keep) if not (run.offline or run.disabled) else None)
    try:
        _refuse_other_values(config, run.config)
        signals.release()
        yield log
        exit_code = 0
    except Stopped as stop:
        log.stopped(stop.signum, last_checkpoint(folder.path))
        exit_code = 128 + stop.signum
        raise
    finally:
        _finish(run, exit_code)


def _logged_in() -> bool:
    try:
        with settings_of_wandb():
            return wandb.login(prompt=False)
    except wandb.Error as error:
        raise UserError(
            f"W&B does not take the API key ({_first_line(error)}): see `wandb login`, or set"
            " WANDB_MODE=offline"
        ) from error


def _init(config: TrainConfig, run_id: str, mode: Any) -> "wandb.Run":
    identity: Any = {"id": run_id, "project": os.environ.get("WANDB_PROJECT", "ssl-sweep-selector")}
    if os.environ.get("WANDB_SWEEP_ID"):
        identity = {}  # wandb takes both from the agent, and warns of any other source
    settings: dict[str, Any] = {
        # A machine that dies takes with it what W&B has not written yet: a second's worth, not 15.
        "x_transaction_log_flush_interval": 1.0,
        "finish_timeout": _FINISH_SECONDS,
        "finish_timeout_raises": True,
    }
    given = {name for name in settings if f"WANDB_{name.removeprefix('x').upper()}" in os.environ}
    settings = {name: value for name, value in settings.items() if name not in given}
    try:
        with settings_of_wandb():
            return wandb.init(
                **identity,
                config=asdict(config),
                tags=[config.method, config.dataset],
                group=os.environ.get("WANDB_RUN_GROUP"),
                job_type="train",
                # Offline, the client would only warn that it cannot look for an earlier life of the run.
                resume=None if mode == "offline" else "allow",
                mode=mode,
                settings=wandb.Settings(**settings),
            )
    except wandb.Error as error:
        raise UserError(
            f"W&B does not take the run ({_first_line(error)}): see `wandb login`, or set WANDB_MODE=offline"
        ) from error


def _refuse_other_values(config: TrainConfig, shown: Any) -> None:
    """In W&B a sweep's values win over those of wandb.init: it would show what is not trained with."""
    for name, value in asdict(config).items():
        if shown[name] != value:
            raise UserError(
                f"the sweep sets {name} to {printable(str(shown[name]))}, and the command line to {value}:"
                " let the sweep's `command` pass its values on, by ${args}"
            )


def _finish(run: "wandb.Run", exit_code: int) -> None:
    try:
        run.finish(exit_code)
    except TimeoutError as error:
        command = f"wandb sync --no-skip-online {Path(run.dir).parent}"
        raise UserError(f"W&B could not be reached to the end; nothing is lost: {command}") from error


def offline_file(run: "wandb.Run") -> Path | None:
    """The file that an offline run is written to; None of other runs, of which W&B's server is told."""
    return Path(run.dir).parent / f"run-{run.id}.wandb" if run.offline and not run.disabled else None


def refuse_lost_rows(file: Path, instead: str) -> None:
    """W&B does not say when it cannot write, as on a full disk: the file of an ended run must be whole.

    Raises:
        UserError: It is not; the text ends with what to do instead.
    """
    # A service that goes on, because others use it or this process has not ended it, may still write.
    deadline = time.monotonic() + (_SERVICE_SECONDS if "WANDB_SERVICE" in os.environ else 0.0)
    while (problem := _what_is_missing(file)) and time.monotonic() < deadline:
        time.sleep(0.05)
    if problem:
        raise UserError(
            f"W&B's file {str(file)!r} is not whole ({problem}), as when the disk is full: {instead}"
        )


def _what_is_missing(file: Path) -> str:
    try:
        segment = read_segment(file)
    except (OSError, NothingWritten, DamagedFile) as error:
        return _first_line(error)
    return segment.cut or ("lacks the end of the run" if segment.exit_code is None else "")


def _first_line(error: BaseException) -> str:
    return printable(first_line(error))
