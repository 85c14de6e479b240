"""The images behind the pretext criteria: turned ones, common views, and their oriented gradients."""

from collections.abc import Callable
from dataclasses import dataclass

import kornia.augmentation as K
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from selector.metrics.arrays import one_thread
from selector.metrics.pretext import Answers, hog, hog_answers, retrieval_answers, rotation_answers
from selector.training.views import augmented

# Raised whenever the common views change: scores of different versions are not compared.
VIEWS_VERSION = 1
_SEED = 0
_BLOCK = 250  # images that share the order of their colour changes
_MOST_TURNED, _MOST_TURNED_HELD_OUT = 1000, 500
_MOST_VIEWED = 1000
_MOST_TRAINED, _MOST_HELD_OUT = 5000, 2000

# (B, C, S, S) images, uint8 or floats in [0, 1] → (B, D) representations in evaluation mode.
Encode = Callable[[Tensor], NDArray[np.float32]]


@dataclass(frozen=True)
class PretextImages:
    """What all runs of a data set are asked about.

    Attributes:
        train: (N, C, S, S) uint8 training images, in the order of `drawn`.
        held_out: (M, C, S, S) uint8 evaluation images, likewise.
    """

    train: Tensor
    held_out: Tensor

    @classmethod
    def drawn(cls, train: Tensor, evaluation: Tensor) -> "PretextImages":
        """The images of two splits in an order drawn with a stored seed: data sets lie in order of class."""
        return cls(train[drawn_order(len(train))], evaluation[drawn_order(len(evaluation))])


def drawn_order(count: int) -> NDArray[np.int64]:
    """Which of `count` images are read, and in which order."""
    return np.random.default_rng(_SEED).permutation(count)[:_MOST_TRAINED]


def pretext_answers(encode: Encode, images: PretextImages) -> Answers:
    """Ask an encoder all three questions."""
    turned_train = turned(images.train[:_MOST_TURNED])
    turned_held_out = turned(images.held_out[:_MOST_TURNED_HELD_OUT])
    first, second = common_views(images.held_out[:_MOST_VIEWED])
    train, held_out = images.train[:_MOST_TRAINED], images.held_out[:_MOST_HELD_OUT]
    features = [encode(x) for x in (turned_train.flatten(0, 1), turned_held_out.flatten(0, 1))]
    targets = hog_targets(held_out)
    with one_thread():
        return Answers(
            rotations=rotation_answers(
                features[0].reshape(*turned_train.shape[:2], -1),
                features[1].reshape(*turned_held_out.shape[:2], -1),
            ),
            ranks=retrieval_answers(encode(first), encode(second)),
            residuals=hog_answers(encode(train), hog_targets(train), encode(held_out), targets),
            targets=targets,
        )


def turned(images: Tensor) -> Tensor:
    """(B, C, S, S) images → (B, 4, C, S, S): turned by 0, 90, 180 and 270 degrees."""
    return torch.stack([torch.rot90(images, k, (-2, -1)) for k in range(4)], dim=1)


def common_views(images: Tensor) -> tuple[Tensor, Tensor]:
    """Two views of each of (B, C, S, S) uint8 images, as floats in [0, 1]: the same for every run.

    Whatever a run was trained with, it is asked about these. Colour images are cropped, flipped, recoloured
    and sometimes made grey. Grey images are cropped and change in brightness and contrast; they are
    not flipped, because many of them are characters.
    """
    size = images.shape[-1]
    crop = K.RandomResizedCrop((size, size), scale=(0.3, 1.0), ratio=(3 / 4, 4 / 3), cropping_mode="resample")
    changes = (
        [K.ColorJitter(0.4, 0.4, 0.0, 0.0, p=0.8)]
        if is_grey(images)
        else [
            K.RandomHorizontalFlip(p=0.5),
            K.ColorJitter(0.4, 0.4, 0.4, 0.1, p=0.8),
            K.RandomGrayscale(p=0.2),
        ]
    )
    augment = nn.Sequential(crop, *changes)
    views: list[list[Tensor]] = [[], []]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_SEED)
        for block in torch.split(images.cpu(), _BLOCK):
            for view in views:
                view.append(augmented(augment, block.float() / 255))
    first, second = (torch.cat(view) for view in views)
    return first, second


def is_grey(images: Tensor) -> bool:
    """Whether all channels of all images are equal."""
    return bool((images == images[:, :1]).all())


def hog_targets(images: Tensor) -> NDArray[np.float64]:
    """(N, 32) oriented gradients of (N, C, S, S) images, of the mean of their channels."""
    return hog(images.float().mean(dim=1).numpy())
