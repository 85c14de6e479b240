"""Selection regret: what choosing by a label-free metric cost, in accuracy, against the best run."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from math import hypot
from statistics import fmean
from typing import Any

from selector.errors import UserError
from selector.metrics.metrics import Direction, LabelFreeMetric, LabelledMetric
from selector.runs import Run, RunSet
from selector.selection.baselines import Baseline, baselines, in_order
from selector.selection.bootstrap import LEAST_CONFIGURATIONS
from selector.selection.candidates import Excluded, MilestoneChoice, finished_runs, read_scores
from selector.selection.comparability import Pool, describe, pools
from selector.selection.hyperparameters import configuration
from selector.selection.oracle import Judged, read_oracle
from selector.selection.ranking import check_label_free, check_milestone, meant, rank_pool
from selector.selection.regret_figures import Regret, regret_of, undefined_regret


@dataclass(frozen=True)
class RegretGroup:
    """Runs that may be compared, with what every metric cost among them.

    Attributes:
        group: What the runs share, field → value.
        judged: Runs with their accuracy, best first.
        configurations: How many they are when seeds are not counted.
        expected_random: Expected regret of a random choice: best less mean accuracy.
        near_best: Runs (the best included) whose accuracy the oracle cannot tell from the best's: within
            twice the standard error of the difference; None where the standard error is unknown.
        metrics: One a metric.
        baselines: What one would have picked without a metric.
    """

    group: Mapping[str, Any]
    judged: tuple[Judged, ...]
    configurations: int
    expected_random: float
    near_best: int | None
    metrics: tuple[Regret, ...]
    baselines: tuple[Baseline, ...]

    @property
    def best(self) -> Judged:
        """The label oracle's choice."""
        return self.judged[0]

    @property
    def in_percent(self) -> bool:
        """Whether accuracies are shares, which people read in percent; else they are shown as logged."""
        return all(0 <= one.accuracy <= 1 and one.quality == one.accuracy for one in self.judged)


@dataclass(frozen=True)
class RegretReport:
    """What `regret` found.

    Attributes:
        oracle: What judged the choices; read at the last milestone.
        milestone: What the metrics chose at.
        groups: Pools that cannot be compared with one another.
        excluded: Runs that are in no group.
        without_oracle: Finished runs that the oracle did not judge; they are in no group either.
        warnings: One line each.
    """

    oracle: LabelledMetric
    milestone: MilestoneChoice
    groups: tuple[RegretGroup, ...]
    excluded: tuple[Excluded, ...]
    without_oracle: tuple[Run, ...]
    warnings: tuple[str, ...]


def regret(
    runs: RunSet,
    metrics: Sequence[LabelFreeMetric],
    oracle: LabelledMetric,
    milestone: MilestoneChoice = "last",
    allow_mixed: bool = False,
    direction: Direction | None = None,
    default: Mapping[str, Any] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> RegretReport:
    """What choosing by each metric cost, beside what choosing without one would have cost.

    A pool's runs are those that `rank` would compare and that the oracle judged; every metric is judged on
    the same runs where it compares the same ones.

    Args:
        runs: What a source holds.
        metrics: Label-free metrics.
        oracle: A labelled metric, read at each run's last milestone whatever the metrics choose at.
        milestone: "last", or the epoch that the metrics choose at.
        allow_mixed: Compare everything with everything.
        direction: Which way is better for every metric; None takes each metric's own.
        default: Configuration of the baseline "default"; None takes the recipe of the run's method.
        progress: Called with (metrics weighed, metrics in all), a metric of several pools counted in each.

    Raises:
        UserError: When no run can be judged, no metric has a finite score, or definitions differ.
    """
    for metric in metrics:
        check_label_free(metric)
    check_milestone(runs, milestone)
    finished, excluded = finished_runs(runs)
    judged, without = read_oracle(finished, oracle)
    if not judged:
        raise UserError(_nothing_to_judge(runs, oracle, finished, excluded))
    members: dict[frozenset[str], tuple[Pool, list[LabelFreeMetric]]] = {}
    for metric in metrics:
        for pool in pools(finished, [metric, oracle], allow_mixed):
            known, users = members.setdefault(frozenset(run.id for run in pool.runs), (pool, []))
            members[frozenset(run.id for run in pool.runs)] = (
                replace(known, group={**known.group, **pool.group}),
                [*users, metric],
            )
    counted = _counted(progress, sum(len(users) for _, users in members.values()))
    judge = _Judge({run.run.id: run for run in judged}, milestone, direction, default, counted)
    groups, warnings = [], list(runs.warnings)
    for pool, users in members.values():
        if any(run.id in judge.judged for run in pool.runs):
            groups.append(judge.group(pool, users))
        else:
            warnings.append(f"{describe(pool.group)}: no run was judged by {oracle.key}")
        warnings += judge.unjudged_choices(pool, users)
    if all(metric.chosen is None for group in groups for metric in group.metrics):
        names = ", ".join(metric.key for metric in metrics)
        where = "their last milestone" if milestone == "last" else f"milestone {milestone}"
        raise UserError(f"no judged run in {runs.source} has a finite value of {names} at {where}")
    warnings += _warnings(oracle, judged, without, groups)
    return RegretReport(oracle, milestone, tuple(groups), tuple(excluded), tuple(without), tuple(warnings))


@dataclass(frozen=True)
class _Judge:
    judged: Mapping[str, Judged]
    milestone: MilestoneChoice
    direction: Direction | None
    default: Mapping[str, Any] | None
    weighed: Callable[[], None]

    def group(self, pool: Pool, metrics: Sequence[LabelFreeMetric]) -> RegretGroup:
        judged = in_order([self.judged[run.id] for run in pool.runs if run.id in self.judged])
        judged.sort(key=lambda run: -run.quality)
        best = judged[0]
        return RegretGroup(
            pool.group,
            tuple(judged),
            len({configuration(run.run) for run in judged}),
            fmean(best.quality - run.quality for run in judged),
            _near_best(judged),
            tuple(self._regret(judged, metric, pool.group) for metric in metrics),
            baselines(judged, self.default),
        )

    def unjudged_choices(self, pool: Pool, metrics: Sequence[LabelFreeMetric]) -> list[str]:
        """Warnings where the metric would choose a run whose accuracy nobody knows."""
        warnings = []
        for metric in metrics:
            candidates, _ = read_scores(pool.runs, metric, self.milestone)
            if candidates:
                chosen = rank_pool(candidates, pool.group, metric, self.direction).chosen
                if chosen.id not in self.judged:
                    warnings.append(
                        f"{metric.name} chooses run {chosen.id}, which the oracle did not judge:"
                        " its regret is that of its best-ranked judged run"
                    )
        return warnings

    def _regret(self, judged: Sequence[Judged], metric: LabelFreeMetric, group: Mapping[str, Any]) -> Regret:
        candidates, _ = read_scores([run.run for run in judged], metric, self.milestone)
        if candidates:
            found = regret_of(judged, rank_pool(candidates, group, metric, self.direction), metric)
        else:
            found = undefined_regret(metric)
        self.weighed()
        return found


def _counted(progress: Callable[[int, int], None] | None, total: int) -> Callable[[], None]:
    """Tells progress, each time that it is called, that one more of them is done."""
    done = count(1)
    return lambda: progress(next(done), total) if progress else None


def _near_best(judged: Sequence[Judged]) -> int | None:
    best = judged[0]
    if best.standard_error is None:
        return None
    noise = [hypot(best.standard_error, run.standard_error or 0.0) for run in judged]
    return sum(best.quality - run.quality <= 2 * error for run, error in zip(judged, noise, strict=True))


def _nothing_to_judge(
    runs: RunSet, oracle: LabelledMetric, finished: Sequence[Run], excluded: Sequence[Excluded]
) -> str:
    if not finished:
        first = f" (run {excluded[0].run}: {excluded[0].reason})" if excluded else ""
        return f"{runs.source} holds no finished run to judge, of {len(excluded)}{first}"
    return (
        f"none of the {len(finished)} finished runs in {runs.source} has a finite {oracle.key}{meant(oracle)}"
        " at its last milestone: train with labels, or name what judges the runs with --oracle"
    )


def _warnings(
    oracle: LabelledMetric, judged: Sequence[Judged], without: Sequence[Run], groups: Sequence[RegretGroup]
) -> list[str]:
    warnings = []
    if without:
        ids = ", ".join(run.id for run in without[:5]) + (", …" if len(without) > 5 else "")
        warnings.append(f"{len(without)} finished runs have no finite {oracle.key} and are left out: {ids}")
    if oracle.name.endswith("accuracy") and any(run.accuracy > 1 for run in judged):
        warnings.append(f"{oracle.key} exceeds 1: it is no fraction, and is reported as it was logged")
    for group in groups:
        where = f"{describe(group.group)}: " if len(groups) > 1 else ""
        if len(group.judged) == 1:
            warnings.append(f"{where}only run {group.best.run.id} was judged: there was no choice to regret")
        elif group.configurations < LEAST_CONFIGURATIONS:
            warnings.append(
                f"{where}{group.configurations} configurations are too few for an interval;"
                " p-values are exact over all orders"
            )
        nothing = [regret.metric for regret in group.metrics if regret.chosen is None]
        warnings += [
            f"{where}{metric.name} chooses nothing: no run has a finite {metric.key}" for metric in nothing
        ]
    return warnings
