"""Consensus: the mean of a run's ranks by three metrics of different kinds, the default of `selector rank`.

Which three was found on six small labelled sweeps. Fitted on five of them, the best triple chose a run 2.1
points below the best of the sixth on average; the best single metric of the five lost 2.7, RankMe 5.4, and a
random choice 7.1 (docs/results.md, "Rules made of several metrics").
"""

import math
from collections.abc import Sequence
from dataclasses import replace

from selector.evaluation.metrics import LabelFreeMetric, label_free_metric
from selector.runs.run import Milestone, Run, RunSet
from selector.selection.candidates import finished_runs
from selector.selection.comparability import pools

# How many directions are used, how far projections spread, and how low-dimensional a surface it all lies on.
PARTS = tuple(label_free_metric(name) for name in ("nesum", "channel_std", "idest"))
CONSENSUS = LabelFreeMetric(
    name="consensus",
    symbol="mean rank",
    meaning=f"Mean share of the other runs that a run beats by {', '.join(part.name for part in PARTS)}.",
    formula="mean of (rank - 1) / (runs - 1), equal values sharing their mean rank",
    space="as its parts",
    direction="max",
    cost="nothing beyond its parts",
    source="docs/results.md, Rules",
    comparable=tuple(dict.fromkeys(field for part in PARTS for field in part.comparable)),
    settings=tuple(dict.fromkeys(field for part in PARTS for field in part.settings)),
    parts=tuple(part.key for part in PARTS),
)


def prepared(
    runs: RunSet, metric: LabelFreeMetric, allow_mixed: bool = False, running: bool = False
) -> tuple[RunSet, LabelFreeMetric]:
    """The runs with what a choice by `metric` needs, and the metric to choose by.

    That is the metric itself, but RankMe, with a warning, for the consensus where no run logged all of its
    parts.
    """
    if metric is not CONSENSUS:
        return runs, metric
    if any(_whole(row) for run in runs.runs for row in run.trained_milestones):
        return with_consensus(runs, allow_mixed, running), CONSENSUS
    names = ", ".join(part.name for part in PARTS)
    note = f"no run logged all of {names}, which the consensus is made of: runs are chosen by rankme instead"
    return replace(runs, warnings=(*runs.warnings, note)), label_free_metric("rankme")


def with_consensus(runs: RunSet, allow_mixed: bool = False, running: bool = False) -> RunSet:
    """The runs with the consensus in their rows, from 0, behind all others, to 1; higher is better.

    Runs are ranked among those that may be compared, each last milestone among the last ones, the others
    among those of their epoch. The untrained network, and rows without all three parts, have none.

    Args:
        runs: What a source holds.
        allow_mixed: Rank all runs together.
        running: Rank runs that still run, too.

    Raises:
        UserError: A part was computed in different ways in runs to be compared.
    """
    known = finished_runs(runs)[0]
    if running:
        known += [run for run in runs.runs if run.state == "running"]
    known = [run for run in known if run.trained_milestones and _whole(run.trained_milestones[-1])]
    scored = {
        run.id: run
        for pool in pools(known, [CONSENSUS], allow_mixed)
        for run in _scored(pool.runs)
    }  # fmt: skip
    return replace(runs, runs=tuple(scored.get(run.id, run) for run in runs.runs))


def _scored(pool: Sequence[Run]) -> list[Run]:
    last = _shares([run.trained_milestones[-1] for run in pool])
    by_epoch = {
        epoch: _shares([row for run in pool for row in run.trained_milestones if row.epoch == epoch])
        for epoch in {row.epoch for run in pool for row in run.trained_milestones[:-1]}
    }
    scored = []
    for run in pool:
        final = run.trained_milestones[-1]
        rows = [
            _with(row, last[id(row)] if row is final else by_epoch.get(row.epoch, {}).get(id(row)))
            for row in run.milestones
        ]
        scored.append(replace(run, milestones=tuple(rows)))
    return scored


def _shares(rows: Sequence[Milestone]) -> dict[int, float]:
    """Identity of each row with all parts → mean share of the others that it beats."""
    import numpy as np  # here, because `--help` names the consensus and needs no arithmetic

    from selector.selection.correlation import average_ranks

    whole = [row for row in rows if _whole(row)]
    ranks = np.mean([average_ranks([_upward(row, part) for row in whole]) for part in PARTS], axis=0)
    beaten = (ranks - 1) / max(1, len(whole) - 1)
    return {id(row): float(share) for row, share in zip(whole, beaten, strict=True)}


def _upward(row: Milestone, part: LabelFreeMetric) -> float:
    return row.values[part.key] if part.direction == "max" else -row.values[part.key]


def _with(row: Milestone, share: float | None) -> Milestone:
    return row if share is None else replace(row, values={**row.values, CONSENSUS.key: share})


def _whole(row: Milestone) -> bool:
    return all(math.isfinite(row.values.get(part.key, math.nan)) for part in PARTS)
