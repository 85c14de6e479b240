"""Reads runs from a W&B server: every milestone row, in few requests."""

import gc
import shlex
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from selector.errors import UserError
from selector.record import joined_versions
from selector.runs import SELECTION_JOB, Run, RunSet, State, Unreadable
from selector.text import printable
from selector.tracking.completion import (
    CHECKPOINT,
    VERSIONS,
    marked_state,
    split_definition,
    unmarked_state,
)
from selector.tracking.history_cache import HistoryCache, Milestones, user_cache
from selector.tracking.wandb_client import Patience, Unanswered, Unreachable, WandbClient
from selector.tracking.wandb_histories import HistoryReader, ReadHistory
from selector.tracking.wandb_listing import ListedRun, Selection, list_pages
from selector.tracking.wandb_source import WandbSource, filters_of, parse_source

Progress = Callable[[int, int], None]


class NoRunsYet(UserError):
    """The sweep is there, and none of its runs has begun."""


_SOURCE_QUERY = """
query SelectorSource($entity: String!, $project: String!, $sweep: String!, $withSweep: Boolean!) {
  project(name: $project, entityName: $entity) {
    name
    sweep(sweepName: $sweep) @include(if: $withSweep) { name state runCountExpected }
  }
}
"""


def read_wandb(
    source: str,
    *,
    tag: str | None = None,
    group: str | None = None,
    keys: Collection[str] = (),
    spectra: bool = False,
    progress: Progress | None = None,
    cache: Path | None = None,
    use_cache: bool = True,
    patience: Patience | None = None,
) -> RunSet:
    """Read the runs of a sweep, a group or a project from a W&B server.

    Args:
        source: `entity/project/sweep_id`, `entity/project`, or the URL of a sweep, group or project.
        tag: Only runs that carry this tag.
        group: Only runs of this group.
        keys: Read the history only of runs that logged one of these keys; the others come without
            milestones. Empty reads them all.
        spectra: Read the logged spectra too, which the cache does not keep.
        progress: Called with (runs read, runs in all) whenever there is news.
        cache: Folder for histories that need not be read again; None takes the user's cache folder.
        use_cache: False reads everything anew and keeps nothing.
        patience: How long to wait for the server.

    Returns:
        The runs by id. A run whose history could not be read is among `unreadable`, never among `runs`.

    Raises:
        UserError: If the source cannot be understood, found or reached (`Unreachable`), or if no run is in
            it (`NoRunsYet` for a sweep).
    """
    place = parse_source(source)
    client = WandbClient.connect(place.host, patience or Patience())
    selection = Selection(place.entity, place.project, filters_of(place, tag, group))
    kept = (cache or user_cache()) if use_cache and not spectra else None
    reading = _Reading(client, selection, HistoryCache(kept), spectra)
    try:
        sweep = _find(client, place)
        # W&B may list a logged dictionary under its own name: its parts are asked for by dotted ones.
        wanted = frozenset(keys).union(key.partition(".")[0] for key in keys)
        reading.read(wanted, progress or (lambda *_: None))
    except Unanswered as error:
        kind = UserError if error.kind == "refused" else Unreachable
        raise kind(f"cannot read {printable(source)} from {client.server}: {error}") from None
    whole = sweep if tag is None and group is None else None
    if not reading.runs and not reading.unreadable:
        raise (NoRunsYet if whole else UserError)(_no_runs(place, tag, group))
    runs = tuple(sorted(reading.runs, key=lambda run: run.id))
    return RunSet(
        source=source,
        runs=runs,
        unreadable=tuple(sorted(reading.unreadable, key=lambda gone: gone.run)),
        planned=whole.planned if whole else None,
        finish_command=whole.finish_command(place, reading.listed) if whole else "",
        warnings=(*sorted(reading.warnings), *_uncounted(runs)),
        ended=not any(run.state == "running" for run in runs)
        and not (sweep and sweep.goes_on(reading.listed)),
    )


@dataclass
class _Reading:
    """Runs as they come in, from the cache and the server."""

    client: WandbClient
    selection: Selection
    cache: HistoryCache
    spectra: bool
    runs: list[Run] = field(default_factory=list)
    unreadable: list[Unreadable] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    listed: int = 0
    _unkept: list[tuple[ListedRun, Milestones]] = field(default_factory=list)

    def read(self, keys: frozenset[str], progress: Progress) -> None:
        """Read all runs; while later pages of the list come, the histories of earlier ones are asked for."""
        reader = HistoryReader(self.client, self.selection, self.spectra)
        try:
            with reader, _without_garbage_collection():
                for page in list_pages(self.client, self.selection):
                    trainings = [run for run in page.runs if run.job_type != SELECTION_JOB]
                    self.listed += len(trainings)
                    self.unreadable += page.unreadable
                    reader.ask_for([run for run in trainings if not self._known(run, keys)])
                    progress(len(self.runs), page.total)
                for answer in reader.answers():
                    for history in answer:
                        self._take(history)
                    progress(len(self.runs) + len(self.unreadable), page.total)
        finally:
            # Not before the reader's threads are done: each of a thousand writes would wait for them. But
            # after Ctrl-C too: what was read need not be read again.
            for run, milestones in self._unkept:
                self.cache.store(self._identity(run), run.signature, milestones)
            self.cache.close()

    def _known(self, run: ListedRun, keys: frozenset[str]) -> bool:
        """Whether a run's history need not be asked for; takes the run in, where that is so."""
        known: Milestones | None
        if run.lines == 0 or (keys and run.keys is not None and keys.isdisjoint(run.keys)):
            known = Milestones()
        else:
            known = self.cache.load(self._identity(run), run.signature)
        if known is not None:
            self.runs.append(_run(run, known))
        return known is not None

    def _take(self, read: ReadHistory) -> None:
        if read.milestones is None:
            self.unreadable.append(Unreadable(read.run.id, read.problem))
            return
        self.runs.append(_run(read.run, read.milestones))
        if read.problem:
            self.warnings.append(f"run {printable(read.run.id)}: {read.problem}")
        else:
            self._unkept.append((read.run, read.milestones))

    def _identity(self, run: ListedRun) -> list[str]:
        return [self.client.server, self.selection.entity, self.selection.project, run.id]


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """A million numbers in dictionaries make no cycles, and looking for some takes a fifth of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@dataclass(frozen=True)
class _Sweep:
    state: str
    planned: int | None

    def goes_on(self, started: int) -> bool:
        """Whether W&B would still start runs of it."""
        return self.state in ("RUNNING", "PENDING", "PAUSED") and (
            self.planned is None or started < self.planned
        )

    def finish_command(self, place: WandbSource, started: int) -> str:
        """The command that runs what is missing, or ""."""
        if not self.goes_on(started):
            return ""
        path = shlex.quote(place.path)
        match self.state:
            case "RUNNING" | "PENDING":
                return f"wandb agent {path}"
            case "PAUSED":
                return f"wandb sweep --resume {path} && wandb agent {path}"
        return ""


def _find(client: WandbClient, place: WandbSource) -> _Sweep | None:
    """The sweep that is meant, or None for a project; a UserError where there is no such thing."""
    variables = {
        "entity": place.entity,
        "project": place.project,
        "sweep": place.sweep or "",
        "withSweep": place.sweep is not None,
    }
    project = client.ask(_SOURCE_QUERY, variables).get("project")
    if project is None:
        raise UserError(
            f"no project {printable(place.entity)}/{printable(place.project)} on {client.server},"
            " or no access to it: check the path, and whose key you are logged in with"
        )
    if place.sweep is None:
        return None
    if (sweep := project["sweep"]) is None:
        raise UserError(
            f"no sweep {printable(place.sweep)} in {printable(place.entity)}/{printable(place.project)}"
            f" on {client.server}: it was deleted, or its id is another"
        )
    return _Sweep(sweep["state"].upper(), sweep["runCountExpected"])


def _no_runs(place: WandbSource, tag: str | None, group: str | None) -> str:
    named = f"{'sweep' if place.sweep else 'project'} {printable(place.path)} has no runs"
    wanted = (("group", place.group), ("group", group), ("tag", tag))
    if filters := [f"{what} '{printable(value)}'" for what, value in wanted if value is not None]:
        return f"{named} of {' and '.join(filters)}: check the spelling"
    if place.sweep:
        return f"{named} yet: start some with `wandb agent {shlex.quote(printable(place.path))}`"
    return f"{named}: check the name of the project"


def _uncounted(runs: Sequence[Run]) -> Iterator[str]:
    for axis in ("trainer/global_step", "_step"):
        if ids := [printable(run.id) for run in runs if run.counted_by == axis and run.milestones]:
            more = f" and {len(ids) - 5} more" if len(ids) > 5 else ""
            yield (
                f"{len(ids)} runs log no epoch; their milestones are numbered by {axis}:"
                f" {', '.join(ids[:5])}{more}"
            )


def _run(listed: ListedRun, history: Milestones) -> Run:
    config, definition = split_definition(listed.config)
    state, detail = _state(listed.state, listed.summary, wants_marker=bool(definition))
    checkpoint = listed.summary.get(CHECKPOINT)
    return Run(
        id=listed.id,
        name=listed.name,
        state=state,
        config=config,
        definition=definition,
        milestones=history.milestones,
        detail=detail,
        checkpoint=checkpoint if isinstance(checkpoint, str) else None,
        group=listed.group,
        job_type=listed.job_type,
        sweep_id=listed.sweep_id,
        counted_by=history.counted_by,
        tags=listed.tags,
        started=listed.started,
        versions=joined_versions([listed.summary.get(VERSIONS)]),
    )


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
            return "crashed", "W&B heard no more of it"
    return "crashed", f"W&B calls it '{printable(wandb_state)}'"
