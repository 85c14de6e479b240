"""One study's table of regrets: every metric's choice, and every baseline's, beside the oracle's."""

from collections.abc import Iterator, Mapping
from math import inf
from statistics import fmean

import numpy as np
from cells import interval, number, percent, points, row
from last_value import value_of
from numpy.typing import NDArray

from selector.reports.tables import hyperparameter
from selector.runs import Run
from selector.selection.baselines import Baseline, baseline_costs, in_order
from selector.selection.bootstrap import LEAST_CONFIGURATIONS, nested_resamples, regret_interval
from selector.selection.correlation import kendall_tau_b, spearman
from selector.selection.hyperparameters import configuration, swept
from selector.selection.regret import RegretGroup
from selector.selection.regret_figures import Regret

RESAMPLES, SEED = 1000, 0


def regrets(group: RegretGroup) -> Iterator[str]:
    """What choosing by each metric costs, and which runs were chosen."""
    yield (
        f"{len(group.judged)} runs, {group.configurations} configurations;"
        f" best {percent(group.best.accuracy)}, expected regret of a random choice"
        f" {points(group.expected_random)} ({points(_random_configuration(group))} with each configuration"
        " counted once)."
    )
    yield ""
    yield "| chosen by | run | accuracy | regret | 95 % | normalised | over ties | ρ (95 %) | τ (95 %) |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for one in sorted(
        group.metrics, key=lambda one: (one.regret is None, one.regret or 0.0, one.metric.name)
    ):
        yield row(_metric_cells(one, group))
    costs = baseline_costs(group.judged)
    for baseline in group.baselines:
        yield row(_baseline_cells(baseline, costs.get(baseline.name, {}), group))
    yield ""
    yield from _chosen(group)


def _metric_cells(one: Regret, group: RegretGroup) -> list[object]:
    arrow = {"max": " ↑", "min": " ↓"}.get(one.direction or "", "")
    sign = -1.0 if one.direction == "min" else 1.0
    scores = sign * np.array([value_of(judged.run, one.metric.key) for judged in group.judged])
    return [
        f"`{one.metric.name}`{arrow}", _run(one.chosen), percent(one.chosen_accuracy), points(one.regret),
        interval(one.interval), number(one.normalised), points(one.tied_expected),
        *_correlations(scores, group),
    ]  # fmt: skip


def _baseline_cells(baseline: Baseline, cost: Mapping[str, float], group: RegretGroup) -> list[object]:
    """As of a metric whose score is the baseline's cost, turned; a random choice has no order."""
    worst = min(judged.quality for judged in group.judged)
    share = None if baseline.regret is None else baseline.regret / (group.best.quality - worst)
    if baseline.name == "random":
        ends, correlations = _random_interval(group), ("", "")
    else:
        order = sorted(
            (judged for judged in in_order(group.judged) if judged.run.id in cost),
            key=lambda judged: cost[judged.run.id],
        )
        place = {judged.run.id: float(number) for number, judged in enumerate(order)}
        ends = regret_interval(
            [place.get(judged.run.id, inf) for judged in group.judged],
            [judged.quality for judged in group.judged],
            [configuration(judged.run) for judged in group.judged],
        )
        scores = np.array([-cost.get(judged.run.id, np.nan) for judged in group.judged])
        correlations = _correlations(scores, group) if baseline.name != "oracle" else ("", "")
    return [
        f"*{baseline.name.replace('_', ' ')}*", _run(baseline.run), percent(baseline.accuracy),
        points(baseline.regret), interval(ends), number(share), "", *correlations,
    ]  # fmt: skip


def _random_configuration(group: RegretGroup) -> float:
    """Expected regret of a configuration drawn by lot, and one of its seeds."""
    costs: dict[str, list[float]] = {}
    for judged in group.judged:
        costs.setdefault(configuration(judged.run), []).append(group.best.quality - judged.quality)
    return fmean(map(fmean, costs.values()))


def _random_interval(group: RegretGroup) -> tuple[float, float] | None:
    """Of the expected regret of a random choice, over the resamples that regrets are judged on."""
    if group.configurations < LEAST_CONFIGURATIONS:
        return None
    quality = np.array([judged.quality for judged in group.judged])
    drawn, empty = nested_resamples([configuration(judged.run) for judged in group.judged], RESAMPLES, SEED)
    some = np.ma.masked_array(quality[drawn], empty)
    low, high = np.percentile((some.max(axis=1) - some.mean(axis=1)).data, [2.5, 97.5])
    return float(low), float(high)


def _correlations(scores: NDArray[np.float64], group: RegretGroup) -> tuple[str, str]:
    """ρ and τ with the oracle, with percentile intervals over configurations; n where not all runs count."""
    known = np.isfinite(scores)
    judged = [one for one, has in zip(group.judged, known, strict=True) if has]
    scores, quality = scores[known], np.array([one.quality for one in judged])
    configurations = [configuration(one.run) for one in judged]
    few = len(set(configurations)) < LEAST_CONFIGURATIONS
    drawn, empty = nested_resamples(configurations, RESAMPLES, SEED)
    left_out = f", n = {len(judged)}" if len(judged) < len(group.judged) else ""
    texts = []
    for measure in (spearman, kendall_tau_b):
        value = measure(scores, quality)
        if few or value is None:
            texts.append(number(value) + left_out)
            continue
        found = [
            measure(scores[some[~none]], quality[some[~none]])
            for some, none in zip(drawn, empty, strict=True)
        ]
        low, high = np.percentile([figure for figure in found if figure is not None], [2.5, 97.5])
        texts.append(f"{number(value)} ({number(low)} to {number(high)}){left_out}")
    return texts[0], texts[1]


def _run(run: Run | None) -> str:
    return "" if run is None else f"`{run.id}`"


def _chosen(group: RegretGroup) -> Iterator[str]:
    """Each chosen run with what the sweep varies, the most accurate first."""
    picks = [one.chosen for one in group.metrics] + [baseline.run for baseline in group.baselines]
    wanted = {run.id for run in picks if run is not None}
    names = swept([judged.run for judged in group.judged])
    yield f"<details><summary>The {len(wanted)} runs that were chosen</summary>"
    yield ""
    yield row(["run", *names, "accuracy"])
    yield "|---|" + "---|" * (len(names) + 1)
    for judged in group.judged:
        if judged.run.id in wanted:
            values = (_shown(judged.run.config.get(name)) for name in names)
            yield row([_run(judged.run), *values, percent(judged.accuracy)])
    yield ""
    yield "</details>"


def _shown(value: object) -> str:
    return hyperparameter(value) if isinstance(value, int | float) else str(value)
