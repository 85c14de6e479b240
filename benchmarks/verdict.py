"""What each way of choosing cost over several sweeps, and whether the aims of docs/protocol.md are met."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from math import isfinite, nan
from statistics import fmean
from typing import NamedTuple

import numpy as np
from pools import METHODS, ORACLE, PRETEXT, RULE, VARIANTS, Pool, name_of, tie_order

from selector.metrics import declared_label_free
from selector.runs import Run
from selector.selection.baselines import LOSS
from selector.selection.candidates import final_value
from selector.selection.consensus import CONSENSUS
from selector.selection.correlation import average_ranks, pearson, spearman
from selector.selection.oracle import Judged
from selector.selection.regret import RegretGroup, regret

LOWEST_LOSS = "lowest loss"
BASELINES = {"random": "random", "lowest_loss": LOWEST_LOSS, "default": "default"}
LEARNED = {1: "best single metric elsewhere", 2: "best pair elsewhere", 3: "best triple elsewhere"}


class Cost(NamedTuple):
    """What one way of choosing cost in one pool: regret and normalised regret, and ρ with the oracle."""

    regret: float
    normalised: float
    rho: float | None


@dataclass(frozen=True)
class Verdict:
    """One way of choosing over the pools in which it could choose.

    Attributes:
        name: Of the metric or the baseline.
        regrets: One per pool, and so is
        normalised: which is 0 to 1.
        rhos: ρ in each pool where it puts the runs in an order.
        less: Regret of the lowest loss minus its own, in the pools where both chose.
    """

    name: str
    regrets: Sequence[float]
    normalised: Sequence[float]
    rhos: Sequence[float]
    less: Sequence[float]

    @property
    def p(self) -> float:
        """Exact two-sided sign-flip p of the paired differences."""
        return sign_flip_p(self.less)


def costs_of(group: RegretGroup) -> dict[str, Cost]:
    """Every way of choosing that has a pick: metrics, a random choice, the lowest loss and the default."""
    spread = group.best.quality - group.judged[-1].quality
    found = {
        name_of(one): Cost(one.regret, one.normalised or 0.0, one.spearman.value)
        for one in group.metrics
        if one.regret is not None
    }
    for baseline in group.baselines:
        if baseline.name in BASELINES and baseline.regret is not None:
            share = baseline.regret / spread if spread else 0.0
            rho = rho_of_loss(group) if baseline.name == "lowest_loss" else None
            found[BASELINES[baseline.name]] = Cost(baseline.regret, share, rho)
    return found


def rho_of_loss(group: RegretGroup) -> float | None:
    """Spearman's ρ of the negative loss with the oracle."""
    losses = [(final_value(one.run, LOSS), one.quality) for one in group.judged]
    known = [(-loss, quality) for loss, quality in losses if loss is not None]
    return spearman(*zip(*known, strict=True)) if known else None


def verdicts(groups: Sequence[RegretGroup], everywhere: bool = True) -> list[Verdict]:
    """Ways of choosing: first those that could choose in most groups, then by mean regret.

    `everywhere`: only those that could choose in every group.
    """
    found = [costs_of(group) for group in groups]
    made = []
    for name in dict.fromkeys(name for costs in found for name in costs):
        some = [costs for costs in found if name in costs]
        if len(some) < len(found) and everywhere:
            continue
        less = [costs[LOWEST_LOSS].regret - costs[name].regret for costs in some if LOWEST_LOSS in costs]
        regrets, normalised, rhos = zip(*(costs[name] for costs in some), strict=True)
        made.append(Verdict(name, regrets, normalised, [rho for rho in rhos if rho is not None], less))
    return sorted(made, key=lambda one: (-len(one.regrets), fmean(one.regrets), one.name))


def sign_flip_p(differences: Sequence[float]) -> float:
    """Share of all sign patterns whose sum is at least as far from 0; exact, two-sided."""
    values = np.array(differences, np.float64)
    if not len(values):
        return 1.0
    signs = np.array(list(product((1, -1), repeat=len(values))))
    return float(np.mean(np.abs(signs @ values) >= abs(values.sum()) - 1e-12))


# Rules that are learned from other pools


def learned(pools: Sequence[Pool], fold: str, size: int) -> list[Cost]:
    """In each pool, the mean rank of the metrics that did best together in all pools of other folds.

    `fold`: which attribute of a pool tells the folds apart.
    """
    orders = [tie_order(pool.group.judged) for pool in pools]
    ranks = [ranks_of(pool.group, order) for pool, order in zip(pools, orders, strict=True)]
    names = [name for name in ranks[0] if all(name in some for some in ranks)]
    groups = list(combinations(names, size))
    losses = [
        {some: cost_of(of, some, order)[1] for some in groups}
        for of, order in zip(ranks, orders, strict=True)
    ]
    found = []
    for place, pool in enumerate(pools):
        others = [i for i, other in enumerate(pools) if getattr(other, fold) != getattr(pool, fold)]
        if others and groups:
            best = min(groups, key=lambda some: fmean(losses[other][some] for other in others))
            found.append(Cost(*cost_of(ranks[place], best, orders[place]), None))
    return found


def ranks_of(group: RegretGroup, order: Sequence[Judged]) -> dict[str, np.ndarray]:
    """Places of the runs by each metric, the highest for the best; what is not finite is worst."""
    found = {}
    for one in group.metrics:
        if one.regret is None or one.metric is CONSENSUS or name_of(one) in VARIANTS:
            continue
        sign = 1 if one.direction == "max" else -1
        values = [final_value(judged.run, one.metric.key) for judged in order]
        found[name_of(one)] = average_ranks([-np.inf if v is None else sign * v for v in values])
    return found


def cost_of(
    ranks: Mapping[str, np.ndarray], names: Sequence[str], order: Sequence[Judged]
) -> tuple[float, float]:
    """Regret, plain and normalised, of the mean rank by some metrics; of equal ranks the first in order."""
    quality = np.array([judged.quality for judged in order])
    cost = float(quality.max() - quality[np.argmax(sum(ranks[name] for name in names))])
    return cost, cost / float(np.ptp(quality))


# Along training


def along(pools: Sequence[Pool], method: str, key: str) -> list[tuple[float, float, float]]:
    """How a metric follows the oracle within each run of a method, further seeds included.

    r with milestone 0 and without, and the share of pairs of trained milestones that are in order.
    """
    runs = [run for pool in pools if pool.method == method for run in (*pool.runs.runs, *pool.seeds)]
    return [found for run in runs if (found := follows(run, key))]


def follows(run: Run, key: str) -> tuple[float, float, float] | None:
    """None with fewer than three trained milestones, or without an untrained network."""
    rows = [(row.epoch, row.values.get(key, nan), row.values.get(ORACLE.key, nan)) for row in run.milestones]
    known = [(e, x, y) for e, x, y in rows if isfinite(x) and isfinite(y)]
    trained = [(x, y) for e, x, y in known if e > 0]
    if len(trained) < 3 or len(trained) == len(known):
        return None
    whole = pearson(*zip(*((x, y) for _, x, y in known), strict=True))
    alone = pearson(*zip(*trained, strict=True))
    if whole is None or alone is None:
        return None
    return whole, alone, fmean((a[0] - b[0]) * (a[1] - b[1]) > 0 for a, b in combinations(trained, 2))


def by_share(pools: Sequence[Pool]) -> dict[str, dict[float, list[float]]]:
    """Way of choosing → share of the training done → regret at the end, of each pool that has that share.

    The lowest loss chooses by the loss at that milestone.
    """
    found: dict[str, dict[float, list[float]]] = {}
    for pool in pools:
        loss = declared_label_free(LOSS, "min")
        figures = {name_of(one): one for one in pool.group.metrics}
        figures[LOWEST_LOSS] = regret(pool.runs, [loss], ORACLE).groups[0].metrics[0]
        for name, one in figures.items():
            for point in one.training.points:
                share = round(point.epoch / one.training.points[-1].epoch, 2)
                found.setdefault(name, {}).setdefault(share, []).append(point.regret)
    return found


# Aims


@dataclass(frozen=True)
class Aim:
    """One line of the protocol's success or failure."""

    text: str
    reached: float
    met: bool
    in_points: bool


def aims(pools: Sequence[Pool]) -> list[Aim]:
    """What the protocol calls success, then what it calls failure, of the rule on these pools."""
    found = {one.name: one for one in verdicts([pool.group for pool in pools])}
    rule, loss = found[RULE], found[LOWEST_LOSS]
    mean, rho, worst, less = fmean(rule.regrets), fmean(rule.rhos), max(rule.regrets), fmean(rule.less)
    made = [
        Aim("mean regret, at most 0.5 points", mean, mean <= 0.005, True),
        Aim("mean ρ, at least 0.85", rho, rho >= 0.85, False),
        Aim("worst regret, at most 2 points", worst, worst <= 0.02, True),
        Aim("less than the lowest loss, at least 2 points", less, less >= 0.02, True),
    ]
    for method, title in METHODS.items():
        if rs := [alone for _, alone, _ in along(pools, method, PRETEXT[RULE].key)]:
            text = f"{title}: mean r along training without milestone 0, at least 0.9"
            made.append(Aim(text, fmean(rs), fmean(rs) >= 0.9, False))
    below = "not a failure: mean regret below that of the lowest loss, by"
    made.append(Aim(below, less, mean < fmean(loss.regrets), True))
    return [*made, Aim("not a failure: sign-flip p, at most 0.05", rule.p, rule.p <= 0.05, False)]
