import dataclasses

import pytest
import pytorch_lightning as pl
import torch

from selector.config import paper_recipe
from selector.training import milestone_views
from selector.training.data import Images
from selector.training.milestone_views import TrainingViews


def views(pixels: torch.Tensor, **changes: object) -> torch.Tensor:
    config = dataclasses.replace(paper_recipe("simclr"), **changes)
    return torch.cat(list(TrainingViews(config, Images(pixels, None, "train"))(pl.LightningModule())))


@pytest.fixture(scope="module")
def pixels() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (300, 3, 16, 16), dtype=torch.uint8, generator=generator)


def test_views_of_the_first_images_in_their_order(pixels: torch.Tensor) -> None:
    drawn = views(pixels, lidar_images=200, lidar_views=5)
    assert drawn.shape == (200, 5, 3, 16, 16)
    # Crops, flips and jitter leave an image's darkness: dark images stay the dark ones.
    darkened = pixels // torch.where(torch.arange(300) % 2 == 0, 1, 8)[:, None, None, None].to(torch.uint8)
    brightness = views(darkened, lidar_images=200, lidar_views=5).mean(dim=(2, 3, 4))
    assert brightness[0::2].min() > brightness[1::2].max()


def test_views_are_the_same_every_time_and_differ_from_one_another(pixels: torch.Tensor) -> None:
    torch.manual_seed(1)
    first = views(pixels, lidar_images=100, lidar_views=3)
    torch.manual_seed(2)
    assert torch.equal(views(pixels, lidar_images=100, lidar_views=3), first)
    assert not torch.equal(first[:, 0], first[:, 1])
    assert not torch.equal(first[0, 0], first[1, 0])
    assert first.min() >= 0
    assert first.max() <= 1


def test_views_are_kept_for_the_next_milestone_but_not_where_they_are_many(
    pixels: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = dataclasses.replace(paper_recipe("simclr"), lidar_images=300, lidar_views=4)
    module = pl.LightningModule()
    for limit, kept in ((4 * pixels.numel() * 4, True), (4 * pixels.numel() * 4 - 1, False)):
        monkeypatch.setattr(milestone_views, "_KEPT_BYTES", limit)
        make = TrainingViews(config, Images(pixels, None, "train"))
        next(make(module))  # somebody's Ctrl-C after the first batch
        first, again = (list(make(module)) for _ in range(2))
        assert len(first) == len(again) == 3
        assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
        assert (first[0] is again[0]) == kept
