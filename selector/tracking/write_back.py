"""Writes notes about runs back to a W&B server, so that several selectors may do so at once.

A decision is written first, whole, in the run of job type `selection`; then runs and checkpoints are brought
in line with the decision that stands, and looked at again until nothing differs. So whoever writes last
also looks last, and what is in line then stays so. wandb's client replaces a summary only as a whole: each is
read anew directly before it is written, to keep what others noted.

Names in W&B, for the metric NAME:

- on each ranked run the summary fields `selection/NAME/rank`, `/score`, `/epoch` (the score's milestone),
  `/tied` (whether the metric cannot tell it from the best) and `/picked`;
- on the picked run, and on no other of the source, the tag `label-free-best`;
- on its checkpoint, an artifact of type `model`, the alias `label-free-best`: on the version
  `milestone-EPOCH`, or where that is not kept on `last`;
- in one run of job type `selection` for each source, always the same, the tables `ranking/NAME` and, where
  the runs know an accuracy, `regret/NAME`, the report's charts as `charts/NAME/…`, and in its summary
  `selection/decision`: what was decided last.

Tag and alias follow the last decision, whatever its metric was.
"""

import json
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from selector.errors import UserError
from selector.runs import SELECTION_JOB
from selector.text import printable
from selector.tracking.connection import SILENT_MODES, Found, again, find, reason

MARK = "label-free-best"
DECISION = "selection/decision"
CHECKPOINT_TYPE = "model"
_AT_ONCE = 6
_ROUNDS = 6


@dataclass(frozen=True)
class NotesTable:
    """A table: as many values in each row as there are columns."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


@dataclass(frozen=True)
class Pick:
    """The id of a chosen run, and the milestone that it was chosen at."""

    run: str
    epoch: int


@dataclass(frozen=True)
class Notes:
    """What a ranking says of runs."""

    metric: str  # name of the one that chose
    fields: Mapping[str, Mapping[str, Any]]  # run id → what is noted, such as {"rank": 1, "score": 41.2}
    picks: tuple[Pick, ...]  # one of each group
    tables: Mapping[str, NotesTable]  # for the run of job type `selection`, by name
    charts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # Plotly figures as plain data

    @property
    def prefix(self) -> str:
        """How the summary fields of this metric begin."""
        return f"selection/{self.metric}/"

    @property
    def decision(self) -> str:
        """As it is kept in the summary of the run of job type `selection`: equal for equal notes."""
        tables = {name: [table.columns, table.rows] for name, table in self.tables.items()}
        fields = {run: dict(f) for run, f in self.fields.items()}
        charts = {name: dict(figure) for name, figure in self.charts.items()}
        content = json.dumps([self.metric, fields, tables, charts], sort_keys=True)
        signature = sha256(content.encode()).hexdigest()[:16]
        picks = [[pick.run, pick.epoch] for pick in self.picks]
        return json.dumps({"metric": self.metric, "picks": picks, "signature": signature})

    def summary_of(self, run: str, summary: Mapping[str, Any]) -> dict[str, Any]:
        """A run's summary with what is noted of it, in place of what an earlier ranking noted."""
        kept = {key: value for key, value in summary.items() if not key.startswith(self.prefix)}
        return kept | {self.prefix + name: value for name, value in self.fields.get(run, {}).items()}


def decided(text: object) -> tuple[str, tuple[Pick, ...]] | None:
    """Metric and picks of a decision as it is kept, or None for what is none."""
    try:
        decision = json.loads(text) if isinstance(text, str) else {}
        return str(decision["metric"]), tuple(Pick(str(run), int(epoch)) for run, epoch in decision["picks"])
    except (ValueError, KeyError, TypeError):
        return None


@dataclass
class Changes:
    """What W&B lacks of some notes; or, after writing, what was changed."""

    place: str  # where the tables are: the run of job type `selection`
    tables: bool = False  # whether tables, charts and decision are not there yet
    noted: list[str] = field(default_factory=list)  # runs whose summary fields differ
    tag_on: list[str] = field(default_factory=list)  # runs that lack the tag
    tag_off: list[str] = field(default_factory=list)  # … and those that must lose it
    alias_on: list[str] = field(default_factory=list)  # checkpoints that lack the alias: collection:version
    alias_off: list[str] = field(default_factory=list)
    no_checkpoint: list[str] = field(default_factory=list)  # picked runs that have no artifact of theirs

    def __bool__(self) -> bool:
        return self.tables or any(self.lists)

    @property
    def lists(self) -> Sequence[list[str]]:
        """What would be, or was, changed."""
        return (self.noted, self.tag_on, self.tag_off, self.alias_on, self.alias_off)

    def add(self, later: "Changes") -> None:
        """Take in what was changed afterwards."""
        self.tables = self.tables or later.tables
        for mine, theirs in zip(self.lists, later.lists, strict=True):
            mine += [name for name in theirs if name not in mine]
        self.no_checkpoint = later.no_checkpoint


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
) -> Changes:
    """Bring W&B in line with notes about the runs of a source.

    Args:
        source: What the runs were read from.
        notes: What to write.
        tag: Only runs with this tag were read.
        group: Only runs of this group were read.
        dry_run: Send nothing; say what would be changed.
        settle: Seconds after which what was written is looked at again.

    Returns:
        What was, or would be, changed; empty where W&B held it all already.

    Raises:
        Overtaken: See there; read, rank and write again.
        UserError: The server refused, or cannot be reached.
    """
    if not dry_run and (mode := os.environ.get("WANDB_MODE", "")) in SILENT_MODES:
        raise UserError(f"nothing is sent to W&B while WANDB_MODE is {mode}: unset it, or pass --dry-run")
    found = find(source)
    writer = _Writer(found, notes, found.place.filters(tag, group))
    try:
        done = writer.compare()
        if dry_run or not done:
            return done
        if done.tables:
            writer.decide()
        for _ in range(_ROUNDS):
            missing = writer.compare()
            if not missing:
                return done
            writer.apply(missing)
            done.add(missing)
            time.sleep(settle)
    except Overtaken:
        raise
    except Exception as error:  # of wandb's client, which raises private kinds too
        raise UserError(
            f"cannot write back to {printable(source)} on {found.server}: {reason(error)};"
            " the same command continues where this one stopped"
        ) from None
    raise UserError(f"{printable(source)} is still changing, perhaps by another selector: try again")


class _Writer:
    """Compares the server with notes, and writes what differs."""

    def __init__(self, found: Found, notes: Notes, filters: dict[str, Any]) -> None:
        self._found = found
        self._notes = notes
        self._filters = filters
        scope = found.place.sweep or sha256(json.dumps(filters).encode()).hexdigest()[:8]
        self._table_run = f"selection-{scope}"
        self._decided = False
        self._runs: list[Any] = []
        self._checkpoints: dict[str, Any] = {}

    def compare(self) -> Changes:
        """What differs from the notes, or for tag and alias from the later decision of another metric."""
        place = self._found.place
        changes = Changes(f"{place.entity}/{place.project}/{self._table_run}")
        stands, picks = self._standing()
        changes.tables = not stands
        winners = {pick.run: pick for pick in picks}
        self._runs = self._list(self._filters)
        for run in self._runs:
            running = run.state in ("running", "pending", "preempting", "preempted")
            if not running and self._notes.summary_of(run.id, run.summary_metrics) != run.summary_metrics:
                changes.noted.append(run.id)
            if (MARK in (run.tags or ())) != (run.id in winners):
                (changes.tag_on if run.id in winners else changes.tag_off).append(run.id)
            # A run that was picked once may still have a checkpoint that carries the alias.
            picked_before = any(
                key.startswith("selection/") and key.endswith("/picked") and value
                for key, value in run.summary_metrics.items()
            )
            if run.id in winners or MARK in (run.tags or ()) or picked_before:
                self._compare_checkpoints(run, winners.get(run.id), changes)
        return changes

    def _list(self, filters: dict[str, Any]) -> list[Any]:
        return list(self._found.each(self._found.runs(filters)))

    def _standing(self) -> tuple[bool, tuple[Pick, ...]]:
        """Whether the decision of these notes has been written, and the picks that stand."""
        kept = self._list({"name": self._table_run})
        text = kept[0].summary_metrics.get(DECISION) if kept else None
        if text == self._notes.decision or not self._decided:
            return text == self._notes.decision, self._notes.picks
        other = decided(text)
        if other is None or other[0] == self._notes.metric:
            raise Overtaken
        return True, other[1]

    def _compare_checkpoints(self, run: Any, pick: Pick | None, changes: Changes) -> None:
        """Of a winner's checkpoints one carries the alias, of another run's none does."""
        logged = self._found.each(run.logged_artifacts())
        checkpoints = [one for one in logged if one.type == CHECKPOINT_TYPE]
        wanted = None
        if pick is not None:
            for alias in (f"milestone-{pick.epoch}", "last"):
                wanted = wanted or next((one for one in checkpoints if alias in one.aliases), None)
            if wanted is None:
                changes.no_checkpoint.append(run.id)
            elif MARK not in wanted.aliases:
                changes.alias_on.append(wanted.name)
        changes.alias_off += [one.name for one in checkpoints if MARK in one.aliases and one is not wanted]
        self._checkpoints |= {one.name: one for one in checkpoints}

    def decide(self) -> None:
        """Log tables and charts to the run of job type `selection`; the decision goes last."""
        import wandb
        from plotly.graph_objects import Figure

        self._decided = True
        place = self._found.place
        # Its files are of no use once they are sent: they go to a folder that does not stay.
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            run = wandb.init(
                entity=place.entity,
                project=place.project,
                id=self._table_run,
                name=f"selection {place.sweep or place.group or ''}".strip(),
                job_type=SELECTION_JOB,
                resume="allow",
                mode="online",
                dir=folder,
                settings=wandb.Settings(silent=True, console="off", disable_git=True, disable_code=True),
            )
            tables = {
                name: wandb.Table(
                    list(table.columns), [list(row) for row in table.rows], allow_mixed_types=True
                )
                for name, table in self._notes.tables.items()
            }
            figures = {name: wandb.Plotly(Figure(figure)) for name, figure in self._notes.charts.items()}
            run.log({**tables, **figures})
            run.summary[DECISION] = self._notes.decision
            run.finish()

    def apply(self, missing: Changes) -> None:
        """Write what is missing. Aliases go first: a tag still tells which checkpoint may carry one."""
        for name in missing.alias_off:
            self._checkpoints[name].aliases.remove(MARK)
        for name in missing.alias_on:
            self._checkpoints[name].aliases.append(MARK)
        for name in (*missing.alias_off, *missing.alias_on):
            again(self._checkpoints[name].save)
        changed = {*missing.noted, *missing.tag_on, *missing.tag_off}
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(lambda run: self._write(run, missing), [r for r in self._runs if r.id in changed]))

    def _write(self, run: Any, missing: Changes) -> None:
        again(lambda: run.load(force=True))
        if run.id in missing.noted:
            noted = self._notes.summary_of(run.id, run.summary_metrics)
            for key in run.summary_metrics.keys() - noted.keys():
                del run.summary[key]
            ours = {key: value for key, value in noted.items() if key.startswith(self._notes.prefix)}
            again(lambda: run.summary.update(ours))
        if run.id in missing.tag_on or run.id in missing.tag_off:
            others = [tag for tag in run.tags or () if tag != MARK]
            run.tags = [*others, MARK] if run.id in missing.tag_on else others
            again(run.update)
