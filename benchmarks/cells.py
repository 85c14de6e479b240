"""Cells of the Markdown tables that are made of the records."""

from collections.abc import Callable, Sequence

from verdict import BASELINES, mean_and_error


def points(share: float | None) -> str:
    """A share times 100."""
    return "–" if share is None else f"{round(100 * share, 1) + 0.0:.1f}"  # never -0.0


def number(value: float | None) -> str:
    """Two digits after the point."""
    return "–" if value is None else f"{round(value, 2) + 0.0:.2f}"


def ends(interval: tuple[float, float] | None) -> str:
    """An interval in points."""
    return "–" if interval is None else "–".join(map(points, interval))


def both(values: Sequence[float], shown: Callable[[float | None], str] = points) -> str:
    """Mean and, over several pools, its standard error."""
    mean, error = mean_and_error(values)
    return shown(mean) if error is None else f"{shown(mean)} ± {shown(error)}"


def named(way: str) -> str:
    """A way of choosing: metrics as code, baselines in italics."""
    return f"*{way}*" if way in BASELINES.values() else f"`{way}`"
