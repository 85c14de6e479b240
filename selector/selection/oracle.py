"""The oracle: what labels say of each run. Only `regret` and `correlate` read it."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite, sqrt

from selector.metrics.metrics import LabelledMetric
from selector.runs import Run
from selector.selection.candidates import last_milestone
from selector.selection.hyperparameters import is_finite_number


@dataclass(frozen=True)
class Judged:
    """A run and what labels say of it at its last milestone.

    Attributes:
        run: The run.
        accuracy: The oracle's value as it was logged.
        quality: The same, turned so that larger is better.
        standard_error: Of an accuracy, from the number of evaluation images; None where that is unknown.
    """

    run: Run
    accuracy: float
    quality: float
    standard_error: float | None


def read_oracle(runs: Sequence[Run], oracle: LabelledMetric) -> tuple[list[Judged], list[Run]]:
    """Runs with a finite value of the oracle at their last milestone, and runs without one."""
    judged, without = [], []
    for run in runs:
        row = last_milestone(run, oracle.key)
        accuracy = row.values.get(oracle.key) if row else None
        if accuracy is None or not isfinite(accuracy):
            without.append(run)
            continue
        sign = 1 if oracle.direction_in(run.config.get("method")) == "max" else -1
        judged.append(Judged(run, accuracy, sign * accuracy, _standard_error(run, oracle, accuracy)))
    return judged, without


def _standard_error(run: Run, oracle: LabelledMetric, accuracy: float) -> float | None:
    """Of a share of N independent images: sqrt(a (1 - a) / N)."""
    images = run.definition.get("evaluation_images")
    if not oracle.name.endswith("accuracy") or not is_finite_number(images) or images < 1:
        return None
    return sqrt(accuracy * (1 - accuracy) / images) if 0 <= accuracy <= 1 else None
