"""What the pretext criteria ask an encoder about: turned images, common views, oriented gradients."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import kornia.augmentation as K
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from selector.metrics.pretext import ROTATIONS, SMALLEST_FOR_HOG, Questions, hog, is_constant
from selector.training.views import augmented

# Named differently whenever the common views change: scores of unlike views are not compared.
VIEWS = "common views 1"
_SEED = 0
_BLOCK = 250  # images that are made and embedded at once, and share the order of their colour changes
_MOST_TURNED_TRAIN, _MOST_TURNED = 1000, 500
_MOST_VIEWED = 1000
_MOST_TRAIN, _MOST_HELD_OUT = 5000, 2000
_KEPT_BYTES = 256 << 20  # views kept from one milestone to the next; 2 of 1,000 images of 64 x 64 are 98 MB

_Vectors = NDArray[np.float32]
# (B, C, S, S) images, uint8 or floats in [0, 1] → (B, D) representations in evaluation mode.
Encode = Callable[[Tensor], _Vectors]


def drawn_order(count: int) -> NDArray[np.int64]:
    """The order in which all runs take images: data sets lie in the order of their classes."""
    return np.random.default_rng(_SEED).permutation(count)


@dataclass(frozen=True, eq=False)
class PretextImages:
    """The images that all runs of a data set are asked about, in `drawn_order`.

    Attributes:
        train: (N, C, S, S) uint8 training images.
        held_out: (M, C, S, S) uint8 evaluation images.
        turns: Whether to ask which way up an image is.
        places: Where the loaders of a milestone give these very images, so that they are not embedded twice:
            the places of `held_out` among the evaluation images, `train` being the first training images.
    """

    train: Tensor
    held_out: Tensor
    turns: bool = True
    places: NDArray[np.int64] | None = None

    @classmethod
    def drawn(cls, train: Tensor, evaluation: Tensor, turns: bool = True) -> "PretextImages":
        """From all images of the two splits."""
        return cls(
            train[drawn_order(len(train))[:_MOST_TRAIN]],
            evaluation[drawn_order(len(evaluation))[:_MOST_HELD_OUT]],
            turns,
        )

    @classmethod
    def of_loaders(cls, train: Tensor, evaluation: Tensor, turns: bool = True) -> "PretextImages":
        """From loaders of all training images in `drawn_order`, and all evaluation images as they are."""
        places = drawn_order(len(evaluation))[:_MOST_HELD_OUT]
        return cls(train[:_MOST_TRAIN], evaluation[places], turns, places)

    def views(self) -> Iterable[Tensor]:
        """Batches (B, 2, C, S, S) of the common views, which are made once if they are few."""
        viewed = self.held_out[:_MOST_VIEWED]
        few = 2 * viewed.numel() * torch.float32.itemsize <= _KEPT_BYTES
        return self._kept_views if few else common_views(viewed)

    @cached_property
    def _kept_views(self) -> list[Tensor]:
        return list(common_views(self.held_out[:_MOST_VIEWED]))

    def ask(
        self,
        encode: Encode,
        train: _Vectors | None = None,
        held_out: _Vectors | None = None,
        views: _Vectors | None = None,
    ) -> Questions:
        """Embed what an encoder is asked about, a block of images at a time.

        Known already, if given: representations of `train`, of `held_out`, and (V, 2, D) of the common views.
        """
        if train is None:
            train = _embedded(encode, self.train)
        if held_out is None:
            held_out = _embedded(encode, self.held_out)
        if views is None:
            pairs = [encode(both.flatten(0, 1)).reshape(*both.shape[:2], -1) for both in self.views()]
            views = np.concatenate(pairs)
        return Questions(
            turned_train=_turned(encode, self.train[:_MOST_TURNED_TRAIN], train) if self.turns else None,
            turned=_turned(encode, self.held_out[:_MOST_TURNED], held_out) if self.turns else None,
            first=views[:, 0],
            second=views[:, 1],
            train=train,
            held_out=held_out,
            hogs=self._hogs,
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
        return None if is_constant(held_out) else (train, held_out)


def common_views(images: Tensor) -> Iterator[Tensor]:
    """(B, 2, C, S, S): two views of uint8 images, as floats in [0, 1], block by block.

    Whatever a run was trained with, it is asked about these: they are the same for every run. Colour images
    are cropped, flipped, recoloured and sometimes made grey. Grey images are cropped and change in brightness
    and contrast; they are not flipped, because many of them are characters. Images of other than three
    channels are cropped only.
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
            both = torch.stack([augmented(augment, block.float() / 255) for _ in range(2)], dim=1)
        yield both


def is_grey(images: Tensor) -> bool:
    """Whether all channels of all images are equal."""
    return bool((images == images[:, :1]).all())


def turned(images: Tensor) -> Tensor:
    """(B, C, S, S) images → (B, 4, C, S, S): turned by 0, 90, 180 and 270 degrees."""
    return torch.stack([torch.rot90(images, k, (-2, -1)) for k in range(4)], dim=1)


def _turned(encode: Encode, images: Tensor, upright: _Vectors) -> _Vectors:
    """(B, 4, D), the representations of the upright images being known."""
    blocks = [encode(turned(block)[:, 1:].flatten(0, 1)) for block in torch.split(images, _BLOCK)]
    others = np.concatenate(blocks).reshape(len(images), ROTATIONS - 1, -1)
    return np.concatenate([upright[: len(images), None], others], axis=1)


def _embedded(encode: Encode, images: Tensor) -> _Vectors:
    return np.concatenate([encode(block) for block in torch.split(images, _BLOCK)])
