"""What the pretext criteria ask an encoder about: turned images, common views, oriented gradients."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import kornia.augmentation as K
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from selector.metrics.pretext import SMALLEST_FOR_HOG, Edges, Questions, hog
from selector.training.views import augmented

# Named differently whenever the common views change: scores of unlike views are not compared.
VIEWS = "common views 1"
_SEED = 0
_BLOCK = 250  # images that are made and embedded at once, and share the order of their colour changes
_MOST_TURNED_TRAIN, _MOST_TURNED = 1000, 500
_MOST_VIEWED = 1000
_MOST_TRAIN, _MOST_HELD_OUT = 5000, 2000

# (B, C, S, S) images, uint8 or floats in [0, 1] → (B, D) representations in evaluation mode.
Encode = Callable[[Tensor], NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class PretextImages:
    """The images that all runs of a data set are asked about, in an order drawn with a stored seed.

    Data sets lie in the order of their classes, so the first images would be all of one class.

    Attributes:
        train: (N, C, S, S) uint8 training images.
        held_out: (M, C, S, S) uint8 evaluation images.
        turns: Whether to ask which way up an image is.
    """

    train: Tensor
    held_out: Tensor
    turns: bool = True

    @classmethod
    def drawn(cls, train: Tensor, evaluation: Tensor, turns: bool = True) -> "PretextImages":
        """From all images of the two splits."""
        return cls(_drawn(train, _MOST_TRAIN), _drawn(evaluation, _MOST_HELD_OUT), turns)

    def ask(self, encode: Encode) -> Questions:
        """Embed everything that an encoder is asked about, a block of images at a time."""
        views = [(encode(a), encode(b)) for a, b in common_views(self.held_out[:_MOST_VIEWED])]
        edges = None
        if self._hogs is not None:
            train, held_out = (_embedded(encode, torch.split(x, _BLOCK)) for x in (self.train, self.held_out))
            edges = Edges(train, self._hogs[0], held_out, self._hogs[1])
        return Questions(
            turned_train=_turned(encode, self.train[:_MOST_TURNED_TRAIN]) if self.turns else None,
            turned=_turned(encode, self.held_out[:_MOST_TURNED]) if self.turns else None,
            first=np.concatenate([first for first, _ in views]),
            second=np.concatenate([second for _, second in views]),
            edges=edges,
            views=VIEWS,
        )

    @cached_property
    def _hogs(self) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
        if self.train.shape[-1] < SMALLEST_FOR_HOG:
            return None
        train, held_out = (
            np.concatenate([hog(block.float().mean(dim=1).numpy()) for block in torch.split(images, _BLOCK)])
            for images in (self.train, self.held_out)
        )
        return train, held_out


def common_views(images: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Two views of (B, C, S, S) uint8 images, as floats in [0, 1], block by block: the same for every run.

    Whatever a run was trained with, it is asked about these. Colour images are cropped, flipped, recoloured
    and sometimes made grey. Grey images are cropped and change in brightness and contrast; they are not
    flipped, because many of them are characters. Images of other than three channels are cropped only.
    """
    size = images.shape[-1]
    crop = K.RandomResizedCrop((size, size), scale=(0.3, 1.0), ratio=(3 / 4, 4 / 3), cropping_mode="resample")
    changes: list[nn.Module] = []
    if images.shape[1] == 3 and is_grey(images):
        changes = [K.ColorJitter(0.4, 0.4, 0.0, 0.0, p=0.8)]
    elif images.shape[1] == 3:
        changes = [
            K.RandomHorizontalFlip(p=0.5),
            K.ColorJitter(0.4, 0.4, 0.4, 0.1, p=0.8),
            K.RandomGrayscale(p=0.2),
        ]
    augment = nn.Sequential(crop, *changes)
    for number, block in enumerate(torch.split(images.cpu(), _BLOCK)):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(_SEED + number)
            first, second = (augmented(augment, block.float() / 255) for _ in range(2))
        yield first, second


def is_grey(images: Tensor) -> bool:
    """Whether all channels of all images are equal."""
    return bool((images == images[:, :1]).all())


def turned(images: Tensor) -> Tensor:
    """(B, C, S, S) images → (B, 4, C, S, S): turned by 0, 90, 180 and 270 degrees."""
    return torch.stack([torch.rot90(images, k, (-2, -1)) for k in range(4)], dim=1)


def _drawn(images: Tensor, most: int) -> Tensor:
    return images[np.random.default_rng(_SEED).permutation(len(images))[:most]]


def _turned(encode: Encode, images: Tensor) -> NDArray[np.float32]:
    blocks = (turned(block).flatten(0, 1) for block in torch.split(images, _BLOCK))
    return _embedded(encode, blocks).reshape(len(images), 4, -1)


def _embedded(encode: Encode, blocks: Iterable[Tensor]) -> NDArray[np.float32]:
    return np.concatenate([encode(block) for block in blocks])
