"""Consensus: the mean of a run's ranks by three metrics of different kinds.

It chooses where runs did not log the pretext score. The three were chosen on six small labelled sweeps. It
has not been shown to beat the best single metric, and its pick can depend on losing runs, because it ranks a
run among the others (docs/results.md).
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean

from selector.metrics import CONSENSUS_KEY, LABEL_FREE_PREFIX, LabelFreeMetric, label_free_metric
from selector.runs import Milestone, Run, RunSet
from selector.selection.candidates import MilestoneChoice, finished_runs
from selector.selection.comparability import pools

# How many directions are used, how far projections spread, and how low-dimensional a surface it all lies on.
PARTS = tuple(label_free_metric(name) for name in ("nesum", "channel_std", "idest"))
CONSENSUS = LabelFreeMetric(
    name=CONSENSUS_KEY.removeprefix(LABEL_FREE_PREFIX),
    symbol="mean rank",
    meaning=f"Mean share of the other runs that a run beats by {', '.join(part.name for part in PARTS)}.",
    formula="mean of (rank - 1) / (runs - 1), equal values sharing their mean rank",
    space="as its parts",
    direction="max",
    cost="nothing beyond its parts",
    source="ours; found on the first six sweeps of docs/results.md",
    comparable=tuple(dict.fromkeys(field for part in PARTS for field in part.comparable)),
    settings=tuple(dict.fromkeys(field for part in PARTS for field in part.settings)),
    parts=tuple(part.key for part in PARTS),
)


def with_consensus(
    runs: RunSet, milestone: MilestoneChoice = "last", allow_mixed: bool = False, running: bool = False
) -> RunSet:
    """The runs with the consensus in their rows, from 0, behind all others, to 1; higher is better.

    Runs are ranked among those that may be compared, at each epoch among those that have a milestone there.
    The untrained network, and rows without all three parts, have none.
    "last" compares the last milestones of all runs with each other, whatever their epochs.
    """
    shares: dict[int, float] = {}
    for pool in pools(known_runs(runs, running), [CONSENSUS], allow_mixed):
        by_epoch: dict[int, list[Milestone]] = {}
        for trained in (run.trained_milestones for run in pool.runs):
            for one in trained:
                by_epoch.setdefault(one.epoch, []).append(one)
        last = [row for run in pool.runs if (row := compared(run, "last"))] if milestone == "last" else []
        for rows in (*by_epoch.values(), last):
            shares |= _shares(rows)

    def with_share(row: Milestone) -> Milestone:
        share = shares.get(id(row))
        return row if share is None else replace(row, values={**row.values, CONSENSUS.key: share})

    return replace(
        runs,
        runs=tuple(replace(run, milestones=tuple(map(with_share, run.milestones))) for run in runs.runs),
    )


def known_runs(runs: RunSet, running: bool) -> list[Run]:
    """The runs that may take a place."""
    return finished_runs(runs)[0] + [run for run in runs.runs if running and run.state == "running"]


def compared(run: Run, milestone: MilestoneChoice) -> Milestone | None:
    """The row that is compared; of other people's runs, whose rows are of many kinds, the last whole one."""
    rows = run.trained_milestones
    if milestone != "last":
        rows = tuple(row for row in rows if row.epoch == milestone)
    elif not run.definition:
        rows = tuple(filter(has_all_parts, rows)) or rows
    return rows[-1] if rows else None


def _shares(rows: Sequence[Milestone]) -> dict[int, float]:
    """Identity of each row with all parts → mean share of the others that it beats."""
    whole = [row for row in rows if has_all_parts(row)]
    if not whole:
        return {}
    from selector.selection.correlation import average_ranks  # here: `--help` needs no arithmetic

    signs = [1 if part.direction == "max" else -1 for part in PARTS]
    columns = [
        average_ranks([sign * row.values[part.key] for row in whole])
        for sign, part in zip(signs, PARTS, strict=True)
    ]
    beaten = [(fmean(ranks) - 1) / max(1, len(whole) - 1) for ranks in zip(*columns, strict=True)]
    return {id(row): float(share) for row, share in zip(whole, beaten, strict=True)}


def has_all_parts(row: Milestone) -> bool:
    """Whether it can have a consensus."""
    return all(math.isfinite(row.values.get(part.key, math.nan)) for part in PARTS)
