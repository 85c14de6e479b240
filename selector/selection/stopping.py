"""Regret along training: what the metric would have chosen earlier, and what stopping then would save."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite

from selector.metrics.metrics import Direction, LabelFreeMetric
from selector.runs import Milestone, Run
from selector.selection.candidates import Candidate
from selector.selection.oracle import Judged
from selector.selection.ranking import first_of

MOST_POINTS = 100  # a run of somebody else may have logged at each of a million steps


@dataclass(frozen=True)
class StoppingPoint:
    """The metric's choice at one epoch.

    Attributes:
        epoch: Epochs trained by then; a run that was shorter stands with its last milestone.
        chosen: The run that the metric would choose then.
        final_accuracy: Of that run at its end.
        regret: Best final accuracy less that one.
        saved: Share of the pool's epochs saved if all its runs stop here.
        saved_finishing_choice: The same if the chosen run is trained to its end, as final_accuracy assumes.
    """

    epoch: int
    chosen: Run
    final_accuracy: float
    regret: float
    saved: float
    saved_finishing_choice: float


@dataclass(frozen=True)
class AlongTraining:
    """Choices at all milestones.

    Attributes:
        points: By epoch.
        first_agreeing_epoch: Earliest epoch whose choice is the last epoch's choice.
        settled_epoch: Earliest epoch from which on every choice is the last epoch's.
    """

    points: tuple[StoppingPoint, ...]
    first_agreeing_epoch: int | None
    settled_epoch: int | None


def along_training(
    judged: Sequence[Judged], metric: LabelFreeMetric, direction: Direction, varied: Sequence[str]
) -> AlongTraining:
    """The metric's choice at each epoch by which all runs that ever log it have a milestone.

    Of more than 100 epochs, 100 are taken at even distances, the last among them.

    Args:
        judged: Runs of one pool with their final accuracy.
        metric: The label-free metric.
        direction: Which way is better.
        varied: Hyperparameters that break ties.
    """
    rows = {run.run.id: _rows(run.run, metric) for run in judged}
    runs = [run for run in judged if rows[run.run.id]]
    if not runs:
        return AlongTraining((), None, None)
    start = max(rows[run.run.id][0].epoch for run in runs)
    epochs = _thinned(sorted({row.epoch for run in runs for row in rows[run.run.id] if row.epoch >= start}))
    lengths = {run.run.id: max(1, run.run.trained_milestones[-1].epoch) for run in judged}
    points = []
    for epoch in epochs:
        candidates = [c for run in runs if (c := _candidate(run.run, rows[run.run.id], metric, epoch))]
        if candidates:
            chosen = first_of(candidates, direction, varied).run
            points.append(_stop(epoch, chosen, judged, lengths))
    ids = [point.chosen.id for point in points]
    if not ids:
        return AlongTraining((), None, None)
    changes = [i + 1 for i in range(len(ids) - 1) if ids[i] != ids[-1]]
    settled = points[max(changes, default=0)].epoch
    return AlongTraining(tuple(points), points[ids.index(ids[-1])].epoch, settled)


def _rows(run: Run, metric: LabelFreeMetric) -> list[Milestone]:
    return [row for row in run.trained_milestones if metric.key in row.values]


def _thinned(epochs: list[int]) -> list[int]:
    if len(epochs) <= MOST_POINTS:
        return epochs
    return [epochs[round((i + 1) * len(epochs) / MOST_POINTS) - 1] for i in range(MOST_POINTS)]


def _candidate(run: Run, rows: Sequence[Milestone], metric: LabelFreeMetric, epoch: int) -> Candidate | None:
    row = rows[bisect_right(rows, epoch, key=lambda row: row.epoch) - 1]
    score = row.values[metric.key]
    return Candidate(run, row.epoch, score, 0.0) if isfinite(score) else None


def _stop(epoch: int, chosen: Run, judged: Sequence[Judged], lengths: Mapping[str, int]) -> StoppingPoint:
    spent = sum(min(epoch, length) for length in lengths.values())
    rest_of_chosen = max(0, lengths[chosen.id] - epoch)
    total = sum(lengths.values())
    pick = next(run for run in judged if run.run.id == chosen.id)
    return StoppingPoint(
        epoch,
        chosen,
        pick.accuracy,
        max(run.quality for run in judged) - pick.quality,
        1 - spent / total,
        1 - (spent + rest_of_chosen) / total,
    )
