"""From the rows that a run logged to its milestones."""

from collections.abc import Iterator, Mapping

from selector.runs.run import Axis, Milestone

AXES: tuple[Axis, ...] = ("epoch", "trainer/global_step", "_step")  # the earlier, the better


class History:
    """Gathers history rows by milestone.

    A milestone is an epoch: rows of equal epoch are one milestone (Lightning logs what it trained and what
    it validated in rows of their own), and where they disagree the later row wins. A run that never logs
    `epoch` is counted by Lightning's `trainer/global_step`, or else by W&B's `_step`. Rows that lack what
    the run is counted by belong to no milestone.

    Attributes:
        axis: What the milestones are counted by, so far.
    """

    def __init__(self) -> None:
        self.axis: Axis = "_step"
        self._milestones: dict[int, dict[str, float]] = {}

    def add(self, row: Mapping[str, object]) -> None:
        """Take in one row, W&B key → value; what is no number is left out, and so are W&B's `_` keys."""
        for axis in AXES[: AXES.index(self.axis) + 1]:
            position = _position(row.get(axis))
            if position is None:
                continue
            self._count_by(axis)
            self._milestones.setdefault(position, {}).update(_numbers(row, axis))
            return

    def extend(self, later: "History") -> None:
        """Take in what the same run logged after a resume; where both logged a value, the later one wins."""
        if AXES.index(later.axis) > AXES.index(self.axis):
            return  # nothing in it is counted as this run is counted
        self._count_by(later.axis)
        for position, values in later._milestones.items():
            self._milestones.setdefault(position, {}).update(values)

    def overlaps(self, other: "History") -> bool:
        """Whether both hold a milestone of the same number."""
        return self.axis == other.axis and not self._milestones.keys().isdisjoint(other._milestones)

    def milestones(self) -> tuple[Milestone, ...]:
        """All milestones, in order."""
        return tuple(Milestone(epoch, values) for epoch, values in sorted(self._milestones.items()))

    def __bool__(self) -> bool:
        return bool(self._milestones)

    def _count_by(self, axis: Axis) -> None:
        if axis != self.axis:
            self.axis = axis
            self._milestones = {}  # rows seen so far lack the better axis


def _position(value: object) -> int | None:
    """A whole number from 0 on, or None: a fractional epoch is not the end of one."""
    if type(value) is float and value.is_integer():
        value = int(value)
    return value if type(value) is int and value >= 0 else None


def _numbers(row: Mapping[str, object], axis: Axis) -> Iterator[tuple[str, float]]:
    for key, value in row.items():
        if type(value) is float:
            if key != axis and key[:1] != "_":
                yield key, value
        elif type(value) is int and key != axis and key[:1] != "_":
            yield key, _as_float(value)
        elif type(value) is dict and key[:1] != "_":
            nested = {f"{key}.{inner}": deeper for inner, deeper in value.items()}
            yield from _numbers(nested, axis)


def _as_float(value: int) -> float:
    try:
        return float(value)
    except OverflowError:  # beyond 1.8e308
        return float("inf") if value > 0 else float("-inf")
