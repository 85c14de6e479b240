"""What a run has logged of the sweep's metric so far: from its record, or from its offline W&B file."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from selector.errors import UserError


@dataclass(frozen=True)
class ObjectiveHistory:
    """One metric of one run.

    Attributes:
        values: Finite values in the order logged, one an iteration of hyperband.
        final: What the run achieved: the value it logged last, or else the one in its summary; None where
            there is none, where it is NaN or infinite, and for a run that diverged. (W&B's bayes takes the
            best value of the whole history. That would let an untrained network win: its RankMe, logged as
            milestone 0, can be the highest of all.)
        reason: Why `final` is None, in one line, or "".
    """

    values: tuple[float, ...] = ()
    final: float | None = None
    reason: str = ""


def read_objective(directory: Path, run: str, metric: str) -> ObjectiveHistory:
    """Read what is there; a file that is still being written is read up to its last whole line or record."""
    from selector.record import read_record  # NumPy comes with it

    record = directory / "runs" / run / "run.jsonl"
    try:
        content = read_record(record, lists=False)
    except UserError:
        return _of_wandb_files(directory, run, metric)
    values = [row.values[metric] for row in content.milestones if metric in row.values]
    if content.end and content.end.status == "diverged":
        return ObjectiveHistory(_finite(values), None, content.end.detail or "diverged")
    return _history(metric, values, values[-1] if values else None)


def files_of(directory: Path, run: str) -> list[Path]:
    """What a run writes its metric to: its record, and an offline W&B file for each time it was started."""
    return [
        *(directory / "runs" / run).glob("run.jsonl"),
        *sorted((directory / "wandb").glob(f"offline-run-*-{run}/run-{run}.wandb")),
    ]


def _history(metric: str, values: list[float], final: float | None) -> ObjectiveHistory:
    if final is None:
        return ObjectiveHistory(_finite(values), None, f"logged no value of {metric!r}")
    if not math.isfinite(final):
        return ObjectiveHistory(_finite(values), None, f"the last value of {metric!r} is {final}")
    return ObjectiveHistory(_finite(values), final)


def _finite(values: list[float]) -> tuple[float, ...]:
    return tuple(value for value in values if math.isfinite(value))


def _of_wandb_files(directory: Path, run: str, metric: str) -> ObjectiveHistory:
    """Where a resumed run logs epochs that its earlier life had logged too, the later rows count."""
    from selector.tracking.history import numbers_of
    from selector.tracking.offline_file import DamagedFile, NothingWritten, read_segment

    rows: list[tuple[float, float]] = []  # position in training, value
    summary: dict[str, Any] = {}
    for path in files_of(directory, run):
        try:
            segment = read_segment(path)
        except (DamagedFile, NothingWritten, OSError):
            continue  # its record was left out, or nothing is there yet
        found = [(row, dict(numbers_of(row))) for row in segment.history.rows]
        life = [(_position(row), numbers[metric]) for row, numbers in found if metric in numbers]
        if life:
            rows = [(position, value) for position, value in rows if position < life[0][0]] + life
        summary |= segment.summary
    values = [value for _, value in rows]
    return _history(metric, values, values[-1] if values else dict(numbers_of(summary)).get(metric))


def _position(row: Mapping[str, Any]) -> float:
    position = row.get("epoch", row.get("_step"))
    return position if isinstance(position, int | float) else 0.0
