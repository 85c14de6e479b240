"""From the rows that a run logged to its milestones."""

from collections.abc import Iterator, Mapping
from typing import Any

from selector.metrics.milestone import CORRECT_PREFIX, LIST_PREFIXES
from selector.runs import LARGEST, LARGEST_POSITION, Axis, Milestone, within_limits

AXES: tuple[Axis, ...] = ("epoch", "trainer/global_step", "_step")  # the earlier, the better

_ONLY_FLOATS = {float}
# W&B's own keys, and what it notes of the table behind train.py's chart of spectra.
_NO_METRIC = ("_", "spectrum/chart")


class History:
    """Gathers history rows by milestone.

    A milestone is an epoch: rows of equal epoch are one milestone (Lightning logs what it trained and what
    it validated in rows of their own), and where they disagree the later row wins. A run that never logs
    `epoch` is counted by Lightning's `trainer/global_step`, or else by W&B's `_step`. Rows that lack what
    the run is counted by belong to no milestone.

    Attributes:
        axis: What the milestones are counted by, so far.
        with_spectra: Whether it keeps lists and texts.
    """

    def __init__(self, spectra: bool = False) -> None:
        """Nothing yet; `spectra`: keep the lists and texts of milestones too."""
        self.axis: Axis = "_step"
        self._milestones: dict[int, dict[str, float]] = {}
        self._lists: dict[int, dict[str, tuple[float, ...]]] = {}
        self._texts: dict[int, dict[str, str]] = {}
        self.with_spectra = spectra
        self._axes: tuple[Axis, ...] = AXES
        self._dropped: dict[tuple[str, ...], list[str]] = {}

    def add(self, row: dict[str, Any]) -> None:
        """Take over one row, W&B key → value; what is no number is left out, and so are W&B's `_` keys."""
        for axis in self._axes:
            position = _position(row.get(axis))
            if position is None:
                continue
            if axis != self.axis:
                self._count_by(axis)
            if self.with_spectra:
                self._lists.setdefault(position, {}).update(_lists(row))
                self._texts.setdefault(position, {}).update(_texts(row))
            values = self._values(row, axis)
            if position in self._milestones:
                self._milestones[position].update(values)
            else:
                self._milestones[position] = values
            return

    def _values(self, row: dict[str, Any], axis: Axis) -> dict[str, float]:
        """The numbers of a row, in the row itself where it holds little else: a large sweep has a million."""
        keys = tuple(row)
        dropped = self._dropped.get(keys)
        if dropped is None:  # rows of equal keys are read alike
            dropped = self._dropped[keys] = [key for key in keys if key == axis or key.startswith(_NO_METRIC)]
        for key in dropped:
            del row[key]
        if set(map(type, row.values())) == _ONLY_FLOATS:
            return row
        return dict(_numbers(row, axis))

    def extend(self, later: "History") -> None:
        """Take in what the same run logged after a resume; where both logged a value, the later one wins."""
        if AXES.index(later.axis) > AXES.index(self.axis):
            return  # nothing in it is counted as this run is counted
        self._count_by(later.axis)
        for position, values in later._milestones.items():
            self._milestones.setdefault(position, {}).update(values)
        if self.with_spectra:
            for position, lists in later._lists.items():
                self._lists.setdefault(position, {}).update(lists)
            for position, texts in later._texts.items():
                self._texts.setdefault(position, {}).update(texts)

    def overlaps(self, other: "History") -> bool:
        """Whether both hold a milestone of the same number."""
        return self.axis == other.axis and not self._milestones.keys().isdisjoint(other._milestones)

    def milestones(self) -> tuple[Milestone, ...]:
        """All milestones, in order; a number beyond `LARGEST` is taken for an infinite one."""
        ordered = [(epoch, within_limits(values)) for epoch, values in sorted(self._milestones.items())]
        return tuple(
            Milestone(epoch, values, self._lists.get(epoch, {}), self._texts.get(epoch, {}))
            for epoch, values in ordered
        )

    def __bool__(self) -> bool:
        return bool(self._milestones)

    def _count_by(self, axis: Axis) -> None:
        if axis != self.axis:
            self.axis = axis
            self._milestones = {}  # rows seen so far lack the better axis
            self._axes = AXES[: AXES.index(axis) + 1]
            self._dropped = {}
            self._lists, self._texts = {}, {}


def _position(value: object) -> int | None:
    """A whole number from 0 on, or None: a fractional epoch is not the end of one."""
    if type(value) is float and value.is_integer():
        value = int(value)
    return value if type(value) is int and 0 <= value <= LARGEST_POSITION else None


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


def _texts(row: Mapping[str, object]) -> dict[str, str]:
    """What `metrics.milestone.correct_images` reads."""
    return {k: v for k, v in row.items() if k.startswith(CORRECT_PREFIX) and isinstance(v, str)}


def _lists(row: Mapping[str, object]) -> Iterator[tuple[str, tuple[float, ...]]]:
    """The lists of finite numbers under their prefixes, none beyond `LARGEST`."""
    for key, value in row.items():
        if key.startswith(LIST_PREFIXES) and isinstance(value, list | tuple):
            numbers = tuple(float(v) for v in value if type(v) in (int, float) and abs(v) <= LARGEST)
            if numbers and len(numbers) == len(value):
                yield key, numbers


def _as_float(value: int) -> float:
    try:
        return float(value)
    except OverflowError:  # beyond 1.8e308
        return float("inf") if value > 0 else float("-inf")
