"""Augmented views: two of each image of a batch to train on, and the same ones at every milestone."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import kornia.augmentation as K
import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from selector.config import TrainConfig
from selector.training.data import Images
from selector.training.processes import own_rows, world_size

_BLOCK = 4096  # images
# Of the views that milestones look at.
_VIEWS = 512  # embedded at once
_VIEW_SEED = 0
_KEPT_BYTES = 256 << 20  # kept from one milestone to the next; 10,000 of 32 x 32 are 123 MB
# Parameters of kornia's that are not one row an image: the order of a batch's colour jitters, and its shape.
_NOT_OF_IMAGES = {"order", "forward_input_shape"}


class Normalize(nn.Module):
    """uint8 or [0, 1] pixels → channels of mean 0 and standard deviation 1 over the training images."""

    mean: Tensor
    std: Tensor

    def __init__(self, pixels: Tensor) -> None:
        """Measure the channels of (N, C, S, S) uint8 `pixels`."""
        super().__init__()
        # Integer sums: the same to the last bit for any number of threads. Of some images at a time, because
        # what bincount counts it copies.
        counts = torch.zeros(pixels.shape[1], 256, dtype=torch.int64)
        for start in range(0, len(pixels), _BLOCK):
            channels = pixels[start : start + _BLOCK].unbind(1)
            counts += torch.stack([torch.bincount(c.reshape(-1), minlength=256) for c in channels]).cpu()
        levels = torch.arange(256, dtype=torch.float64) / 255
        shares = counts.double() / counts.sum(1, keepdim=True)
        mean = shares @ levels
        std = (shares @ levels.square() - mean.square()).clamp(min=0).sqrt()
        self.register_buffer("mean", mean.float().view(1, -1, 1, 1))
        self.register_buffer("std", std.clamp(min=1e-3).float().view(1, -1, 1, 1))  # constant images

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, S, S) uint8 or floats in [0, 1] → float32."""
        scaled = images.float() / 255 if images.dtype == torch.uint8 else images
        return (scaled - self.mean) / self.std


def simclr_augmentations(config: TrainConfig, size: int) -> nn.Sequential:
    """SimCLR's augmentations (Chen et al. 2020, appendix A), parameters drawn for each image of a batch.

    Defaults are those for CIFAR-10 (appendix B.9): jitter strength 0.5, no blur. Colour jitter and greyscale
    are left out where the images do not have three channels. The rotation is not SimCLR's.
    """
    s, turn = config.jitter_strength, config.rotation_degrees
    of_colours = [
        K.ColorJitter(0.8 * s, 0.8 * s, 0.8 * s, 0.2 * s, p=config.jitter_probability),
        K.RandomGrayscale(p=config.grayscale_probability),
    ]
    return nn.Sequential(
        *([K.RandomRotation(turn, p=1.0)] if turn else []),  # corners from beyond the image are black
        # resample: one interpolation for the whole batch, where slice loops over the images
        K.RandomResizedCrop(
            (size, size), scale=(config.crop_scale_min, 1.0), ratio=(3 / 4, 4 / 3), cropping_mode="resample"
        ),
        K.RandomHorizontalFlip(p=config.flip_probability),
        *(of_colours if config.channels in (None, 3) else []),
        # SimCLR's kernel: a tenth of the image, odd, sigma 0.1 to 2
        K.RandomGaussianBlur((size // 20 * 2 + 1,) * 2, (0.1, 2.0), p=config.blur_probability),
    )


class Views(nn.Module):
    """(B, C, S, S) uint8 images → two independent augmentations of each, normalised."""

    augment: nn.Sequential

    def __init__(self, config: TrainConfig, pixels: Tensor) -> None:
        """`pixels`: all (N, C, S, S) training images, whose channel statistics normalise the views."""
        super().__init__()
        self.augment = simclr_augmentations(config, pixels.shape[-1])
        self.normalize = Normalize(pixels)

    @torch.no_grad()
    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Two (B, C, S, S) float32 batches; image i of one and image i of the other are a positive pair.

        Where several processes train, `images` are this one's rows of the global batch.
        """
        scaled = images.float() / 255
        with torch.autocast(images.device.type, enabled=False):  # or crops would be placed to a pixel or so
            view_a, view_b = (augmented(self.augment, scaled, world_size()) for _ in range(2))
            return self.normalize(view_a), self.normalize(view_b)


def augmented(augment: nn.Sequential, images: Tensor, processes: int = 1) -> Tensor:
    """(B, C, S, S) floats in [0, 1], each image augmented by parameters of its own.

    Among several `processes`, `images` are this one's rows of a batch: parameters are drawn for all rows of
    it, and each process takes those of its own.
    """
    whole = torch.Size((len(images) * processes, *images.shape[1:]))
    augmentation: Any
    for augmentation in augment:
        # Drawn where nothing is done with them, too: a probability of 0 must not move the other draws.
        parameters = augmentation.forward_parameters(whole)
        if augmentation.p == 0:
            continue  # kornia would compute it for every image and keep none
        if processes > 1:
            of_images = parameters.keys() - _NOT_OF_IMAGES
            parameters |= {name: own_rows(parameters[name]) for name in of_images}
            parameters["forward_input_shape"] = torch.tensor(images.shape)
        images = augmentation(images, params=parameters)
    return images


@dataclass(frozen=True)
class TrainingViews:
    """`lidar_views` views of each of the first `lidar_images` images, as training augments them.

    Seeded, so that milestones and runs are compared on the same images and views. Draws from torch's global
    generators: whoever iterates keeps their states, as `embed.frozen` does.
    """

    config: TrainConfig
    images: Images
    _kept: list[Tensor] = field(default_factory=list, init=False, repr=False)

    source = f"training augmentations, seed {_VIEW_SEED}"

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
        torch.manual_seed(_VIEW_SEED)
        for batch in torch.split(pixels, max(1, _VIEWS // config.lidar_views)):
            images = batch.to(module.device).float() / 255
            yield torch.stack([augmented(augment, images) for _ in range(config.lidar_views)], dim=1)
