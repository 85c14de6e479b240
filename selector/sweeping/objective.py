"""What a run has logged of the sweep's metric so far: from its record, or from its offline W&B file."""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from selector.errors import UserError
from selector.record import RECORD, read_record


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
    record = directory / "runs" / run / RECORD
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
        *(directory / "runs" / run).glob(RECORD),
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
    rows: list[tuple[float, float]] = []  # position in training, value
    summary: dict[str, Any] = {}
    for path in files_of(directory, run):
        life: list[tuple[float, float]] = []
        for record in _whole_records(path):
            if record.HasField("history"):
                life += _objective_of(record.history, metric)
            elif record.summary:
                summary |= _summary_update(record.summary)
        if life:
            rows = [(position, value) for position, value in rows if position < life[0][0]] + life
    values = [value for _, value in rows]
    final = values[-1] if values else _number(summary.get(metric))
    return _history(metric, values, final)


def _whole_records(path: Path) -> Iterator[Any]:
    from selector.tracking.offline_file import CutShort, DamagedFile, read_records

    if path.suffix != ".wandb":
        return
    try:
        yield from read_records(path)
    except (CutShort, DamagedFile, OSError):
        return  # the rest is not there yet, or was lost with its writer


def _objective_of(history: Any, metric: str) -> list[tuple[float, float]]:
    from selector.tracking.offline_file import history_row

    row = history_row(history)
    value = _number(_looked_up(row, metric))
    if value is None:
        return []
    return [(_number(row.get("epoch", row.get("_step"))) or 0.0, value)]


def _looked_up(row: Mapping[str, Any], metric: str) -> Any:
    """A metric by its key, or by the dotted path into a logged dictionary, as W&B writes such a name."""
    if metric in row:
        return row[metric]
    outer, _, inner = metric.partition(".")
    value = row.get(outer)
    return _looked_up(value, inner) if inner and isinstance(value, dict) else None


def _summary_update(payload: bytes) -> dict[str, Any]:
    from selector.tracking.offline_file import SummaryRecord

    items = SummaryRecord.FromString(payload).update
    return {item.key or ".".join(item.nested_key): _json_value(item.value_json) for item in items}


def _json_value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _number(value: Any) -> float | None:
    """The value as a number; None for what is none, such as a text or true. W&B writes NaN as a text."""
    if value in ("NaN", "Infinity", "-Infinity"):
        return float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf
