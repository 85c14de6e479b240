"""Runs of a folder: our own from their records, others from W&B's offline files (WANDB_MODE=offline)."""

import os
import platform
import re
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, fields
from itertools import islice
from pathlib import Path

from selector.errors import UserError
from selector.files import is_locked, is_regular
from selector.milestone import STEPS
from selector.record import RECORD, RecordContent, read_record
from selector.runs import SELECTION_JOB, Identity, Run, RunSet, State, Unreadable
from selector.sweeping.state import SweepRun
from selector.text import printable
from selector.tracking.history import how_read, listed, remarks
from selector.tracking.ledgers import (
    LEDGERS,
    RUN_FOLDER,
    as_ledger_says,
    finish_command,
    in_progress,
    not_begun,
    planned_runs,
    read_ledgers,
    without_files,
)
from selector.tracking.offline_file import DamagedFile, NothingWritten, Segment, read_segment
from selector.tracking.segments import (
    COPIES,
    CRASHED_AFTER_SECONDS,
    ConflictingSegments,
    join_segments,
    strange_segments,
)

RUN_FILE = re.compile(r"run-(?P<id>.+)\.wandb", re.DOTALL)


@dataclass
class Pieces:
    """What the files of a folder say of one run. Where there is a record, it alone counts."""

    records: list[tuple[Path, RecordContent]] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)  # why files that seem to be of this run are not trusted
    blank: list[str] = field(default_factory=list)  # which of its files and folders hold nothing


@dataclass
class Found:
    """What lies in a tree."""

    # Records, then .wandb files, in the order of paths; each once, however many links lead to it.
    files: list[Path] = field(default_factory=list)
    sweep_folders: list[Path] = field(default_factory=list)  # those with a ledger of `selector sweep`
    runs: dict[str, Pieces] = field(default_factory=lambda: defaultdict(Pieces))  # by id
    warnings: list[str] = field(default_factory=list)


def read_offline(
    directory: str | Path,
    spectra: bool = False,
    progress: Callable[[int, int], None] | None = None,
    keys: Collection[str] = (),
    wanted: Callable[[Run], bool] = lambda _run: True,
) -> RunSet:
    """All runs below a folder: a sweep folder, its wandb folder, one run's folder, or a tree of sweeps.

    A run that has a record is read from it alone. Of any other run all .wandb files that carry its id are
    read: after a resume there are several. A file with a wrong checksum, a gap in its record numbers or two
    configurations under one id is not trusted, and its run is listed in `unreadable`. A file that merely ends
    early is sound up to there.

    Runs of the same configuration under different ids are all returned: choosing between them is for
    `selection`, which treats runs from a server alike.

    Args:
        directory: The folder. Its name is data: it is never run, only quoted in `finish_command`.
        spectra: Read the lists and texts of milestones too.
        progress: Called with (files read, files in all).
        keys: What will be compared: it is said where that is not read from the rows of a run.
        wanted: Which runs to keep; of the others nothing is said.

    Raises:
        UserError: The folder does not exist or holds no run.
    """
    folder = Path(directory)
    found = _find(folder)
    for number, file in enumerate(found.files):
        if progress is not None:
            progress(number, len(found.files))
        _read(file, spectra, found.runs)
    ledgers, ledger_warnings = read_ledgers(folder, found.sweep_folders, found.runs)
    entries = {entry.id: entry for ledger in ledgers.values() for entry in ledger.runs}
    read = _joined(found.runs, entries)
    written = {run for run, it in found.runs.items() if it.records or it.segments or it.damaged}
    begun, lost = without_files(ledgers, written)
    silent = {run.id for run in begun}
    unreadable = [one for one in read if isinstance(one, Unreadable) and one.run not in silent]
    unreadable += [gone for gone in lost if gone.run not in found.runs]
    runs = [one for one in read if isinstance(one, Run) and one.job_type != SELECTION_JOB and wanted(one)]
    return RunSet(
        source=str(directory),
        runs=tuple(sorted([*runs, *begun], key=lambda run: run.id)),
        unreadable=tuple(sorted(unreadable, key=lambda gone: (gone.run, gone.reason))),
        planned=planned_runs(ledgers, found.runs),
        finish_command=finish_command(ledgers),
        warnings=(
            *found.warnings,
            *ledger_warnings,
            *not_begun(ledgers),
            *remarks((what, run.id) for run in runs for what in _strange(run, found.runs)),
            *_several_projects(runs),
            *how_read(runs, keys),
        ),
        ended=not begun and not any(run.state == "running" for run in runs) and not in_progress(ledgers),
    )


def find(folder: Path) -> Found:
    """Look through a whole tree; symbolic links are followed to run folders and files only.

    W&B keeps a link `latest-run` beside the runs, and a data set or a home may be linked into the tree too.
    """
    found = Found()
    seen: set[Path] = set()
    for parent, names in _walk(folder, found.warnings):
        if LEDGERS.intersection(names):
            found.sweep_folders.append(parent)
        candidates = [parent / name for name in names if name == RECORD or name.endswith(".wandb")]
        in_run_folder = RUN_FOLDER.fullmatch(parent.name)
        if in_run_folder and not candidates:
            nothing = f"its folder {printable(str(parent))} holds no .wandb file"
            found.runs[in_run_folder["id"]].blank.append(nothing)
        for file in candidates:
            if problem := _problem(file):
                found.runs[_id_of(file)].damaged.append(f"{printable(str(file))} {problem}")
            elif (real := file.resolve()) not in seen:
                seen.add(real)
                found.files.append(file)
    found.files.sort(key=lambda file: file.name != RECORD)
    return found


def _find(folder: Path) -> Found:
    shown = printable(str(folder))
    if not os.path.exists(folder):
        raise UserError(
            f"there is no folder {shown}; expected a folder of runs (such as what WANDB_DIR was set to),"
            " entity/project/sweep_id, or the URL of a W&B sweep or project"
        )
    if not folder.is_dir():
        raise UserError(f"{shown} is a file; name the folder that holds the runs")
    found = find(folder)
    if not (found.files or found.runs or found.sweep_folders):
        raise UserError(
            "; ".join(found.warnings)
            or f"folder {shown} holds no run (no {RECORD} and no .wandb file); name the folder that"
            " WANDB_DIR was set to when the runs were made"
        )
    return found


def _walk(top: Path, warnings: list[str]) -> Iterator[tuple[Path, list[str]]]:
    """Each folder and the sorted names of the files in it; real run folders come before links to them."""

    def warn(error: OSError) -> None:
        name = printable(str(error.filename))
        warnings.append(f"folder {name} could not be looked into: {error.strerror}")

    links = []
    for parent, folders, names in os.walk(top, onerror=warn):
        here = Path(parent)
        links += [
            here / name for name in folders if RUN_FOLDER.fullmatch(name) and (here / name).is_symlink()
        ]
        folders[:] = [] if RUN_FOLDER.fullmatch(here.name) else sorted(folders)  # below are media and logs
        yield here, sorted(names)
    for link in sorted(links):
        for _, _, names in islice(os.walk(link, onerror=warn), 1):
            yield link, sorted(names)


def _problem(file: Path) -> str:
    """Why something with the name of a run's file cannot even be opened, or ""."""
    try:
        return "" if is_regular(file) else "is not a regular file"
    except OSError as error:
        return f"cannot be read: {error.strerror}"


def _id_of(file: Path) -> str:
    """The run's id by its file's name, or the name where it is not as W&B names files."""
    if file.name == RECORD:
        return file.resolve().parent.name
    named = RUN_FILE.fullmatch(file.name)
    return named["id"] if named else file.name


def _read(file: Path, spectra: bool, runs: dict[str, Pieces]) -> None:
    """Add what a file says to what is known of its run."""
    run = _id_of(file)
    if file.name == RECORD:
        try:
            content = read_record(file, spectra)
        except UserError as error:
            runs[run].damaged.append(str(error))
        else:
            runs[content.header.id].records.append((file, content))
    elif run not in runs or not runs[run].records:
        _read_wandb_file(file, spectra, runs)


def _read_wandb_file(file: Path, spectra: bool, runs: dict[str, Pieces]) -> None:
    shown = printable(str(file))
    try:
        segment = read_segment(file, spectra)
    except NothingWritten as error:
        runs[_id_of(file)].blank.append(f"{shown} {error}")
    except DamagedFile as error:
        runs[_id_of(file)].damaged.append(f"{shown} {error}")
    except OSError as error:
        runs[_id_of(file)].damaged.append(f"{shown} cannot be read: {error.strerror}")
    else:
        runs[segment.run_id].segments.append(segment)


def _joined(runs: Mapping[str, Pieces], entries: Mapping[str, SweepRun]) -> list[Run | Unreadable]:
    """Each run from its pieces, with what its sweep's ledger knows of it, or why it cannot be read."""
    now = time.time()
    read = [_one(run, pieces, runs, entries.get(run), now) for run, pieces in runs.items()]
    return [as_ledger_says(one, entries.get(one.id)) if isinstance(one, Run) else one for one in read]


def _one(
    run: str, pieces: Pieces, runs: Mapping[str, Pieces], entry: SweepRun | None, now: float
) -> Run | Unreadable:
    if pieces.records:
        if len({content.header.started for _, content in pieces.records}) > 1:
            files = ", ".join(printable(str(path)) for path, _ in pieces.records)
            return Unreadable(run, f"two runs share this id ({files})")
        return _run_of(*max(pieces.records, key=lambda one: len(one[1].milestones)), now)
    if pieces.damaged:  # nobody knows what it would have changed in the sound files
        return Unreadable(run, "; ".join(pieces.damaged))
    if not pieces.segments:
        return Unreadable(run, "; ".join(pieces.blank))
    ended = entry is not None and entry.status != "running"
    try:
        return join_segments(pieces.segments, now, ended, _segments(runs))
    except ConflictingSegments as error:
        files = ", ".join(printable(str(segment.path)) for segment in pieces.segments)
        return Unreadable(run, f"{error} ({files})")


def _run_of(file: Path, content: RecordContent, now: float) -> Run:
    header, end = content.header, content.end
    state, detail = _state_of(file, content, now)
    identity = {one.name: getattr(header, one.name) for one in fields(Identity)}
    return Run(
        **identity | {"name": header.name or header.id},
        state=state,
        detail=detail,
        definition=content.definition,
        milestones=content.milestones,
        counted_by="trainer/global_step" if content.definition.get("counted_by") == STEPS else "epoch",
        checkpoint=end.checkpoint if end else None,
        directory=str(file.parent),
    )


def _state_of(file: Path, content: RecordContent, now: float) -> tuple[State, str]:
    end = content.end
    if end is None:
        if _is_being_written(file, content.header.host, now):
            return "running", "has not ended"
        why = content.damage or f"{RECORD} has no end"
        return "crashed", f"was killed, or its machine has died: {why}"
    match end.status:
        case "completed":
            return "finished", ""
        case "diverged":
            return "diverged", end.detail or f"loss became nan or infinite in epoch {end.epoch}"
        case "interrupted":
            return "interrupted", f"{end.detail or 'told to stop'}, after its milestone {end.epoch}"
        case "stopped" | "failed":
            return end.status, end.detail


def _is_being_written(file: Path, host: str, now: float) -> bool:
    """Whether a process holds the record; of another machine's, the age of its files has to tell."""
    locked = is_locked(file)
    if locked or (locked is False and host == platform.node()):
        return locked
    newest = max(path.stat().st_mtime for path in file.parent.iterdir())
    return now - newest < CRASHED_AFTER_SECONDS


def _strange(run: Run, runs: Mapping[str, Pieces]) -> Iterator[str]:
    """What a reader of the figures should know, even though the run is sound."""
    pieces = runs[run.id]
    if len(pieces.records) > 1:
        yield COPIES
    elif not pieces.records:
        yield from strange_segments(pieces.segments, run, _segments(runs))
        if pieces.blank:
            yield "left out a second file or folder that holds nothing"


def _segments(runs: Mapping[str, Pieces]) -> dict[str, list[Segment]]:
    return {run: pieces.segments for run, pieces in runs.items() if pieces.segments}


def _several_projects(runs: Collection[Run]) -> list[str]:
    projects = sorted({run.project for run in runs})
    if len(projects) < 2:
        return []
    return [f"holds runs of {len(projects)} projects; --project takes one of {listed(projects)}"]
