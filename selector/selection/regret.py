"""Selection regret: what choosing by a label-free metric cost, in accuracy, against the best one."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count, islice
from math import inf, nan
from statistics import fmean
from typing import Any

from selector.errors import UserError
from selector.metrics import Direction, LabelFreeMetric, LabelledMetric
from selector.runs import Run, RunSet
from selector.selection.baselines import Baseline, baselines, in_order, unlike_losses
from selector.selection.candidates import (
    Excluded,
    MilestoneChoice,
    finished_runs,
    last_milestone,
    read_scores,
)
from selector.selection.comparability import Pool, describe, pools
from selector.selection.correlation import (
    UNDEFINED,
    Correlation,
    kendall_test,
    pearson_test,
    spearman_test,
    weighted_tau,
)
from selector.selection.intervals import (
    LEAST_REPEATED,
    LEAST_SEEDS,
    Interval,
    configuration_interval,
    distance_from_best,
    repetition_interval,
)
from selector.selection.oracle import Judged, difference_error, read_oracle
from selector.selection.ranking import (
    at_different_epochs,
    check_label_free,
    check_milestone,
    meant,
    rank_pool,
)
from selector.selection.stopping import NEVER, AlongTraining, along_training
from selector.text import counted

SHORTLISTS = (1, 3, 5)
HIT = 0.01  # one percentage point, or the oracle's own standard error where that is more


@dataclass(frozen=True)
class Regret:
    """What choosing by one metric cost in one pool; None wherever a figure is undefined.

    What is chosen is a configuration: its score and its accuracy are means over its seeds. Where several
    have the best score, the choice is the first by `ranking.TIE_BREAK`. Accuracies and regrets are in the
    oracle's own unit.

    Attributes:
        metric: The label-free metric.
        direction: Which way was taken to be better, or None where no run has a finite score.
        finite: Configurations with a finite score; only they can be chosen, and only they are correlated.
        chosen: The run that is handed over: the best seed, by the metric, of the configuration chosen.
        chosen_accuracy: The oracle's value of the configuration chosen.
        regret: Best accuracy less the choice's: 0 is perfect.
        normalised: Regret as a share of best less worst: 0 to 1; None where all accuracies are equal.
        against_random: Regret as a share of the expected regret of a random choice: below 1 beats it.
        random_as_good: Share of the configurations that are at least as good: how often chance is.
        hit: Whether the regret is within one percentage point or one standard error of the best accuracy.
        shortlist: k → regret of the best of the metric's k first configurations.
        tie_set: The choice and all that the metric cannot tell from it, by the runs handed over.
        tied_expected: Mean regret over the tie set: what choosing in it at random costs.
        tied_worst: Largest regret in the tie set.
        interval: 95 % interval of the true regret among these checkpoints; None where it is
            unknown how many images judged them.
        configuration_interval: 95 % interval of the true regret of the configuration; None unless two
            configurations have three seeds.
        repetition_interval: 95 % interval of the regret if all were trained again with other seeds; likewise.
        pearson, spearman, kendall: Of the oriented score with the accuracy: 1 ranks as labels do; p-values
            are exact below 8.
        weighted_tau: Kendall's τ with more weight at the top.
        training: The metric's choices at earlier epochs.
    """

    metric: LabelFreeMetric
    direction: Direction | None = None
    finite: int = 0
    chosen: Run | None = None
    chosen_accuracy: float | None = None
    regret: float | None = None
    normalised: float | None = None
    against_random: float | None = None
    random_as_good: float | None = None
    hit: bool | None = None
    shortlist: Mapping[int, float] = field(default_factory=dict)
    tie_set: tuple[Run, ...] = ()
    tied_expected: float | None = None
    tied_worst: float | None = None
    interval: Interval | None = None
    configuration_interval: Interval | None = None
    repetition_interval: Interval | None = None
    pearson: Correlation = UNDEFINED
    spearman: Correlation = UNDEFINED
    kendall: Correlation = UNDEFINED
    weighted_tau: float | None = None
    training: AlongTraining = NEVER


@dataclass(frozen=True)
class RegretGroup:
    """Configurations that may be compared, with what every metric cost among them.

    Attributes:
        group: What the runs share, field → value.
        judged: Configurations with their accuracy, best first.
        expected_random: Expected regret of a random choice: best less mean accuracy.
        near_best: Configurations (the best included) whose accuracy the oracle cannot tell from the best's:
            within twice the standard error of the difference; None where that is unknown.
        metrics: One per metric.
        baselines: What one would have picked without a metric.
    """

    group: Mapping[str, Any]
    judged: tuple[Judged, ...]
    expected_random: float
    near_best: int | None
    metrics: tuple[Regret, ...]
    baselines: tuple[Baseline, ...]

    @property
    def best(self) -> Judged:
        """The label oracle's choice."""
        return self.judged[0]

    @property
    def configurations(self) -> int:
        """How many there are."""
        return len(self.judged)

    @property
    def accuracies(self) -> dict[str, float]:
        """Run id → its own accuracy, the best configuration's runs first."""
        return {
            run.id: accuracy
            for one in self.judged
            for run, accuracy in zip(one.runs, one.accuracies, strict=True)
        }

    @property
    def mean_accuracies(self) -> dict[str, float]:
        """Run id → accuracy of its configuration."""
        return {run.id: one.accuracy for one in self.judged for run in one.runs}

    @property
    def repetition_reason(self) -> str:
        """Why nothing is said of other seeds, or ""."""
        if not self.in_percent:
            return "the oracle is not a share of images where higher is better"
        if len(self.judged) < LEAST_REPEATED:
            return "there is only one configuration"
        if not (missing := self.seeds_to_train):
            return ""
        have = sorted(Counter(len(one.runs) for one in self.judged).items(), reverse=True)
        kinds = [f"{n} {'has' if n == 1 else 'have'} {counted(seeds, 'seed')}" for seeds, n in have]
        return (
            f"{LEAST_REPEATED} configurations with {LEAST_SEEDS} seeds each are needed, but"
            f" {', '.join(kinds)}: train {', and '.join(_again(*one) for one in missing)}"
        )

    @property
    def seeds_to_train(self) -> tuple[tuple[Run, tuple[int, ...]], ...]:
        """What to train until enough is known of other seeds: a run, and the seeds to train it again with.

        It takes the fewest trainings. Of configurations with equally many seeds those with the first ids are
        repeated: the best ones owe their place to luck in part, and would overstate what a seed moves.
        """
        most = sorted(self.judged, key=lambda one: (-len(one.runs), one.run.id))[:LEAST_REPEATED]
        return tuple((one.run, _unused_seeds(one)) for one in most if len(one.runs) < LEAST_SEEDS)

    @property
    def in_percent(self) -> bool:
        """Whether accuracies are shares, which people read in percent; else they are shown as logged."""
        return _are_shares(self.judged)


@dataclass(frozen=True)
class RegretReport:
    """What `regret` found.

    Attributes:
        oracle: What judged the choices; read at the last milestone.
        milestone: What the metrics chose at.
        groups: Pools that cannot be compared with one another.
        excluded: Runs that are in no group.
        without_oracle: Finished runs that the oracle did not judge; they are in no group either.
        refused: Why metrics are in no group, one line each; these are among the warnings, too.
        warnings: One line each.
    """

    oracle: LabelledMetric
    milestone: MilestoneChoice
    groups: tuple[RegretGroup, ...]
    excluded: tuple[Excluded, ...]
    without_oracle: tuple[Run, ...]
    refused: tuple[str, ...]
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
    seed_key: str = "seed",
) -> RegretReport:
    """What choosing by each metric cost, beside what choosing without one would have cost.

    A pool's runs are those that `rank` would compare and that the oracle judged; every metric is judged on
    the same runs where it compares the same ones. Of a metric that cannot choose, a warning says why.

    Args:
        runs: What a source holds.
        metrics: Label-free metrics.
        oracle: A labelled metric, read at each run's last milestone whatever the metrics choose at.
        milestone: "last", or the epoch that the metrics choose at.
        allow_mixed: Compare everything with everything.
        direction: Which way is better for every metric; None uses each metric's own.
        default: Configuration of the baseline "default"; None uses the recipe of the run's method.
        progress: Called with (metrics weighed, metrics in all), a metric of several pools counted in each.
        seed_key: Name of the hyperparameter that holds the seed.

    Raises:
        UserError: When no run can be judged, or no metric can choose.
    """
    for metric in metrics:
        check_label_free(metric)
    check_milestone(runs, milestone)
    finished, excluded = finished_runs(runs, seed_key)
    judged, without = read_oracle(finished, oracle, seed_key)
    if not judged:
        raise UserError(_nothing_to_judge(runs, oracle, finished, excluded))
    shared, refused = _shared_pools(finished, metrics, oracle, allow_mixed)
    total, done = sum(len(users) for _, users in shared), 0
    groups, warnings, unclear = [], [*runs.warnings, *refused], [*refused]
    for pool, users in shared:
        ids = {run.id for run in pool.runs}
        some = sorted(in_order([one for one in judged if one.run.id in ids]), key=lambda one: -one.quality)
        if not some:
            warnings.append(f"{describe(pool.group)}: no run was judged by {oracle.key}")
            continue
        found = []
        for metric in users:
            try:
                figures, said = _regret(some, pool, metric, milestone, direction, seed_key)
            except UserError as error:  # which way is better is not known, or not the same
                figures, said = Regret(metric), [str(error)]
                unclear += said
            found.append(figures)
            warnings += said
            done += 1
            if progress:
                progress(done, total)
        expected = fmean(some[0].quality - one.quality for one in some)
        nearest, beside = _near_best(some), baselines(some, default)
        groups.append(RegretGroup(pool.group, tuple(some), expected, nearest, tuple(found), beside))
    if all(metric.chosen is None for group in groups for metric in group.metrics):
        if unclear:
            raise UserError(unclear[0])
        names = ", ".join(metric.key for metric in metrics)
        where = "their last milestone" if milestone == "last" else f"milestone {milestone}"
        raise UserError(f"no judged run in {runs.source} has a finite value of {names} at {where}")
    warnings += _warnings(oracle, without, groups)
    return RegretReport(
        oracle, milestone, tuple(groups), tuple(excluded), tuple(without), refused, tuple(warnings)
    )


def _shared_pools(
    runs: Sequence[Run], metrics: Sequence[LabelFreeMetric], oracle: LabelledMetric, allow_mixed: bool
) -> tuple[list[tuple[Pool, list[LabelFreeMetric]]], tuple[str, ...]]:
    """Pools of the same runs once, with all metrics that compare just these; and why others compare none."""
    shared: dict[frozenset[str], tuple[Pool, list[LabelFreeMetric]]] = {}
    refused = []
    for metric in metrics:
        try:
            found = pools(runs, [metric, oracle], allow_mixed)
        except UserError as error:  # it was computed in different ways
            refused.append(str(error))
            continue
        for pool in found:
            ids = frozenset(run.id for run in pool.runs)
            known, users = shared.get(ids, (pool, []))
            shared[ids] = replace(known, group={**known.group, **pool.group}), [*users, metric]
    return list(shared.values()), tuple(dict.fromkeys(refused))


def _regret(
    judged: Sequence[Judged],
    pool: Pool,
    metric: LabelFreeMetric,
    milestone: MilestoneChoice,
    direction: Direction | None,
    seed_key: str,
) -> tuple[Regret, list[str]]:
    """Every figure of one metric's choice among the judged configurations, best first; and warnings."""
    index = {run.id: number for number, one in enumerate(judged) for run in one.runs}
    scored, warnings = read_scores(pool.runs, metric, milestone)[0], []
    candidates = [one for one in scored if one.run.id in index]
    if len(candidates) < len(scored):
        first = rank_pool(scored, pool.group, metric, direction, seed_key).chosen
        if first.id not in index:
            warnings.append(
                f"{metric.name} chooses run {first.id}, which the oracle did not judge:"
                " its regret is that of its best-ranked judged run"
            )
    if not candidates:
        return Regret(metric), warnings
    ranked = rank_pool(candidates, pool.group, metric, direction, seed_key)
    order = [judged[index[place.run.id]] for place in ranked.ranking]
    best, pick, chosen = judged[0], order[0], index[ranked.chosen.id]
    cost = best.quality - pick.quality
    tied = [best.quality - judged[index[place.run.id]].quality for place in ranked.tie_set]
    sign = 1 if ranked.direction == "max" else -1
    scores, quality = [sign * place.score for place in ranked.ranking], [one.quality for one in order]
    errors = [difference_error(one, pick) for one in judged]
    hit = configurations = repetitions = None
    if _are_shares(judged):
        hit = cost <= max(HIT, best.standard_error or 0.0) + 1e-12  # 0.91 - 0.90 > 0.01
        configurations = configuration_interval([one.accuracies for one in judged], chosen)
        score = {one.run.id: sign * one.score for one in candidates}
        repetitions = repetition_interval([_seeds(one, score) for one in judged])
    figures = Regret(
        metric,
        ranked.direction,
        len(order),
        ranked.chosen,
        pick.accuracy,
        cost,
        normalised=_share(cost, best.quality - judged[-1].quality),
        against_random=_share(cost, fmean(best.quality - one.quality for one in judged)),
        random_as_good=fmean(one.quality >= pick.quality for one in judged),
        hit=hit,
        shortlist={k: best.quality - max(quality[:k]) for k in SHORTLISTS if k <= len(order)},
        tie_set=tuple(place.run for place in ranked.tie_set),
        tied_expected=fmean(tied),
        tied_worst=max(tied),
        interval=distance_from_best(
            [one.quality for one in judged], chosen, [nan if error is None else error for error in errors]
        ),
        configuration_interval=configurations,
        repetition_interval=repetitions,
        pearson=pearson_test(scores, quality),
        spearman=spearman_test(scores, quality),
        kendall=kendall_test(scores, quality),
        weighted_tau=weighted_tau(scores, quality),
        training=along_training(judged, metric, ranked.direction, ranked.swept, seed_key),
    )
    return figures, warnings


def _seeds(one: Judged, score: Mapping[str, float]) -> list[tuple[float, float]]:
    """Oriented score and accuracy of each seed that has both; a score of -inf is never chosen."""
    pairs = zip(one.runs, one.accuracies, strict=True)
    return [(score[run.id], a) for run, a in pairs if run.id in score] or [(-inf, one.accuracy)]


def _unused_seeds(one: Judged) -> tuple[int, ...]:
    used = [run.config.get("seed") for run in one.runs]
    return tuple(islice((n for n in count(1) if n not in used), LEAST_SEEDS - len(one.runs)))


def _again(run: Run, seeds: Sequence[int]) -> str:
    if "seed" not in run.config:  # it may have another name, and these numbers may be taken
        return f"{run.id} again with {counted(len(seeds), 'more seed')}"
    return f"{run.id} again with {' and '.join(f'--seed {n}' for n in seeds)}"


def _are_shares(judged: Sequence[Judged]) -> bool:
    return all(one.higher_is_better and 0 <= share <= 1 for one in judged for share in one.accuracies)


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole > 0 else None


def _near_best(judged: Sequence[Judged]) -> int | None:
    best = judged[0]
    if best.standard_error is None:
        return None
    errors = [difference_error(best, one) or 0.0 for one in judged]
    return sum(best.quality - one.quality <= 2 * error for one, error in zip(judged, errors, strict=True))


def _nothing_to_judge(
    runs: RunSet, oracle: LabelledMetric, finished: Sequence[Run], excluded: Sequence[Excluded]
) -> str:
    if not finished:
        first = f" (run {excluded[0].run}: {excluded[0].reason})" if excluded else ""
        return f"{runs.source} holds no finished run to judge among {len(excluded)}{first}"
    return (
        f"no finished run in {runs.source} has a finite {oracle.key}{meant(oracle, runs)}"
        " at its last milestone: train with labels, name what judges the runs with --oracle, or judge"
        " them by labels that came later: selector judge SOURCE --labelled DIR"
    )


def _warnings(oracle: LabelledMetric, without: Sequence[Run], groups: Sequence[RegretGroup]) -> list[str]:
    warnings = []
    if without:
        ids = ", ".join(run.id for run in without[:5]) + (", …" if len(without) > 5 else "")
        warnings.append(f"left out, as their last milestone has no finite {oracle.key}: {ids}")
    if oracle.name.endswith("accuracy") and any(a > 1 for one in groups for a in one.accuracies.values()):
        warnings.append(f"{oracle.key} exceeds 1: it is not a fraction, and is reported as logged")
    for group in groups:
        where = f"{describe(group.group)}: " if len(groups) > 1 else ""
        if len(group.judged) == 1:
            warnings.append(f"{where}only run {group.best.run.id} was judged: there was no choice to regret")
        if unlike := unlike_losses(group.judged):
            warnings.append(where + unlike)
        last = [last_milestone(run, oracle.key) for one in group.judged for run in one.runs]
        warnings += [where + warning for warning in at_different_epochs([row.epoch for row in last if row])]
        warnings += [
            f"{where}{one.metric.name} chooses nothing: no run has a finite {one.metric.key}"
            for one in group.metrics
            if one.chosen is None
        ]
    return warnings
