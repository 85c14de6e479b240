"""Rules that choose a run without labels from all of its metrics, and how well they choose.

A rule scores the runs of one study, higher first. A fitted rule learns from other studies, with their labels,
which metrics to trust; it is judged only on studies that it has not seen.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from selector.evaluation.metrics import METRICS, LabelFreeMetric
from selector.selection.candidates import last_milestone
from selector.selection.correlation import average_ranks
from selector.selection.regret import RegretGroup

Ranks = dict[str, NDArray[np.float64]]  # metric → share of the study's runs that each run beats, 0 to 1


@dataclass(frozen=True)
class Rule:
    """A way to choose. `choose` takes the ranks of a study and of the others with their regrets."""

    name: str
    fitted: bool
    score: Callable[[Ranks, Sequence[RegretGroup]], NDArray[np.float64]]


def ranks_of(group: RegretGroup) -> Ranks:
    """Each metric's ranking of the judged runs, turned so that higher is better; not finite is worst."""
    found: Ranks = {}
    for metric in METRICS:
        if not isinstance(metric, LabelFreeMetric):
            continue
        rows = [last_milestone(judged.run, metric.key) for judged in group.judged]
        values = np.array([np.nan if row is None else row.values.get(metric.key, np.nan) for row in rows])
        if not np.isfinite(values).any():
            continue
        sign = 1 if metric.direction_in(group.judged[0].run.config.get("method")) == "max" else -1
        oriented = np.where(np.isfinite(values), sign * values, -np.inf)
        found[metric.name] = (average_ranks(oriented) - 1) / max(1, len(values) - 1)
    return found


def cost_of(scores: NDArray[np.float64], group: RegretGroup) -> tuple[float, float]:
    """Expected regret of the highest score (ties drawn by lot), and the same over the spread of accuracy."""
    quality = np.array([judged.quality for judged in group.judged])
    picks = quality[scores == scores.max()]
    regret = float(quality.max() - picks.mean())
    return regret, regret / float(np.ptp(quality))


def leave_one_study_out(rule: Rule, groups: Sequence[RegretGroup]) -> list[tuple[float, float]]:
    """Regret and normalised regret in each study, the rule fitted on the others."""
    return [
        cost_of(rule.score(ranks_of(group), [other for other in groups if other is not group]), group)
        for group in groups
    ]


def mean_rank(*names: str) -> Callable[[Ranks, Sequence[RegretGroup]], NDArray[np.float64]]:
    """Mean over some metrics, or all."""

    def score(ranks: Ranks, _: Sequence[RegretGroup]) -> NDArray[np.float64]:
        some = [ranks[name] for name in names or ranks if name in ranks]
        return np.mean(some, axis=0)

    return score


def best_single(ranks: Ranks, others: Sequence[RegretGroup]) -> NDArray[np.float64]:
    """The metric with the least mean normalised regret in the other studies."""
    return ranks[min(_common(ranks, others), key=lambda name: _loss((name,), others))]


def best_pair(ranks: Ranks, others: Sequence[RegretGroup]) -> NDArray[np.float64]:
    """The mean rank of the two metrics that do best together in the other studies."""
    pair = min(combinations(_common(ranks, others), 2), key=lambda names: _loss(names, others))
    return np.mean([ranks[name] for name in pair], axis=0)


def _common(ranks: Ranks, others: Sequence[RegretGroup]) -> list[str]:
    held = [ranks_of(group) for group in others]
    return [name for name in ranks if all(name in one for one in held)]


def _loss(names: Sequence[str], groups: Sequence[RegretGroup]) -> float:
    return fmean(
        cost_of(np.mean([ranks_of(group)[name] for name in names], axis=0), group)[1] for group in groups
    )


RULES = (
    *(Rule(m.name, False, mean_rank(m.name)) for m in METRICS if isinstance(m, LabelFreeMetric)),
    Rule("mean rank of all metrics", False, mean_rank()),
    Rule("mean rank of rankme, rankme_backbone, clustering_agreement", False,
         mean_rank("rankme", "rankme_backbone", "clustering_agreement")),
    Rule("best single metric elsewhere", True, best_single),
    Rule("best pair elsewhere", True, best_pair),
)  # fmt: skip
