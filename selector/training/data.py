"""Images as tensors: train on one split, evaluate on the other, labels optional everywhere."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from selector.config import TrainConfig
from selector.errors import UserError
from selector.metrics.pretext import FEW_IMAGES, SMALLEST_FOR_HOG
from selector.text import counted
from selector.training.datasets import DATASETS, GREY, Loaded, Pictures

_BATCH = 512  # images embedded at once; in evaluation mode the size changes no figure
_SUBSET_SEED = 0  # which images a subset or a hold-out takes must not change with a run's own seed
# Repeated images are each other's nearest neighbours; from this share on they are warned of.
_MANY_REPEATED = 0.02


@dataclass(frozen=True, eq=False)
class Images(Pictures):
    """Images of one split, in a fixed order.

    Attributes:
        pixels: (N, C, S, S) uint8.
        labels: (N,) int64 class indices, or None.
        split: "train" or "test".
    """

    pixels: Tensor
    labels: Tensor | None
    split: str


def batches(images: Images) -> list[tuple[Tensor, Tensor | None]]:
    """Batches of images in their order; views, not copies."""
    pixels = torch.split(images.pixels, _BATCH)
    labels = [None] * len(pixels) if images.labels is None else torch.split(images.labels, _BATCH)
    return list(zip(pixels, labels, strict=True))


@dataclass(frozen=True, eq=False)
class ImageSplits:
    """What one run trains on and what its milestones are evaluated on.

    Attributes:
        train: Images of the pretext task (their labels serve the linear probe alone).
        evaluation: Images whose embeddings the metrics read.
        classes: Number of classes, or None without labels.
        skipped: Files of a folder that could not be read and were left out on request.
        pixel_range: The values that became black and white.
        summary: One line on what the images are.
    """

    train: Images
    evaluation: Images
    classes: int | None
    skipped: tuple[str, ...] = ()
    pixel_range: tuple[float, float] = (0.0, 255.0)
    summary: str = ""


def load_images(config: TrainConfig) -> ImageSplits:
    """Load the data set that `config` names, split as in the paper."""
    known = DATASETS[config.dataset]
    if known.folder == "given" and not Path(config.data_dir or "").is_dir():
        raise UserError(
            f"no folder {config.data_dir!r}: --data-dir must name the folder of data set {config.dataset}"
        )
    loaded = known.load(config)
    notes = list(loaded.notes)
    train, test = loaded.train, loaded.test
    if test is None:
        train, test = _hold_out(loaded.train, config, notes)
    pixel_range = _range_of(config, train)
    splits = [
        _images(part, split, count, pixel_range, config)
        for part, split, count in ((train, "train", "train_images"), (test, "test", "evaluation_images"))
    ]
    if not config.labels or any(images.labels is None for images in splits):
        splits = [replace(images, labels=None) for images in splits]
    labels = splits[0].labels
    classes = None if labels is None else int(labels.max()) + 1
    if (level := int(splits[0].pixels.min())) == splits[0].pixels.max():
        raise UserError(
            f"all pixels of the {len(splits[0])} training images have one value, level {level} of 255 with"
            f" {_shown(pixel_range)} as black and white: there is nothing to learn; look at the images, or"
            " pass other limits with --pixel-range LO HI"
        )
    found = ImageSplits(splits[0], splits[1], classes, loaded.skipped, pixel_range)
    _refuse_too_few(config, found)
    if config.rotation_degrees:
        notes.append("rotation_probe and its part of pretext_score are left out: training rotates its views")
    if splits[0].pixels.shape[-1] < SMALLEST_FOR_HOG:
        notes.append(
            "hog_probe and its part of pretext_score are left out:"
            f" images are smaller than {SMALLEST_FOR_HOG} pixels"
        )
    if len(splits[1]) < FEW_IMAGES:
        notes.append(
            f"with {counted(len(splits[1]), 'evaluation image')}, pretext_score can hardly tell runs apart"
            f" (use {FEW_IMAGES} or more)"
        )
    return replace(found, summary=_summary(found, loaded, notes))


def clusters_of(config: TrainConfig, images: ImageSplits) -> int:
    """k1 of the clustering metrics: `--clusters`, or the number of classes."""
    clusters = config.clusters or images.classes
    if clusters is None:
        raise UserError("the images have no labels, so the number of clusters is unknown: pass --clusters")
    if 2 * clusters >= len(images.evaluation):
        no_classes = "" if config.clusters else ", or --labels False if the folders are not classes"
        raise UserError(
            f"{len(images.evaluation)} evaluation images are too few for {clusters} and {2 * clusters}"
            f" clusters: pass a smaller --clusters or more images{no_classes}"
        )
    return clusters


def _refuse_too_few(config: TrainConfig, images: ImageSplits) -> None:
    if len(images.train) < config.batch_size:
        raise UserError(
            f"batch_size {config.batch_size} is larger than the {len(images.train)} training images:"
            f" pass --batch-size {len(images.train)} or less"
        )
    if len(images.evaluation) < 2:
        raise UserError(
            f"{len(images.evaluation)} evaluation images are too few: metrics need at least 2;"
            " add images or raise --holdout"
        )
    clusters_of(config, images)


def _hold_out(pictures: Pictures, config: TrainConfig, notes: list[str]) -> tuple[Pictures, Pictures]:
    """Split off a share of the images for evaluation; stratified where the classes are large enough."""
    from sklearn.model_selection import train_test_split

    everything = np.arange(len(pictures))
    held_out = int(np.ceil(config.holdout * len(everything)))
    stratify = pictures.labels if config.labels else None
    if not 0 < held_out < len(everything):
        raise UserError(f"{len(everything)} images cannot be split with --holdout {config.holdout}")
    if stratify is not None:
        smallest, classes = np.bincount(stratify).min(), len(np.unique(stratify))
        if smallest < 2 or min(held_out, len(everything) - held_out) < classes:
            notes.append("held out at random: some classes are too small to be in both splits")
            stratify = None
    parts = train_test_split(
        everything, test_size=config.holdout, random_state=_SUBSET_SEED, stratify=stratify
    )
    train, test = (pictures.take(np.sort(part)) for part in parts)
    return train, test


def _range_of(config: TrainConfig, train: Pictures) -> tuple[float, float]:
    """What is black and white: as given, or the smallest and largest number in the training images."""
    if config.pixel_range is not None:
        return config.pixel_range
    if train.pixels.dtype == np.uint8:
        return 0.0, 255.0
    return float(train.pixels.min()), float(train.pixels.max())


def _images(
    pictures: Pictures, split: str, count: str, pixel_range: tuple[float, float], config: TrainConfig
) -> Images:
    """The images that are used, as tensors of the size and the channels that are wanted."""
    wanted = getattr(config, count)
    if wanted is not None and wanted > len(pictures):
        raise UserError(f"{count} {wanted} is more than the {len(pictures)} available images")
    if wanted is not None and wanted < len(pictures):
        order = np.random.default_rng(_SUBSET_SEED).permutation(len(pictures))
        pictures = pictures.take(np.sort(order[:wanted]))
    pixels = torch.as_tensor(_in_channels(levels_of(pictures.pixels, pixel_range), config.channels or 3))
    if config.image_size is not None and pixels.shape[-1] != config.image_size:
        from torchvision.transforms.v2.functional import resize

        size = [config.image_size, config.image_size]
        # In blocks, so that no second float copy of the whole split is ever in memory.
        pixels = torch.cat([resize(block, size, antialias=True) for block in torch.split(pixels, 4096)])
    labels = None if pictures.labels is None else torch.as_tensor(pictures.labels)
    return Images(pixels, labels, split)


def levels_of(pixels: NDArray[Any], pixel_range: tuple[float, float]) -> NDArray[np.uint8]:
    """The 256 levels from black to white."""
    low, high = pixel_range
    if pixels.dtype == np.uint8 and (low, high) == (0, 255):
        return pixels
    scale = 255 / (high - low) if high > low else 0.0
    scaled: NDArray[np.float32] = (pixels.astype(np.float32) - low) * scale
    return scaled.clip(0, 255).round().astype(np.uint8)


def _in_channels(pixels: NDArray[np.uint8], channels: int) -> NDArray[np.uint8]:
    found = pixels.shape[1]
    if found == channels:
        return pixels
    if found == 1 and channels == 3:
        return np.ascontiguousarray(np.broadcast_to(pixels, (len(pixels), 3, *pixels.shape[2:])))
    if found == 3 and channels == 1:
        grey: NDArray[np.float64] = np.einsum("nchw,c->nhw", pixels, GREY)
        return grey.round().astype(np.uint8)[:, None]
    raise UserError(f"the images have {counted(found, 'channel')}, but --channels says {channels}")


def _summary(images: ImageSplits, loaded: Loaded, notes: list[str]) -> str:
    """One line: how many images of what kind, and anything that may surprise people."""
    train, evaluation = images.train, images.evaluation
    channels, side = train.pixels.shape[1], train.pixels.shape[-1]
    of_classes = "" if images.classes is None else f" of {counted(images.classes, 'class')}"
    if repeated := _repeated(train.pixels, evaluation.pixels):
        notes.append(f"{repeated} exact duplicates")
        if repeated > _MANY_REPEATED * (len(train) + len(evaluation)):
            notes[-1] += " (they are nearest neighbours: idest, CLID and kNN mean less)"
    if channels != 3:
        notes.append(f"no colour jitter and no greyscale views: {counted(channels, 'channel')}")
    size = f"{side} × {side}, {counted(channels, 'channel')}, range {_shown(images.pixel_range)}"
    first = f"{len(train)} + {len(evaluation)} images{of_classes} from {loaded.where}, {size}"
    return "; ".join([first, *notes])


def _shown(pixel_range: tuple[float, float]) -> str:
    return f"{pixel_range[0]:g}–{pixel_range[1]:g}"


def _repeated(*splits: Tensor) -> int:
    """How many images are copies of an earlier one, in the same split or the other."""
    return sum(map(len, splits)) - len({hash(image.tobytes()) for part in splits for image in part.numpy()})
