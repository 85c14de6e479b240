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
from selector.text import counted, first_line
from selector.training.datasets import GREY, Loaded, Pictures, dataset

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

    from selector.config import TrainConfig

# What the extensions stand for, whichever of them a file has. Pillow knows forty more formats by their
# first bytes; one of them, EPS, is a program, which it hands over to Ghostscript.
_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
_EXTENSIONS = {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
_NEEDED = {suffix: f"{suffix} (pip install pillow-heif reads them)" for suffix in (".heic", ".heif")}
# TIFF's tags of one sample: how many bits, how many to a pixel, what those beyond the colours are (0: nobody
# says), and what kind of number it is.
_BITS, _SAMPLES, _EXTRA_SAMPLES, _SAMPLE_FORMAT = 258, 277, 338, 339
_UNSIGNED, _SIGNED = 1, 2
_SIDE = 64  # of images that may have any size
_TEST_NAMES = ("test", "val", "valid", "validation")
_UNLABELLED = "unlabelled"


@dataclass(frozen=True)
class Reading:
    """How an image is decoded: its side, its channels, what lies behind it, and in which formats.

    `is_fixed` says that the channels are those of an encoder: nobody is asked to pass other ones.
    """

    size: int
    channels: int
    background: tuple[int, ...]
    formats: tuple[str, ...]
    is_fixed: bool = False


@dataset(side=_SIDE)
def folder(config: "TrainConfig") -> Loaded:
    """Every image below `data_dir`, upright, scaled and centre-cropped to a square."""
    top = Path(config.data_dir or "")
    ignored: Counter[str] = Counter()
    parts = _parts(top)
    paths = [_images_of(part, ignored) for part in parts]
    beside = len(_images_of(top, Counter())) - sum(map(len, paths))
    if beside > 0:
        ignored[f"outside of {' and '.join(part.name for part in parts)}"] = beside
    classes, unlabelled = _classes_of_all(parts, paths) if config.labels else ((), "")
    reading = reading_of(config.image_size or _SIDE, config.channels or 3, config.background)
    images, mixed = _decoded([*chain(*paths)], reading, config.skip_bad_images)
    splits = []
    for part, found in zip(parts, paths, strict=True):
        kept = [path for path in found if path in images]
        if not kept:
            raise UserError(f"no image in {str(part)!r} can be read, of {len(found)}: repair them")
        labels = [classes.index(_class_of(path, part)) for path in kept] if classes else None
        splits.append(_pictures([images[path] for path in kept], labels))
    moving = sum(map(_is_animation, images))
    first = f"{counted(moving, 'animation')}, of which only the first frame is read" if moving else ""
    notes = tuple(filter(None, (unlabelled, mixed, first, _listed("ignored:", ignored))))
    skipped = tuple(str(path) for path in chain(*paths) if path not in images)
    return Loaded(splits[0], splits[1] if len(splits) > 1 else None, str(top), notes, skipped)


def _images_of(part: Path, ignored: Counter[str]) -> list[Path]:
    _, extensions = readable()
    found = sorted(image_paths(part, extensions, ignored))
    if not found:
        raise UserError(
            f"no image in {str(part)!r}: expected files named {', '.join(sorted(extensions))}"
            + _listed("; there are", ignored)
        )
    return found


def _parts(top: Path) -> list[Path]:
    """The folders of the two splits, however their names are capitalised; or the one folder."""
    named = {path.name.lower(): path for path in top.iterdir() if path.is_dir()}
    test = next((named[name] for name in _TEST_NAMES if name in named), None)
    return [top] if test is None or "train" not in named else [named["train"], test]


def reading_of(size: int, channels: int, background: str, is_fixed: bool = False) -> Reading:
    """How the images of a run are decoded."""
    from PIL import ImageColor

    try:
        colour = ImageColor.getrgb(background)[:3]
    except ValueError:
        raise UserError(f"--background {background!r} is not a colour: use white, black or #rrggbb") from None
    return Reading(size, channels, colour, readable()[0], is_fixed)


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
            ignored["behind a link to what is read anyway"] += 1
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in files:
            suffix = Path(name).suffix.lower()
            if name.startswith("."):
                continue
            if suffix in extensions:
                yield Path(parent, name)
            elif not Path(parent, name).exists():
                ignored["behind a broken link"] += 1
            else:
                ignored[_NEEDED.get(suffix, suffix) or "without extension"] += 1


def _class_of(path: Path, folder: Path) -> str:
    return path.relative_to(folder).parts[0]


def _classes_of_all(parts: list[Path], paths: list[list[Path]]) -> tuple[tuple[str, ...], str]:
    """The names of the classes of training, or () and why there are none."""
    classes, why = _classes(parts[0], paths[0])
    if not classes or len(parts) == 1:
        return classes, why
    known = {_class_of(path, parts[1]) for path in paths[1]}
    if any(path.parent == parts[1] for path in paths[1]):
        return (), f"{_UNLABELLED}: {str(parts[1])!r} has images that are in no class folder"
    if unknown := known - {*classes}:
        raise UserError(
            f"class {min(unknown)!r} of {str(parts[1])!r} is not among the classes of {str(parts[0])!r}:"
            " pass --labels False if these folders are not classes"
        )
    return classes, f"all evaluation images are of class {min(known)!r}" if len(known) == 1 else ""


def _classes(folder: Path, paths: list[Path]) -> tuple[tuple[str, ...], str]:
    """The names of the classes, or () and why there are none."""
    stray = next((path for path in paths if path.parent == folder), None)
    names = sorted({_class_of(path, folder) for path in paths if path != stray})
    if stray is None and len(names) > 1:
        return tuple(names), ""
    if stray is None:
        return (), f"{_UNLABELLED}: all of them lie in {names[0]!r}"
    beside = [name for name in names if (folder / name).is_dir()]
    return (), f"{_UNLABELLED}: {stray.name!r} lies next to the folders" if beside else _UNLABELLED


def _is_animation(path: Path) -> bool:
    from PIL import Image

    if path.suffix.lower() not in (".gif", ".webp"):  # the rest need not be opened again
        return False
    with suppress(Exception), Image.open(path) as image:  # damage behind the first frame changes nothing
        return bool(getattr(image, "is_animated", False))
    return False


def _listed(what: str, counts: Counter[str]) -> str:
    listed = ", ".join(f"{count} {suffix}" for suffix, count in counts.most_common(5))
    return f"{what} {listed}" if listed else ""


def _pictures(images: list["NDArray[Any]"], labels: list[int] | None) -> Pictures:
    import numpy as np

    pixels = np.ascontiguousarray(np.stack(images).transpose(0, 3, 1, 2))
    return Pictures(pixels, None if labels is None else np.asarray(labels, dtype=np.int64))


def _decoded(paths: list[Path], reading: Reading, skip_bad: bool) -> tuple[dict[Path, "NDArray[Any]"], str]:
    """(S, S, C) images of those paths that can be read, all uint8 or all float32; and what was assumed."""
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        found = dict(zip(paths, pool.map(lambda path: decode(path, reading), paths), strict=True))
    bad = {path: why for path, why in found.items() if isinstance(why, str)}
    if bad and (len(bad) == len(paths) or not skip_bad):
        path, why = next(iter(bad.items()))
        told = f"{len(bad)} of {len(paths)} images cannot be read, the first is {str(path)!r} ({why})"
        advice = [] if "--channels" in why else ["repair or remove them"]
        advice += ["pass --skip-bad-images"] if len(bad) < len(paths) else []
        raise UserError(f"{told}: {', or '.join(advice)}" if advice else told)
    return _of_one_kind({path: image for path, image in found.items() if not isinstance(image, str)})


def _of_one_kind(images: dict[Path, "NDArray[Any]"]) -> tuple[dict[Path, "NDArray[Any]"], str]:
    kinds = {image.dtype.name for image in images.values()}
    if kinds == {"uint8"}:
        return images, ""
    if "uint8" not in kinds:
        return {path: image.astype("float32") for path, image in images.items()}, ""
    if kinds == {"uint8", "uint16"}:
        mixed = {
            path: image if image.dtype == "uint8" else (image / 257).round().astype("uint8")
            for path, image in images.items()
        }
        return mixed, "65535 is white in 16-bit images, because there are 8-bit ones too"
    other = next(path for path, image in images.items() if image.dtype != "uint8")
    raise UserError(
        f"{str(other)!r} holds numbers and other images are 8-bit: nothing says what the numbers'"
        " black and white are; keep the two in folders of their own"
    )


def decode(path: Path, reading: Reading) -> "NDArray[Any] | str":
    """(S, S, C) pixels, or one line on why there are none."""
    import numpy as np
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        if not path.exists():
            return "it is a broken link"
        if not is_regular(path):
            return "it is not a regular file"
        if reading.channels not in (1, 3):
            return _bands(path, reading)
        square = (reading.size, reading.size)
        with warnings.catch_warnings():
            # Pillow only warns of a decompression bomb up to twice its limit; here it is an error at once.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=reading.formats) as image:
                if image.format == "TIFF" and (problem := _lost_by_pillow(image, path, reading)):
                    return problem
                if (precise := _precise(image, path)) is not None:
                    return _numbers(precise, reading)
                image.draft("RGB", square)  # lets JPEG decode at a fraction of its size
                upright = ImageOps.exif_transpose(image)
                if upright.mode.startswith("I") or upright.mode == "F":
                    return _numbers(np.asarray(upright)[..., None], reading)
                fitted = ImageOps.fit(_coloured(upright, reading), square, Image.Resampling.BICUBIC)
                return np.asarray(fitted).reshape(*square, reading.channels)
    except Exception as error:  # Pillow's decoders raise whatever they meet in damaged bytes
        if isinstance(error, UnidentifiedImageError) and path.suffix.lower() in (".tif", ".tiff"):
            with suppress(Exception):
                return _numbers(_tiff(path), reading)
        return first_line(error)


def _lost_by_pillow(image: "Image", path: Path, reading: Reading) -> str:
    """One line on the bands or pages of a TIFF of which Pillow would read the first ones only, or ""."""
    tags: Any = getattr(image, "tag_v2", {})
    bands = tags.get(_SAMPLES, 1)
    if (bands > 3 and image.mode in ("RGB", "RGBX")) or (bands == 2 and tags.get(_EXTRA_SAMPLES) == (0,)):
        return _asks_for(bands, reading)
    if getattr(image, "n_frames", 1) > 1:
        from tifffile import TiffFile

        with TiffFile(path) as file:
            pages = len(file.series[0].pages)
            one_band = file.series[0].ndim == 3
        if pages > 1:  # others are of other sizes, such as thumbnails
            may_be_bands = one_band and pages > 3 and not reading.is_fixed
            told = f"pass --channels {pages} to take them as bands, or " * may_be_bands
            return f"it has {pages} pages: {told}save each as a file of its own"
    return ""


def _asks_for(bands: int, reading: Reading) -> str:
    if reading.is_fixed:
        return f"it has {counted(bands, 'band')}, and the encoder takes {reading.channels}"
    return f"it has {counted(bands, 'band')}: pass --channels {bands}"


def _precise(image: "Image", path: Path) -> "NDArray[Any] | None":
    """(H, W, bands) numbers that Pillow would cut to 8 bits or take for others; None where it would not."""
    tags: Any = getattr(image, "tag_v2", {})
    bits, bands, form = tags.get(_BITS, (1,))[0], tags.get(_SAMPLES, 1), tags.get(_SAMPLE_FORMAT, (1,))[0]
    is_cut = bits > 8 and bands > 1
    is_wrapped = (bits, form) in ((8, _SIGNED), (32, _UNSIGNED))
    is_png = image.format == "PNG" and image.mode in ("RGB", "RGBA", "LA")
    is_deep_png = is_png and ";16" in str(getattr(image, "tile", ""))
    if (is_cut or is_deep_png) and image.mode in ("RGBA", "LA"):
        raise ValueError("it is transparent and has 16 bits: save it with 8 bits, or without transparency")
    if is_deep_png:
        from torchvision.io import ImageReadMode, decode_image

        array: NDArray[Any] = decode_image(str(path), ImageReadMode.UNCHANGED).permute(1, 2, 0).numpy()
        return array
    return _tiff(path) if is_cut or is_wrapped else None


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
    if array.ndim != 3:
        raise ValueError(f"it holds numbers of shape {array.shape}: save each image as a file of its own")
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
        return _asks_for(array.shape[2], reading)
    return _numbers(array, reading)


def _numbers(array: "NDArray[Any]", reading: Reading) -> "NDArray[Any] | str":
    """(H, W, bands) numbers, scaled and centre-cropped; uint8 stays uint8, and so does uint16."""
    import numpy as np
    from PIL import Image, ImageOps

    if array.shape[2] not in (1, 3, reading.channels):
        return _asks_for(array.shape[2], reading)
    if np.iscomplexobj(array):
        return f"it holds {array.dtype} numbers: save their real part or their magnitude"
    array = array.astype(array.dtype.newbyteorder("="))
    wide = array.astype(np.float32)
    if not np.isfinite(wide).all():
        return "it holds pixels that are NaN or infinite"
    square, resample = (reading.size, reading.size), Image.Resampling.BICUBIC
    fitted = wide
    if array.shape[:2] != square:
        bands = [Image.fromarray(band) for band in np.moveaxis(wide, 2, 0)]
        fitted = np.stack([np.asarray(ImageOps.fit(band, square, resample)) for band in bands], axis=2)
    # Bicubic interpolation overshoots at edges; nothing lies beyond what was measured.
    fitted = fitted.clip(wide.min(), wide.max())
    if fitted.shape[2] == 1 and reading.channels == 3:
        fitted = np.repeat(fitted, 3, axis=2)
    if fitted.shape[2] == 3 and reading.channels == 1:
        fitted = fitted @ np.array(GREY, np.float32)[:, None]
    return fitted.round().astype(array.dtype) if array.dtype in (np.uint8, np.uint16) else fitted
