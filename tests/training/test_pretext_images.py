"""The images behind the pretext criteria, and encoders whose answers are known."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from selector.metrics.pretext import score_of
from selector.training.pretext import PretextImages, common_views, drawn_order, is_grey, turned


def colour_images(count=60, size=16, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (count, 3, size, size), np.uint8))


@pytest.fixture(scope="module")
def digits():
    grey = torch.from_numpy((load_digits().images * 15.9375).astype(np.uint8))[:400]
    return PretextImages.drawn(*(half[:, None].expand(-1, 3, -1, -1) for half in (grey[:250], grey[250:])))


def views(images):
    """Both views of all images."""
    return torch.cat(list(common_views(images))).unbind(1)


def test_an_image_is_turned_counter_clockwise_by_quarters():
    image = torch.tensor([[[[1, 2], [3, 4]]]])
    assert turned(image)[0, :, 0].tolist() == [
        [[1, 2], [3, 4]],
        [[2, 4], [1, 3]],
        [[4, 3], [2, 1]],
        [[3, 1], [4, 2]],
    ]


@pytest.mark.parametrize("images", [colour_images(), colour_images()[:, :1].expand(-1, 3, -1, -1)])
def test_common_views_repeat_and_leave_the_random_state_alone(images):
    torch.manual_seed(7)
    before = torch.get_rng_state()
    first, second = views(images)
    again, _ = views(images)
    assert torch.equal(first, again)
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.equal(first, second)
    assert first.shape == images.shape
    assert 0 <= first.min() <= first.max() <= 1


def test_views_of_grey_images_stay_grey_and_keep_their_left_side():
    ramp = torch.arange(16, dtype=torch.uint8).mul(15).expand(40, 3, 16, 16)
    assert is_grey(ramp)
    assert not is_grey(colour_images())
    first, _ = views(ramp)
    assert torch.allclose(first[:, 0], first[:, 2], atol=1e-6)
    assert (first[:, 0, :, 0].mean(1) < first[:, 0, :, -1].mean(1)).all()


def test_images_of_other_channels_are_cropped_and_small_ones_have_no_gradients():
    bands = torch.randint(0, 256, (20, 5, 8, 8), dtype=torch.uint8)
    assert views(bands)[0].shape == bands.shape

    def encode(images):
        return images.float().flatten(1).numpy()

    assert PretextImages.drawn(bands, bands).ask(encode).hogs is not None
    small = bands[..., :6, :6]
    answers = PretextImages.drawn(small, small).ask(encode).answers()
    assert answers.residuals is None
    assert answers.ranks is not None


def test_images_whose_edges_all_run_alike_ask_nothing_about_gradients():
    slopes = torch.arange(1, 9).view(8, 1, 1, 1) * torch.arange(16).view(1, 1, 1, 16)
    ramps = slopes.to(torch.uint8).repeat(1, 3, 16, 1)

    def encode(images):
        return images.float().flatten(1).numpy()

    assert PretextImages.drawn(ramps, ramps).ask(encode).hogs is None
    ramps[0] = ramps[0].mT.clone()
    assert PretextImages.drawn(ramps, ramps).ask(encode).hogs is not None


def test_what_the_loaders_give_and_views_that_are_known_are_not_embedded_again():
    train, held_out = colour_images(40), colour_images(30, seed=1)
    embedded = []

    def encode(images):
        embedded.append(len(images))
        return images.float().mul(1 if images.is_floating_point() else 1 / 255).flatten(1).numpy()

    anew = PretextImages.drawn(train, held_out).ask(encode)
    assert sum(embedded) == 4 * 40 + 4 * 30 + 2 * 30
    embedded.clear()
    images = PretextImages.of_loaders(train[drawn_order(40)], held_out)
    views = np.stack([anew.first, anew.second], 1)
    known = encode(train[drawn_order(40)]), encode(held_out)[images.places], views
    embedded.clear()
    again = images.ask(encode, *known)
    assert sum(embedded) == 3 * 40 + 3 * 30
    for name in ("turned_train", "turned", "first", "second"):
        assert np.array_equal(getattr(anew, name), getattr(again, name))
    assert np.array_equal(anew.held_out, again.held_out)
    untaught = PretextImages.drawn(train, held_out, turns=False).ask(encode)
    assert untaught.turned is None
    assert score_of(untaught.answers()) != score_of(anew.answers())


def test_pixels_answer_better_than_a_collapsed_encoder_and_noise(digits):
    def pixels(images):
        scaled = images.float() / 255 if images.dtype == torch.uint8 else images
        return scaled[:, 0].flatten(1).numpy()

    def collapsed(images):
        return np.ones((len(images), 5), np.float32)

    draws = np.random.default_rng(0)

    def noise(images):
        return draws.normal(size=(len(images), 8)).astype(np.float32)

    scores = {e.__name__: score_of(digits.ask(e).answers()) for e in (pixels, collapsed, noise)}
    assert scores["pixels"] > 0.2
    assert scores["collapsed"] < 0.01
    assert scores["noise"] < 0.05
