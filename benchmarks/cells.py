"""What stands in a cell of docs/results.md."""

from collections.abc import Sequence
from statistics import fmean, stdev


def row(cells: Sequence[object]) -> str:
    """A line of a table."""
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def percent(share: float | None) -> str:
    """A share times 100."""
    return "–" if share is None else f"{round(100 * share, 1) + 0.0:.1f}"  # never -0.0


points = percent  # of accuracy


def number(value: float | None) -> str:
    """Two digits after the point."""
    return "–" if value is None else f"{round(value, 2) + 0.0:.2f}"  # never -0.00


def interval(ends: tuple[float, float] | None) -> str:
    """Of points."""
    return "" if ends is None else "–".join(points(end) for end in ends)


def mean_and_error(values: Sequence[float]) -> str:
    """Of points, with the standard error of the mean over the sweeps."""
    error = f" ± {points(stdev(values) / len(values) ** 0.5)}" if len(values) > 1 else ""
    return points(fmean(values)) + error


def mean_and_range(values: Sequence[float]) -> str:
    """With the least and the most, where there is more than one."""
    spread = f" ({number(min(values))}–{number(max(values))})" if len(values) > 1 else ""
    return number(fmean(values)) + spread
