"""Images in batches of a fixed order, as they are or augmented for the paper's probe."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from selector.training.autoaugment import autoaugment, draw
from selector.training.data import Images
from selector.training.embed import Batch

_BATCH = 512  # images embedded at once; in evaluation mode the size changes no figure


@dataclass(frozen=True)
class Batches:
    """Batches of images in their order, as often as they are asked for."""

    images: Images

    def __iter__(self) -> Iterator[Batch]:
        for start in range(0, len(self.images), _BATCH):
            part = slice(start, start + _BATCH)
            labels = self.images.labels
            yield self.images.pixels[part], None if labels is None else labels[part]


def autoaugmented(images: Images, seed: int, epoch: int) -> Images:
    """Each image under AutoAugment's CIFAR-10 policy (Cubuk et al. 2018), as the paper's probe trains on."""
    drawn = draw(len(images), int(np.random.SeedSequence([seed, epoch, 1]).generate_state(1, np.uint64)[0]))
    return replace(images, pixels=autoaugment(images.pixels, drawn))
