"""From the rows that a run logged to its milestones, and to the last value of each key."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from selector.milestone import (
    CORRECT_PREFIX,
    LARGEST,
    LARGEST_POSITION,
    LIST_PREFIXES,
    Milestone,
    within_limits,
)
from selector.runs import Axis, Last, Run
from selector.text import printable

AXES: tuple[Axis, ...] = ("epoch", "trainer/global_step", "_step")  # the earlier, the better
# What `define_metric(summary=…)` keeps of a key in place of the value that was logged last.
STATISTICS = ("max", "min", "mean", "best", "first")

# What is read of one run; one beyond it is named, and left out.
MOST_ROWS = 500_000
MOST_SECONDS = 120.0

_ONLY_FLOATS = {float}
# W&B's own keys, and what it notes of the table behind train.py's chart of spectra.
_NO_METRIC = ("_", "spectrum/chart")


@dataclass
class History:
    """The rows of a run, W&B key → value, in the order in which they were logged."""

    rows: list[dict[str, Any]] = field(default_factory=list)

    def extend(self, later: "History", after: float | None = None) -> None:
        """Take in what the same run logged after a resume; rows after the step `after` were taken back."""
        if after is not None:
            self.rows = [row for row in self.rows if row.get("_step", 0) <= after]
        self.rows += later.rows

    @property
    def axis(self) -> Axis:
        """What the milestones are counted by."""
        for axis in AXES[:-1]:
            if any(_position(row.get(axis)) is not None for row in self.rows):
                return axis
        return AXES[-1]

    def milestones(self) -> tuple[Milestone, ...]:
        """One for each epoch, in order.

        Rows of equal epoch are one milestone (Lightning logs what it trained and what it validated in rows of
        their own), and where they disagree the later row wins. A run that never logs `epoch` is counted by
        Lightning's `trainer/global_step`, or else by W&B's `_step`. Rows that lack what the run is counted by
        belong to no milestone: see `last`.
        """
        axis = self.axis
        metrics = _Metrics(axis)
        found: dict[int, tuple[dict[str, float], dict[str, tuple[float, ...]], dict[str, str]]] = {}
        for row in self.rows:
            if (position := _position(row.get(axis))) is None:
                continue
            values, lists, texts = found.setdefault(position, ({}, {}, {}))
            logged = metrics.of(row)
            if set(map(type, logged.values())) == _ONLY_FLOATS:  # nearly always
                values.update(logged)
            else:
                values.update(numbers_of(logged))
                lists.update(_lists(logged))
                texts.update(_texts(logged))
        return tuple(
            Milestone(position, within_limits(values), lists, texts)
            for position, (values, lists, texts) in sorted(found.items())
        )

    def last(self, summary: Mapping[str, Any]) -> dict[str, Last]:
        """What other people's runs achieved: of each key the value in the row that was logged last.

        Args:
            summary: W&B's summary of the run. Where a `define_metric` asks for one statistic of a key, that
                is its value; and a key that no row holds has the value that stands there.
        """
        axis, epoch = self.axis, 0
        metrics = _Metrics(axis)
        values: dict[str, float] = {}
        epochs: dict[str, int] = {}
        for row in self.rows:
            epoch = position if (position := _position(row.get(axis))) is not None else epoch
            numbers = dict(numbers_of(metrics.of(row)))
            values |= numbers
            epochs |= dict.fromkeys(numbers, epoch)
        found = {key: Last(value, epochs[key]) for key, value in within_limits(values).items()}
        kept = {k: v for k, v in summary.items() if k != "epoch" and not k.startswith(_NO_METRIC)}
        for key, value in within_limits(dict(numbers_of(kept))).items():
            name, _, statistic = key.rpartition(".")
            if key not in found:
                found[key] = Last(value, epoch, "summary")
            if statistic in STATISTICS and name in found and _asked_for_one(summary, name):
                found[name] = Last(value, epoch, statistic)
        return found


class _Metrics:
    """Of rows that are counted by `axis`, what may be metrics: a spectra sweep has a million rows."""

    def __init__(self, axis: Axis) -> None:
        self._not = ("epoch", axis)
        self._keys: dict[tuple[str, ...], list[str]] = {}

    def of(self, row: dict[str, Any]) -> dict[str, Any]:
        keys = tuple(row)
        wanted = self._keys.get(keys)
        if wanted is None:
            wanted = [key for key in keys if key not in self._not and not key.startswith(_NO_METRIC)]
            self._keys[keys] = wanted
        return {key: row[key] for key in wanted}


def how_read(runs: Sequence[Run], keys: Collection[str]) -> list[str]:
    """What to know before comparing other people's runs by these keys."""
    return remarks((what, run.id) for run in runs for what in _how_read(run, keys))


def _how_read(run: Run, keys: Collection[str]) -> Iterator[str]:
    if run.counted_by != "epoch" and run.milestones:
        yield f"no epoch is logged, so milestones are numbered by {run.counted_by}"
    for key in keys:
        match run.last[key].source if key in run.last else "":
            case "summary":
                yield f"{printable(key)} is read from W&B's summary, since no row holds it"
            case "":
                pass
            case statistic:
                yield f"{printable(key)} is each run's {statistic}, as define_metric asks"


def remarks(said: Iterable[tuple[str, str]]) -> list[str]:
    """One line for each thing that is said of runs, given as (what, run id)."""
    runs: dict[str, list[str]] = defaultdict(list)
    for what, run in said:
        runs[what].append(run)
    return [f"{what}: {listed(ids)}" for what, ids in runs.items()]


def listed(ids: Sequence[str]) -> str:
    """The first five of some names."""
    more = f" and {len(ids) - 5} more" if len(ids) > 5 else ""
    return printable(", ".join(ids[:5])) + more


def _position(value: object) -> int | None:
    """A whole number from 0 on, or None: a fractional epoch is not the end of one."""
    if type(value) is float and value.is_integer():
        value = int(value)
    return value if type(value) is int and 0 <= value <= LARGEST_POSITION else None


def numbers_of(row: Mapping[str, object]) -> Iterator[tuple[str, float]]:
    """The numbers among some values; the parts of a nested key are joined by dots."""
    for key, value in row.items():
        if type(value) is float:
            yield key, value
        elif type(value) is int:
            yield key, _as_float(value)
        elif isinstance(value, Mapping):
            yield from numbers_of({f"{key}.{inner}": deeper for inner, deeper in value.items()})


def _asked_for_one(summary: Mapping[str, Any], name: str) -> bool:
    """Whether the summary has one statistic of a key; of several none is the one that was meant."""
    kept = summary.get(name)
    return isinstance(kept, Mapping) and len(kept) == 1


def _lists(row: Mapping[str, object]) -> Iterator[tuple[str, tuple[float, ...]]]:
    """The lists of finite numbers of our own milestones, none beyond `LARGEST`."""
    for key, value in row.items():
        if key.startswith(LIST_PREFIXES) and isinstance(value, list | tuple):
            numbers = tuple(float(v) for v in value if type(v) in (int, float) and abs(v) <= LARGEST)
            if numbers and len(numbers) == len(value):
                yield key, numbers


def _texts(row: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """What `milestone.correct_images` reads."""
    for key, value in row.items():
        if key.startswith(CORRECT_PREFIX) and isinstance(value, str):
            yield key, value


def _as_float(value: int) -> float:
    try:
        return float(value)
    except OverflowError:  # beyond 1.8e308
        return float("inf") if value > 0 else float("-inf")
