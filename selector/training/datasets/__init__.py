"""Data sets. Each is a function in a file of this folder that gives images as numpy arrays.

Command lines read the names, so no file in this folder imports torch before it loads.
"""

import pkgutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, Self

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from selector.config import TrainConfig

GREY = (0.299, 0.587, 0.114)  # ITU-R 601-2, as Pillow makes grey of colours


@dataclass(frozen=True, eq=False)
class Pictures:
    """Images of one split as they lie on disk.

    Attributes:
        pixels: (N, C, S, S) uint8, or float32 with values of any range.
        labels: (N,) int64 class indices, or None.
    """

    pixels: Any
    labels: Any

    def __len__(self) -> int:
        return len(self.pixels)

    def take(self, rows: "NDArray[np.int64]") -> Self:
        """The images in these rows, in that order."""
        return replace(
            self, pixels=self.pixels[rows], labels=None if self.labels is None else self.labels[rows]
        )


@dataclass(frozen=True, eq=False)
class Loaded:
    """A data set as it lies on disk.

    Attributes:
        train: Images to train on; all images where there is no split.
        test: Images to evaluate on, or None where there is no split.
        where: Where they came from, for people.
        notes: What people should know about them, one clause each: "ignored: 90 .heic".
        skipped: Files that could not be read and were left out on request.
    """

    train: Pictures
    test: Pictures | None
    where: str
    notes: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()


@dataclass(frozen=True)
class Dataset:
    """A data set, named as on the command line, and the function that reads it.

    Attributes:
        side: Of its images, in pixels, where a run does not ask for another.
        folder: Whether it lies in `data_dir`, and whether a folder that is not there is made and filled.
    """

    name: str
    load: "Callable[[TrainConfig], Loaded]"
    side: int
    folder: Literal["none", "given", "made"]


DATASETS: dict[str, Dataset] = {}


def dataset(
    side: int, folder: Literal["none", "given", "made"] = "given"
) -> "Callable[[Callable[[TrainConfig], Loaded]], Any]":
    """Register a function as the data set of its name; see `Dataset`."""

    def register(load: "Callable[[TrainConfig], Loaded]") -> "Callable[[TrainConfig], Loaded]":
        DATASETS[load.__name__] = Dataset(load.__name__, load, side, folder)
        return load

    return register


for found in pkgutil.iter_modules(__path__):
    import_module(f"{__name__}.{found.name}")
