"""Runs and numbers as people read them, wherever they are shown."""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any, TypeVar

from selector.runs import Run

BASELINES = {
    "random": "random (expected)",
    "lowest_loss": "lowest loss",
    "default": "default configuration",
    "last": "last run",
    "oracle": "label oracle",
}
_BARS = "▁▂▃▄▅▆▇█"
_GAP = "·"  # NaN or infinity

T = TypeVar("T")


def label(run: Run) -> str:
    """How a run is called: its id, and its display name where that is another one."""
    return run.id if run.name in ("", run.id) else f"{run.id} {run.name}"


def number(value: float | None, digits: int = 4) -> str:
    """A number in few digits; a dash where there is none."""
    return "–" if value is None else f"{value:#.{digits}g}".rstrip(".")


def share(value: float | None, percent: bool) -> str:
    """An accuracy or a regret: in percent where it is a fraction, else as it was logged."""
    return number(value) if value is None or not percent else f"{100 * value:.1f}"


def correlation(value: float | None) -> str:
    """A correlation in two decimals, never -0.00; a dash where there is none."""
    return "–" if value is None else f"{round(value, 2) + 0.0:.2f}"


def hyperparameter(value: float) -> str:
    """A number that was swept: whole ones in full, others in four digits."""
    return f"{value:.0f}" if float(value).is_integer() and abs(value) < 1e6 else f"{value:.4g}"


def setting(value: Any) -> str:
    """The value of any hyperparameter."""
    match value:
        case bool() | None:
            return str(value)
        case float():
            return hyperparameter(value)
        case Mapping() | list() | tuple():
            return str(value)[:40]
    return str(value)


def settings_of(config: Mapping[str, Any]) -> str:
    """Hyperparameters in one line."""
    return " ".join(f"{name}={setting(value)}" for name, value in config.items())


def axis_of(run: Run) -> str:
    """What its milestones are numbered by."""
    return {"epoch": "epoch", "_step": "W&B's step"}.get(run.counted_by, "step")


def sparkline(
    values: Sequence[float], low: float | None = None, high: float | None = None, width: int = 12
) -> str:
    """A series in one line of text: bars from the lowest to the highest value; a dot where it is not finite.

    Args:
        values: In order; more than `width` are thinned evenly, the first and last kept.
        low: Value of the lowest bar; None uses the series' own minimum.
        high: Value of the highest bar; None uses the series' own maximum.
        width: Longest line.
    """
    values = thinned(values, width)
    finite = [value for value in values if isfinite(value)]
    if not finite:
        return _GAP * len(values)
    low = min(finite) if low is None else low
    high = max(finite) if high is None else high
    return "".join(_bar(value, low, high) for value in values)


def _bar(value: float, low: float, high: float) -> str:
    if not isfinite(value):
        return _GAP
    if high <= low:
        return _BARS[len(_BARS) // 2]
    level = int((value - low) / (high - low) * len(_BARS))
    return _BARS[min(max(level, 0), len(_BARS) - 1)]


def thinned(items: Sequence[T], most: int) -> list[T]:
    """The first, the last and some between at even distances, `most` in all."""
    if len(items) <= most:
        return list(items)
    return [items[round(i * (len(items) - 1) / (most - 1))] for i in range(most)]
