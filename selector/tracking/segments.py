"""Build a run from the offline files of all processes that worked on it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from selector.record import joined_versions
from selector.runs import MACHINE_SETTINGS, Run, State
from selector.text import printable
from selector.tracking import completion
from selector.tracking.history import History
from selector.tracking.offline_file import Segment

# Without an exit record and unchanged for so long a run has crashed; so say `wandb leet` and W&B's server.
CRASHED_AFTER_SECONDS = 600
COPIES = "read the longest of several copies"

Parents = Mapping[str, Sequence[Segment]]  # run id → its segments, for runs that were forked from it


class ConflictingSegments(Exception):
    """Files that share a run id and are not one run's; the text is one line."""


def join_segments(
    segments: Sequence[Segment], now: float, ended: bool = False, parents: Parents | None = None
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
    names: dict[str, Any] = {"name": last.run_id}
    for segment in segments:
        config |= segment.config
        summary |= segment.summary
        names |= segment.names
    by_train_script = bool(completion.split_definition(config)[1])
    verdict = _marked_or_ended(segments, history, by_train_script)
    return completion.run_of(
        history,
        config,
        summary,
        verdict or _open_ended(last, now, ended),
        **names,
        id=last.run_id,
        directory=str(last.path.parent),
        started=first.started or None,
        versions=joined_versions(segment.summary.get(completion.VERSIONS) for segment in segments),
    )


def without_copies(segments: Sequence[Segment]) -> list[Segment]:
    """The segments by start; of several with the same start, which are copies of one file, the longest."""
    latest: dict[object, Segment] = {}
    for segment in sorted(segments, key=lambda s: (s.started, s.records)):
        latest[segment.started or segment.path] = segment
    return list(latest.values())


def strange_segments(segments: Sequence[Segment], run: Run, parents: Parents) -> Iterator[str]:
    """What a reader of the figures should know of the files, even though the run is sound."""
    read = without_copies(segments)
    if len(read) < len(segments):
        yield COPIES
    if run.state == "finished" and read[-1].cut:
        yield "complete, but the file ends too early"
    if read[0].branch and read[0].branch[0] not in parents:
        yield "forked from a run that is not here, so its first rows are missing"


def _rows_of(segments: Sequence[Segment], parents: Parents) -> History:
    """All rows of a run, but those that a rewind took back; a fork begins with the rows of its parent."""
    first = segments[0]
    others = {run: of_run for run, of_run in parents.items() if run != first.run_id}
    history = History()
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
    telling = [one for one in segments if one.history.rows or completion.STATUS in one.summary]
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
    ago = f"{minutes} min ago" if minutes else "just now"
    cut = f"; its file {segment.cut}" if segment.cut else ""
    if now - segment.written < CRASHED_AFTER_SECONDS and not ended:
        return "running", f"has not ended; its file was last written {ago}{cut}"
    return "crashed", f"was killed: no exit record, its file was last written {ago}{cut}"


def _missing_milestone(summary: Mapping[str, Any], history: History) -> str:
    """Why a marker at the end of a file without an exit record is not to be believed, or "".

    W&B writes a row when the next one begins, so a kill can lose a row that was logged before the marker.
    """
    epoch = summary.get(completion.EPOCH)
    if not isinstance(epoch, int):
        return "was killed while it wrote that it was complete"
    if history.rows and (history.axis != "epoch" or history.milestones()[-1].epoch >= epoch):
        return ""
    return f"was killed before the milestone of its last epoch, {epoch}, was written"
