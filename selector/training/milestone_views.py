"""Augmented views of training images for LiDAR and alignment: the same ones at every milestone."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytorch_lightning as pl
import torch
from torch import Tensor

from selector.config import TrainConfig
from selector.training.data import Images
from selector.training.views import augmented, simclr_augmentations

_BATCH = 512  # views embedded at once
_SEED = 0
_KEPT_BYTES = 256 << 20  # views kept from one milestone to the next; 10,000 of 32 x 32 are 123 MB


@dataclass(frozen=True)
class TrainingViews:
    """`lidar_views` views of each of the first `lidar_images` images, as training augments them.

    Seeded, so that milestones and runs are compared on the same images and views. Draws from torch's global
    generators: whoever iterates keeps their states, as `embed.frozen` does.
    """

    config: TrainConfig
    images: Images
    _kept: list[Tensor] = field(default_factory=list, init=False, repr=False)

    source = f"training augmentations, seed {_SEED}"

    def __call__(self, module: pl.LightningModule) -> Iterator[Tensor]:
        """Batches (B, q, 3, S, S) of floats in [0, 1], made where the module is, and once if they are few."""
        if self._kept:
            yield from (views.to(module.device) for views in self._kept)
            return
        made = []
        for views in self._made(module):
            if self._bytes <= _KEPT_BYTES:
                made.append(views)
            yield views
        self._kept.extend(made)  # all or none: whoever iterates may have been interrupted

    @property
    def _bytes(self) -> int:
        chosen = self.images.pixels[: self.config.lidar_images]
        return chosen.numel() * self.config.lidar_views * torch.float32.itemsize

    def _made(self, module: pl.LightningModule) -> Iterator[Tensor]:
        config, pixels = self.config, self.images.pixels[: self.config.lidar_images]
        augment = simclr_augmentations(config, pixels.shape[-1]).to(module.device)
        torch.manual_seed(_SEED)
        for batch in torch.split(pixels, max(1, _BATCH // config.lidar_views)):
            images = batch.to(module.device).float() / 255
            yield torch.stack([augmented(augment, images) for _ in range(config.lidar_views)], dim=1)
