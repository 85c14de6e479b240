"""Runs of a folder: our own from their records, others from W&B's offline files (WANDB_MODE=offline)."""

import json
import os
import platform
import re
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

from selector.errors import UserError
from selector.files import is_locked, is_regular
from selector.milestone import STEPS
from selector.record import RECORD, RecordContent, joined_versions, read_record
from selector.runs import MACHINE_SETTINGS, SELECTION_JOB, Run, RunSet, State, Unreadable
from selector.sweeping.state import SweepRun
from selector.text import printable
from selector.tracking import completion
from selector.tracking.history import History, how_read, listed
from selector.tracking.ledgers import (
    LEDGERS,
    RUN_FOLDER,
    finish_command,
    in_progress,
    not_begun,
    planned_runs,
    read_ledgers,
    without_files,
)
from selector.tracking.offline_file import DamagedFile, NothingWritten, Segment, read_segment

RUN_FILE = re.compile(r"run-(?P<id>.+)\.wandb", re.DOTALL)
# Without an exit record and unchanged for so long a run has crashed; so say `wandb leet` and W&B's server.
CRASHED_AFTER_SECONDS = 600


class ConflictingSegments(Exception):
    """Files that share a run id and are not one run's; the text is one line."""


@dataclass
class Found:
    """What lies in a tree, in the order of paths.

    Attributes:
        records: Records of runs.
        files: Each .wandb file once, however many links lead to it.
        sweep_folders: Folders with a ledger of `selector sweep`.
        unreadable: What has the name of a run's file and is none.
        blank: Run folders without a file.
        warnings: Folders that could not be looked into, one line each.
    """

    records: list[Path] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    sweep_folders: list[Path] = field(default_factory=list)
    unreadable: list[Unreadable] = field(default_factory=list)
    blank: list[Unreadable] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


@dataclass
class _Reading:
    """What the files of a folder say, by run id, before it is put together."""

    records: dict[str, list[tuple[Path, RecordContent]]] = field(default_factory=lambda: defaultdict(list))
    segments: dict[str, list[Segment]] = field(default_factory=lambda: defaultdict(list))
    damaged: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    blank: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))


def read_offline(
    directory: str | Path,
    spectra: bool = False,
    progress: Callable[[int, int], None] | None = None,
    keys: Collection[str] = (),
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

    Raises:
        UserError: The folder does not exist or holds no run.
    """
    folder = Path(directory)
    found = _find(folder)
    reading = _read(found, spectra, progress or (lambda _done, _total: None))
    written = {*reading.records, *reading.segments, *reading.damaged}
    known = {*written, *reading.blank}
    ledgers, ledger_warnings = read_ledgers(folder, found.sweep_folders, known)
    entries = {entry.id: entry for ledger in ledgers.values() for entry in ledger.runs}
    runs, unreadable = _join(reading, entries)
    begun, lost = without_files(ledgers, written)
    silent = {run.id for run in begun}
    unreadable = [gone for gone in unreadable if gone.run not in silent]
    unreadable += [gone for gone in lost if gone.run not in known]
    trainings = [run for run in runs if run.job_type != SELECTION_JOB]
    return RunSet(
        source=str(directory),
        runs=tuple(sorted([*trainings, *begun], key=lambda run: run.id)),
        unreadable=tuple(sorted(unreadable, key=lambda gone: (gone.run, gone.reason))),
        planned=planned_runs(ledgers, known),
        finish_command=finish_command(ledgers),
        warnings=(
            *found.warnings,
            *ledger_warnings,
            *not_begun(ledgers),
            *_warnings(reading, trainings),
            *how_read(trainings, keys),
        ),
        ended=not begun and not any(run.state == "running" for run in trainings) and not in_progress(ledgers),
    )


def find(folder: Path) -> Found:
    """Look through a whole tree; symbolic links are followed to run folders and files only.

    W&B keeps a link `latest-run` beside the runs, and a data set or a home may be linked into the tree too.
    """
    found = Found()
    seen: set[Path] = set()
    for parent, names in _walk(folder, found):
        if LEDGERS.intersection(names):
            found.sweep_folders.append(parent)
        candidates = [parent / name for name in names if name == RECORD or name.endswith(".wandb")]
        in_run_folder = RUN_FOLDER.fullmatch(parent.name)
        if in_run_folder and not candidates:
            reason = f"its folder {printable(str(parent))} holds no .wandb file"
            found.blank.append(Unreadable(in_run_folder["id"], reason))
        for file in candidates:
            if problem := _problem(file):
                found.unreadable.append(Unreadable(_id_of(file), f"{printable(str(file))} {problem}"))
            elif (real := file.resolve()) not in seen:
                seen.add(real)
                (found.records if file.name == RECORD else found.files).append(file)
    return found


def join_segments(
    segments: Sequence[Segment],
    now: float,
    ended: bool = False,
    parents: Mapping[str, Sequence[Segment]] | None = None,
) -> Run:
    """One run from the files of all processes that worked on it, one after another.

    Args:
        segments: At least one, all of one run id.
        now: Seconds since 1970, for telling a running run from a crashed one.
        ended: True where a sweep saw the run's process end: it is not running, however young its file.
        parents: Segments of all runs by id, for a run that was forked from another.

    Raises:
        ConflictingSegments: They are of two configurations, or cannot be put in an order.
    """
    segments = without_copies(segments)
    for earlier, later in pairwise(segments):
        _check_agreement(earlier, later)
    first, last = segments[0], segments[-1]
    history = _rows_of(segments, parents or {})
    config: dict[str, Any] = {}
    summary: dict[str, Any] = {}
    for segment in segments:
        summary |= segment.summary
        config |= segment.config
    hyperparameters, definition = completion.split_definition(config)
    verdict = _marked_or_ended(segments, history, by_train_script=bool(definition))
    state, detail = verdict or _open_ended(last, now, ended)
    checkpoint = summary.get(completion.CHECKPOINT)
    return Run(
        id=last.run_id,
        name=_last(segments, "name") or last.run_id,
        state=state,
        config=hyperparameters,
        definition=definition,
        milestones=history.milestones(),
        detail=detail,
        checkpoint=checkpoint if isinstance(checkpoint, str) else None,
        directory=str(last.path.parent),
        group=_last(segments, "group"),
        job_type=_last(segments, "job_type"),
        sweep_id=_last(segments, "sweep_id"),
        counted_by=history.axis,
        tags=next((segment.tags for segment in reversed(segments) if segment.tags), ()),
        started=first.started or None,
        versions=joined_versions(segment.summary.get(completion.VERSIONS) for segment in segments),
        project=_last(segments, "project"),
        last={} if definition else history.last(summary),
    )


def without_copies(segments: Sequence[Segment]) -> list[Segment]:
    """The segments by start; of several with the same start, which are copies of one file, the longest."""
    latest: dict[object, Segment] = {}
    for segment in sorted(segments, key=lambda s: (s.started, s.records)):
        latest[segment.started or segment.path] = segment
    return list(latest.values())


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
    if not (found.records or found.files or found.unreadable or found.blank or found.sweep_folders):
        raise UserError(
            "; ".join(found.warnings)
            or f"folder {shown} holds no run (no {RECORD} and no .wandb file); name the folder that"
            " WANDB_DIR was set to when the runs were made"
        )
    return found


def _walk(top: Path, found: Found) -> Iterator[tuple[Path, list[str]]]:
    """Each folder and the sorted names of the files in it; real run folders come before links to them."""

    def warn(error: OSError) -> None:
        name = printable(str(error.filename))
        found.warnings.append(f"folder {name} could not be looked into: {error.strerror}")

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


def _read(found: Found, spectra: bool, progress: Callable[[int, int], None]) -> _Reading:
    reading = _Reading()
    for gone in found.unreadable:
        reading.damaged[gone.run].append(gone.reason)
    for gone in found.blank:
        reading.blank[gone.run].append(gone.reason)
    for number, file in enumerate([*found.records, *found.files]):
        progress(number, len(found.records) + len(found.files))
        if file.name == RECORD:
            _read_record(file, spectra, reading)
        elif _id_of(file) not in reading.records:
            _read_wandb_file(file, spectra, reading)
    for run in reading.records:
        reading.blank.pop(run, None)
    return reading


def _read_record(file: Path, spectra: bool, reading: _Reading) -> None:
    try:
        content = read_record(file, spectra)
    except UserError as error:
        reading.damaged[_id_of(file)].append(str(error))
    else:
        reading.records[content.header.id].append((file, content))


def _read_wandb_file(file: Path, spectra: bool, reading: _Reading) -> None:
    shown = printable(str(file))
    try:
        segment = read_segment(file, spectra)
    except NothingWritten as error:
        reading.blank[_id_of(file)].append(f"{shown} {error}")
    except DamagedFile as error:
        reading.damaged[_id_of(file)].append(f"{shown} {error}")
    except OSError as error:
        reading.damaged[_id_of(file)].append(f"{shown} cannot be read: {error.strerror}")
    else:
        reading.segments[segment.run_id].append(segment)


def _join(reading: _Reading, entries: Mapping[str, SweepRun]) -> tuple[list[Run], list[Unreadable]]:
    now = time.time()
    runs = []
    unreadable = []
    for run, records in reading.records.items():
        newest = max(records, key=lambda one: len(one[1].milestones))
        if len({content.header.started for _, content in records}) > 1:
            files = ", ".join(printable(str(path)) for path, _ in records)
            unreadable.append(Unreadable(run, f"two runs share this id ({files})"))
        else:
            runs.append(_run_of(*newest, now))
    rest = {run: reading.segments[run] for run in reading.segments if run not in reading.records}
    blank = {run: reasons for run, reasons in reading.blank.items() if run not in rest}
    unreadable += [
        Unreadable(run, "; ".join(reasons))
        for run, reasons in {**blank, **reading.damaged}.items()
        if run not in reading.records
    ]
    for run, segments in rest.items():
        if run in reading.damaged:
            continue  # what the damaged file would have changed in the sound ones is not known
        try:
            entry = entries.get(run)
            ended = entry is not None and entry.status != "running"
            runs.append(join_segments(segments, now, ended, rest))
        except ConflictingSegments as error:
            files = ", ".join(printable(str(segment.path)) for segment in segments)
            unreadable.append(Unreadable(run, f"{error} ({files})"))
    return [_with_ledger(run, entries.get(run.id)) for run in runs], unreadable


def _run_of(file: Path, content: RecordContent, now: float) -> Run:
    header, end = content.header, content.end
    state, detail = _state_of(file, content, now)
    return Run(
        id=header.id,
        name=header.name or header.id,
        state=state,
        config=header.config,
        definition=content.definition,
        milestones=content.milestones,
        counted_by="trainer/global_step" if content.definition.get("counted_by") == STEPS else "epoch",
        detail=detail,
        checkpoint=end.checkpoint if end else None,
        directory=str(file.parent),
        group=header.group,
        job_type=header.job_type,
        sweep_id=header.sweep_id,
        tags=header.tags,
        started=header.started,
        versions=header.versions,
        project=header.project,
    )


def _state_of(file: Path, content: RecordContent, now: float) -> tuple[State, str]:
    if content.end is None:
        if _is_being_written(file, content.header.host, now):
            return "running", "has not ended"
        why = content.damage or f"{RECORD} has no end"
        return "crashed", f"was killed, or its machine has died: {why}"
    end = content.end
    match end.status:
        case "completed":
            return "finished", ""
        case "diverged":
            return "diverged", end.detail or f"loss became nan or infinite in epoch {end.epoch}"
        case "interrupted":
            return "interrupted", f"{end.detail or 'told to stop'}, after its milestone {end.epoch}"
        case "stopped":
            return "stopped", end.detail
        case "failed":
            return "failed", end.detail


def _is_being_written(file: Path, host: str, now: float) -> bool:
    """Whether a process holds the record; of another machine's, the age of its files has to tell."""
    locked = is_locked(file)
    if locked or (locked is False and host == platform.node()):
        return locked
    newest = max(path.stat().st_mtime for path in file.parent.iterdir())
    return now - newest < CRASHED_AFTER_SECONDS


def _with_ledger(run: Run, entry: SweepRun | None) -> Run:
    """The run with what the sweep knows: that it ended the run, or why the run ended."""
    if entry is None or run.state in ("finished", "diverged"):
        return run
    reason = printable(entry.reason)
    match entry.status:
        case "stopped":
            return replace(run, state="stopped", detail=reason)
        case "interrupted" if run.state in ("crashed", "failed"):
            return replace(run, state="interrupted", detail=reason)
        case "failed" if reason and run.state != "running":
            return replace(run, detail=f"{run.detail}; {reason}")
    return run


def _rows_of(segments: Sequence[Segment], parents: Mapping[str, Sequence[Segment]]) -> History:
    """All rows of a run, but those that a rewind took back; a fork begins with the rows of its parent."""
    first = segments[0]
    others = {run: of_run for run, of_run in parents.items() if run != first.run_id}
    history = History(first.history.spectra)
    if first.branch and first.branch[0] in others:
        history = _rows_of(without_copies(others[first.branch[0]]), others)
    for segment in segments:
        history.extend(segment.history, segment.branch[1] if segment.branch else None)
    return history


def _check_agreement(earlier: Segment, later: Segment) -> None:
    ignored = MACHINE_SETTINGS | {"_wandb"}
    for name in sorted((earlier.config.keys() & later.config.keys()) - ignored):
        old, new = (json.dumps(one.config[name], sort_keys=True) for one in (earlier, later))
        if old != new:
            difference = f"{name} {old} and {new}" if len(old + new) < 80 else name
            raise ConflictingSegments(
                f"two configurations share this id: they differ in {printable(difference)}"
            )
    if earlier.last_logged > later.started > 0:
        raise ConflictingSegments("two processes logged under this id at the same time")
    steps = {row.get("_step") for row in earlier.history.rows}
    counted_anew = later.branch is None and any(row.get("_step") in steps for row in later.history.rows)
    if counted_anew and later.history.axis == earlier.history.axis == "_step":
        raise ConflictingSegments("was resumed, logs no epoch, and counts its steps from 0 again")


def _marked_or_ended(
    segments: Sequence[Segment], history: History, by_train_script: bool
) -> tuple[State, str] | None:
    """State and detail, or None for a run that neither marked its completion nor wrote an exit record."""
    # A later start that logged nothing (resuming a run that was complete) takes nothing back.
    telling = [segment for segment in segments if segment.history or completion.STATUS in segment.summary]
    segment = (telling or segments)[-1]
    if marked := completion.marked_state(segment.summary):
        killed = marked[0] == "finished" and segment.exit_code is None
        missing = _missing_milestone(segment.summary, history) if killed else ""
        return ("crashed", missing) if missing else marked
    if segment.exit_code is not None:
        return completion.unmarked_state(segment.exit_code, by_train_script)
    return None


def _open_ended(segment: Segment, now: float, ended: bool) -> tuple[State, str]:
    """State and detail of a run whose file has no end."""
    minutes = max(0, round((now - segment.written) / 60))  # a file server's clock may be ahead of this one's
    cut = f"; its file {segment.cut}" if segment.cut else ""
    if now - segment.written < CRASHED_AFTER_SECONDS and not ended:
        return "running", f"has not ended; its file was last written {minutes} min ago{cut}"
    return "crashed", f"was killed: no exit record, its file was last written {minutes} min ago{cut}"


def _missing_milestone(summary: Mapping[str, Any], history: History) -> str:
    """Why a marker at the end of a file without an exit record is not to be believed, or "".

    W&B writes a row when the next one begins, so a kill can lose a row that was logged before the marker.
    """
    epoch = summary.get(completion.EPOCH)
    if not isinstance(epoch, int):
        return "was killed while it wrote that it was complete"
    if history and (history.axis != "epoch" or history.milestones()[-1].epoch >= epoch):
        return ""
    return f"was killed before the milestone of its last epoch, {epoch}, was written"


def _last(segments: Sequence[Segment], field: str) -> str:
    return next((value for segment in reversed(segments) if (value := getattr(segment, field))), "")


def _warnings(reading: _Reading, runs: Sequence[Run]) -> list[str]:
    """What a reader of the figures should know, even though the runs are sound."""
    cut, copied, blank, forked = [], [], [], []
    for run in runs:
        segments = reading.segments.get(run.id, [])
        last = without_copies(segments)
        copied += [run.id] if len(last) < len(segments) or len(reading.records.get(run.id, ())) > 1 else []
        blank += [run.id] if run.id in reading.blank else []
        cut += [run.id] if last and run.state == "finished" and last[-1].cut else []
        branch = last[0].branch if last else None
        forked += [run.id] if branch and branch[0] not in reading.segments else []
    warnings = {
        "read the longest of several copies": copied,
        "left out a second file or folder that holds nothing": blank,
        "complete, but the file ends too early": cut,
        "forked from a run that is not here, so its first rows are missing": forked,
    }
    projects = sorted({run.project for run in runs})
    said = [f"{what}: {listed(ids)}" for what, ids in warnings.items() if ids]
    if len(projects) > 1:
        said.append(f"holds runs of {len(projects)} projects; --project takes one of {listed(projects)}")
    return said
