"""A series in one line of text."""

from collections.abc import Sequence
from math import isfinite

_BARS = "▁▂▃▄▅▆▇█"
_GAP = "·"  # NaN or infinity


def sparkline(
    values: Sequence[float], low: float | None = None, high: float | None = None, width: int = 12
) -> str:
    """Bars from the lowest to the highest value; a dot where a value is not finite.

    Args:
        values: In order; more than `width` are thinned evenly, the first and last kept.
        low: Value of the lowest bar; None takes the series' own minimum.
        high: Value of the highest bar; None takes the series' own maximum.
        width: Longest line.
    """
    if len(values) > width:
        values = [values[round(i * (len(values) - 1) / (width - 1))] for i in range(width)]
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
