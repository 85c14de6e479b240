"""Ranking the configurations of a sweep by a label-free metric."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf, sqrt
from statistics import variance
from typing import Any, Literal

from selector.errors import UserError
from selector.metrics import METRICS, Direction, LabelFreeMetric, Metric
from selector.runs import Run, RunSet
from selector.selection.candidates import (
    Candidate,
    Excluded,
    MilestoneChoice,
    finished_runs,
    read_scores,
    seed_means,
)
from selector.selection.comparability import configuration, describe, differing, pools, smallest_first, swept
from selector.text import nearest

By = Literal["configuration", "run"]

TIE_RULE = (
    "tied with the best: an equal score, or a gap below what the metric's own noise explains: the 97.5 %"
    " quantile of Student's t times the standard error of the difference (over training seeds where there are"
    " several, over UMAP seeds, and over resampled images where that was logged)"
)
TIE_BREAK = (
    "among equal scores, the run with the fewest epochs is chosen, then the one with the smallest"
    " hyperparameters (those that the sweep varies, in alphabetical order), then the first run id"
)


@dataclass(frozen=True, kw_only=True)
class Ranked(Candidate):
    """A run, or the seeds of one configuration, in its place.

    Attributes:
        rank: From 1 for the best; equal scores share a rank.
        tied: Whether the metric cannot tell it from the best (True for the best itself if it has company).
    """

    rank: int
    tied: bool


@dataclass(frozen=True)
class RankedGroup:
    """What the metric may compare, best first.

    Attributes:
        group: What they share, field → value.
        direction: Which way was better.
        ranking: Best first; the first one is chosen.
        swept: Hyperparameters that differ between the runs.
    """

    group: Mapping[str, Any]
    direction: Direction
    ranking: tuple[Ranked, ...]
    swept: tuple[str, ...]

    @property
    def chosen(self) -> Run:
        """The run that is handed over: the best seed of the configuration that the metric picks."""
        return self.ranking[0].run

    @property
    def tie_set(self) -> tuple[Ranked, ...]:
        """The pick and all that the metric cannot tell from it."""
        return tuple(ranked for ranked in self.ranking if ranked.tied) or self.ranking[:1]


@dataclass(frozen=True)
class Coverage:
    """How much of the sweep the ranking speaks of.

    Attributes:
        planned: Runs that the sweep asked for, or None where that is not known.
        found: Runs that the source holds, readable or not; ranked + excluded.
        ranked: Runs that were ranked.
        excluded: Category → number of runs that were not.
        not_started: Planned runs of which nothing was found, or None.
        finish_command: Shell command that runs what is missing, or "".
    """

    planned: int | None
    found: int
    ranked: int
    excluded: Mapping[str, int]
    not_started: int | None
    finish_command: str


@dataclass(frozen=True)
class Ranking:
    """What `rank` found.

    Attributes:
        metric: The label-free metric.
        milestone: "last", or the epoch that the runs were compared at.
        groups: Groups that cannot be compared with one another, each ranked by itself.
        excluded: Runs that were not ranked, diverged ones first.
        coverage: How much of the sweep was ranked.
        warnings: One line each.
    """

    metric: LabelFreeMetric
    milestone: MilestoneChoice
    groups: tuple[RankedGroup, ...]
    excluded: tuple[Excluded, ...]
    coverage: Coverage
    warnings: tuple[str, ...]

    @property
    def direction(self) -> Direction | None:
        """Which way was better, or None where that differs between the groups."""
        directions = {group.direction for group in self.groups}
        return directions.pop() if len(directions) == 1 else None


def rank(
    runs: RunSet,
    metric: LabelFreeMetric,
    milestone: MilestoneChoice = "last",
    allow_mixed: bool = False,
    direction: Direction | None = None,
    by: By = "configuration",
    seed_key: str = "seed",
) -> Ranking:
    """Ranks configurations by a label-free metric, group by group of what the metric may compare.

    Only finished runs and trained milestones are ranked; ties and their breaking are as TIE_RULE and
    TIE_BREAK say. No label is read.

    Args:
        runs: What a source holds.
        metric: A label-free metric; labelled ones have another type.
        milestone: "last": each run's last one; or an epoch that all were evaluated at.
        allow_mixed: Rank everything in one list, comparable or not.
        direction: Which way is better; None uses the metric's own, which may depend on the method.
        by: "configuration" ranks the mean over the seeds of one configuration; "run" ranks each run.
        seed_key: Name of the hyperparameter that holds the seed.

    Raises:
        UserError: When nothing can be ranked, or what would be ranked was computed in different ways.
    """
    check_label_free(metric)
    check_milestone(runs, milestone)
    finished, excluded = finished_runs(runs, seed_key)
    candidates, without_score = read_scores(finished, metric, milestone)
    excluded += without_score
    if not candidates:
        raise UserError(_nothing_to_rank(runs, metric, milestone, excluded))
    by_id = {candidate.run.id: candidate for candidate in candidates}
    seeds = seed_key if by == "configuration" else None
    groups = [
        rank_pool([by_id[run.id] for run in pool.runs], pool.group, metric, direction, seeds)
        for pool in pools([candidate.run for candidate in candidates], [metric], allow_mixed)
    ]
    warnings = (*runs.warnings, *_warnings(groups, metric, allow_mixed))
    if by == "configuration":
        warnings += _incomplete(runs, groups, seed_key)
    found = len(candidates) + len(excluded)
    not_started = None if runs.planned is None else max(0, runs.planned - found)
    coverage = Coverage(
        runs.planned, found, len(candidates), _count(excluded), not_started, runs.finish_command
    )
    return Ranking(metric, milestone, tuple(groups), tuple(excluded), coverage, warnings)


def check_label_free(metric: Metric) -> None:
    """Holds at run time, too, what the types promise: no label goes into a choice."""
    if not isinstance(metric, LabelFreeMetric):
        raise TypeError(f"{metric.name} is not a label-free metric, and choosing must not read labels")


def check_milestone(runs: RunSet, milestone: MilestoneChoice) -> None:
    """Refuses the untrained network, and epochs that no run was evaluated at.

    Raises:
        UserError: Lists the epochs that there are.
    """
    if milestone == "last":
        return
    if milestone == 0 and all(run.counted_by == "epoch" or run.definition for run in runs.runs):
        raise UserError(
            "milestone 0 is the untrained network, which is never chosen: name an epoch from 1 on"
        )
    epochs = sorted({row.epoch for run in runs.runs for row in run.trained_milestones})
    if epochs and milestone not in epochs:
        shown = ", ".join(map(str, epochs[:20])) + (", …" if len(epochs) > 20 else "")
        raise UserError(f"milestone {milestone} is not among ({shown}) of the runs in {runs.source}")


def rank_pool(
    candidates: Sequence[Candidate],
    group: Mapping[str, Any],
    metric: LabelFreeMetric,
    direction: Direction | None = None,
    seed_key: str | None = None,
) -> RankedGroup:
    """Ranks at least one run of one pool; the order of the runs does not matter.

    With a `seed_key`, runs that differ in that hyperparameter alone are ranked as one, by their mean.
    """
    direction = direction or _direction(candidates, metric)
    varied = swept([candidate.run for candidate in candidates])
    if seed_key is not None:
        varied = tuple(name for name in varied if name != seed_key)
        candidates = seed_means(candidates, direction, seed_key)
    ordered = best_first(candidates, direction, varied)
    tied = [_tied(one, ordered[0]) for one in ordered]
    scores = [candidate.score for candidate in ordered]
    ranking = tuple(
        Ranked(**vars(one), rank=scores.index(one.score) + 1, tied=near and sum(tied) > 1)
        for one, near in zip(ordered, tied, strict=True)
    )
    return RankedGroup(group, direction, ranking, varied)


def best_first(
    candidates: Sequence[Candidate], direction: Direction, varied: Sequence[str]
) -> list[Candidate]:
    """Candidates by score, equal ones as TIE_BREAK says; `varied` are the sweep's hyperparameters."""
    sign = 1 if direction == "max" else -1
    return sorted(
        candidates, key=lambda c: (-sign * c.score, c.epoch, smallest_first(c.run, varied), c.run.id)
    )


def _tied(one: Candidate, best: Candidate) -> bool:
    gap, (error, degrees) = abs(best.score - one.score), error_of_difference(one, best)
    if gap == 0 or error == 0:
        return gap == 0
    from selector.selection.intervals import t_quantile  # here: most rankings need no arithmetic

    return gap <= t_quantile(0.975, degrees) * error


def error_of_difference(one: Candidate, other: Candidate) -> tuple[float, float]:
    """Standard error of the difference of two scores, and its degrees of freedom; 0 where not measured.

    Their errors add up. Where both were scored on the same resampled images, the error of these images is
    that of the differences, which is smaller. Degrees of freedom: Welch and Satterthwaite.
    """
    parts = [(some.standard_error**2, some.degrees) for some in (one, other)]
    if len(one.replicates) == len(other.replicates) > 1:
        gaps = [a - b for a, b in zip(one.replicates, other.replicates, strict=True)]
        parts.append((variance(gaps), len(gaps) - 1))
    total = sum(square for square, _ in parts)
    doubt = sum(square**2 / degrees for square, degrees in parts)
    return sqrt(total), total**2 / doubt if doubt else inf


def _direction(candidates: Sequence[Candidate], metric: LabelFreeMetric) -> Direction:
    directions = {metric.direction_in(candidate.run.config.get("method")) for candidate in candidates}
    if len(directions) > 1:
        raise UserError(
            f"{metric.name} is better high for some of these methods but low for others:"
            " rank each method by itself, or pass --direction max or --direction min"
        )
    return directions.pop()


def _nothing_to_rank(
    runs: RunSet, metric: LabelFreeMetric, milestone: MilestoneChoice, excluded: Sequence[Excluded]
) -> str:
    reasons = "".join(f"; {warning}" for warning in runs.warnings[:2])
    if not excluded:
        advice = "; give a folder with runs, or entity/project/sweep_id" if runs.planned is None else ""
        return f"{runs.source} holds no runs{advice}{reasons}"
    where = "at their last milestone" if milestone == "last" else f"at milestone {milestone}"
    counts = ", ".join(f"{n} {category.replace('_', ' ')}" for category, n in _count(excluded).items())
    first = excluded[0]
    text = (
        f"no run in {runs.source} can be ranked by {metric.key} {where}"
        f"{meant(metric, runs)}: {counts} (run {first.run}: {first.reason}){reasons}"
    )
    return text + (f"; finish the sweep with: {runs.finish_command}" if runs.finish_command else "")


def meant(metric: Metric, runs: RunSet) -> str:
    """For a message that no run logged a key: what the key resembles, a built-in metric or a logged key."""
    logged = {key for run in runs.runs for row in run.milestones for key in row.values}
    return nearest(metric.name, [*(ours.name for ours in METRICS), *logged]) if metric.logged_as else ""


def _count(excluded: Sequence[Excluded]) -> dict[str, int]:
    return dict(sorted(Counter(gone.category for gone in excluded).items()))


def _warnings(groups: Sequence[RankedGroup], metric: LabelFreeMetric, allow_mixed: bool) -> list[str]:
    warnings = []
    if len(groups) > 1:
        fields = " and ".join(differing([group.group for group in groups])) or "what their runs do not say"
        warnings.append(
            f"{metric.name} cannot compare runs that differ in {fields}:"
            f" {len(groups)} groups are ranked separately"
        )
    if allow_mixed:
        warnings.append("all runs are ranked together (--allow-mixed), whether or not they may be compared")
    everything = [run for group in groups for ranked in group.ranking for run in ranked.runs]
    unknown = sum(not run.definition for run in everything)
    if unknown:
        warnings.append(
            f"{unknown} of {len(everything)} ranked runs do not say how {metric.name} was computed;"
            " they are grouped by what their configuration says, and assumed to be alike"
        )
    for group in groups:
        where = f"{describe(group.group)}: " if len(groups) > 1 else ""
        one, *others = group.ranking
        if not others:
            what = f"run {one.run.id}" if len(one.runs) == 1 else f"the configuration of run {one.run.id}"
            warnings.append(f"{where}only {what} can be ranked, so it is chosen")
        elif all(other.score == one.score for other in others):
            warnings.append(f"{where}{metric.name} is {one.score:g} in all runs: it does not tell them apart")
        epochs = [ranked.epoch for ranked in group.ranking]
        warnings += [where + warning for warning in at_different_epochs(epochs)]
    return warnings


def _incomplete(runs: RunSet, groups: Sequence[RankedGroup], seed_key: str) -> tuple[str, ...]:
    """A warning where seeds of a ranked configuration are missing from its mean, such as diverged ones."""
    gone = Counter(configuration(run, seed_key) for run in runs.runs if run.state in ("diverged", "failed"))
    short = [
        f"{one.run.id} ({count} of {count + len(one.runs)})"
        for group in groups
        for one in group.ranking
        if (count := gone[configuration(one.run, seed_key)])
    ]
    text = "diverged or failed seeds are missing from the mean of the configurations of"
    return (f"{text} {', '.join(short)}",) if short else ()


def at_different_epochs(epochs: Sequence[int]) -> list[str]:
    """A warning where runs that were trained for different times are compared."""
    different = sorted(set(epochs))
    if len(different) < 2:
        return []
    return [f"the runs are compared at different epochs: {', '.join(map(str, different))}"]


def standing(
    runs: RunSet, metric: LabelFreeMetric, allow_mixed: bool = False, direction: Direction | None = None
) -> Ranking:
    """Ranks a sweep that may still be running, as if each run had ended at its last milestone.

    This is a look at the race and no choice: runs stand at different epochs, and an early lead may pass.
    Each run is ranked by itself. The arguments are those of `rank`. There is no group before the
    first milestone.
    """
    stopped = replace(
        runs,
        runs=tuple(
            replace(run, state="finished", detail="")
            if run.state == "running" and run.trained_milestones
            else run
            for run in runs.runs
        ),
    )
    ended, _ = finished_runs(stopped)
    trained = [run for run in ended if run.trained_milestones]
    logged = any(metric.key in row.values for run in trained for row in run.trained_milestones)
    if not trained or (logged and not read_scores(trained, metric, "last")[0]):
        return Ranking(metric, "last", (), (), Coverage(runs.planned, len(runs.runs), 0, {}, None, ""), ())
    return rank(stopped, metric, "last", allow_mixed, direction, "run")
