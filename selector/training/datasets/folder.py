"""A folder of images, whatever its shape: labelled by sub-folder, split by sub-folder, or neither.

Sub-folders `train` and `test` (or `val`) are the two splits. Below that, the first level of sub-folders names
the classes when every image lies in one and there are at least two; else the images are unlabelled.
"""

import logging
import os
import warnings
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from selector.errors import UserError
from selector.files import is_regular
from selector.text import first_line
from selector.training.datasets import Loaded, Pictures, dataset

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

    from selector.config import TrainConfig

# What the extensions stand for, whichever of them a file has. Pillow knows forty more formats by their
# first bytes; one of them, EPS, is a program, which it hands over to Ghostscript.
_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
_EXTENSIONS = {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
_SAMPLES_PER_PIXEL = 277  # TIFF's number of bands
_TEST_NAMES = ("test", "val", "valid", "validation")


@dataclass(frozen=True)
class Reading:
    """How an image is decoded: its side, its channels, what lies behind it, and in which formats."""

    size: int
    channels: int
    background: tuple[int, ...]
    formats: tuple[str, ...]


@dataset()
def folder(config: "TrainConfig") -> Loaded:
    """Every image below `data_dir`, upright, scaled and centre-cropped to a square."""
    top = Path(config.data_dir or "")
    _, extensions = readable()
    reading = reading_of(config.image_size or 64, config.channels or 3, config.background)
    test = next((top / name for name in _TEST_NAMES if (top / name).is_dir()), None)
    parts = [top / "train", test] if test is not None and (top / "train").is_dir() else [top]
    ignored: Counter[str] = Counter()
    paths = [sorted(image_paths(part, extensions, ignored)) for part in parts]
    for part, found in zip(parts, paths, strict=True):
        if not found:
            raise UserError(
                f"no image in {str(part)!r}: expected files named {', '.join(sorted(extensions))}"
                + _listed("; there are", ignored)
            )
    classes, unlabelled = _classes(parts[0], paths[0]) if config.labels else ((), "")
    labels = [[_class_of(path, part) for path in found] for part, found in zip(parts, paths, strict=True)]
    if classes and test is not None and (unknown := {*labels[-1]} - {*classes}):
        raise UserError(
            f"class {min(unknown)!r} of {str(test)!r} is not among the classes of {str(parts[0])!r}"
        )
    pixels, bad = _decoded([*chain(*paths)], reading, config.skip_bad_images)
    splits, start = [], 0
    for found, names in zip(paths, labels, strict=True):
        kept = [number for number in range(len(found)) if start + number not in bad]
        images = pixels[start - sum(b < start for b in bad) :][: len(kept)]
        splits.append(_pictures(images, [classes.index(names[number]) for number in kept] if classes else []))
        start += len(found)
    notes = tuple(filter(None, (unlabelled, _listed("ignored:", ignored))))
    skipped = tuple(str(path) for number, path in enumerate(chain(*paths)) if number in bad)
    return Loaded(splits[0], splits[1] if len(splits) > 1 else None, str(top), notes, skipped)


def reading_of(size: int, channels: int, background: str) -> Reading:
    """How the images of a run are decoded.

    Raises:
        UserError: The background is no colour.
    """
    from PIL import ImageColor

    try:
        colour = ImageColor.getrgb(background)[:3]
    except ValueError:
        raise UserError(f"--background {background!r} is not a colour: use white, black or #rrggbb") from None
    return Reading(size, channels, colour, readable()[0])


def readable() -> tuple[tuple[str, ...], frozenset[str]]:
    """Formats and extensions; AVIF and HEIC where Pillow, or a plug-in that is installed, reads them."""
    from PIL import features

    logging.getLogger("PIL").setLevel(logging.CRITICAL)  # it logs what it raises, too, and that is told
    formats, extensions = set(_FORMATS), set(_EXTENSIONS)
    if features.check("avif"):
        formats, extensions = formats | {"AVIF"}, extensions | {".avif"}
    with suppress(ImportError):
        from pillow_heif import register_heif_opener

        register_heif_opener()
        formats, extensions = formats | {"HEIF"}, extensions | {".heic", ".heif"}
    return tuple(sorted(formats)), frozenset(extensions)


def image_paths(folder: Path, extensions: frozenset[str], ignored: Counter[str]) -> Iterator[Path]:
    """Images below a folder, links to folders followed once; counts other files by their extension."""
    seen = set()
    for parent, folders, files in os.walk(folder, followlinks=True):
        status = os.stat(parent)
        if (status.st_dev, status.st_ino) in seen:  # a loop of links, or a folder that is linked twice
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in files:
            suffix = Path(name).suffix.lower()
            if name.startswith("."):
                continue
            if suffix in extensions:
                yield Path(parent, name)
            else:
                ignored[suffix or "without extension"] += 1


def _class_of(path: Path, folder: Path) -> str:
    return path.relative_to(folder).parts[0]


def _classes(folder: Path, paths: list[Path]) -> tuple[tuple[str, ...], str]:
    """The names of the classes, or () and why there are none."""
    stray = next((path for path in paths if path.parent == folder), None)
    names = sorted({_class_of(path, folder) for path in paths if path != stray})
    if stray is None and len(names) > 1:
        return tuple(names), ""
    if stray is None:
        return (), f"unlabelled: all of them lie in {names[0]!r}"
    beside = [name for name in names if (folder / name).is_dir()]
    return (), f"unlabelled: {stray.name!r} lies next to the folders" if beside else "unlabelled"


def _listed(what: str, counts: Counter[str]) -> str:
    return f"{what} {', '.join(f'{count} {suffix}' for suffix, count in counts.most_common(5))}" * bool(
        counts
    )


def _pictures(images: list["NDArray[Any]"], labels: list[int]) -> Pictures:
    import numpy as np

    pixels = np.ascontiguousarray(np.stack(images).transpose(0, 3, 1, 2))
    return Pictures(pixels, np.asarray(labels, dtype=np.int64) if labels else None)


def _decoded(
    paths: list[Path], reading: Reading, skip_bad: bool
) -> tuple[list["NDArray[Any]"], frozenset[int]]:
    """(S, S, C) images, all of them uint8 or all of them float32, and which paths gave none."""
    import numpy as np

    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        found = list(pool.map(lambda path: decode(path, reading), paths))
    bad = [(path, got) for path, got in zip(paths, found, strict=True) if isinstance(got, str)]
    if bad and (len(bad) == len(paths) or not skip_bad):
        raise UserError(
            f"{len(bad)} of {len(paths)} images cannot be read, the first is {str(bad[0][0])!r}"
            f" ({bad[0][1]}): repair or remove them" + ", or pass --skip-bad-images" * (len(bad) < len(paths))
        )
    images = [image for image in found if not isinstance(image, str)]
    if len(kinds := {image.dtype for image in images}) > 1:
        other = next(path for path, got in zip(paths, found, strict=True) if _is_numeric(got))
        if not kinds <= {np.dtype(np.uint8), np.dtype(np.uint16)}:
            raise UserError(
                f"{str(other)!r} holds numbers and other images are 8-bit: nothing says what the numbers'"
                " black and white are; keep the two in folders of their own"
            )
        images = [
            image if image.dtype == np.uint8 else (image / 257).round().astype("u1") for image in images
        ]
    elif _is_numeric(images[0]):
        images = [image.astype(np.float32) for image in images]
    return images, frozenset(number for number, got in enumerate(found) if isinstance(got, str))


def _is_numeric(image: "NDArray[Any] | str") -> bool:
    return not isinstance(image, str) and image.dtype != "uint8"


def decode(path: Path, reading: Reading) -> "NDArray[Any] | str":
    """(S, S, C) pixels, or one line on why there are none."""
    import numpy as np
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        if not is_regular(path):
            return "it is not a regular file"
        if reading.channels not in (1, 3):
            return _bands(path, reading)
        square = (reading.size, reading.size)
        with warnings.catch_warnings():
            # Pillow only warns of a decompression bomb up to twice its limit; here it is an error at once.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=reading.formats) as image:
                tags: Any = getattr(image, "tag_v2", {})
                bands = tags.get(_SAMPLES_PER_PIXEL, 1)
                if bands > 3 and image.mode in ("RGB", "RGBX"):
                    return f"it has {bands} bands: pass --channels {bands}"
                image.draft("RGB", square)  # lets JPEG decode at a fraction of its size
                upright = ImageOps.exif_transpose(image)
                if upright.mode.startswith("I") or upright.mode == "F":
                    return _numbers(np.asarray(upright)[..., None], reading)
                fitted = ImageOps.fit(_coloured(upright, reading), square, Image.Resampling.BICUBIC)
                return np.asarray(fitted).reshape(*square, reading.channels)
    except Exception as error:  # Pillow's decoders raise whatever they meet in damaged bytes
        if isinstance(error, UnidentifiedImageError) and path.suffix.lower() in (".tif", ".tiff"):
            with suppress(Exception):
                array = _tiff(path)
                if array.shape[2] not in (1, 3):
                    return f"it has {array.shape[2]} bands: pass --channels {array.shape[2]}"
                return _numbers(array, reading)
        return first_line(error)


def _coloured(image: "Image", reading: Reading) -> "Image":
    """In the mode that is wanted, on the background where it is transparent."""
    from PIL import Image

    mode = "L" if reading.channels == 1 else "RGB"
    if image.has_transparency_data:
        image = image.convert("RGBA")
        behind = Image.new("RGBA", image.size, (*reading.background, 255))
        return Image.alpha_composite(behind, image).convert(mode)
    return image.convert(mode)


def _tiff(path: Path) -> "NDArray[Any]":
    """(H, W, bands) of a TIFF that Pillow does not read."""
    import tifffile
    from PIL import Image

    with tifffile.TiffFile(path) as file:
        series = file.series[0]
        if series.size > 4 * (Image.MAX_IMAGE_PIXELS or 0):
            raise ValueError(f"its {series.size} numbers exceed the limit")
        array: NDArray[Any] = series.asarray()
        axes = series.axes
    if array.ndim == 2:
        return array[..., None]
    return array.transpose(1, 2, 0) if axes[0] not in "YX" else array


def _bands(path: Path, reading: Reading) -> "NDArray[Any] | str":
    import numpy as np
    from PIL import Image

    if path.suffix.lower() in (".tif", ".tiff"):
        array = _tiff(path)
    else:
        with Image.open(path, formats=reading.formats) as image:
            array = np.atleast_3d(np.asarray(image))
    if array.shape[2] != reading.channels:
        return f"it has {array.shape[2]} bands, but --channels says {reading.channels}"
    return _numbers(array, reading)


def _numbers(array: "NDArray[Any]", reading: Reading) -> "NDArray[Any] | str":
    """(H, W, bands) numbers, scaled and centre-cropped; uint8 stays uint8, and so does uint16."""
    import numpy as np
    from PIL import Image, ImageOps

    array = array.astype(array.dtype.newbyteorder("="))
    wide = array.astype(np.float32)
    if not np.isfinite(wide).all():
        return "it holds pixels that are NaN or infinite"
    square, resample = (reading.size, reading.size), Image.Resampling.BICUBIC
    fitted = np.stack(
        [
            np.asarray(ImageOps.fit(Image.fromarray(band), square, resample))
            for band in np.moveaxis(wide, 2, 0)
        ],
        axis=2,
    )
    if array.shape[:2] == square:
        fitted = wide
    # Bicubic interpolation overshoots at edges; nothing lies beyond what was measured.
    fitted = fitted.clip(wide.min(), wide.max())
    if fitted.shape[2] == 1 and reading.channels == 3:
        fitted = np.repeat(fitted, 3, axis=2)
    return fitted.round().astype(array.dtype) if array.dtype in (np.uint8, np.uint16) else fitted
