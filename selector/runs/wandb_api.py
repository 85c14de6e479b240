"""Reads runs from a W&B server: every milestone row, in few requests."""

import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from selector.errors import UserError
from selector.runs.completion import CHECKPOINT, marked_state, split_definition, unmarked_state
from selector.runs.history_cache import HistoryCache, Milestones, user_cache
from selector.runs.run import Run, RunSet, State, Unreadable
from selector.runs.wandb_client import Patience, Unanswered, WandbClient
from selector.runs.wandb_histories import read_histories
from selector.runs.wandb_listing import ListedRun, Listing, Progress, Selection, list_runs
from selector.runs.wandb_source import WandbSource, parse_source
from selector.text import printable

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
        progress: Called with (runs read, runs in all) whenever there is news.
        cache: Folder for histories that need not be read again; None takes the user's cache folder.
        use_cache: False reads everything anew and keeps nothing.
        patience: How long to wait for the server.

    Returns:
        The runs by id. A run whose history could not be read is among `unreadable`, never among `runs`.

    Raises:
        UserError: If the source cannot be understood, found or reached, or if no run is in it.
    """
    progress = progress or (lambda *_: None)
    place = parse_source(source)
    client = WandbClient.connect(place.host, patience or Patience())
    selection = Selection(place.entity, place.project, _filters(place, tag, group))
    try:
        sweep = _find(client, place)
        listing = list_runs(client, selection, progress)
    except Unanswered as error:
        raise UserError(f"cannot read {printable(source)} from {client.server}: {error}") from None
    if not listing.runs and not listing.unreadable:
        raise UserError(_no_runs(place, tag, group))
    kept = HistoryCache((cache or user_cache()) if use_cache else None)
    milestones, unreadable, warnings = _histories(client, selection, listing, kept, keys, progress)
    runs = tuple(_run(listing.runs[id], milestones[id]) for id in sorted(milestones))
    return RunSet(
        source=source,
        runs=runs,
        unreadable=tuple(sorted(unreadable, key=lambda run: run.run)),
        planned=sweep.planned if sweep else None,
        finish_command=sweep.finish_command(place, len(listing.runs)) if sweep else "",
        warnings=(*sorted(warnings), *_uncounted(runs)),
    )


@dataclass(frozen=True)
class _Sweep:
    state: str
    planned: int | None

    def finish_command(self, place: WandbSource, started: int) -> str:
        """The command that runs what is missing, or ""."""
        if self.planned is not None and started >= self.planned:
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


def _filters(place: WandbSource, tag: str | None, group: str | None) -> list[dict[str, Any]]:
    """W&B's filters that select the runs."""
    wanted = (("sweep", place.sweep), ("group", place.group), ("group", group), ("tags", tag))
    return [{field: value} for field, value in wanted if value is not None]


def _no_runs(place: WandbSource, tag: str | None, group: str | None) -> str:
    named = f"{'sweep' if place.sweep else 'project'} {printable(place.path)} has no runs"
    wanted = (("group", place.group), ("group", group), ("tag", tag))
    if filters := [f"{what} '{printable(value)}'" for what, value in wanted if value is not None]:
        return f"{named} of {' and '.join(filters)}: check the spelling"
    if place.sweep:
        return f"{named} yet: start some with `wandb agent {shlex.quote(printable(place.path))}`"
    return f"{named}: check the name of the project"


def _histories(
    client: WandbClient,
    selection: Selection,
    listing: Listing,
    cache: HistoryCache,
    keys: Collection[str],
    progress: Progress,
) -> tuple[dict[str, Milestones], list[Unreadable], list[str]]:
    """Run id → milestones, from the cache or the server; what could not be read; what is strange."""
    milestones: dict[str, Milestones] = {}
    wanted = []
    for run in listing.runs.values():
        if run.lines == 0 or (keys and run.keys is not None and run.keys.isdisjoint(keys)):
            milestones[run.id] = Milestones()
        elif (known := cache.load(_identity(client, selection, run), run.signature)) is not None:
            milestones[run.id] = known
        else:
            wanted.append(run)
    unreadable, warnings = list(listing.unreadable), []
    total = len(listing.runs)
    progress(total - len(wanted), total)
    for batch in read_histories(client, selection, wanted):
        for read in batch:
            if read.milestones is None:
                unreadable.append(Unreadable(read.run.id, read.problem))
                continue
            milestones[read.run.id] = read.milestones
            if read.problem:
                warnings.append(f"run {printable(read.run.id)}: {read.problem}")
            else:
                cache.store(_identity(client, selection, read.run), read.run.signature, read.milestones)
        progress(len(milestones) + len(unreadable) - len(listing.unreadable), total)
    return milestones, unreadable, warnings


def _identity(client: WandbClient, selection: Selection, run: ListedRun) -> list[str]:
    return [client.server, selection.entity, selection.project, run.id]


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
