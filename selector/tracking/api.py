"""Reads runs from a W&B server by wandb.Api: every row of every history, several runs at a time."""

import math
import queue
import shlex
import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from selector.errors import UserError
from selector.milestone import LARGE_PREFIXES
from selector.record import joined_versions
from selector.runs import SELECTION_JOB, Progress, Run, RunSet, State, Unreadable
from selector.text import printable
from selector.tracking.completion import VERSIONS, marked_state, run_of, split_definition, unmarked_state
from selector.tracking.connection import Found, Place, Unreachable, again, find, reason
from selector.tracking.history import MOST_ROWS, MOST_SECONDS, History, how_read

# What became of a run's history: itself and what is strange about it, or None and why it was not read.
Outcome = tuple[History | None, str]
# Histories that were read before, by the run's id in W&B's storage, with what the server said of the run at
# the time: as soon as it says anything else, the history is read anew.
Known = dict[str, tuple[tuple[object, ...], Outcome]]

SILENT_SECONDS = 180.0  # without the history of any run, until the server counts as gone
_AT_ONCE = 12  # histories
# `history` gives every row where there are no more than it is asked for, in one answer whatever their steps.
# Longer ones come by `scan_history`, whose pages are ranges of steps: so wide that each has about …
_SAMPLES = 10_000
_ROWS_OF_A_PAGE = 1_000
_WIDEST_PAGE = 2**31 - 1  # GraphQL's largest Int

_NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


class NoRunsYet(UserError):
    """The sweep is there, and none of its runs has begun."""


def read_wandb(
    source: str,
    *,
    tag: str | None = None,
    group: str | None = None,
    keys: Collection[str] = (),
    spectra: bool = False,
    progress: Progress | None = None,
    known: Known | None = None,
) -> RunSet:
    """Read the runs of a sweep, a group or a project from a W&B server.

    Args:
        source: `entity/project/sweep_id`, `entity/project`, or the URL of a sweep, group or project.
        tag: Only runs that carry this tag.
        group: Only runs of this group.
        keys: Read the history only of runs that logged one of these keys; the others come without
            milestones. Empty reads them all.
        spectra: Keep the logged spectra too.
        progress: Called with (runs read, runs in all) whenever there is news.
        known: What earlier calls for the same source have read, for a caller that looks again and again.

    Returns:
        The runs by id. A run whose history could not be read is among `unreadable`, never among `runs`.

    Raises:
        UserError: If the source cannot be understood, found or reached (`Unreachable`), or if no run is in
            it (`NoRunsYet` for a sweep).
    """
    found = find(source)
    listed, missing = _list(source, found, tag, group)
    trainings = [run for run in listed if run.job_type != SELECTION_JOB]
    runs: list[Run] = []
    unreadable: list[Unreadable] = [missing] if missing else []
    warnings: list[str] = []
    # W&B may list a logged dictionary under its own name: its parts are asked for by dotted ones.
    wanted = frozenset(keys).union(key.partition(".")[0] for key in keys)
    known = {} if known is None else known
    read = _histories(trainings, wanted, spectra, known)
    for done, (run, (history, problem)) in enumerate(read, start=1):
        if history is None:
            unreadable.append(Unreadable(run.id, problem))
        else:
            runs.append(_run(run, history))
            warnings += [f"run {printable(run.id)}: {problem}"] if problem else []
        if progress is not None:
            progress(done, len(trainings))
    whole = found.sweep if tag is None and group is None else None
    if not runs and not unreadable:
        raise (NoRunsYet if whole else UserError)(_no_runs(found.place, tag, group))
    runs.sort(key=lambda run: run.id)
    goes_on = found.sweep is not None and _goes_on(found.sweep, len(trainings))
    return RunSet(
        source=source,
        runs=tuple(runs),
        unreadable=tuple(sorted(unreadable, key=lambda gone: gone.run)),
        planned=whole.expected_run_count if whole else None,
        finish_command=_finish_command(found) if whole and goes_on else "",
        warnings=(*sorted(warnings), *how_read(runs, keys)),
        ended=not goes_on and not any(run.state == "running" for run in runs),
    )


def _list(
    source: str, found: Found, tag: str | None, group: str | None
) -> tuple[list[Any], Unreadable | None]:
    """The runs as wandb's client lists them, each once, oldest first; and how many could not be listed."""
    listing = found.runs(found.place.filters(tag, group))
    runs: dict[str, Any] = {}
    why = "an answer that lists them could not be understood"
    try:
        for run in found.each(listing):
            runs.setdefault(run.id, run)
    except Exception as error:  # of wandb's client, which raises private kinds too
        if not runs:
            raise Unreachable(
                f"cannot read {printable(source)} from {found.server}: {reason(error)}"
            ) from None
        why = f"the list broke off: {reason(error)}"
    if (missing := len(listing) - len(runs)) <= 0:
        return list(runs.values()), None
    return list(runs.values()), Unreadable(f"{missing} more of the {len(listing)} runs", why)


def _histories(
    runs: Sequence[Any], keys: frozenset[str], spectra: bool, known: Known
) -> Iterator[tuple[Any, Outcome]]:
    """Each run with what became of its history, as the answers come."""
    asked: queue.SimpleQueue[Any] = queue.SimpleQueue()
    answers: queue.SimpleQueue[tuple[Any, Outcome]] = queue.SimpleQueue()
    waiting = {}
    for run in runs:
        logged = (run.history_keys or {}).get("keys")
        lacks = logged is not None and keys.isdisjoint(logged) and keys.isdisjoint(run.summary_metrics)
        signature, before = known.get(run.storage_id, (None, None))
        if not run.history_line_count or (keys and lacks):
            yield run, (History(), "")
        elif before is not None and signature == _signature(run):
            yield run, before
        else:
            waiting[run.id] = run
            asked.put(run)

    def work() -> None:
        while not asked.empty():
            try:
                run = asked.get_nowait()
            except queue.Empty:
                return
            answers.put((run, _read_history(run, spectra)))

    # They end with the process: after Ctrl-C, or when a server is silent, nobody waits for them.
    for _ in range(min(_AT_ONCE, len(waiting))):
        threading.Thread(target=work, daemon=True).start()
    heard = time.monotonic()
    try:
        while waiting:
            try:
                run, outcome = answers.get(timeout=max(0.0, heard + SILENT_SECONDS - time.monotonic()))
            except queue.Empty:
                break
            if outcome[0] is not None:
                heard = time.monotonic()
                known[run.storage_id] = _signature(run), outcome
            del waiting[run.id]
            yield run, outcome
    finally:
        while not asked.empty():
            asked.get()
    for run in waiting.values():
        yield run, (None, f"no history came from the server for {SILENT_SECONDS:g} s")


def _signature(run: Any) -> tuple[object, ...]:
    """Changes whenever the run logs anything, is resumed or rewound, or is made anew."""
    return (run.created_at, run.heartbeat_at, run.state, run.history_line_count, _last_step(run))


def _last_step(run: Any) -> int:
    said = (run.history_keys or {}).get("lastStep", -1)
    return max(int(said), int(run.history_line_count) - 1)


def _read_history(run: Any, spectra: bool) -> Outcome:
    lines = run.history_line_count
    if lines > MOST_ROWS:
        return None, f"history not read: {lines} rows, but at most {MOST_ROWS} are read per run"
    try:
        rows: list[Any] = []
        if lines <= _SAMPLES:
            rows = again(lambda: run.history(samples=_SAMPLES, pandas=False))
        if len(rows) < lines:  # too many, thinned out, or moved to where only wandb's scanner looks
            rows = []
            began = time.monotonic()
            steps = math.ceil((_last_step(run) + 1) * _ROWS_OF_A_PAGE / lines)
            for row in run.scan_history(page_size=min(max(steps, _ROWS_OF_A_PAGE), _WIDEST_PAGE)):
                rows.append(row)
                if time.monotonic() - began > MOST_SECONDS:
                    why = f"{len(rows)} of its {lines} rows came within {MOST_SECONDS:g} s"
                    return None, f"history not read: {why}, the longest wait for one run"
    except Exception as error:  # of wandb's client, which raises private kinds too
        return None, f"history not read: {reason(error)}"
    if not all(isinstance(row, dict) for row in rows):
        return None, "a row of its history is not a JSON object"
    history = History([_row(row, spectra) for row in rows])
    return history, f"W&B counts {lines} history rows but gave {len(rows)}" if len(rows) < lines else ""


def _row(given: dict[str, Any], spectra: bool) -> dict[str, Any]:
    """A row as in offline files; without `spectra`, the lists and texts of milestones are left out."""
    row = {
        key: _NOT_FINITE.get(value, value) if isinstance(value, str) else value
        for key, value in given.items()
    }
    if spectra:
        return row
    return {
        key: value
        for key, value in row.items()
        if isinstance(value, int | float) or not key.startswith(LARGE_PREFIXES)
    }


def _goes_on(sweep: Any, started: int) -> bool:
    """Whether W&B would still start runs of a sweep."""
    expected = sweep.expected_run_count
    unfinished = expected is None or started < expected
    return unfinished and sweep.state.upper() in ("RUNNING", "PENDING", "PAUSED")


def _finish_command(found: Found) -> str:
    """The command that runs what is missing."""
    path = shlex.quote(found.place.path)
    resume = f"wandb sweep --resume {path} && " if found.sweep.state.upper() == "PAUSED" else ""
    return f"{resume}wandb agent {path}"


def _no_runs(place: Place, tag: str | None, group: str | None) -> str:
    named = f"{'sweep' if place.sweep else 'project'} {printable(place.path)} has no runs"
    wanted = (("group", place.group), ("group", group), ("tag", tag))
    if filters := [f"{what} '{printable(value)}'" for what, value in wanted if value is not None]:
        return f"{named} of {' and '.join(filters)}: check the spelling"
    if place.sweep:
        return f"{named} yet: start some with `wandb agent {shlex.quote(printable(place.path))}`"
    return f"{named}: check the name of the project"


def _run(listed: Any, history: History) -> Run:
    config, summary = listed.config, listed.summary_metrics
    by_train_script = bool(split_definition(config)[1])
    return run_of(
        history,
        config,
        summary,
        _state(listed.state, summary, by_train_script),
        id=listed.id,
        name=listed.name or listed.id,
        group=listed.group or "",
        job_type=listed.job_type or "",
        sweep_id=listed.sweep_name or "",
        project=listed.project,
        tags=tuple(listed.tags or ()),
        started=_seconds(listed.created_at),
        versions=joined_versions([summary.get(VERSIONS)]),
    )


def _seconds(text: str | None) -> float | None:
    """Seconds since 1970 of a time as W&B writes it, in UTC."""
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _state(wandb_state: str, summary: Mapping[str, Any], wants_marker: bool) -> tuple[State, str]:
    """State and detail; train.py's own marker goes before W&B's word."""
    if (marked := marked_state(summary)) is not None:
        return marked
    match wandb_state:
        case "finished":
            return unmarked_state(0, wants_marker)
        case "running":
            return "running", ""
        case "pending":
            return "running", "waits for an agent"
        case "preempting" | "preempted":
            return "running", "preempted, waits for an agent that resumes it"
        case "killed":
            return "stopped", "stopped by W&B"
        case "failed":
            return "failed", "exit code not 0"
        case "crashed":
            return "crashed", "W&B heard no more from it"
    return "crashed", f"W&B calls it '{printable(wandb_state)}'"
