"""A running sweep for people: a table that is redrawn, a line per change, and which runs cannot win."""

from collections import Counter
from collections.abc import Iterator, Sequence

from rich.console import Group
from rich.table import Table
from rich.text import Text

from selector.reports.rows import rank_rows
from selector.reports.tables import table_of
from selector.reports.words import label, number, settings_of
from selector.runs import Run, RunSet
from selector.selection.comparability import describe
from selector.selection.losers import RunningRun
from selector.selection.ranking import RankedGroup, Ranking
from selector.selection.verdicts import RULES, verdict_of
from selector.text import counted, printable


def watch_rows(runs: RunSet, group: RankedGroup, key: str) -> list[tuple[str, ...]]:
    """A group's runs by the metric of a W&B key, best first."""
    states = {run.id: run.state for run in runs.runs}
    rows: list[tuple[str, ...]] = []
    for row in rank_rows(group, key):
        run = row.ranked.run
        at = f"{states[run.id]}, {row.ranked.epoch}"
        rows.append((row.rank, row.run, at, row.score, row.training, verdict_of(run).short))
    return rows


def watch_table(runs: RunSet, ranking: Ranking, note: str) -> Group:
    """All groups as tables, with how many runs there are and a note below."""
    parts: list[Text | Table] = []
    for group in ranking.groups:
        name, key = ranking.metric.name, ranking.metric.key
        better = "higher" if group.direction == "max" else "lower"
        parts.append(Text(printable(f"{name} so far, {better} is better: {describe(group.group)}")))
        titles = ("rank", "run", "state, epoch", name, "training", "verdict")
        parts.append(table_of(titles, watch_rows(runs, group, key), right=("rank", name)))
        first = {name: group.chosen.config.get(name) for name in group.swept}
        if first:
            parts.append(Text(printable(f"The first one has {settings_of(first)}.")))
    kinds = {verdict_of(run).kind for run in runs.runs} - {"unknown"}
    parts += [Text(f"{kind}: {rule}") for kind, rule in RULES.items() if kind in kinds]
    return Group(*parts, Text(printable(f"{counts_line(runs, ranking)}{note}")))


def counts_line(runs: RunSet, ranking: Ranking) -> str:
    """How many runs there are, by state, and who leads."""
    states = Counter(run.state for run in runs.runs)
    listed = ", ".join(f"{n} {state}" for state, n in sorted(states.items()))
    number = len(runs.runs)
    some = counted(number, "run") if runs.planned is None else f"{number} of {counted(runs.planned, 'run')}"
    return f"{some}{f': {listed}' if listed else ''}{_leaders(runs, ranking)}"


def change_lines(before: RunSet | None, runs: RunSet, ranking: Ranking) -> Iterator[str]:
    """What is new since the last look; one line per change."""
    if before is None:
        yield counts_line(runs, ranking)
        return
    old = {run.id: run for run in before.runs}
    for run in runs.runs:
        if changes := list(_changes(old.get(run.id), run, ranking)):
            yield f"{label(run)} {'; '.join(changes)}{_leaders(runs, ranking)}"
    for gone in sorted(old.keys() - {run.id for run in runs.runs}):
        yield f"{gone} is gone{_leaders(runs, ranking)}"


def _changes(before: Run | None, run: Run, ranking: Ranking) -> Iterator[str]:
    if before is None:
        yield "started"
    last = run.trained_milestones[-1].epoch if run.trained_milestones else None
    seen = before.trained_milestones[-1].epoch if before and before.trained_milestones else None
    if last is not None and last != seen:
        yield f"reached {run.unit} {last}{_place(run, ranking)}"
    if run.state not in (before.state if before else "running", "running"):
        yield run.state + (f" ({run.detail})" if run.detail else "")


def _place(run: Run, ranking: Ranking) -> str:
    for group in ranking.groups:
        for one in group.ranking:
            if one.run.id == run.id:
                score = f"{ranking.metric.name} {number(one.score)}"
                return f": {score}, rank {one.rank} of {len(group.ranking)}"
    return ""


def _leaders(runs: RunSet, ranking: Ranking) -> str:
    """Who leads: one per group."""
    leaders = [
        f"{label(group.chosen)} leads with {ranking.metric.name} {number(group.ranking[0].score)}"
        f" at {group.chosen.unit} {group.ranking[0].epoch}"
        for group in ranking.groups
    ]
    return "; " + "; ".join(leaders) if leaders else "" if runs.ended else "; no milestone yet"


def loser_lines(
    losers: Sequence[RunningRun], kept: Sequence[RunningRun], stopped: Sequence[str] | None
) -> Iterator[str]:
    """A line for each running run; `stopped` is None where nothing was to be stopped."""
    for one in losers:
        if stopped is None:
            what = "would be stopped"
        else:
            what = "asked to stop" if one.run.id in stopped else "has ended by itself"
        yield f"{label(one.run)} {what}: {one.reason}"
    for one in kept:
        yield f"{one.run.id} goes on: {one.reason}"
    running = len(losers) + len(kept)
    if not running:
        yield "no run is running"
    elif stopped is None:
        yield f"{len(losers)} of {running} running runs cannot win any more" + (
            "; --yes asks W&B to stop them" if losers else ""
        )
    else:
        yield f"{len(stopped)} of {running} running runs were asked to stop"
