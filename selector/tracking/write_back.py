"""Writes notes about runs back to a W&B server, so that several selectors may do so at once.

A decision is written first, whole, in the run of job type `selection`; then runs and checkpoints are brought
in line with the decision that stands, and looked at again until nothing differs. So whoever writes last
also looks last, and what is in line then stays so. wandb's client replaces a summary only as a whole: each is
read anew directly before it is written, to keep what others noted.
"""

import json
import os
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from typing import Any

from selector.errors import UserError
from selector.runs import SELECTION_JOB
from selector.text import printable
from selector.tracking.connection import SILENT_MODES, Found, Patience, again, find, reason
from selector.tracking.notes import CHECKPOINT_TYPE, DECISION, MARK, Changes, Notes, Pick, decided

_AT_ONCE = 6
_ROUNDS = 6


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
    found = find(source, patience)
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
            again(self._checkpoints[name].save, self._found.patience)
        changed = {*missing.noted, *missing.tag_on, *missing.tag_off}
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(lambda run: self._write(run, missing), [r for r in self._runs if r.id in changed]))

    def _write(self, run: Any, missing: Changes) -> None:
        again(lambda: run.load(force=True), self._found.patience)
        if run.id in missing.noted:
            noted = self._notes.summary_of(run.id, run.summary_metrics)
            for key in run.summary_metrics.keys() - noted.keys():
                del run.summary[key]
            ours = {key: value for key, value in noted.items() if key.startswith(self._notes.prefix)}
            again(lambda: run.summary.update(ours), self._found.patience)
        if run.id in missing.tag_on or run.id in missing.tag_off:
            others = [tag for tag in run.tags or () if tag != MARK]
            run.tags = [*others, MARK] if run.id in missing.tag_on else others
            again(run.update, self._found.patience)
