"""Views to train on, distributed as Lightly's; and those of milestones, the same every time."""

import dataclasses

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from lightly.transforms import SimCLRTransform
from PIL import Image
from sklearn.datasets import load_sample_images

from selector.config import TrainConfig, paper_recipe
from selector.training import views as training_views
from selector.training.data import Images
from selector.training.views import Normalize, TrainingViews, Views, augmented, simclr_augmentations


def config(**changes: object) -> TrainConfig:
    return dataclasses.replace(paper_recipe("simclr"), **changes)


@pytest.fixture(scope="module")
def photographs() -> torch.Tensor:
    """256 patches of 32 px from scikit-learn's two photographs: real colours, real edges."""
    rng = np.random.default_rng(0)
    photos = load_sample_images().images
    patches = []
    for number in range(256):
        photo = photos[number % 2]
        top, left = rng.integers(photo.shape[0] - 96), rng.integers(photo.shape[1] - 96)
        patch = Image.fromarray(photo[top : top + 96, left : left + 96]).resize((32, 32))
        patches.append(np.asarray(patch))
    return torch.as_tensor(np.stack(patches)).permute(0, 3, 1, 2).contiguous()


def statistics(views: torch.Tensor) -> torch.Tensor:
    """Brightness, contrast, saturation and roughness of (N, 3, S, S) views: each (N,)."""
    spread = views.amax(1) - views.amin(1)
    edges = (views[:, :, :, 1:] - views[:, :, :, :-1]).abs()
    return torch.stack(
        [views.mean((1, 2, 3)), views.std((1, 2, 3)), spread.mean((1, 2)), edges.mean((1, 2, 3))]
    )


def test_views_are_distributed_like_lightlys_transform(photographs: torch.Tensor) -> None:
    torch.manual_seed(0)
    theirs = SimCLRTransform(input_size=32, cj_strength=0.5, gaussian_blur=0.0, normalize=None)
    images = [Image.fromarray(p) for p in photographs.permute(0, 2, 3, 1).numpy()]
    reference = torch.stack([view for image in images * 2 for view in theirs(image)])
    augment = simclr_augmentations(config(), 32)
    ours = torch.cat([augment(photographs.float() / 255) for _ in range(4)])
    a, b = statistics(ours), statistics(reference)
    # Means over 1,024 views each: two standard errors of the difference are about 0.1 of one view's spread.
    assert ((a.mean(1) - b.mean(1)).abs() < 0.15 * b.std(1)).all()
    assert ((a.std(1) / b.std(1) - 1).abs() < 0.15).all()
    grey_share = [(s[2] < 1e-3).float().mean().item() for s in (a, b)]
    assert grey_share == pytest.approx([0.2, 0.2], abs=0.05)


@pytest.mark.parametrize("probability", [0.0, 0.3])
def test_what_is_never_applied_is_drawn_and_skipped(probability: float, photographs: torch.Tensor) -> None:
    images = photographs[:16].float() / 255
    rare = {f"{name}_probability": probability for name in ("flip", "jitter", "grayscale", "blur")}
    augment = simclr_augmentations(config(**rare), 32)
    torch.manual_seed(0)
    by_kornia, next_draw = augment(images), torch.rand(1)
    torch.manual_seed(0)
    assert torch.equal(augmented(augment, images), by_kornia)
    assert torch.equal(torch.rand(1), next_draw)


def test_the_two_views_differ_and_the_seed_repeats_them(photographs: torch.Tensor) -> None:
    views = Views(config(), photographs)
    torch.manual_seed(3)
    first = views(photographs[:8])
    torch.manual_seed(3)
    again = views(photographs[:8])
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[0], first[1])


def test_augmentations_that_are_switched_off_leave_the_image() -> None:
    image = torch.rand(4, 3, 8, 8)
    off = config(crop_scale_min=1.0, flip_probability=0.0, jitter_probability=0.0, grayscale_probability=0.0)
    # A crop of the whole area still draws its aspect ratio, so only images without edges come back unchanged.
    flat = image.mean((2, 3), keepdim=True).expand(4, 3, 8, 8)
    assert torch.allclose(simclr_augmentations(off, 8)(flat), flat, atol=1e-5)


def test_a_rotation_turns_each_image_of_each_view_by_an_angle_of_its_own() -> None:
    still = {"crop_scale_min": 1.0, "jitter_probability": 0.0, "grayscale_probability": 0.0}
    # A bar from the middle upwards: where its centre of mass lies is the angle that it was turned by.
    bar = torch.zeros(200, 3, 31, 31)
    bar[:, :, :15, 14:17] = 1
    augment = simclr_augmentations(config(**still, flip_probability=0.0, rotation_degrees=40.0), 31)
    torch.manual_seed(0)
    rows, columns = torch.meshgrid(torch.arange(31.0) - 15, torch.arange(31.0) - 15, indexing="ij")
    angles = []
    for view in (augmented(augment, bar) for _ in range(2)):
        mass = view[:, 0]
        angles.append(torch.atan2((mass * columns).sum((1, 2)), -(mass * rows).sum((1, 2))).rad2deg())
    for found in angles:
        assert found.abs().max() < 43
        assert found.std() == pytest.approx(80 / 12**0.5, rel=0.15)  # uniform over 80 degrees
    assert abs(torch.corrcoef(torch.stack(angles))[0, 1]) < 0.2
    assert len(simclr_augmentations(config(), 31)) == len(augment) - 1  # by default nothing is drawn for it


def test_normalisation_matches_numpy(photographs: torch.Tensor) -> None:
    normal = Normalize(photographs)
    values = photographs.numpy() / 255.0
    assert normal.mean.flatten().numpy() == pytest.approx(values.mean((0, 2, 3)), rel=1e-5)
    assert normal.std.flatten().numpy() == pytest.approx(values.std((0, 2, 3)), rel=1e-4)
    normalised = normal(photographs)
    assert normalised.mean((0, 2, 3)).abs().max() < 1e-4
    assert torch.isfinite(
        Normalize(torch.full((4, 3, 2, 2), 9, dtype=torch.uint8))(torch.zeros(1, 3, 2, 2))
    ).all()


def test_mixed_precision_changes_no_view(photographs: torch.Tensor) -> None:
    views = Views(config(), photographs)
    torch.manual_seed(0)
    plain = views(photographs[:16])
    torch.manual_seed(0)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = views(photographs[:16])
    assert all(torch.equal(a, b) for a, b in zip(plain, mixed, strict=True))


# The views of milestones.


def of_milestones(pixels: torch.Tensor, **changes: object) -> torch.Tensor:
    asked = config(**changes)
    return torch.cat(list(TrainingViews(asked, Images(pixels, None, "train"))(pl.LightningModule())))


@pytest.fixture(scope="module")
def pixels() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (300, 3, 16, 16), dtype=torch.uint8, generator=generator)


def test_views_of_the_first_images_in_their_order(pixels: torch.Tensor) -> None:
    drawn = of_milestones(pixels, lidar_images=200, lidar_views=5)
    assert drawn.shape == (200, 5, 3, 16, 16)
    # Crops, flips and jitter leave an image's darkness: dark images stay the dark ones.
    darkened = pixels // torch.where(torch.arange(300) % 2 == 0, 1, 8)[:, None, None, None].to(torch.uint8)
    brightness = of_milestones(darkened, lidar_images=200, lidar_views=5).mean(dim=(2, 3, 4))
    assert brightness[0::2].min() > brightness[1::2].max()


def test_views_are_the_same_every_time_and_differ_from_one_another(pixels: torch.Tensor) -> None:
    torch.manual_seed(1)
    first = of_milestones(pixels, lidar_images=100, lidar_views=3)
    torch.manual_seed(2)
    assert torch.equal(of_milestones(pixels, lidar_images=100, lidar_views=3), first)
    assert not torch.equal(first[:, 0], first[:, 1])
    assert not torch.equal(first[0, 0], first[1, 0])
    assert first.min() >= 0
    assert first.max() <= 1


def test_views_are_kept_for_the_next_milestone_but_not_where_they_are_many(
    pixels: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = config(lidar_images=300, lidar_views=4)
    module = pl.LightningModule()
    for limit, kept in ((4 * pixels.numel() * 4, True), (4 * pixels.numel() * 4 - 1, False)):
        monkeypatch.setattr(training_views, "_KEPT_BYTES", limit)
        make = TrainingViews(asked, Images(pixels, None, "train"))
        next(make(module))  # somebody's Ctrl-C after the first batch
        first, again = (list(make(module)) for _ in range(2))
        assert len(first) == len(again) == 3
        assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
        assert (first[0] is again[0]) == kept
