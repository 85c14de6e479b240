"""The figures of one metric's choice among runs that labels have judged."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf
from statistics import fmean

import numpy as np

from selector.metrics.metrics import Direction, LabelFreeMetric
from selector.runs import Run
from selector.selection.bootstrap import regret_interval
from selector.selection.correlation import (
    Correlation,
    kendall_test,
    pearson_test,
    spearman_test,
    weighted_tau,
)
from selector.selection.hyperparameters import configuration
from selector.selection.oracle import Judged
from selector.selection.ranking import RankedGroup
from selector.selection.stopping import AlongTraining, along_training

SHORTLISTS = (1, 3, 5)
HIT = 0.01  # one percentage point, or the oracle's own standard error where that is more


@dataclass(frozen=True)
class Regret:
    """What choosing by one metric cost in one pool. None wherever a figure is undefined.

    Attributes:
        metric: The label-free metric.
        direction: Which way was taken to be better, or None where no run has a finite score.
        finite: Runs of the pool with a finite score; only they can be chosen, and only they are correlated.
        chosen: The metric's choice.
        chosen_accuracy: The oracle's value of the choice.
        regret: Best accuracy less the choice's: 0 is perfect.
        normalised: Regret as a share of best less worst: 0 to 1; None where all accuracies are equal.
        against_random: Regret as a share of the expected regret of a random choice: below 1 beats it.
        random_as_good: Share of the runs that are at least as good as the choice: how often chance is.
        hit: Whether the regret is within one percentage point or one standard error of the best accuracy.
        shortlist: k → regret of the best of the metric's k first runs.
        tie_set: The choice and all runs that the metric cannot tell from it.
        tied_expected: Mean regret over the tie set: what choosing in it at random costs.
        tied_worst: Largest regret in the tie set.
        interval: 95 % bootstrap interval of the regret over configurations; None for fewer than 8.
        pearson, spearman, kendall: Of the oriented score with the accuracy: 1 ranks the runs as labels do.
            p-values take the seeds of one configuration for one (their means), and are exact below 8.
        weighted_tau: Kendall's τ with more weight at the top.
        training: The metric's choices at earlier epochs.
    """

    metric: LabelFreeMetric
    direction: Direction | None
    finite: int
    chosen: Run | None
    chosen_accuracy: float | None
    regret: float | None
    normalised: float | None
    against_random: float | None
    random_as_good: float | None
    hit: bool | None
    shortlist: Mapping[int, float | None]
    tie_set: tuple[Run, ...]
    tied_expected: float | None
    tied_worst: float | None
    interval: tuple[float, float] | None
    pearson: Correlation
    spearman: Correlation
    kendall: Correlation
    weighted_tau: float | None
    training: AlongTraining


def regret_of(judged: Sequence[Judged], ranked: RankedGroup, metric: LabelFreeMetric) -> Regret:
    """Every figure of one metric's ranking of one pool.

    Args:
        judged: All runs of the pool with their accuracy, ranked or not.
        ranked: The metric's ranking of those with a finite score.
        metric: The metric.
    """
    by_id = {run.run.id: run for run in judged}
    order = [by_id[place.run.id] for place in ranked.ranking]
    best = max(judged, key=lambda run: run.quality)
    worst = min(run.quality for run in judged)
    expected_random = fmean(best.quality - run.quality for run in judged)
    pick = order[0]
    cost = best.quality - pick.quality
    tied = [best.quality - by_id[place.run.id].quality for place in ranked.tie_set]
    places = {place.run.id: float(index) for index, place in enumerate(ranked.ranking)}
    scores = [place.score if ranked.direction == "max" else -place.score for place in ranked.ranking]
    return Regret(
        metric,
        ranked.direction,
        len(order),
        pick.run,
        pick.accuracy,
        cost,
        _share(cost, best.quality - worst),
        _share(cost, expected_random),
        fmean(run.quality >= pick.quality for run in judged),
        _hit(cost, best, judged),
        {k: best.quality - max(run.quality for run in order[:k]) for k in SHORTLISTS if k <= len(order)},
        tuple(place.run for place in ranked.tie_set),
        fmean(tied),
        max(tied),
        regret_interval(
            [places.get(run.run.id, inf) for run in judged],
            [run.quality for run in judged],
            [configuration(run.run) for run in judged],
        ),
        *_correlations(scores, order),
        along_training(judged, metric, ranked.direction, ranked.swept),
    )


def _correlations(
    scores: Sequence[float], order: Sequence[Judged]
) -> tuple[Correlation, Correlation, Correlation, float | None]:
    """Of all runs; but the p-values of configurations, because the seeds of one are not independent."""
    quality = [run.quality for run in order]
    members: dict[str, list[int]] = {}
    for index, run in enumerate(order):
        members.setdefault(configuration(run.run), []).append(index)
    mean_scores = [float(np.mean([scores[i] for i in group])) for group in members.values()]
    mean_quality = [float(np.mean([quality[i] for i in group])) for group in members.values()]
    pearson, spearman, kendall = (
        replace(test(scores, quality), p_value=by_mean.p_value, method=by_mean.method)
        for test in (pearson_test, spearman_test, kendall_test)
        for by_mean in [test(mean_scores, mean_quality)]
    )
    return pearson, spearman, kendall, weighted_tau(scores, quality)


def undefined_regret(metric: LabelFreeMetric) -> Regret:
    """No run of the pool has a finite score: nothing is chosen and nothing can be said."""
    nothing = Correlation(None, None, 0, "exact")
    return Regret(
        metric, None, 0, None, None, None, None, None, None, None, {}, (), None, None, None,
        nothing, nothing, nothing, None, AlongTraining((), None, None),
    )  # fmt: skip


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole > 0 else None


def _hit(cost: float, best: Judged, judged: Sequence[Judged]) -> bool | None:
    if not all(0 <= run.accuracy <= 1 for run in judged):
        return None  # a percentage point means nothing here
    return cost <= max(HIT, best.standard_error or 0.0) + 1e-12  # 0.91 - 0.90 is a little above 0.01
