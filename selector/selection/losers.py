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
    """What the rule found at one milestone.

    Attributes:
        epoch: Of the milestone.
        score: Of the run, there.
        rank: From 1 for the best of all comparable runs that have reached that epoch.
        reached: How many these are, the run among them.
        finished: How many of them were trained to their end.
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

    @property
    def against(self) -> bool:
        """Whether (2) and (3) of the rule hold."""
        return 2 * self.rank > self.reached + 1 and self.margin > 0


@dataclass(frozen=True)
class Loser:
    """A run that the rule names.

    Attributes:
        run: The run.
        evidence: Of its last milestones, the latest last.
        leader: The best finished run.
        leader_score: Its score at its end.
    """

    run: Run
    evidence: tuple[Evidence, ...]
    leader: Run
    leader_score: float

    @property
    def reason(self) -> str:
        """In one line."""
        last = self.evidence[-1]
        return (
            f"rank {last.rank} of {last.reached} at epoch {last.epoch}; after the greatest gain that any of"
            f" {last.finished} finished runs made from there ({last.greatest_gain:.4g}) it would still be"
            f" worse than {self.leader.id} by {last.margin:.4g}"
        )


@dataclass(frozen=True)
class Verdicts:
    """What the rule says of all running runs.

    Attributes:
        metric: What was compared.
        losers: Runs that cannot win any more.
        kept: Ids of the other running runs, and why each goes on.
    """

    metric: LabelFreeMetric
    losers: tuple[Loser, ...]
    kept: Mapping[str, str]


def find_losers(runs: RunSet, metric: LabelFreeMetric, direction: Direction | None = None) -> Verdicts:
    """Applies RULE to all running runs of a source; no label is read. The arguments are those of `rank`."""
    check_label_free(metric)
    running = [run for run in runs.runs if run.state == "running"]
    losers, kept = [], {}
    for pool in pools([*finished_runs(runs)[0], *running], [metric]):
        for run in (run for run in pool.runs if run.state == "running"):
            alike = [other for other in pool.runs if _planned(other) == _planned(run)]
            ended, _ = read_scores([other for other in alike if other.state == "finished"], metric, "last")
            try:
                losers.append(_judged(run, alike, ended, pool.group, metric, direction))
            except _GoesOnError as reason:
                kept[run.id] = str(reason)
    return Verdicts(metric, tuple(losers), kept)


class _GoesOnError(Exception):
    """Why a run is not stopped."""


def _judged(
    run: Run,
    alike: Sequence[Run],
    finished: Sequence[Candidate],
    group: Mapping[str, object],
    metric: LabelFreeMetric,
    direction: Direction | None,
) -> Loser:
    """The run as a loser; raises why it goes on, where it does."""
    if run.counted_by != "epoch":
        raise _GoesOnError("logs no epoch")
    first = max(LEAST_EPOCH, ceil(LEAST_SHARE * (_planned(run) or 0)))
    epochs = [row.epoch for row in run.trained_milestones if metric.key in row.values and row.epoch >= first]
    if len(epochs) < MILESTONES:
        raise _GoesOnError(f"has {len(epochs)} milestones from epoch {first} on, {MILESTONES} are needed")
    if len(finished) < LEAST_RUNS:
        raise _GoesOnError(f"{len(finished)} finished runs can be compared with it, {LEAST_RUNS} are needed")
    ranked = rank_pool(finished, group, metric, direction)
    evidence = tuple(_evidence(run, epoch, alike, ranked, metric) for epoch in epochs[-MILESTONES:])
    if not all(found.against for found in evidence):
        raise _GoesOnError("may still win")
    return Loser(run, evidence, ranked.chosen, ranked.ranking[0].score)


def _evidence(
    run: Run, epoch: int, alike: Sequence[Run], ranked: RankedGroup, metric: LabelFreeMetric
) -> Evidence:
    there = {c.run.id: c for c in read_scores(alike, metric, epoch)[0]}
    if run.id not in there:
        raise _GoesOnError(f"its {metric.name} is not finite at epoch {epoch}")
    sign = 1 if ranked.direction == "max" else -1
    # By how much each finished run improved from there to its end.
    gains = [sign * (end.score - there[end.run.id].score) for end in ranked.ranking if end.run.id in there]
    if len(gains) < LEAST_RUNS:
        raise _GoesOnError(
            f"{len(gains)} finished runs can be compared with it at epoch {epoch}, {LEAST_RUNS} are needed"
        )
    own, best, gain = there[run.id], ranked.ranking[0], max(0.0, *gains)
    return Evidence(
        epoch,
        own.score,
        1 + sum(sign * other.score > sign * own.score for other in there.values()),
        len(there),
        len(gains),
        gain,
        sign * (best.score - own.score) - gain - STANDARD_ERRORS * error_of_difference(own, best)[0],
    )


def _planned(run: Run) -> float | None:
    """Epochs that the run is to have; the schedule of its learning rate depends on them."""
    epochs = run.config.get("epochs")
    return epochs if isinstance(epochs, int | float) else None
