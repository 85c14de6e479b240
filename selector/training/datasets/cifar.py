"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009), by torchvision, which downloads them where they are not."""

import fcntl
from pathlib import Path
from typing import TYPE_CHECKING, Any

from selector.errors import UserError
from selector.text import first_line
from selector.training.datasets import Loaded, Pictures, dataset

if TYPE_CHECKING:
    from selector.config import TrainConfig


@dataset(side=32, folder="made")
def cifar10(config: "TrainConfig") -> Loaded:
    """50,000 training and 10,000 test images of 10 classes, 32 × 32."""
    from torchvision.datasets import CIFAR10

    return _load(CIFAR10, "CIFAR-10", Path(config.data_dir or ""))


@dataset(side=32, folder="made")
def cifar100(config: "TrainConfig") -> Loaded:
    """50,000 training and 10,000 test images of 100 classes, 32 × 32."""
    from torchvision.datasets import CIFAR100

    return _load(CIFAR100, "CIFAR-100", Path(config.data_dir or ""))


def _load(kind: Any, title: str, folder: Path) -> Loaded:
    import numpy as np

    splits = []
    try:
        if not (folder / kind.base_folder).is_dir():
            folder.mkdir(parents=True, exist_ok=True)
            with (folder / f".{kind.__name__.lower()}.lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)  # of several processes the first one downloads
                kind(str(folder), download=True)
        for train in (True, False):
            data = kind(str(folder), train=train)
            pixels = np.ascontiguousarray(data.data.transpose(0, 3, 1, 2))
            splits.append(Pictures(pixels, np.asarray(data.targets, dtype=np.int64)))
    except (OSError, RuntimeError) as error:
        raise UserError(
            f"{title} is neither in {str(folder)!r} nor could it be downloaded there ({first_line(error)}):"
            f" put {kind.filename} there and unpack it"
        ) from error
    return Loaded(splits[0], splits[1], str(folder))
