"""A folder of images, whatever its shape: labelled by sub-folder, split by sub-folder, or neither."""

import os
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor

from selector.errors import UserError
from selector.files import is_regular
from selector.text import first_line

EXTENSIONS = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})
_TEST_NAMES = ("test", "val", "valid", "validation")
# What these extensions stand for, whichever of them a file has. Pillow knows forty more formats by their
# first bytes; one of them, EPS, is a program, which it hands over to Ghostscript.
_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")


@dataclass(frozen=True, eq=False)
class FolderContent:
    """Decoded images of one tree.

    Attributes:
        pixels: (N, 3, S, S) uint8, in the order of the sorted paths.
        labels: (N,) int64, or None when the tree does not label them.
        test: The same for a `test` (or `val`) sub-folder beside `train`; None without one.
        skipped: Paths that could not be read and were left out.
    """

    pixels: Tensor
    labels: Tensor | None
    test: "FolderContent | None"
    skipped: tuple[str, ...]


def read_folder(folder: Path, size: int, skip_bad: bool) -> FolderContent:
    """Read every image below `folder`, scaled and centre-cropped to `size` × `size`.

    Sub-folders `train` and `test` (or `val`) are the two splits. Below that, the first level of sub-folders
    names the classes when every image lies in one and there are at least two; else the images are unlabelled.

    Raises:
        UserError: There is no image, or one is unreadable and `skip_bad` is not set.
    """
    test = next((folder / name for name in _TEST_NAMES if (folder / name).is_dir()), None)
    if (folder / "train").is_dir() and test is not None:
        return _read_splits(folder / "train", test, size, skip_bad)
    return _read_tree(folder, size, skip_bad, classes=_class_names(folder))


def _read_splits(train: Path, test: Path, size: int, skip_bad: bool) -> FolderContent:
    classes, test_classes = _class_names(train), _class_names(test)
    if classes is not None and test_classes is not None and (unknown := set(test_classes) - set(classes)):
        raise UserError(f"class {min(unknown)!r} of {str(test)!r} is not among the classes of {str(train)!r}")
    labelled = classes is not None and test_classes is not None
    contents = [_read_tree(part, size, skip_bad, classes if labelled else None) for part in (train, test)]
    return FolderContent(
        contents[0].pixels, contents[0].labels, contents[1], contents[0].skipped + contents[1].skipped
    )


def _image_paths(folder: Path) -> Iterator[Path]:
    # os.walk follows no links to folders, so a loop of links cannot trap it.
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if Path(name).suffix.lower() in EXTENSIONS and not name.startswith("."):
                yield Path(parent, name)


def _class_names(folder: Path) -> tuple[str, ...] | None:
    parts = [path.relative_to(folder).parts for path in _image_paths(folder)]
    names = sorted({p[0] for p in parts})
    return tuple(names) if len(names) > 1 and all(len(p) > 1 for p in parts) else None


def _read_tree(folder: Path, size: int, skip_bad: bool, classes: tuple[str, ...] | None) -> FolderContent:
    paths = list(_image_paths(folder))
    if not paths:
        raise UserError(f"no image in {str(folder)!r}: expected files named {', '.join(sorted(EXTENSIONS))}")
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        decoded = list(pool.map(lambda path: _decode(path, size), paths))
    bad = [(path, got) for path, got in zip(paths, decoded, strict=True) if isinstance(got, str)]
    if bad and not skip_bad:
        raise UserError(
            f"{len(bad)} of {len(paths)} images cannot be read, the first is {str(bad[0][0])!r}"
            f" ({bad[0][1]}): mend or remove them, or pass --skip-bad-images"
        )
    good = [(path, got) for path, got in zip(paths, decoded, strict=True) if not isinstance(got, str)]
    if not good:
        raise UserError(
            f"none of the {len(paths)} images in {str(folder)!r} can be read: the first {bad[0][1]}"
        )
    pixels = torch.as_tensor(np.stack([got for _, got in good])).permute(0, 3, 1, 2).contiguous()
    labels = None
    if classes is not None:
        index = {name: number for number, name in enumerate(classes)}
        labels = torch.tensor([index[path.relative_to(folder).parts[0]] for path, _ in good])
    return FolderContent(pixels, labels, None, tuple(str(path) for path, _ in bad))


def _decode(path: Path, size: int) -> NDArray[np.uint8] | str:
    """(S, S, 3) pixels, or one line on why there are none."""
    try:
        if not is_regular(path):
            return "it is not a regular file"
        with warnings.catch_warnings():
            # Pillow only warns of a decompression bomb up to twice its limit; here it is an error at once.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=_FORMATS) as image:
                image.draft("RGB", (size, size))  # lets JPEG decode at a fraction of its size
                upright = ImageOps.exif_transpose(image)
                return np.asarray(ImageOps.fit(_rgb(upright), (size, size), Image.Resampling.BICUBIC))
    except Exception as error:  # Pillow's decoders raise whatever they meet in damaged bytes
        return first_line(error)


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        # 16- and 32-bit grey: Pillow's own conversion clips at 255, so scale the range that is there.
        grey = np.asarray(image, dtype=np.float64)
        top = 65535.0 if image.mode.startswith("I;16") else max(float(grey.max()), 1.0)
        image = Image.fromarray(np.clip(grey * (255.0 / top), 0, 255).astype(np.uint8))
    return image.convert("RGBA").convert("RGB") if image.mode == "P" else image.convert("RGB")
