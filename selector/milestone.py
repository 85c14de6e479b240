"""Milestone: what was measured of one encoder, the one model of a row from `evaluate` to every reader."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf, isfinite, nan
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # commands that only read runs start without numpy
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

# How the keys of lists begin, and of texts: which images a labelled metric gets right.
BOOTSTRAP_PREFIX = "bootstrap/"  # a metric on resampled images, the same resamples in all runs
LIST_PREFIXES = ("spectrum/", BOOTSTRAP_PREFIX)
CORRECT_PREFIX = "correct/"
STEPS = "trainer/global_step"  # as Lightning's own loggers call it
# They are most of a history, and readers take them along only when asked for them.
LARGE_PREFIXES = (*LIST_PREFIXES, CORRECT_PREFIX)

# No honest value comes near these limits, and within them nothing overflows: a square, a sum, a difference
# and a mean are numbers still.
LARGEST = 1e150
LARGEST_POSITION = 2**53  # from here on floats leave whole numbers out

_ONLY_FLOATS = {float}
_NOT_FINITE = {"nan": nan, "inf": inf, "-inf": -inf}


@dataclass(frozen=True)
class Milestone:
    """One row of a run's history.

    A key that is missing was not measured. NaN is a figure that the embeddings leave undefined, and is never
    chosen; NaN and ±inf are kept as they came.

    Attributes:
        epoch: Epochs trained; 0 is the untrained network. In a run that logs no epoch, the number that
            `axis` and `Run.counted_by` name instead.
        values: W&B key → number, such as {"label_free/rankme": 41.2}.
        lists: W&B key → numbers, such as {"spectrum/projector": (1.0, 0.4)}.
        texts: W&B key → text, such as {"correct/linear_probe_accuracy": "/w=="}; see `correct_images`.
            Readers leave out lists and texts unless they are asked for.
        axis: W&B key of `epoch`: "epoch", or STEPS of a training whose milestones are counted by steps.
    """

    epoch: int
    values: Mapping[str, float] = field(default_factory=dict)
    lists: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    axis: str = "epoch"

    @property
    def row(self) -> dict[str, Any]:
        """All of it as one mapping, which W&B logs as one history row."""
        lists = {key: list(numbers) for key, numbers in self.lists.items()}
        return {self.axis: self.epoch, **self.values, **lists, **self.texts}

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> "Milestone":
        """The milestone of such a row; other things than numbers, lists of numbers and texts are left out."""
        others = {key: value for key, value in row.items() if key != "epoch"}
        return cls(
            int(row["epoch"]),
            {key: float(value) for key, value in others.items() if _is_number(value)},
            {
                key: tuple(map(float, value))
                for key, value in others.items()
                if isinstance(value, list | tuple) and all(map(_is_number, value))
            },
            {key: value for key, value in others.items() if isinstance(value, str)},
        )


def as_written(
    epoch: Any,
    values: dict[str, Any],
    lists: dict[str, Any] | None = None,
    texts: dict[str, Any] | None = None,
) -> Milestone:
    """The milestone in one of our own files; `figure` restores infinities, which JSON lacks.

    Raises:
        ValueError: No run writes this; KeyError, TypeError, AttributeError and OverflowError mean the same.
    """
    if type(epoch) is not int or not 0 <= epoch <= LARGEST_POSITION:
        raise ValueError(f"epochs must be whole numbers in ascending order, got {epoch!r}")
    if set(map(type, values.values())) != _ONLY_FLOATS:
        values = {key: figure(value) for key, value in values.items()}
    if texts and not all(isinstance(text, str) for text in texts.values()):
        raise ValueError("a text that is none")
    figures = {key: tuple(map(figure, numbers)) for key, numbers in lists.items()} if lists else {}
    return Milestone(epoch, within_limits(values), figures, texts or {})


def figure(value: Any) -> float:
    """A number of JSON, or the text of one that is not finite: "nan", "inf" or "-inf"."""
    if isinstance(value, bool):
        raise ValueError("a truth value among the figures")
    return _NOT_FINITE[value] if isinstance(value, str) else float(value)


def for_json(value: float) -> float | str:
    """A number as JSON can hold it, which `figure` reads."""
    number = float(value)
    return number if isfinite(number) else str(number)


def within_limits(values: dict[str, float]) -> dict[str, float]:
    """The same, with ±inf for each number beyond ±`LARGEST`."""
    if sum(map(abs, values.values())) <= LARGEST:  # nearly always
        return values
    return {
        key: inf if value > LARGEST else -inf if value < -LARGEST else value for key, value in values.items()
    }


def correct_text(correct: "ArrayLike") -> str:
    """(N,) truths about N images as a text: base64 of numpy.packbits, 1.3 KB for 10,000 images."""
    import numpy as np

    return base64.b64encode(np.packbits(np.asarray(correct, dtype=bool)).tobytes()).decode("ascii")


def correct_images(milestone: Milestone, key: str, count: int) -> "NDArray[np.bool_] | None":
    """(count,) whether each evaluation image was classified rightly, in the order of the data set.

    Args:
        milestone: Of a run that was read with its texts.
        key: Such as "correct/linear_probe_accuracy".
        count: The number of evaluation images, `evaluation_images` in the run's definition.

    Returns:
        None where nothing was logged under the key, or something that is not about so many images.
    """
    try:
        packed = base64.b64decode(milestone.texts.get(key, ""), validate=True)
    except (ValueError, binascii.Error):
        return None
    if count < 1 or len(packed) != (count + 7) // 8:
        return None
    import numpy as np

    return np.unpackbits(np.frombuffer(packed, np.uint8), count=count).astype(bool)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
