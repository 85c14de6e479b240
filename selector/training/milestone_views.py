"""Augmented views of training images for LiDAR and alignment: the same ones at every milestone."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytorch_lightning as pl
import torch
from torch import Tensor

from selector.config import TrainConfig
from selector.training.data import Images
from selector.training.views import augmented, simclr_augmentations

_BATCH = 512  # views embedded at once
_SEED = 0


@dataclass(frozen=True)
class TrainingViews:
    """`lidar_views` views of each of the first `lidar_images` images, as training augments them.

    Seeded, so that milestones and runs are compared on the same images and views. Draws from torch's global
    generators: whoever iterates keeps their states, as `embed.frozen` does.
    """

    config: TrainConfig
    images: Images

    source = f"training augmentations, seed {_SEED}"

    def __call__(self, module: pl.LightningModule) -> Iterator[Tensor]:
        """Batches (B, q, 3, S, S) of floats in [0, 1], made where the module is."""
        config, pixels = self.config, self.images.pixels[: self.config.lidar_images]
        augment = simclr_augmentations(config, pixels.shape[-1]).to(module.device)
        torch.manual_seed(_SEED)
        for batch in torch.split(pixels, max(1, _BATCH // config.lidar_views)):
            images = batch.to(module.device).float() / 255
            yield torch.stack([augmented(augment, images) for _ in range(config.lidar_views)], dim=1)
