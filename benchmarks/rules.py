"""Rules that choose a run without labels from all of its metrics, and how well they choose.

A rule scores the runs of one study, higher first. A fitted rule learns from other studies, with their labels,
which metrics to trust; it is judged only on studies that it has not seen.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean

import numpy as np
from last_value import value_of
from numpy.typing import NDArray

from selector.metrics.metrics import METRICS, LabelFreeMetric
from selector.selection.consensus import CONSENSUS, PARTS
from selector.selection.correlation import average_ranks
from selector.selection.regret import RegretGroup

Ranks = dict[str, NDArray[np.float64]]  # metric → how many of the study's runs each run beats


@dataclass(frozen=True)
class Study:
    """Runs of one method on one data set.

    Attributes:
        ranks: How each metric ranks the runs.
        quality: Their accuracy, as the oracle has it.
    """

    ranks: Ranks
    quality: NDArray[np.float64]


@dataclass(frozen=True)
class Rule:
    """A way to choose. `score` takes the ranks of a study, and the other studies with their labels."""

    name: str
    fitted: bool
    score: Callable[[Ranks, Sequence[Study]], NDArray[np.float64]]
    needs: frozenset[str] = frozenset()


def ranks_of(group: RegretGroup) -> Ranks:
    """Each metric's ranking of the judged runs, turned so that higher is better; not finite is worst.

    Metrics that may not compare these runs (LiDAR and alignment where augmentations differ) take no part.
    """
    found: Ranks = {}
    for metric in (one.metric for one in group.metrics if one.regret is not None):
        if metric is CONSENSUS:
            continue
        values = np.array([value_of(judged.run, metric.key) for judged in group.judged])
        if not np.isfinite(values).any():
            continue
        sign = 1 if metric.direction_in(group.judged[0].run.config.get("method")) == "max" else -1
        oriented = np.where(np.isfinite(values), sign * values, -np.inf)
        found[metric.name] = average_ranks(oriented) - 1  # whole or half: sums are exact, and ties stay ties
    return found


def cost_of(scores: NDArray[np.float64], quality: NDArray[np.float64]) -> tuple[float, float]:
    """Expected regret of the highest score (ties drawn by lot), and the same over the spread of accuracy."""
    picks = quality[scores == scores.max()]
    regret = float(quality.max() - picks.mean())
    return regret, regret / float(np.ptp(quality))


def leave_one_study_out(rule: Rule, groups: Sequence[RegretGroup]) -> list[tuple[float, float]]:
    """Regret and normalised regret in each study, the rule fitted on the others; none without its metric."""
    studies = [Study(ranks_of(group), np.array([run.quality for run in group.judged])) for group in groups]
    if not all(rule.needs <= study.ranks.keys() for study in studies):
        return []
    return [
        cost_of(rule.score(study.ranks, [other for other in studies if other is not study]), study.quality)
        for study in studies
    ]


def mean_rank(*names: str) -> Callable[[Ranks, Sequence[Study]], NDArray[np.float64]]:
    """Mean over some metrics, or all."""

    def score(ranks: Ranks, _: Sequence[Study]) -> NDArray[np.float64]:
        some = [ranks[name] for name in names or ranks if name in ranks]
        return _mean(some)

    return score


def vetoed(name: str, veto: str) -> Callable[[Ranks, Sequence[Study]], NDArray[np.float64]]:
    """One metric's ranking, behind it the half of the runs that another puts last."""

    def score(ranks: Ranks, _: Sequence[Study]) -> NDArray[np.float64]:
        return ranks[name] - len(ranks[name]) * (ranks[veto] < (len(ranks[veto]) - 1) / 2)

    return score


def best_single(ranks: Ranks, others: Sequence[Study]) -> NDArray[np.float64]:
    """The metric with the least mean normalised regret in the other studies."""
    return ranks[min(_common(ranks, others), key=lambda name: _loss((name,), others))]


def best_group(size: int) -> Callable[[Ranks, Sequence[Study]], NDArray[np.float64]]:
    """The mean rank of the so many metrics that do best together in the other studies."""

    def score(ranks: Ranks, others: Sequence[Study]) -> NDArray[np.float64]:
        names = min(combinations(_common(ranks, others), size), key=lambda names: _loss(names, others))
        return _mean([ranks[name] for name in names])

    return score


def reliable(ranks: Ranks, others: Sequence[Study]) -> NDArray[np.float64]:
    """The mean rank of the metrics that beat a random choice in every other study; of all, if none does."""
    better = [
        name
        for name in _common(ranks, others)
        if all(cost_of(o.ranks[name], o.quality)[0] < o.quality.max() - o.quality.mean() for o in others)
    ]
    return _mean([ranks[name] for name in better or ranks])


def _common(ranks: Ranks, others: Sequence[Study]) -> list[str]:
    return [name for name in ranks if all(name in other.ranks for other in others)]


def _loss(names: Sequence[str], studies: Sequence[Study]) -> float:
    return fmean(cost_of(_mean([one.ranks[name] for name in names]), one.quality)[1] for one in studies)


def _mean(ranks: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    mean: NDArray[np.float64] = np.mean(ranks, axis=0)
    return mean


FITTED = (
    Rule("best single metric elsewhere", True, best_single),
    Rule("best pair elsewhere", True, best_group(2)),
    Rule("best triple elsewhere", True, best_group(3)),
    Rule("mean rank of metrics better than random in each other sweep", True, reliable),
)


def best_form(ranks: Ranks, others: Sequence[Study]) -> NDArray[np.float64]:
    """The fitted rule that chooses best in the other studies, each judged by what the rest of them teach."""

    def loss(rule: Rule) -> float:
        return fmean(
            cost_of(rule.score(one.ranks, [rest for rest in others if rest is not one]), one.quality)[1]
            for one in others
        )

    return min(FITTED, key=loss).score(ranks, others)


RULES = (
    *(
        Rule(m.name, False, mean_rank(m.name), frozenset([m.name]))
        for m in METRICS
        if isinstance(m, LabelFreeMetric)
    ),
    Rule("consensus", False, mean_rank(*(part.name for part in PARTS))),
    Rule("mean rank of all metrics", False, mean_rank()),
    Rule("mean rank of rankme, rankme_backbone, clustering_agreement", False,
         mean_rank("rankme", "rankme_backbone", "clustering_agreement")),
    Rule("rankme, the half with the lower channel_std behind", False, vetoed("rankme", "channel_std")),
    Rule("rankme, the half with the lower stable_rank behind", False, vetoed("rankme", "stable_rank")),
    *FITTED,
    Rule("best of the four other fitted rules elsewhere", True, best_form),
)  # fmt: skip
