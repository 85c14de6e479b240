"""Fashion-MNIST's four IDX files, as torchvision or Debian's dataset-fashion-mnist lay them out."""

import gzip
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from selector.errors import UserError
from selector.text import first_line
from selector.training.datasets import Loaded, Pictures, dataset

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from selector.config import TrainConfig


@dataset(side=28)
def fashion_mnist(config: "TrainConfig") -> Loaded:
    """60,000 training and 10,000 test images of 10 classes, 28 × 28 grey (Xiao et al. 2017)."""
    import numpy as np

    folder, splits = Path(config.data_dir or ""), []
    for prefix in ("train", "t10k"):
        images = _read_idx(folder, f"{prefix}-images-idx3-ubyte", dimensions=3)
        labels = _read_idx(folder, f"{prefix}-labels-idx1-ubyte", dimensions=1)
        if len(images) != len(labels):
            raise UserError(f"{len(images)} {prefix} images but {len(labels)} labels in {str(folder)!r}")
        splits.append(Pictures(images[:, None], labels.astype(np.int64)))
    return Loaded(splits[0], splits[1], str(folder))


def _read_idx(folder: Path, name: str, dimensions: int) -> "NDArray[np.uint8]":
    """One IDX file of bytes (http://yann.lecun.com/exdb/mnist), packed or not."""
    import numpy as np

    places = (folder, folder / "FashionMNIST" / "raw")
    found = next((p / f for p in places for f in (name, f"{name}.gz") if (p / f).is_file()), None)
    if found is None:
        raise UserError(
            f"no {name}[.gz] in {str(folder)!r}: --data-dir must hold Fashion-MNIST's four IDX files"
            " (Debian: apt install dataset-fashion-mnist, --data-dir /usr/share/datasets/fashion-mnist)"
        )
    try:
        content = gzip.decompress(found.read_bytes()) if found.suffix == ".gz" else found.read_bytes()
        header = np.frombuffer(content, dtype=">i4", count=1 + dimensions)
        return np.frombuffer(bytearray(content), np.uint8, offset=4 * len(header)).reshape(header[1:])
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise UserError(
            f"{str(found)!r} is not a sound IDX file ({first_line(error)}): install it again"
        ) from error
