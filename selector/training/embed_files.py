"""Files of images → representations, as the encoder's own training would have read them."""

import os
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from selector.errors import UserError, writing
from selector.text import printable
from selector.training.data import levels_of
from selector.training.datasets.folder import decode, image_paths, readable, reading_of
from selector.training.embed import frozen
from selector.training.exported import Encoder


@dataclass(frozen=True, eq=False)
class Features:
    """N images in the order of their paths, their (N, D) float32 features, and files that cannot be read."""

    files: tuple[Path, ...]
    features: NDArray[np.float32]
    bad: tuple[Path, ...]


def images_below(place: Path) -> list[Path]:
    """Images in a folder and all folders in it, in the order of their paths; one file is itself."""
    _, extensions = readable()
    paths = [place] if place.is_file() else sorted(image_paths(place, extensions, Counter()))
    if not paths:
        raise UserError(
            f"no image in {printable(str(place))!r}: expected files named {', '.join(sorted(extensions))}"
        )
    return paths


def embed_files(
    encode: Encoder,
    paths: Sequence[Path],
    batch_size: int,
    skip_bad: bool,
    progress: Callable[[int, int], None],
) -> Features:
    """Embed images batch by batch; no more than a batch of them is ever in memory.

    `progress` is called with (images done, images in all).
    """
    files: list[Path] = []
    bad: list[Path] = []
    parts = []
    config = encode.config
    fixed = reading_of(config.image_size, config.channels, config.background, is_fixed=True)
    reading = partial(decode, reading=fixed)
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool, frozen(encode):
        for start in range(0, len(paths), batch_size):
            batch = paths[start : start + batch_size]
            pixels = []
            for path, read in zip(batch, pool.map(reading, batch), strict=True):
                problem = read if isinstance(read, str) else _foreign(read, config.pixel_range)
                if not isinstance(read, str) and not problem:
                    files.append(path)
                    pixels.append(levels_of(read, config.pixel_range))
                elif skip_bad:
                    bad.append(path)
                else:
                    raise UserError(
                        f"{printable(str(path))!r} cannot be read ({printable(problem)}): repair or remove"
                        " it, or pass --skip-bad-images"
                    )
            if pixels:
                images = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2)
                parts.append(encode(images).cpu().numpy())
            progress(start + len(batch), len(paths))
    if not parts:
        raise UserError(f"no image can be read ({len(paths)} found), the first is {str(paths[0])!r}")
    return Features(tuple(files), np.concatenate(parts), tuple(bad))


def _foreign(image: NDArray[Any], pixel_range: tuple[float, float]) -> str:
    """Why it is unknown which values are black and white in an image, or ""."""
    (low, high), is_8_bit = pixel_range, image.dtype.name == "uint8"
    if not is_8_bit and low == 0 and high == 255:
        return f"it holds {image.dtype} numbers, and the encoder was trained on 8-bit images"
    if is_8_bit and not (0 <= low < high <= 255 and high > 1):
        return f"it is 8-bit, and the encoder was trained on numbers from {low:g} to {high:g}"
    return ""


def write_features(found: Features, output: Path) -> None:
    """Write a file of vectors and names: .npz, or .parquet with a row per image."""
    names = [str(file) for file in found.files]
    with writing(output):
        output.parent.mkdir(parents=True, exist_ok=True)
        if output.suffix == ".npz":
            np.savez(output, features=found.features, files=np.array(names))
            return
        try:
            import pyarrow as arrow
            from pyarrow import parquet
        except ImportError as error:
            raise UserError(
                "a .parquet file needs pyarrow: pip install 'ssl-sweep-selector[parquet]'"
            ) from error
        width = found.features.shape[1]
        vectors = arrow.FixedSizeListArray.from_arrays(arrow.array(found.features.reshape(-1)), width)
        parquet.write_table(arrow.table({"file": names, "features": vectors}), output)
