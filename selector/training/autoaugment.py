"""AutoAugment's CIFAR-10 policy on many images at once."""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms import AutoAugment, AutoAugmentPolicy
from torchvision.transforms.autoaugment import _apply_op
from torchvision.transforms.functional import InterpolationMode
from torchvision.transforms.v2.functional import equalize_image

from selector.training.data import Images

_POLICY = AutoAugment(AutoAugmentPolicy.CIFAR10)
_LEVELS = 10  # of each operation's strength
_ELEMENTS = 2**24  # of pixels that go through an operation at once; it works in float32


def draw(count: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """What AutoAugment.get_params draws, for `count` images, each image's independent of the others'.

    Returns:
        (N,) which of the 25 sub-policies, each two operations in a row; (N, 2) in [0, 1): an operation is
        applied where this is at most its probability; (N, 2) 0 or 1: 0 makes its strength negative, where
        the operation has a direction.
    """
    generator = torch.Generator().manual_seed(seed)
    return (
        torch.randint(len(_POLICY.policies), (count,), generator=generator),
        torch.rand((count, 2), generator=generator),
        torch.randint(2, (count, 2), generator=generator),
    )


def autoaugment(pixels: Tensor, policy: Tensor, chance: Tensor, sign: Tensor) -> Tensor:
    """(N, 1 or 3, H, W) uint8 images after torchvision's AutoAugment, pixel for pixel.

    As if called on each with what `draw` gave it. torchvision draws for a whole batch at once, so separate
    draws would take one call per image. Here images that drew the same operation go through it together, on
    the device where they are.

    Source: Cubuk et al. 2019, https://arxiv.org/abs/1805.09501.
    """
    strengths = _POLICY._augmentation_space(_LEVELS, tuple(pixels.shape[-2:]))
    result = pixels.clone()
    for step in range(2):
        for number, sub_policy in enumerate(_POLICY.policies):
            name, probability, level = sub_policy[step]
            magnitudes, directed = strengths[name]
            magnitude = 0.0 if level is None else float(magnitudes[level])
            drawn = (policy == number) & (chance[:, step] <= probability)
            negative = drawn & (sign[:, step] == 0) if directed else torch.zeros_like(drawn)
            for rows, strength in ((drawn & ~negative, magnitude), (negative, -magnitude)):
                index = rows.nonzero()[:, 0].to(pixels.device)
                for some in torch.split(index, max(1, _ELEMENTS // pixels[0].numel())):
                    if len(some):
                        result[some] = _apply(result[some], name, strength)
    return result


def _apply(images: Tensor, name: str, strength: float) -> Tensor:
    if name == "Equalize":  # the same pixels as by _apply_op, which goes through a batch image by image
        equalized: Tensor = equalize_image(images)
        return equalized
    applied: Tensor = _apply_op(images, name, strength, InterpolationMode.NEAREST, None)
    return applied


def autoaugmented(images: Images, seed: int, epoch: int) -> Images:
    """Each image under AutoAugment's CIFAR-10 policy (Cubuk et al. 2018), as the paper's probe trains on."""
    own = int(np.random.SeedSequence([seed, epoch, 1]).generate_state(1, np.uint64)[0])
    return replace(images, pixels=autoaugment(images.pixels, *draw(len(images), own)))
