"""A running sweep for people: a table that is redrawn, a line per change, and which runs cannot win."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from selector.reports.rows import rank_rows
from selector.reports.tables import table_of
from selector.reports.words import label, number, settings_of
from selector.runs import Run
from selector.selection.comparability import describe
from selector.selection.losers import RULE, Verdicts
from selector.selection.ranking import RankedGroup, Standing
from selector.selection.verdicts import RULES, verdict_of
from selector.text import counted, printable


def watch_rows(now: Standing, group: RankedGroup) -> list[tuple[str, ...]]:
    """A group's runs, best first."""
    states = {run.id: run.state for run in now.runs.runs}
    rows: list[tuple[str, ...]] = []
    for row in rank_rows(group, now.metric.key):
        run = row.ranked.run
        at = f"{states[run.id]}, {row.ranked.epoch}"
        rows.append((row.rank, row.run, at, row.score, row.training, verdict_of(run).short))
    return rows


def watch_table(now: Standing, note: str) -> Group:
    """All groups as tables, with how many runs there are and a note below."""
    parts: list[Text | Table] = []
    name = now.metric.name
    for group in now.ranking.groups if now.ranking else ():
        better = "higher" if group.direction == "max" else "lower"
        parts.append(Text(printable(f"{name} so far, {better} is better: {describe(group.group)}")))
        titles = ("rank", "run", "state, epoch", name, "training", "verdict")
        parts.append(table_of(titles, watch_rows(now, group), right=("rank", name)))
        first = {name: group.chosen.config.get(name) for name in group.swept}
        if first:
            parts.append(Text(printable(f"The first one has {settings_of(first)}.")))
    kinds = {verdict_of(run).kind for run in now.runs.runs} - {"unknown"}
    parts += [Text(f"{kind}: {rule}") for kind, rule in RULES.items() if kind in kinds]
    return Group(*parts, Text(printable(f"{counts_line(now)}{note}")))


def counts_line(now: Standing) -> str:
    """How many runs there are, by state, and who leads."""
    runs = now.runs
    states = Counter(run.state for run in runs.runs)
    listed = ", ".join(f"{n} {state}" for state, n in sorted(states.items()))
    number = len(runs.runs)
    some = counted(number, "run") if runs.planned is None else f"{number} of {counted(runs.planned, 'run')}"
    return f"{some}{f': {listed}' if listed else ''}{_leaders(now)}"


def change_lines(before: Standing | None, now: Standing) -> Iterator[str]:
    """What is new since the last look; one line per change."""
    if before is None:
        yield counts_line(now)
        return
    old = {run.id: run for run in before.runs.runs}
    for run in now.runs.runs:
        if changes := list(_changes(old.get(run.id), run, now)):
            yield f"{label(run)} {'; '.join(changes)}{_leaders(now)}"
    for gone in sorted(old.keys() - {run.id for run in now.runs.runs}):
        yield f"{gone} is gone{_leaders(now)}"


def _changes(before: Run | None, run: Run, now: Standing) -> Iterator[str]:
    if before is None:
        yield "started"
    last = run.trained_milestones[-1].epoch if run.trained_milestones else None
    seen = before.trained_milestones[-1].epoch if before and before.trained_milestones else None
    if last is not None and last != seen:
        yield f"reached {run.unit} {last}{_place(run, now)}"
    if run.state not in (before.state if before else "running", "running"):
        yield run.state + (f" ({run.detail})" if run.detail else "")


def _place(run: Run, now: Standing) -> str:
    if run.id not in now.places:
        return ""
    ranked, group = now.places[run.id]
    return f": {now.metric.name} {number(ranked.score)}, rank {ranked.rank} of {len(group.ranking)}"


def _leaders(now: Standing) -> str:
    """Who leads: one per group."""
    groups = now.ranking.groups if now.ranking else ()
    leaders = [
        f"{label(group.chosen)} leads with {now.metric.name} {number(group.ranking[0].score)}"
        f" at {group.chosen.unit} {group.ranking[0].epoch}"
        for group in groups
    ]
    return "; " + "; ".join(leaders) if leaders else "" if now.runs.ended else "; no milestone yet"


def loser_lines(verdicts: Verdicts, stopped: Sequence[str] | None) -> Iterator[str]:
    """A line for each running run; `stopped` is None where nothing was to be stopped."""
    for loser in verdicts.losers:
        if stopped is None:
            what = "would be stopped"
        else:
            what = "asked to stop" if loser.run.id in stopped else "has ended by itself"
        yield f"{label(loser.run)} {what}: {loser.reason}"
    for run, reason in verdicts.kept.items():
        yield f"{run} goes on: {reason}"
    running = len(verdicts.losers) + len(verdicts.kept)
    if not running:
        yield "no run is running"
    elif stopped is None:
        yield f"{len(verdicts.losers)} of {running} running runs cannot win any more" + (
            "; --yes asks W&B to stop them" if verdicts.losers else ""
        )
    else:
        yield f"{len(stopped)} of {running} running runs were asked to stop"


def losers_object(verdicts: Verdicts, stopped: Sequence[str], dry_run: bool) -> dict[str, Any]:
    """What `stop-losers --json` prints."""
    return {
        "metric": verdicts.metric.name,
        "rule": RULE,
        "dry_run": dry_run,
        "losers": [
            {
                "run": loser.run.id,
                "name": loser.run.name,
                "reason": loser.reason,
                "leader": loser.leader.id,
                "leader_score": loser.leader_score,
                "evidence": [asdict(found) for found in loser.evidence],
            }
            for loser in verdicts.losers
        ],
        "kept": [{"run": run, "reason": reason} for run, reason in verdicts.kept.items()],
        "stopped": list(stopped),
    }
