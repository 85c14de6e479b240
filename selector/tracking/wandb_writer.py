"""Writes notes about runs back to a W&B server, so that several selectors may do so at once.

A decision is written first, whole, in the run of job type `selection`; then runs and checkpoints are brought
in line with the decision that stands, and looked at again until nothing differs. Whoever writes last thus
looks last, and what he finds in line stays so. W&B can replace a summary only as a whole: each is read anew
directly before it is written, to keep what others noted.
"""

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from selector.errors import UserError
from selector.text import printable
from selector.tracking.notes import CHECKPOINT_TYPE, DECISION, MARK, Changes, Notes, Pick, decided
from selector.tracking.wandb_client import Patience, Unanswered, WandbClient
from selector.tracking.wandb_listing import Selection, next_page, nodes
from selector.tracking.wandb_modes import SILENT_MODES
from selector.tracking.wandb_source import WandbSource, filters_of, parse_source
from selector.tracking.wandb_tables import log_tables

_PAGE = 250
_TOGETHER = 20  # runs that are read anew and then written
_AT_ONCE = 6
_ROUNDS = 6

_RUNS_QUERY = """
query SelectorNotedRuns(
  $entity: String!, $project: String!, $filters: JSONString, $first: Int, $cursor: String
) {
  project(name: $project, entityName: $entity) {
    runs(filters: $filters, first: $first, after: $cursor, order: "+created_at") {
      edges { node { id name state tags summaryMetrics } }
      pageInfo { endCursor hasNextPage }
    }
  }
}
"""
_CHECKPOINTS_QUERY = """
query SelectorCheckpoints($entity: String!, $project: String!, $run: String!, $cursor: String) {
  project(name: $project, entityName: $entity) {
    run(name: $run) {
      outputArtifacts(first: 100, after: $cursor) {
        edges {
          node {
            id versionIndex artifactType { name } artifactSequence { name }
            aliases { alias artifactCollection { name } }
          }
        }
        pageInfo { endCursor hasNextPage }
      }
    }
  }
}
"""
_SET_SUMMARY = """
mutation SelectorSummary($id: String!, $value: JSONString) {
  upsertBucket(input: {id: $id, summaryMetrics: $value}) { bucket { id } }
}
"""
_SET_TAGS = """
mutation SelectorTags($id: String!, $value: [String!]) {
  upsertBucket(input: {id: $id, tags: $value}) { bucket { id } }
}
"""
_ADD_ALIAS = "mutation SelectorAddAlias($input: AddAliasesInput!) { addAliases(input: $input) { success } }"
_DROP_ALIAS = (
    "mutation SelectorDropAlias($input: DeleteAliasesInput!) { deleteAliases(input: $input) { success } }"
)


class Overtaken(Exception):
    """Another selector decided by the same metric meanwhile, and saw other runs."""


def write_back(
    source: str,
    notes: Notes,
    *,
    tag: str | None = None,
    group: str | None = None,
    dry_run: bool = False,
    settle: float = 1.0,
    patience: Patience | None = None,
) -> Changes:
    """Bring W&B in line with notes about the runs of a source; names are as in selector.tracking.notes.

    Args:
        source: What the runs were read from.
        notes: What to write.
        tag: Only runs with this tag were read.
        group: Only runs of this group were read.
        dry_run: Send nothing; say what would be changed.
        settle: Seconds after which what was written is looked at again.
        patience: How long to wait for the server.

    Returns:
        What was, or would be, changed; empty where W&B held it all already.

    Raises:
        Overtaken: See there; read, rank and write again.
        UserError: The server refused, or cannot be reached.
    """
    if not dry_run and (mode := os.environ.get("WANDB_MODE", "")) in SILENT_MODES:
        raise UserError(f"nothing is sent to W&B while WANDB_MODE is {mode}: unset it, or pass --dry-run")
    place = parse_source(source)
    client = WandbClient.connect(place.host, patience or Patience())
    filters = filters_of(place, tag, group)
    writer = _Writer(client, place, Selection(place.entity, place.project, filters), notes)
    try:
        done = writer.missing(writer.look())
        if dry_run or not done:
            return done
        if done.tables:
            writer.decide()
        for _ in range(_ROUNDS):
            missing = writer.missing(runs := writer.look())
            if not missing:
                return done
            writer.apply(missing, runs)
            done.add(missing)
            time.sleep(settle)
    except Unanswered as error:
        raise UserError(
            f"cannot write back to {printable(source)} on {client.server}: {error};"
            " the same command goes on where this one stopped"
        ) from None
    raise UserError(
        f"{printable(source)} still changes while it is written back, as by another selector: try again"
    )


@dataclass(frozen=True)
class _NotedRun:
    id: str
    name: str
    running: bool
    tags: tuple[str, ...]
    summary: Mapping[str, Any]

    @property
    def marked(self) -> bool:
        """Whether it is, or once was, a winner."""
        picks = [v for k, v in self.summary.items() if k.startswith("selection/") and k.endswith("/picked")]
        return MARK in self.tags or True in picks


@dataclass(frozen=True)
class _Checkpoint:
    id: str
    collection: str
    version: str
    aliases: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"{self.collection}:{self.version}"


class _Writer:
    """Compares the server with notes, and writes what differs."""

    def __init__(self, client: WandbClient, place: WandbSource, selection: Selection, notes: Notes) -> None:
        self._client = client
        self._place = place
        self._selection = selection
        self._notes = notes
        scope = place.sweep or sha256(json.dumps(list(selection.filters)).encode()).hexdigest()[:8]
        self._table_run = f"selection-{scope}"
        self._decided = False
        self._checkpoints: dict[str, _Checkpoint] = {}

    def look(self, names: Sequence[str] | None = None) -> list[_NotedRun]:
        """The runs of the source as they are now, or those of them that are named."""
        selection = self._selection
        if names is not None:
            selection = self._named(names)
        return list(self._list(selection))

    def missing(self, runs: Sequence[_NotedRun]) -> Changes:
        """What differs from the notes, or for tag and alias from the later decision of another metric."""
        changes = Changes(f"{self._place.entity}/{self._place.project}/{self._table_run}")
        stands, picks = self._standing()
        changes.tables = not stands
        winners = {pick.run: pick for pick in picks}
        for run in runs:
            if not run.running and self._notes.summary_of(run.name, run.summary) != run.summary:
                changes.noted.append(run.name)
            if (MARK in run.tags) != (run.name in winners):
                (changes.tag_on if run.name in winners else changes.tag_off).append(run.name)
            if run.name in winners or run.marked:
                self._compare_checkpoints(run.name, winners.get(run.name), changes)
        return changes

    def _standing(self) -> tuple[bool, tuple[Pick, ...]]:
        """Whether the decision of these notes has been written, and the picks that stand."""
        kept = list(self._list(self._named([self._table_run])))
        text = kept[0].summary.get(DECISION) if kept else None
        if text == self._notes.decision or not self._decided:
            return text == self._notes.decision, self._notes.picks
        other = decided(text)
        if other is None or other[0] == self._notes.metric:
            raise Overtaken
        return True, other[1]

    def _compare_checkpoints(self, run: str, pick: Pick | None, changes: Changes) -> None:
        """Of a winner's checkpoints one carries the alias, of another run's none does."""
        found = list(self._list_checkpoints(run))
        wanted = None
        if pick is not None:
            for alias in (f"milestone-{pick.epoch}", "last"):
                wanted = wanted or next((one for one in found if alias in one.aliases), None)
            if wanted is None:
                changes.no_checkpoint.append(run)
            elif MARK not in wanted.aliases:
                changes.alias_on.append(wanted.name)
        changes.alias_off += [one.name for one in found if MARK in one.aliases and one is not wanted]
        self._checkpoints |= {one.name: one for one in found}

    def decide(self) -> None:
        """Write tables and decision to the run of job type `selection`."""
        self._decided = True
        name = f"selection {self._place.sweep or self._place.group or ''}".strip()
        log_tables(self._place.entity, self._place.project, self._table_run, name, self._notes)

    def apply(self, missing: Changes, runs: Sequence[_NotedRun]) -> None:
        """Write what is missing. Aliases go first: a tag still tells which checkpoint may carry one."""
        for mutation, field, names in (
            (_DROP_ALIAS, "deleteAliases", missing.alias_off),
            (_ADD_ALIAS, "addAliases", missing.alias_on),
        ):
            for name in names:
                self._client.ask(mutation, {"input": self._alias(self._checkpoints[name])}, field=field)
        changed = {*missing.noted, *missing.tag_on, *missing.tag_off}
        waiting = [run.name for run in runs if run.name in changed]
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for start in range(0, len(waiting), _TOGETHER):
                fresh = self.look(waiting[start : start + _TOGETHER])
                list(pool.map(lambda run: self._write(run, missing), fresh))

    def _write(self, run: _NotedRun, missing: Changes) -> None:
        if run.name in missing.noted:
            summary = json.dumps(self._notes.summary_of(run.name, run.summary))
            self._client.ask(_SET_SUMMARY, {"id": run.id, "value": summary}, field="upsertBucket")
        if run.name in missing.tag_on or run.name in missing.tag_off:
            others = [tag for tag in run.tags if tag != MARK]
            tags = [*others, MARK] if run.name in missing.tag_on else others
            self._client.ask(_SET_TAGS, {"id": run.id, "value": tags}, field="upsertBucket")

    def _named(self, names: Sequence[str]) -> Selection:
        chosen = [{"name": {"$in": list(names)}}]
        return Selection(self._selection.entity, self._selection.project, chosen)

    def _list(self, selection: Selection) -> Iterator[_NotedRun]:
        cursor = None
        while True:
            project = self._client.ask(_RUNS_QUERY, selection.page(_PAGE, cursor))["project"]
            for node in nodes(project and project["runs"]):
                yield from _noted(node)
            if (cursor := next_page(project and project["runs"])) is None:
                return

    def _list_checkpoints(self, run: str) -> Iterator[_Checkpoint]:
        cursor = None
        while True:
            place = {"entity": self._place.entity, "project": self._place.project, "run": run}
            project = self._client.ask(_CHECKPOINTS_QUERY, {**place, "cursor": cursor})["project"]
            found = project and project["run"] and project["run"]["outputArtifacts"]
            for node in nodes(found):
                if node["artifactType"]["name"] == CHECKPOINT_TYPE:
                    collection = node["artifactSequence"]["name"]
                    own = [
                        a["alias"] for a in node["aliases"] if a["artifactCollection"]["name"] == collection
                    ]
                    yield _Checkpoint(node["id"], collection, f"v{node['versionIndex']}", tuple(own))
            if (cursor := next_page(found)) is None:
                return

    def _alias(self, checkpoint: _Checkpoint) -> dict[str, Any]:
        """What W&B wants to know to add or take away the alias."""
        alias = {
            "entityName": self._place.entity,
            "projectName": self._place.project,
            "artifactCollectionName": checkpoint.collection,
            "alias": MARK,
        }
        return {"artifactID": checkpoint.id, "aliases": [alias]}


def _noted(node: Mapping[str, Any]) -> Iterator[_NotedRun]:
    """A node of the list; nothing for one whose summary is not JSON, which no reader takes either."""
    try:
        summary = json.loads(node["summaryMetrics"] or "{}")
    except ValueError:
        return
    running = node["state"] in ("running", "pending", "preempting", "preempted")
    yield _NotedRun(node["id"], node["name"], running, tuple(node["tags"] or ()), summary)
