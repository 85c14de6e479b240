"""Runs from a folder of offline W&B runs (WANDB_MODE=offline), without a server or an account."""

import os
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from selector.errors import UserError
from selector.runs import SELECTION_JOB, Run, RunSet, Unreadable
from selector.sweeping.ledger import LedgerRun
from selector.text import printable
from selector.tracking.ledgers import (
    finish_command,
    in_progress,
    never_started,
    never_written,
    planned_runs,
    read_ledgers,
)
from selector.tracking.run_files import RunFiles, find_run_files, run_id_of
from selector.tracking.segments import ConflictingSegments, join_segments, without_copies
from selector.tracking.wandb_file import NothingWritten, Segment, read_segment
from selector.tracking.wandb_log import DamagedLog


@dataclass
class _Reading:
    """What the files of a folder say, by run id, before it is put together."""

    segments: dict[str, list[Segment]] = field(default_factory=lambda: defaultdict(list))
    damaged: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    blank: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))


def read_offline(
    directory: str | Path, spectra: bool = False, progress: Callable[[int, int], None] | None = None
) -> RunSet:
    """All runs below a folder: a sweep folder, its wandb folder, one run's folder, or a tree of sweeps.

    A run is read from all files that carry its id: after a resume there are several, and they are merged by
    epoch. A file with a wrong checksum, a gap in its record numbers or two configurations under one id is
    not trusted, and its run is listed in `unreadable`. A file that merely ends early is sound up to there:
    its run counts as running while the file is younger than 10 minutes, and as crashed after that.

    Runs of the same configuration under different ids are all returned: choosing between them is for
    `selection`, which treats runs from a server alike.

    Args:
        directory: The folder. Its name is data: it is never run, only quoted in `finish_command`.
        spectra: Read the logged spectra too.
        progress: Called with (files read, files in all).

    Raises:
        UserError: The folder does not exist or holds no run.
    """
    folder = Path(directory)
    files = _find(folder)
    reading = _read_files(files, spectra, progress or (lambda _done, _total: None))
    found = {*reading.segments, *reading.damaged, *reading.blank}
    ledgers, ledger_warnings = read_ledgers(folder, files.sweep_folders, found)
    entries = {entry.id: entry for ledger in ledgers.values() for entry in ledger.runs}
    runs, unreadable = _join(reading, entries)
    unreadable += [never_written(entry) for entry in entries.values() if entry.id not in found]
    trainings = [run for run in runs if run.job_type != SELECTION_JOB]
    return RunSet(
        source=str(directory),
        runs=tuple(sorted(trainings, key=lambda run: run.id)),
        unreadable=tuple(sorted(unreadable, key=lambda gone: (gone.run, gone.reason))),
        planned=planned_runs(ledgers, found),
        finish_command=finish_command(ledgers),
        warnings=(*files.warnings, *ledger_warnings, *never_started(ledgers), *_warnings(reading, trainings)),
        ended=not any(run.state == "running" for run in trainings) and not in_progress(ledgers),
    )


def _find(folder: Path) -> RunFiles:
    shown = printable(str(folder))
    if not os.path.exists(folder):
        raise UserError(
            f"there is no folder {shown}; wanted a folder of offline W&B runs (what WANDB_DIR was set to),"
            " entity/project/sweep_id, or the URL of a W&B sweep or project"
        )
    if not folder.is_dir():
        raise UserError(f"{shown} is a file; name the folder that holds the runs")
    files = find_run_files(folder)
    if not (files.files or files.unreadable or files.blank or files.sweep_folders):
        raise UserError(
            "; ".join(files.warnings)
            or f"folder {shown} holds no W&B run (no .wandb file);"
            " name the folder that WANDB_DIR was set to when the runs were made"
        )
    return files


def _read_files(files: RunFiles, spectra: bool, progress: Callable[[int, int], None]) -> _Reading:
    reading = _Reading()
    for gone in files.unreadable:
        reading.damaged[gone.run].append(gone.reason)
    for gone in files.blank:
        reading.blank[gone.run].append(gone.reason)
    for number, file in enumerate(files.files):
        progress(number, len(files.files))
        shown = printable(str(file))
        try:
            segment = read_segment(file, spectra)
        except NothingWritten as error:
            reading.blank[run_id_of(file)].append(f"{shown} {error}")
        except DamagedLog as error:
            reading.damaged[run_id_of(file)].append(f"{shown} {error}")
        except OSError as error:
            reading.damaged[run_id_of(file)].append(f"{shown} cannot be read: {error.strerror}")
        else:
            reading.segments[segment.run_id].append(segment)
    return reading


def _join(reading: _Reading, entries: Mapping[str, LedgerRun]) -> tuple[list[Run], list[Unreadable]]:
    now = time.time()
    runs = []
    blank = {run: reasons for run, reasons in reading.blank.items() if run not in reading.segments}
    unreadable = [
        Unreadable(run, "; ".join(reasons)) for run, reasons in {**blank, **reading.damaged}.items()
    ]
    for run, segments in reading.segments.items():
        if run in reading.damaged:
            continue  # what the damaged file would have changed in the sound ones is not known
        entry = entries.get(run)
        stopped = entry.reason if entry and entry.status == "stopped" else None
        ended = entry is not None and entry.ended is not None
        try:
            joined = join_segments(segments, now, stopped, ended)
        except ConflictingSegments as error:
            files = ", ".join(printable(str(segment.path)) for segment in segments)
            unreadable.append(Unreadable(run, f"{error} ({files})"))
            continue
        if entry and entry.reason and joined.state in ("crashed", "failed"):
            joined = replace(joined, detail=f"{joined.detail}; {printable(entry.reason)}")
        runs.append(joined)
    return runs, unreadable


def _warnings(reading: _Reading, runs: Sequence[Run]) -> list[str]:
    """What a reader of the figures should know although the runs are sound."""
    cut, copied, resumed, blank = [], [], [], []
    for run in runs:
        segments = reading.segments[run.id]
        last = without_copies(segments)
        copied += [run.id] if len(last) < len(segments) else []
        resumed += [run.id] if len(last) > 1 else []
        blank += [run.id] if run.id in reading.blank else []
        cut += [run.id] if run.state == "finished" and last[-1].cut else []
    warnings = {
        "merged by epoch what several processes logged, each after a resume": resumed,
        "read the longest of several copies": copied,
        "left out a second file or folder that holds nothing": blank,
        "complete, but the file ends too early": cut,
    }
    for axis in ("trainer/global_step", "_step"):
        counted = [run.id for run in runs if run.counted_by == axis and run.milestones]
        warnings[f"no epoch is logged, so milestones are numbered by {axis}"] = counted
    return [f"{what}: {_listed(ids)}" for what, ids in warnings.items() if ids]


def _listed(ids: Sequence[str]) -> str:
    more = f" and {len(ids) - 5} more" if len(ids) > 5 else ""
    return printable(", ".join(ids[:5])) + more
