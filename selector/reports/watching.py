"""A running sweep for people: a table that is drawn again, or a line for each change."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, fields

from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.table import Table
from rich.text import Text

from selector.metrics.metrics import LabelFreeMetric
from selector.reports.tables import label, number, ranking_rows
from selector.runs import Run
from selector.selection.comparability import describe
from selector.selection.ranking import RankedGroup
from selector.selection.standing import Standing
from selector.text import printable


@dataclass(frozen=True)
class WatchRow:
    """One run's line."""

    rank: str
    run: str
    state: str
    epoch: str
    score: str
    training: str
    hyperparameters: str


def watch_rows(now: Standing, group: RankedGroup, metric: LabelFreeMetric) -> list[WatchRow]:
    """A group's runs, best first."""
    states = {run.id: run.state for run in now.runs.runs}
    return [
        WatchRow(
            row.rank, row.run, states[ranked.run.id], str(ranked.epoch), row.score, row.training,
            row.hyperparameters,
        )
        for row, ranked in zip(ranking_rows(group, metric), group.ranking, strict=True)
    ]  # fmt: skip


def watch_table(now: Standing, note: str) -> Group:
    """All groups as tables, with how many runs there are and a note below."""
    metric = now.metric
    parts: list[Text | Table] = []
    for group in now.ranking.groups if now.ranking else ():
        better = "higher" if group.direction == "max" else "lower"
        title = f"{metric.name} so far, {better} is better: {describe(group.group)}"
        parts += [Text(printable(title)), _table(watch_rows(now, group, metric), metric)]
    return Group(*parts, Text(printable(f"{counts_line(now)}{note}")))


def counts_line(now: Standing) -> str:
    """How many runs there are, by state, and who leads."""
    runs = now.runs
    states = Counter(run.state for run in runs.runs)
    counted = ", ".join(f"{n} {state}" for state, n in sorted(states.items()))
    planned = f" of {runs.planned}" if runs.planned is not None else ""
    return f"{len(runs.runs)}{planned} runs{f': {counted}' if counted else ''}{_leaders(now)}"


def change_lines(before: Standing | None, now: Standing) -> Iterator[str]:
    """What is new since the last look; one line a change."""
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
        yield f"reached epoch {last}{_place(run, now)}"
    if run.state not in (before.state if before else "running", "running"):
        yield run.state + (f" ({run.detail})" if run.detail else "")


def _place(run: Run, now: Standing) -> str:
    if run.id not in now.places or now.ranking is None:
        return ""
    ranked, group = now.places[run.id]
    score = f"{now.ranking.metric.name} {number(ranked.score)}"
    return f": {score}, rank {ranked.rank} of {len(group.ranking)}"


def _leaders(now: Standing) -> str:
    """Who leads: one a group."""
    groups = now.ranking.groups if now.ranking else ()
    leaders = [
        f"{label(group.chosen)} leads with {number(group.ranking[0].score)} at epoch {group.ranking[0].epoch}"
        for group in groups
    ]
    return "; " + "; ".join(leaders) if leaders else "; no milestone yet"


def _table(rows: list[WatchRow], metric: LabelFreeMetric) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1), show_edge=False)
    names = [field.name for field in fields(WatchRow)]
    for name in names:
        title = metric.name if name == "score" else name
        table.add_column(
            title, justify="right" if name in ("rank", "epoch", "score") else "left", overflow="fold"
        )
    for row in rows:
        table.add_row(*(Text(printable(getattr(row, name))) for name in names))
    return table
