"""What a run tells W&B: the milestones of its record, each once, through wandb's public interface."""

import logging
import math
import os
import re
import shutil
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, get_args

import wandb

from selector.errors import UserError
from selector.metrics import SPECTRUM_PREFIX
from selector.metrics.arrays import Space
from selector.metrics.spectrum import spectra_of
from selector.milestone import Milestone
from selector.record import RECORD, Record, Status, joined_versions, versions
from selector.runs import Run
from selector.text import first_line, printable
from selector.tracking.completion import CHECKPOINT, EPOCH, STATUS, VERSIONS
from selector.tracking.connection import MODES, settings_of_wandb

# Seconds that the end of a run waits for W&B to take what is left.
_FINISH_SECONDS = 600.0
_GOODBYE_SECONDS = 20.0
_LEAST_SHARE = 1e-16  # where singular values that are 0 are drawn


class WandbLog:
    """Sends milestones to one W&B run. The run's own record goes on where W&B fails: see `lost`.

    Attributes:
        run: The W&B run.
        lost: Why W&B gets no more of this run, in one line, or "".
    """

    def __init__(self, run: "wandb.Run", whole: bool = False) -> None:
        """Declare the epoch as the axis of every metric, so that the summary holds the last milestone.

        Args:
            run: The W&B run.
            whole: Whether all milestones of the run will be given, those of earlier processes included. The
                folder of an offline run then takes the place of earlier ones that were not synced.
        """
        self.run, self.lost = run, ""
        self._sent = _last_epoch_sent(run, whole)
        self._tell(self._begin)

    def _begin(self) -> None:
        summary: Any = self.run.summary
        earlier = str(summary.get(VERSIONS, "")) if self.run.resumed else ""
        summary[VERSIONS] = joined_versions([earlier, versions()])
        self._over("epoch")

    def _over(self, axis: str) -> None:
        run = self.run
        run.define_metric(axis, hidden=True)
        for prefix in ("label_free", "labelled", "noise", "train", "cost"):
            run.define_metric(f"{prefix}/*", step_metric=axis)
        spectra = [f"{SPECTRUM_PREFIX}{space}*" for space in get_args(Space)]
        for pattern in (*spectra, "bootstrap/*", "correct/*"):  # W&B draws the chart from the summary
            run.define_metric(pattern, step_metric=axis, summary="none")

    def define(self, definition: Mapping[str, Any]) -> None:
        """Store how the metrics are computed; runs that differ here must not be compared."""
        if (axis := definition.get("counted_by")) is not None:
            self._over(axis)
        if "definition" not in self.run.config:
            config: Any = self.run.config
            self._tell(lambda: config.update({"definition": dict(definition)}))

    def milestone(self, milestone: Milestone) -> None:
        """One history row, unless W&B has it already."""
        if milestone.epoch > self._sent:
            self._tell(lambda: self.run.log(with_chart(milestone)))
            self._sent = milestone.epoch

    def end(self, status: Status, epoch: int, checkpoint: Path | None = None) -> None:
        """The completion marker: W&B's own state also says "finished" of runs that were interrupted."""
        if status in ("completed", "diverged"):
            marker: dict[str, Any] = {STATUS: status, EPOCH: epoch}
            if checkpoint is not None:
                marker[CHECKPOINT] = str(checkpoint.resolve())
            self._tell(lambda: self.run.summary.update(marker))

    def finish(self, exit_code: int) -> None:
        """End the W&B run.

        Raises:
            UserError: W&B could not be reached to the end, or its service has ended before.
        """
        try:
            self._tell(lambda: self.run.finish(exit_code))
        except TimeoutError as error:
            raise UserError(
                f"W&B could not be reached to the end; nothing is lost: the same command with --resume and"
                f" WANDB_RUN_ID={self.run.id} sends what is missing"
            ) from error
        if self.lost:
            raise _service_ended(
                self.lost,
                f"{RECORD} is intact, and the same command with --resume continues the run and sends what is"
                " missing",
            )

    def _tell(self, tell: Callable[[], object]) -> None:
        """Whatever happens to W&B's service, training goes on: the record holds everything."""
        if self.lost:
            return
        try:
            tell()
        except TimeoutError:
            raise
        except Exception as error:  # wandb raises private kinds, too
            if not isinstance(error, ConnectionError) and not type(error).__module__.startswith("wandb."):
                raise
            self.lost = printable(first_line(error))
            print(f"W&B gets no more of this run ({self.lost}); {RECORD} continues", file=sys.stderr)


def _service_ended(how: str, what_to_do: str) -> UserError:
    """What to raise when wandb-core is gone."""
    # Otherwise wandb would say goodbye at the end, and print how that failed. A service that only closed its
    # connection never ends, so it is not waited for.
    goodbye = threading.Thread(target=_teardown, daemon=True)
    goodbye.start()
    goodbye.join(_GOODBYE_SECONDS)
    return UserError(
        f"W&B's service on this machine (wandb-core) has ended ({printable(how)}), as when it is killed or"
        f" memory is short: {what_to_do}"
    )


def _teardown() -> None:
    with suppress(Exception):
        wandb.teardown()


def with_chart(milestone: Milestone) -> dict[str, Any]:
    """The history row of a milestone, with a chart of its spectra: singular values over their ranks.

    Logarithms of the values, because W&B's line chart has linear axes. A row without spectra has no chart.
    """
    points = [
        [int(rank), math.log10(max(share, _LEAST_SHARE)), space]
        for space, spectrum in spectra_of(milestone.lists).items()
        for rank, share in zip(*spectrum, strict=True)
    ]
    if not points:
        return milestone.row
    x, y = "rank", "log10 of the share of the largest"
    table = wandb.Table(columns=[x, y, "space"], data=points)
    chart = wandb.plot.line(table, x, y, stroke="space", title="Singular values, centred")
    return milestone.row | {f"{SPECTRUM_PREFIX}chart": chart}


def open_run(config: Mapping[str, Any], run_id: str, tags: Sequence[str], stop: Callable[[], None]) -> Any:
    """The W&B run of a training, or its continuation.

    Without $WANDB_MODE and without an API key the run is written offline: no account, no server, no network.

    Args:
        config: What was asked for.
        run_id: W&B run id.
        tags: W&B tags, to which those of $WANDB_TAGS are added.
        stop: Called, in another thread, when somebody stops the run in W&B.

    Raises:
        UserError: W&B refuses the run or a setting, or cannot be reached.
    """
    logging.raiseExceptions = False  # wandb's own log, on a full disk, would bury what is to be said
    mode: Any = os.environ.get("WANDB_MODE") or ("online" if _logged_in() else "offline")
    if mode not in MODES:
        raise UserError(f"WANDB_MODE is {mode!r}: W&B knows {', '.join(MODES)}")
    identity: Any = {"id": run_id, "project": os.environ.get("WANDB_PROJECT", "ssl-sweep-selector")}
    if os.environ.get("WANDB_SWEEP_ID"):
        identity = {}  # wandb takes both from the agent, and warns of any other source
    settings: dict[str, Any] = {"finish_timeout": _FINISH_SECONDS, "finish_timeout_raises": True}
    given = {name for name in settings if f"WANDB_{name.upper()}" in os.environ}
    settings = {name: value for name, value in settings.items() if name not in given}
    try:
        with settings_of_wandb():
            return wandb.init(
                **identity,
                config=dict(config),
                tags=[*tags, *filter(None, os.environ.get("WANDB_TAGS", "").split(","))],
                group=os.environ.get("WANDB_RUN_GROUP"),
                job_type="train",
                # Offline, the client would only warn that it cannot look for an earlier life of the run.
                resume=None if mode == "offline" else "allow",
                mode=mode,
                settings=wandb.Settings(**settings, stop_fn=stop),
            )
    except ConnectionError as error:
        raise _service_ended(first_line(error), "run the same command again") from error
    except wandb.Error as error:
        raise UserError(
            f"W&B refuses the run ({printable(first_line(error))}): see `wandb login`, or set"
            " WANDB_MODE=offline"
        ) from error


def add_metrics(run: Run, folder: Path, milestones: Sequence[Milestone], place: Mapping[str, str]) -> None:
    """More values for milestones of a run that is done: for its record, and for W&B.

    An offline run gets one more folder beside those that it has, which `wandb sync` adds to the run. A run on
    a server is resumed. The completion marker is repeated, and before the rows, so that what cuts them short
    takes nothing back; and the summary holds the last milestone, as before.

    Args:
        run: Finished or diverged.
        folder: Of the run, where its record is if it has one.
        milestones: What is to be added.
        place: Entity and project of a run on a server; empty for a folder.

    Raises:
        UserError: The record cannot be written, or W&B does not take the rows.
    """
    ordered = sorted(milestones, key=lambda milestone: milestone.epoch)
    if (folder / RECORD).exists():
        record = Record(folder)
        for milestone in ordered:
            record.milestone(milestone)
        record.close()
    options = _resumed(run, place)
    if options is None:
        return
    try:
        _log_again(run, ordered, options)
    except UserError:
        raise
    except Exception as error:  # wandb raises private kinds, too
        raise UserError(
            f"W&B refuses what was added to run {printable(run.id)} ({printable(first_line(error))});"
            " what it had before is as it was, and the same command adds what is missing"
        ) from error


def _log_again(run: Run, milestones: Sequence[Milestone], options: Mapping[str, Any]) -> None:
    last = run.milestones[-1]
    shadowed = {key: last.values[key] for one in milestones for key in one.values if key in last.values}
    with settings_of_wandb():
        opened = wandb.init(**options, settings=wandb.Settings(silent=True, console="off"))
    exit_code = 1
    try:
        WandbLog(opened)  # declares the axis of every metric
        opened.summary.update(_marker_of(run))
        for milestone in milestones:
            opened.log(with_chart(milestone))
        if milestones[-1].epoch != last.epoch:
            opened.summary.update({"epoch": last.epoch} | shadowed)
        exit_code = 0
    finally:
        opened.finish(exit_code)


def _marker_of(run: Run) -> dict[str, Any]:
    """The completion marker that a run has."""
    marker: dict[str, Any] = {STATUS: "completed", EPOCH: run.milestones[-1].epoch}
    if run.state == "diverged":
        epoch = re.search(r"in epoch (\d+)$", run.detail)  # as `completion.marked_state` tells it
        marker = {STATUS: "diverged"} | ({EPOCH: int(epoch[1])} if epoch else {})
    return marker | ({CHECKPOINT: run.checkpoint} if run.checkpoint else {})


def _logged_in() -> bool:
    try:
        with settings_of_wandb():
            return wandb.login(prompt=False)
    except wandb.Error as error:
        raise UserError(
            f"W&B refuses the API key ({printable(first_line(error))}): see `wandb login`, or set"
            " WANDB_MODE=offline"
        ) from error


def _last_epoch_sent(run: "wandb.Run", whole: bool) -> int:
    """The last milestone that W&B has, or -1.

    `wandb sync` sends the folders of one run one after another, and every row in them. So an offline run is
    in one folder: earlier ones that were not synced go, since what they hold is in the record and is logged
    again. One that was synced stays, and what its file holds is not logged again. After a kill that is less
    than was logged, so the file is read.
    """
    from selector.tracking.offline_file import DamagedFile, NothingWritten, read_segment

    if not run.offline:
        epoch = dict(run.summary).get("epoch", -1) if run.resumed else -1
        return int(epoch)
    if run.disabled or not whole:
        return -1
    folder, sent = Path(run.dir).parent, -1
    for other in folder.parent.iterdir():
        if other == folder or other.is_symlink() or not _is_folder_of(run.id, other):
            continue
        if other.name.startswith("offline-") and not any(other.glob("*.wandb.synced")):
            shutil.rmtree(other, ignore_errors=True)
            continue
        with suppress(OSError, DamagedFile, NothingWritten):
            rows = read_segment(other / f"run-{run.id}.wandb").history.rows
            sent = max([sent, *(int(row["epoch"]) for row in rows if isinstance(row.get("epoch"), float))])
    return sent


def _is_folder_of(run_id: str, folder: Path) -> bool:
    """By its name, to which W&B adds a number for a second folder of one second, and by what it holds."""
    named = rf"(?:offline-)?run-\d{{8}}_\d{{6}}-{re.escape(run_id)}(?:-\d+)?"
    return re.fullmatch(named, folder.name) is not None and (folder / f"run-{run_id}.wandb").exists()


def _resumed(run: Run, place: Mapping[str, str]) -> dict[str, Any] | None:
    """What `wandb.init` needs to go on with a run; None for a run that W&B was not told of."""
    if run.directory is None:
        return {**place, "id": run.id, "resume": "must"}
    directory = Path(run.directory)
    parent = directory.parent
    if (directory / RECORD).exists():
        parent = parent.parent / "wandb"
        if not parent.is_dir() or not any(_is_folder_of(run.id, path) for path in parent.iterdir()):
            return None
    return {
        "dir": str(parent.parent if parent.name == "wandb" else parent),
        "id": run.id,
        "mode": "offline",
        "project": run.project or None,
        "name": None if run.name == run.id else run.name,
        "group": run.group or None,
        "job_type": run.job_type or None,
        "tags": list(run.tags) or None,
    }
