"""Running runs that cannot win any more, by a stated rule that errs on the side of letting them run.

Scores early in training mislead: the rank of embeddings rises and then falls, and says little of quality in
the first epochs. So a run is not judged by where it stands, but by whether any run that was trained to its
end has ever closed such a gap from there. If the run is like those n, its own rise exceeds the greatest of
theirs with a chance of 1/(n + 1) at most, and to win it would have to be greater still.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil

from selector.metrics import Direction, LabelFreeMetric
from selector.runs import Run, RunSet
from selector.selection.candidates import Candidate, finished_runs, read_scores
from selector.selection.comparability import pools
from selector.selection.ranking import RankedGroup, check_label_free, error_of_difference, rank_pool

LEAST_RUNS = 8
MILESTONES = 2
LEAST_EPOCH = 10
LEAST_SHARE = 0.25
STANDARD_ERRORS = 2

RULE = (
    f"a running run is stopped only if at each of its last {MILESTONES} milestones, none before epoch"
    f" {LEAST_EPOCH} or the first {LEAST_SHARE:.0%} of its planned epochs, (1) at least {LEAST_RUNS} finished"
    " runs that the metric may compare with it, planned for as many epochs, have a score too; (2) it is in"
    " the lower half of all such runs, finished or running, that have reached that epoch; and (3) if its"
    " score rose by as much as that of any of the finished runs did from there to its end, and by"
    f" {STANDARD_ERRORS} standard errors of the metric's noise more, it would still be worse than the best"
    " finished run"
)


@dataclass(frozen=True)
class Evidence:
    """What the rule found at one milestone; the fields are keys of `stop-losers --json`.

    Attributes:
        epoch, score: Of the run, there.
        rank: From 1 for the best of all comparable runs that have reached that epoch.
        reached, finished: How many these are, the run among them, and how many were trained to their end.
        greatest_gain: Most by which one of the finished runs improved from there to its end, 0 if none did.
        margin: By how much the run would still be worse than the best finished one after such a gain and
            the allowance for noise; not above 0 where it may yet win.
    """

    epoch: int
    score: float
    rank: int
    reached: int
    finished: int
    greatest_gain: float
    margin: float


@dataclass(frozen=True)
class RunningRun:
    """What the rule says of a running run; the fields are keys of `stop-losers --json`.

    Attributes:
        run: The run.
        reason: Why it cannot win any more, or why it goes on, in one line.
        evidence: Against it, of its last milestones, the latest last; empty where it goes on.
        leader: The best finished run; None where this one goes on.
        leader_score: The leader's score at its end.
    """

    run: Run
    reason: str
    evidence: tuple[Evidence, ...] = ()
    leader: Run | None = None
    leader_score: float | None = None


def find_losers(
    runs: RunSet, metric: LabelFreeMetric, direction: Direction | None = None
) -> tuple[list[RunningRun], list[RunningRun]]:
    """Applies RULE to all running runs of a source; no label is read. The arguments are those of `rank`.

    Returns:
        The runs that cannot win any more, and those that go on.
    """
    check_label_free(metric)
    running = [run for run in runs.runs if run.state == "running"]
    found = [
        _judged(run, [other for other in pool.runs if _planned(other) == _planned(run)], metric, direction)
        for pool in pools([*finished_runs(runs)[0], *running], [metric])
        for run in pool.runs
        if run.state == "running"
    ]
    return [one for one in found if one.evidence], [one for one in found if not one.evidence]


def _judged(
    run: Run, alike: Sequence[Run], metric: LabelFreeMetric, direction: Direction | None
) -> RunningRun:
    """`alike`: all runs of the pool that are planned for as many epochs, this one among them."""
    if not any(metric.key in row.values for row in run.milestones):
        return RunningRun(run, f"has not logged {metric.key}")
    if run.counted_by != "epoch":
        return RunningRun(run, "logs no epoch")
    first = max(LEAST_EPOCH, ceil(LEAST_SHARE * (_planned(run) or 0)))
    epochs = [row.epoch for row in run.trained_milestones if metric.key in row.values and row.epoch >= first]
    if len(epochs) < MILESTONES:
        return RunningRun(run, f"has {len(epochs)} milestones from epoch {first} on, {MILESTONES} are needed")
    finished, _ = read_scores([other for other in alike if other.state == "finished"], metric, "last")
    if len(finished) < LEAST_RUNS:
        return RunningRun(run, _too_few(finished))
    ranked, evidence = rank_pool(finished, {}, metric, direction), []
    for epoch in epochs[-MILESTONES:]:
        there = {one.run.id: one for one in read_scores(alike, metric, epoch)[0]}
        if run.id not in there:
            return RunningRun(run, f"its {metric.name} is not finite at epoch {epoch}")
        ended = [end for end in ranked.ranking if end.run.id in there]
        if len(ended) < LEAST_RUNS:
            return RunningRun(run, _too_few(ended, f" at epoch {epoch}"))
        evidence.append(_evidence(there[run.id], there, ended, ranked))
    if not all(2 * one.rank > one.reached + 1 and one.margin > 0 for one in evidence):
        return RunningRun(run, "may still win")
    last, leader = evidence[-1], ranked.ranking[0]
    reason = (
        f"rank {last.rank} of {last.reached} at epoch {last.epoch}; after the greatest gain that any of"
        f" {last.finished} finished runs made from there ({last.greatest_gain:.4g}) it would still be"
        f" worse than {leader.run.id} by {last.margin:.4g}"
    )
    return RunningRun(run, reason, tuple(evidence), leader.run, leader.score)


def _too_few(finished: Sequence[Candidate], where: str = "") -> str:
    return f"{len(finished)} finished runs can be compared with it{where}, {LEAST_RUNS} are needed"


def _evidence(
    own: Candidate, there: Mapping[str, Candidate], ended: Sequence[Candidate], ranked: RankedGroup
) -> Evidence:
    """Of a run among all that have reached the milestone, some of which were trained to their end."""
    sign, best = 1 if ranked.direction == "max" else -1, ranked.ranking[0]
    gain = max(0.0, *(sign * (end.score - there[end.run.id].score) for end in ended))
    return Evidence(
        own.epoch,
        own.score,
        1 + sum(sign * other.score > sign * own.score for other in there.values()),
        len(there),
        len(ended),
        gain,
        sign * (best.score - own.score) - gain - STANDARD_ERRORS * error_of_difference(own, best)[0],
    )


def _planned(run: Run) -> float | None:
    """Epochs that the run is to have; the schedule of its learning rate depends on them."""
    epochs = run.config.get("epochs")
    return epochs if isinstance(epochs, int | float) else None
