import numpy as np
import pytest
import torch
from scipy.stats import chisquare
from torchvision.transforms import AutoAugment, AutoAugmentPolicy

from selector.training.autoaugment import autoaugment, draw


def photographs(count, channels, size=16):
    """Smooth images with contrasts of their own, dark, bright and plain ones among them."""
    rng = np.random.default_rng(0)
    coarse = torch.from_numpy(rng.uniform(0, 1, (count, channels, 4, 4)))
    smooth = torch.nn.functional.interpolate(coarse, size=(size, size), mode="bilinear")
    low, high = np.sort(rng.uniform(0, 255, (2, count, 1, 1, 1)), axis=0)
    images = (low + smooth.numpy() * (high - low)).astype(np.uint8)
    images[0] = 7
    return torch.from_numpy(images)


def every_draw(applied):
    """Each sub-policy with each pair of signs; both operations applied, or only one, or none."""
    policy, *sign = torch.meshgrid(torch.arange(25), *[torch.arange(2)] * 2, indexing="ij")
    chance = torch.tensor([0.0 if on else 1.0 for on in applied]).expand(100, 2)
    return policy.flatten(), chance, torch.stack([s.flatten() for s in sign], dim=1)


def one_by_one(images, draws, monkeypatch):
    policy = AutoAugment(AutoAugmentPolicy.CIFAR10)
    drawn = iter(zip(*draws, strict=True))

    def parameters(_):
        number, chance, sign = next(drawn)
        return int(number), chance, sign

    monkeypatch.setattr(policy, "get_params", parameters)
    return torch.stack([policy(image) for image in images])


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("applied", [(True, True), (True, False), (False, True), (False, False)])
def test_every_operation_as_torchvision_applies_it(channels, applied, monkeypatch):
    images, draws = photographs(100, channels), every_draw(applied)
    before = images.clone()
    expected = one_by_one(images, draws, monkeypatch)
    assert torch.equal(autoaugment(images, *draws), expected)
    assert torch.equal(images, before)
    assert not any(applied) or not torch.equal(expected, images)


def test_drawn_images_as_torchvision_augments_them(monkeypatch):
    monkeypatch.setattr("selector.training.autoaugment._ELEMENTS", 5 * 3 * 9 * 9)  # five images at a time
    images, draws = photographs(300, 3, size=9), draw(300, seed=1)
    assert torch.equal(autoaugment(images, *draws), one_by_one(images, draws, monkeypatch))


def test_draws_are_even_and_the_seeds():
    policy, chance, sign = draw(20_000, seed=0)
    assert chisquare(torch.bincount(policy, minlength=25).numpy()).pvalue > 1e-3
    assert chance.mean(0).numpy() == pytest.approx([0.5, 0.5], abs=0.01)
    assert chisquare(torch.bincount(2 * sign[:, 0] + sign[:, 1]).numpy()).pvalue > 1e-3
    assert torch.equal(draw(50, seed=0)[1], draw(50, seed=0)[1])
    assert not torch.equal(draw(50, seed=0)[1], draw(50, seed=1)[1])
