"""From what single processes logged about a run to the run."""

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from selector.record import joined_versions
from selector.runs import MACHINE_SETTINGS, Run, State
from selector.text import printable
from selector.tracking.completion import (
    CHECKPOINT,
    EPOCH,
    STATUS,
    VERSIONS,
    marked_state,
    split_definition,
    unmarked_state,
)
from selector.tracking.history import History
from selector.tracking.wandb_file import Segment

# Without an exit record and unchanged for so long a run has crashed; so say `wandb leet` and W&B's server.
CRASHED_AFTER_SECONDS = 600


class ConflictingSegments(Exception):
    """Files that share a run id and are not one run's; the text is one line."""


def join_segments(
    segments: Sequence[Segment], now: float, stopped: str | None = None, ended: bool = False
) -> Run:
    """One run from the files of all processes that worked on it, one after another.

    Rows of equal epoch are merged and a later process wins, as its run was resumed from an epoch before.

    Args:
        segments: At least one, all of one run id.
        now: Seconds since 1970, for telling a running run from a crashed one.
        stopped: Why the sweep ended the run early, or None where it did not.
        ended: True where the sweep saw the run's process end: it is not running, however young its file.

    Raises:
        ConflictingSegments: They are of two configurations, or cannot be put in an order.
    """
    segments = without_copies(segments)
    for earlier, later in pairwise(segments):
        _check_agreement(earlier, later)
    history = History(segments[-1].history.with_spectra)
    summary: dict[str, Any] = {}
    config: dict[str, Any] = {}
    for segment in segments:
        history.extend(segment.history)
        summary |= segment.summary
        config |= segment.config
    hyperparameters, definition = split_definition(config)
    verdict = _marked_or_ended(segments, history, by_train_script=bool(definition))
    if stopped is not None and (verdict is None or verdict[0] not in ("finished", "diverged")):
        verdict = "stopped", stopped
    state, detail = verdict or _open_ended(segments[-1], now, ended)
    checkpoint = summary.get(CHECKPOINT)
    return Run(
        id=segments[-1].run_id,
        name=_last(segments, "name") or segments[-1].run_id,
        state=state,
        config=hyperparameters,
        definition=definition,
        milestones=history.milestones(),
        detail=detail,
        checkpoint=checkpoint if isinstance(checkpoint, str) else None,
        directory=str(segments[-1].path.parent),
        group=_last(segments, "group"),
        job_type=_last(segments, "job_type"),
        sweep_id=_last(segments, "sweep_id"),
        counted_by=history.axis,
        tags=next((segment.tags for segment in reversed(segments) if segment.tags), ()),
        started=segments[0].started or None,
        versions=joined_versions(segment.summary.get(VERSIONS) for segment in segments),
    )


def without_copies(segments: Sequence[Segment]) -> list[Segment]:
    """The segments by start; of several with the same start, which are copies of one file, the longest."""
    latest: dict[object, Segment] = {}
    for segment in sorted(segments, key=lambda s: (s.started, s.records)):
        latest[segment.started or segment.path] = segment
    return list(latest.values())


def _check_agreement(earlier: Segment, later: Segment) -> None:
    ignored = MACHINE_SETTINGS | {"_wandb"}
    for name in sorted((earlier.config.keys() & later.config.keys()) - ignored):
        old, new = _canonical(earlier.config[name]), _canonical(later.config[name])
        if old != new:
            difference = f"{name} {old} and {new}" if len(old + new) < 80 else name
            raise ConflictingSegments(
                f"two configurations share this id: they differ in {printable(difference)}"
            )
    if earlier.last_logged > later.started > 0:
        raise ConflictingSegments("two processes logged under this id at the same time")
    if later.history.axis == "_step" and earlier.history.overlaps(later.history):
        raise ConflictingSegments("was resumed, logs no epoch, and counts its steps from 0 again")


def _marked_or_ended(
    segments: Sequence[Segment], history: History, by_train_script: bool
) -> tuple[State, str] | None:
    """State and detail, or None for a run that neither marked its completion nor wrote an exit record."""
    # A later start that logged nothing (resuming a run that was complete) takes nothing back.
    telling = [segment for segment in segments if segment.history or STATUS in segment.summary]
    segment = (telling or segments)[-1]
    if marked := marked_state(segment.summary):
        killed = marked[0] == "finished" and segment.exit_code is None
        missing = _missing_milestone(segment.summary, history) if killed else ""
        return ("crashed", missing) if missing else marked
    if segment.exit_code is not None:
        return unmarked_state(segment.exit_code, by_train_script)
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
    epoch = summary.get(EPOCH)
    if not isinstance(epoch, int):
        return "was killed while it wrote that it was complete"
    if history and (history.axis != "epoch" or history.milestones()[-1].epoch >= epoch):
        return ""
    return f"was killed before the milestone of its last epoch, {epoch}, was written"


def _last(segments: Sequence[Segment], field: str) -> str:
    return next((value for segment in reversed(segments) if (value := getattr(segment, field))), "")


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
