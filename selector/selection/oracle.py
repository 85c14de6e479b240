"""The oracle: what labels say of each configuration. Only `regret` and `correlate` read it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import hypot, sqrt
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from selector.metrics import LabelledMetric
from selector.milestone import CORRECT_PREFIX, correct_images
from selector.runs import Run
from selector.selection.candidates import final_value, last_milestone
from selector.selection.comparability import configuration, is_finite_number


@dataclass(frozen=True)
class Judged:
    """A configuration and what labels say of it at the last milestone of its runs.

    Attributes:
        runs: Its judged seeds, in the order of their ids.
        accuracies: The oracle's values as they were logged, one per run.
        higher_is_better: Whether they are better high.
        standard_error: Of their mean, from the number of evaluation images, which all seeds share; None
            where that is unknown.
        correct: (N,) how many of the seeds were right about each evaluation image, as a share; None where
            that was not logged.
    """

    runs: tuple[Run, ...]
    accuracies: tuple[float, ...]
    higher_is_better: bool
    standard_error: float | None
    correct: NDArray[np.float64] | None = field(compare=False, repr=False)

    @property
    def run(self) -> Run:
        """Its first run, which stands for it."""
        return self.runs[0]

    @property
    def accuracy(self) -> float:
        """Mean over the seeds."""
        return fmean(self.accuracies)

    @property
    def quality(self) -> float:
        """The same, turned so that larger is better."""
        return self.accuracy if self.higher_is_better else -self.accuracy


def read_oracle(
    runs: Sequence[Run], oracle: LabelledMetric, seed_key: str = "seed"
) -> tuple[list[Judged], list[Run]]:
    """Configurations with a finite value of the oracle at the last milestone, and runs without one."""
    members: dict[str, list[Run]] = {}
    without = []
    for run in sorted(runs, key=lambda run: run.id):
        if final_value(run, oracle.key) is None:
            without.append(run)
        else:
            members.setdefault(configuration(run, seed_key), []).append(run)
    return [_judged(seeds, oracle) for seeds in members.values()], without


def difference_error(one: Judged, other: Judged) -> float | None:
    """Standard error of the difference of two accuracies on the evaluation images; None where unknown.

    Paired where it is known which images both got right: they mostly fail on the same ones.
    """
    a, b = one.correct, other.correct
    if a is not None and b is not None and len(a) == len(b) > 1:
        return float(np.std(a - b, ddof=1)) / sqrt(len(a))
    if one.standard_error is None or other.standard_error is None:
        return None
    return hypot(one.standard_error, other.standard_error)


def _judged(runs: Sequence[Run], oracle: LabelledMetric) -> Judged:
    accuracies = tuple(value for run in runs if (value := final_value(run, oracle.key)) is not None)
    images = _evaluation_images(runs)
    mean, error, correct = fmean(accuracies), None, None
    if oracle.name.endswith("accuracy") and images and 0 <= mean <= 1:
        error = sqrt(mean * (1 - mean) / images)
        rows = [row for run in runs if (row := last_milestone(run, oracle.key))]
        bits = [correct_images(row, CORRECT_PREFIX + oracle.name, images) for row in rows]
        known = [some for some in bits if some is not None]
        correct = np.mean(known, axis=0) if len(known) == len(runs) else None
    upwards = oracle.direction_in(runs[0].config.get("method")) == "max"
    return Judged(tuple(runs), accuracies, upwards, error, correct)


def _evaluation_images(runs: Sequence[Run]) -> int | None:
    """How many the oracle saw; None where the runs do not say, or not the same."""
    first, *others = [run.definition.get("evaluation_images") for run in runs]
    if not is_finite_number(first) or first < 1 or any(count != first for count in others):
        return None
    return int(first)
