"""Regret along training: what the metric would have chosen earlier, and what stopping then would save."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING

from selector.metrics import Direction, LabelFreeMetric
from selector.runs import Run
from selector.selection.candidates import candidate_at, seed_means
from selector.selection.ranking import best_first

if TYPE_CHECKING:
    from selector.selection.oracle import Judged  # which needs numpy

MOST_POINTS = 100  # a run of somebody else may have logged at each of a million steps
SETTLED = 3
STOPPING_RULE = f"stop the other runs once the choice has been the same at {SETTLED} milestones in a row"


@dataclass(frozen=True)
class StoppingPoint:
    """The metric's choice at one epoch.

    Attributes:
        epoch: Epochs trained by then; a run that was shorter stands with its last milestone.
        chosen: The run that the metric would hand over then.
        final_accuracy: Of its configuration, at the end.
        regret: Best final accuracy less that one.
        saved_finishing_choice: Share of the pool's epochs saved if all its runs but the choice stop here.
        standing: For how many milestones in a row its configuration has been the choice, this one included.
    """

    epoch: int
    chosen: Run
    final_accuracy: float
    regret: float
    saved_finishing_choice: float
    standing: int


@dataclass(frozen=True)
class AlongTraining:
    """Choices at all milestones, by epoch."""

    points: tuple[StoppingPoint, ...] = ()

    @property
    def settled(self) -> StoppingPoint | None:
        """Where STOPPING_RULE would have stopped, with what that saves and costs; None: it never would."""
        return next((point for point in self.points if point.standing >= SETTLED), None)


NEVER = AlongTraining()


def along_training(
    judged: "Sequence[Judged]",
    metric: LabelFreeMetric,
    direction: Direction,
    varied: Sequence[str],
    seed_key: str = "seed",
) -> AlongTraining:
    """The metric's choice at each epoch, as `choices` has it, with what stopping there costs and saves."""
    owner = {run.id: one for one in judged for run in one.runs}
    runs = [run for one in judged for run in one.runs]
    lengths = {run.id: max(1, run.trained_milestones[-1].epoch) for run in runs}
    best, total = max(one.quality for one in judged), sum(lengths.values())
    points: list[StoppingPoint] = []
    for epoch, chosen in choices(runs, metric, direction, varied, seed_key):
        pick = owner[chosen.id]
        before = points[-1] if points and owner[points[-1].chosen.id] is pick else None
        spent = sum(min(epoch, length) for length in lengths.values())
        rest = sum(max(0, lengths[run.id] - epoch) for run in pick.runs)
        points.append(
            StoppingPoint(
                epoch,
                chosen,
                pick.accuracy,
                best - pick.quality,
                saved_finishing_choice=1 - (spent + rest) / total,
                standing=before.standing + 1 if before else 1,
            )
        )
    return AlongTraining(tuple(points))


def choices(
    runs: Sequence[Run],
    metric: LabelFreeMetric,
    direction: Direction,
    varied: Sequence[str],
    seed_key: str = "seed",
) -> Iterator[tuple[int, Run]]:
    """(epoch, run that the metric would hand over then), for each epoch by which all runs have a score.

    Ties are broken by the hyperparameters `varied`. Of more than 100 epochs, 100 are taken at even distances,
    the last among them.
    """
    rows = {run.id: [row for row in run.trained_milestones if metric.key in row.values] for run in runs}
    known = [run for run in runs if rows[run.id]]
    start = max((rows[run.id][0].epoch for run in known), default=0)
    epochs = sorted({row.epoch for run in known for row in rows[run.id] if row.epoch >= start})
    if len(epochs) > MOST_POINTS:
        epochs = [epochs[round((i + 1) * len(epochs) / MOST_POINTS) - 1] for i in range(MOST_POINTS)]
    for epoch in epochs:
        candidates = []
        for run in known:
            row = rows[run.id][bisect_right(rows[run.id], epoch, key=lambda row: row.epoch) - 1]
            if isfinite(row.values[metric.key]):
                candidates.append(candidate_at(run, row, metric))
        if candidates:
            yield epoch, best_first(seed_means(candidates, direction, seed_key), direction, varied)[0].run
