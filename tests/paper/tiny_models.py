"""Small encoders and images for tests of pretrained models."""

import torch
from torch import nn

from selector.paper.models import Preprocessing, PretrainedModel
from selector.training.data import Images

PREPROCESSING = Preprocessing(8, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25), "bilinear")


class Counting(nn.Module):
    """Mean colour of each quarter of an image, linearly mixed; notes how many images it has seen."""

    seen = 0

    def __init__(self, seed: int, dimension: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.pool, self.mix = nn.AdaptiveAvgPool2d(4), nn.Linear(48, dimension)

    def forward(self, images):
        Counting.seen += len(images)
        return self.mix(self.pool(images).flatten(1))


def tiny(name: str = "tiny1", family: str = "tiny", seed: int = 0, dimension: int = 6) -> PretrainedModel:
    return PretrainedModel(
        name,
        family,
        PREPROCESSING,
        "made up",
        f"{seed}-{dimension}",
        lambda: Counting(seed, dimension).eval(),
    )


def coloured(count: int, split: str, labelled: bool = True) -> Images:
    """Images of four noisy colours, which are their classes."""
    generator = torch.Generator().manual_seed(1 if split == "train" else 2)
    labels = torch.arange(count) % 4
    colours = torch.tensor([[200, 60, 60], [60, 200, 60], [60, 60, 200], [180, 180, 60]])
    noise = torch.randint(-40, 40, (count, 3, 8, 8), generator=generator)
    pixels = (colours[labels][:, :, None, None] + noise).clamp(0, 255).to(torch.uint8)
    return Images(pixels, labels if labelled else None, split)
