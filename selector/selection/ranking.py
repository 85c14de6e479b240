"""Ranking the runs of a sweep by a label-free metric."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import hypot
from typing import Any

from selector.errors import UserError
from selector.metrics.metrics import METRICS, Direction, LabelFreeMetric, Metric
from selector.runs import Run, RunSet
from selector.selection.candidates import (
    Candidate,
    Excluded,
    MilestoneChoice,
    finished_runs,
    read_scores,
)
from selector.selection.comparability import describe, differing, pools
from selector.selection.hyperparameters import smallest_first, swept
from selector.text import nearest

TIE_RULE = (
    "tied with the best: an equal score, or a gap below twice the standard error of the difference"
    " (from the metric's spread over UMAP seeds)"
)
TIE_BREAK = (
    "of equal scores the run with the fewest epochs is chosen, then the one with the smallest"
    " hyperparameters (those that the sweep varies, in alphabetical order), then the first run id"
)


@dataclass(frozen=True)
class Ranked:
    """One run in its place.

    Attributes:
        rank: From 1 for the best; runs of equal score share a rank.
        run: The run.
        epoch: Milestone that the score is from.
        score: The metric's value.
        standard_error: Of the score, over UMAP seeds; 0 where no noise was measured.
        tied: Whether the metric cannot tell it from the best (True for the best itself if it has company).
    """

    rank: int
    run: Run
    epoch: int
    score: float
    standard_error: float
    tied: bool


@dataclass(frozen=True)
class RankedGroup:
    """Runs that the metric may compare, best first.

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
        """The run that the metric picks."""
        return self.ranking[0].run

    @property
    def tie_set(self) -> tuple[Ranked, ...]:
        """The chosen run and all that the metric cannot tell from it."""
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
) -> Ranking:
    """Ranks runs by a label-free metric, group by group of what the metric may compare.

    Only finished runs and trained milestones are ranked; ties and their breaking are as TIE_RULE and
    TIE_BREAK say. No label is read.

    Args:
        runs: What a source holds.
        metric: A label-free metric; labelled ones have another type.
        milestone: "last": each run's last one; or an epoch that all were evaluated at.
        allow_mixed: Rank everything in one list, comparable or not.
        direction: Which way is better; None takes the metric's own, which may depend on the method.

    Raises:
        UserError: When nothing can be ranked, or what would be ranked was computed in different ways.
    """
    check_label_free(metric)
    check_milestone(runs, milestone)
    finished, excluded = finished_runs(runs)
    candidates, without_score = read_scores(finished, metric, milestone)
    excluded += without_score
    if not candidates:
        raise UserError(_nothing_to_rank(runs, metric, milestone, excluded))
    by_id = {candidate.run.id: candidate for candidate in candidates}
    groups = [
        rank_pool([by_id[run.id] for run in pool.runs], pool.group, metric, direction)
        for pool in pools([candidate.run for candidate in candidates], [metric], allow_mixed)
    ]
    warnings = (*runs.warnings, *_warnings(groups, metric, allow_mixed))
    coverage = _coverage(runs, len(candidates), excluded)
    return Ranking(metric, milestone, tuple(groups), tuple(excluded), coverage, warnings)


def check_label_free(metric: Metric) -> None:
    """Holds at run time, too, what the types promise: no label goes into a choice."""
    if not isinstance(metric, LabelFreeMetric):
        raise TypeError(f"{metric.name} is no label-free metric, and choosing must not read labels")


def check_milestone(runs: RunSet, milestone: MilestoneChoice) -> None:
    """Refuses the untrained network, and epochs that no run was evaluated at.

    Raises:
        UserError: Lists the epochs that there are.
    """
    if milestone == "last":
        return
    if milestone == 0 and all(run.counted_by == "epoch" for run in runs.runs):
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
) -> RankedGroup:
    """Ranks at least one candidate of one pool; the order of the candidates does not matter."""
    direction = direction or _direction(candidates, metric)
    varied = swept([candidate.run for candidate in candidates])
    ordered = best_first(candidates, direction, varied)
    best = ordered[0]
    tied = [_within_noise(candidate, best) for candidate in ordered]
    scores = [candidate.score for candidate in ordered]
    ranking = tuple(
        Ranked(scores.index(c.score) + 1, c.run, c.epoch, c.score, c.standard_error, near and sum(tied) > 1)
        for c, near in zip(ordered, tied, strict=True)
    )
    return RankedGroup(group, direction, ranking, varied)


def best_first(
    candidates: Sequence[Candidate], direction: Direction, varied: Sequence[str]
) -> list[Candidate]:
    """Candidates by score, equal ones as TIE_BREAK says; `varied` are the sweep's hyperparameters."""
    sign = 1 if direction == "max" else -1
    return sorted(candidates, key=lambda c: (-sign * c.score, *_tie_break(c, varied)))


def first_of(candidates: Sequence[Candidate], direction: Direction, varied: Sequence[str]) -> Candidate:
    """The first of `best_first`, without an order of the others."""
    scores = [candidate.score for candidate in candidates]
    best = max(scores) if direction == "max" else min(scores)
    return min((c for c in candidates if c.score == best), key=lambda c: _tie_break(c, varied))


def _tie_break(candidate: Candidate, varied: Sequence[str]) -> tuple[Any, ...]:
    return candidate.epoch, smallest_first(candidate.run, varied), candidate.run.id


def _within_noise(candidate: Candidate, best: Candidate) -> bool:
    if candidate is best or candidate.score == best.score:
        return True
    noise = hypot(candidate.standard_error, best.standard_error)  # standard error of the difference
    return abs(best.score - candidate.score) < 2 * noise


def _direction(candidates: Sequence[Candidate], metric: LabelFreeMetric) -> Direction:
    directions = {metric.direction_in(candidate.run.config.get("method")) for candidate in candidates}
    if len(directions) > 1:
        raise UserError(
            f"{metric.name} is better high for some of these methods and low for others:"
            " rank each method by itself, or pass --direction max or --direction min"
        )
    return directions.pop()


def _nothing_to_rank(
    runs: RunSet, metric: LabelFreeMetric, milestone: MilestoneChoice, excluded: Sequence[Excluded]
) -> str:
    reasons = "".join(f"; {warning}" for warning in runs.warnings[:2])
    if not excluded:
        return f"{runs.source} holds no runs; give a folder with runs, or entity/project/sweep_id{reasons}"
    where = "at their last milestone" if milestone == "last" else f"at milestone {milestone}"
    counts = ", ".join(f"{n} {category.replace('_', ' ')}" for category, n in _count(excluded).items())
    first = excluded[0]
    text = (
        f"none of the {len(excluded)} runs in {runs.source} can be ranked by {metric.key} {where}"
        f"{meant(metric)}: {counts} (run {first.run}: {first.reason}){reasons}"
    )
    return text + (f"; finish the sweep with: {runs.finish_command}" if runs.finish_command else "")


def meant(metric: Metric) -> str:
    """For a message that nobody logged a key which a user named: the metric of ours that it resembles."""
    return nearest(metric.name, [ours.name for ours in METRICS]) if metric.logged_as else ""


def _count(excluded: Sequence[Excluded]) -> dict[str, int]:
    return dict(sorted(Counter(gone.category for gone in excluded).items()))


def _coverage(runs: RunSet, ranked: int, excluded: Sequence[Excluded]) -> Coverage:
    found = ranked + len(excluded)
    not_started = None if runs.planned is None else max(0, runs.planned - found)
    return Coverage(runs.planned, found, ranked, _count(excluded), not_started, runs.finish_command)


def _warnings(groups: Sequence[RankedGroup], metric: LabelFreeMetric, allow_mixed: bool) -> list[str]:
    warnings = []
    if len(groups) > 1:
        fields = " and ".join(differing([group.group for group in groups])) or "what their runs do not say"
        warnings.append(
            f"{metric.name} cannot compare runs that differ in {fields}:"
            f" {len(groups)} groups are ranked apart"
        )
    if allow_mixed:
        warnings.append("all runs are ranked together (--allow-mixed), whether or not they may be compared")
    everything = [ranked for group in groups for ranked in group.ranking]
    unknown = sum(not ranked.run.definition for ranked in everything)
    if unknown:
        warnings.append(
            f"{unknown} of {len(everything)} ranked runs do not say how {metric.name} was computed;"
            " they are grouped by what their configuration says, and assumed to be alike"
        )
    for group in groups:
        prefix = f"{describe(group.group)}: " if len(groups) > 1 else ""
        warnings += [prefix + warning for warning in _group_warnings(group, metric)]
    return warnings


def _group_warnings(group: RankedGroup, metric: LabelFreeMetric) -> list[str]:
    if len(group.ranking) == 1:
        return [f"only run {group.chosen.id} can be ranked: it is chosen for want of another"]
    warnings = []
    if len({ranked.score for ranked in group.ranking}) == 1:
        warnings.append(
            f"{metric.name} is {group.ranking[0].score:g} in all runs: it does not tell them apart"
        )
    epochs = sorted({ranked.epoch for ranked in group.ranking})
    if len(epochs) > 1:
        warnings.append(f"the runs are compared at different epochs: {', '.join(map(str, epochs))}")
    return warnings
