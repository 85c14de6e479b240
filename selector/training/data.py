"""Data sets as tensors of images: train on one split, evaluate on the other, labels optional everywhere."""

import fcntl
import gzip
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from selector.config import TrainConfig
from selector.errors import UserError
from selector.text import first_line
from selector.training.image_folder import read_folder

_SUBSET_SEED = 0  # which images a subset or a hold-out takes must not change with a run's own seed


@dataclass(frozen=True, eq=False)
class Images:
    """Images of one split, in a fixed order.

    Attributes:
        pixels: (N, 3, S, S) uint8.
        labels: (N,) int64 class indices, or None.
        split: "train" or "test".
    """

    pixels: Tensor
    labels: Tensor | None
    split: str

    def __len__(self) -> int:
        return len(self.pixels)

    def take(self, indices: Sequence[int] | NDArray[np.int64]) -> "Images":
        """The images at `indices`, in that order."""
        chosen = torch.as_tensor(np.asarray(indices, dtype=np.int64))
        return replace(
            self, pixels=self.pixels[chosen], labels=None if self.labels is None else self.labels[chosen]
        )


@dataclass(frozen=True, eq=False)
class ImageSplits:
    """What one run trains on and what its milestones are evaluated on.

    Attributes:
        train: Images of the pretext task (their labels serve the linear probe alone).
        evaluation: Images whose embeddings the metrics read.
        classes: Number of classes, or None without labels.
        skipped: Files of a folder that could not be read and were left out on request.
    """

    train: Images
    evaluation: Images
    classes: int | None
    skipped: tuple[str, ...] = ()


def load_images(config: TrainConfig) -> ImageSplits:
    """Load the data set that `config` names, split as in the paper.

    Raises:
        UserError: The folder is missing, empty or unreadable, or holds too few images.
    """
    skipped: tuple[str, ...] = ()
    match config.dataset:
        case "digits":
            train, evaluation = _hold_out(_digits(), config.holdout)
        case "cifar10" | "cifar100":
            train, evaluation = (_cifar(config, split) for split in ("train", "test"))
        case "fashion_mnist":
            train, evaluation = (_fashion_mnist(_folder(config), split) for split in ("train", "test"))
        case "folder":
            content = read_folder(_folder(config), config.image_size or 64, config.skip_bad_images)
            skipped = content.skipped
            train = Images(content.pixels, content.labels, "train")
            if content.test is None:
                train, evaluation = _hold_out(train, config.holdout)
            else:
                evaluation = Images(content.test.pixels, content.test.labels, "test")
    train = _resized(_subset(train, config.train_images, "train_images"), config.image_size)
    evaluation = _resized(
        _subset(evaluation, config.evaluation_images, "evaluation_images"), config.image_size
    )
    if train.labels is None or not config.labels:
        train, evaluation = replace(train, labels=None), replace(evaluation, labels=None)
    classes = None if train.labels is None else int(train.labels.max()) + 1
    splits = ImageSplits(train, evaluation, classes, skipped)
    _refuse_too_few(config, splits)
    return splits


def clusters_of(config: TrainConfig, images: ImageSplits) -> int:
    """k1 of the clustering metrics: `--clusters`, or the number of classes.

    Raises:
        UserError: Neither is known, or k2 = 2 k1 clusters are more than there are images.
    """
    clusters = config.clusters or images.classes
    if clusters is None:
        raise UserError("the images have no labels, so the number of clusters is unknown: pass --clusters")
    if 2 * clusters >= len(images.evaluation):
        raise UserError(
            f"{len(images.evaluation)} evaluation images are too few for {clusters} and {2 * clusters}"
            " clusters: pass a smaller --clusters or more images"
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


def _folder(config: TrainConfig) -> Path:
    folder = Path(config.data_dir or "")
    if not folder.is_dir():
        raise UserError(
            f"no folder {str(folder)!r}: --data-dir must name the folder of data set {config.dataset}"
        )
    return folder


def _digits() -> Images:
    """scikit-learn's 1,797 handwritten digits, 8 × 8 grey (UCI; Alpaydin & Kaynak 1998)."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    grey = np.round(digits.images * (255 / 16)).astype(np.uint8)  # grey levels 0-16
    return Images(_three_channels(grey), torch.as_tensor(digits.target, dtype=torch.int64), "train")


def _cifar(config: TrainConfig, split: str) -> Images:
    from torchvision.datasets import CIFAR10, CIFAR100

    name, kind = ("CIFAR-10", CIFAR10) if config.dataset == "cifar10" else ("CIFAR-100", CIFAR100)
    folder = Path(config.data_dir or "")
    try:
        if not (folder / kind.base_folder).is_dir():
            folder.mkdir(parents=True, exist_ok=True)
            with (folder / f".{config.dataset}.lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)  # of several processes the first one downloads
                kind(str(folder), download=True)
        data = kind(str(folder), train=split == "train")
    except (OSError, RuntimeError) as error:
        raise UserError(
            f"{name} is neither in {str(folder)!r} nor could it be downloaded there ({first_line(error)}):"
            f" put {kind.filename} there and unpack it"
        ) from error
    pixels = torch.as_tensor(data.data).permute(0, 3, 1, 2).contiguous()
    return Images(pixels, torch.as_tensor(data.targets, dtype=torch.int64), split)


def _fashion_mnist(folder: Path, split: str) -> Images:
    """Fashion-MNIST's four IDX files, as torchvision or Debian's dataset-fashion-mnist lay them out."""
    prefix = "train" if split == "train" else "t10k"
    images = _read_idx(folder, f"{prefix}-images-idx3-ubyte", dimensions=3)
    labels = _read_idx(folder, f"{prefix}-labels-idx1-ubyte", dimensions=1)
    if len(images) != len(labels):
        raise UserError(f"{len(images)} {split} images but {len(labels)} labels in {str(folder)!r}")
    return Images(_three_channels(images), torch.as_tensor(labels.astype(np.int64)), split)


def _read_idx(folder: Path, name: str, dimensions: int) -> NDArray[np.uint8]:
    """One IDX file of bytes (http://yann.lecun.com/exdb/mnist), packed or not."""
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


def _three_channels(grey: NDArray[np.uint8]) -> Tensor:
    return torch.as_tensor(grey)[:, None].expand(-1, 3, -1, -1).contiguous()


def _hold_out(images: Images, share: float) -> tuple[Images, Images]:
    """Split off `share` of the images for evaluation; stratified where there are labels."""
    from sklearn.model_selection import train_test_split

    everything = np.arange(len(images))
    stratify = None if images.labels is None else images.labels.numpy()
    if stratify is not None and np.bincount(stratify).min() < 2:
        stratify = None  # a class with one image cannot be on both sides
    try:
        train, test = train_test_split(
            everything, test_size=share, random_state=_SUBSET_SEED, stratify=stratify
        )
    except ValueError as error:
        raise UserError(
            f"{len(images)} images cannot be split with --holdout {share}: {first_line(error)}"
        ) from error
    return images.take(np.sort(train)), replace(images.take(np.sort(test)), split="test")


def _subset(images: Images, count: int | None, option: str) -> Images:
    if count is None or count == len(images):
        return images
    if count > len(images):
        raise UserError(f"{option} {count} is more than the {len(images)} images that there are")
    order = np.random.default_rng(_SUBSET_SEED).permutation(len(images))
    return images.take(np.sort(order[:count]))


def _resized(images: Images, size: int | None) -> Images:
    if size is None or images.pixels.shape[-1] == size:
        return images
    from torchvision.transforms.v2.functional import resize

    # In blocks, so that no second float copy of the whole split is ever in memory.
    blocks = [resize(block, [size, size], antialias=True) for block in torch.split(images.pixels, 4096)]
    return replace(images, pixels=torch.cat(blocks))
