"""Images through a frozen encoder, with what was embedded before on disk."""

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_models import Counting, coloured, tiny

from selector.paper.cache import EmbeddingCache
from selector.paper.embedding import BLOCK_BATCHES, Embedder, preprocess
from selector.paper.models import Preprocessing

BATCH = 2
BLOCK = BATCH * BLOCK_BATCHES


def embedder(folder, model=None):
    Counting.seen = 0
    return Embedder(model or tiny(), EmbeddingCache(folder), BATCH, torch.device("cpu"), lambda text: None)


def test_embeddings_are_the_networks_in_the_order_of_the_images(tmp_path):
    pixels = coloured(BLOCK + 7, "train").pixels
    found = embedder(tmp_path).embed(pixels, "images")
    with torch.no_grad():
        expected = tiny().build()((pixels / 255 - 0.5) / 0.25)
    assert found.dtype == np.float32
    assert np.allclose(found, expected.numpy(), atol=1e-6)


def test_a_second_call_embeds_nothing_and_a_larger_subset_only_what_is_new(tmp_path):
    pixels = coloured(3 * BLOCK, "train").pixels
    embedder(tmp_path).embed(pixels[: 2 * BLOCK], "images")
    again = embedder(tmp_path)
    again.embed(pixels[: 2 * BLOCK], "images")
    assert Counting.seen == 0
    again.embed(pixels, "images")
    assert Counting.seen == BLOCK


def test_an_interrupted_call_continues(tmp_path):
    pixels = coloured(3 * BLOCK, "train").pixels
    whole = embedder(tmp_path / "whole").embed(pixels, "images")

    def interrupt(text):
        if f"{2 * BLOCK} of" in text:
            raise KeyboardInterrupt

    interrupted = embedder(tmp_path / "cut")
    interrupted.progress = interrupt
    with pytest.raises(KeyboardInterrupt):
        interrupted.embed(pixels, "images")
    resumed = embedder(tmp_path / "cut")
    assert np.array_equal(resumed.embed(pixels, "images"), whole)
    assert Counting.seen == BLOCK


@pytest.mark.parametrize("other", [tiny(seed=1), tiny("tiny2")])
def test_other_weights_or_models_have_embeddings_of_their_own(tmp_path, other):
    pixels = coloured(BLOCK, "train").pixels
    embedder(tmp_path).embed(pixels, "images")
    embedder(tmp_path, other).embed(pixels, "images")
    assert Counting.seen == BLOCK


def test_augmented_images_can_be_forgotten_alone(tmp_path):
    pixels = coloured(BLOCK, "train").pixels
    one = embedder(tmp_path)
    one.embed(pixels, "images")
    one.embed(pixels.flip(0), "augmented", augmented=True)
    one.forget_augmented()
    Counting.seen = 0
    one.embed(pixels, "images")
    assert Counting.seen == 0
    one.embed(pixels.flip(0), "augmented", augmented=True)
    assert Counting.seen == BLOCK


def test_preprocessing_is_what_pillow_and_arithmetic_give():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (12, 12, 3), dtype=np.uint8)
    wanted = Preprocessing(24, (0.5, 0.4, 0.3), (0.2, 0.3, 0.4), "bilinear")
    found = preprocess(torch.from_numpy(image).permute(2, 0, 1)[None], wanted)[0]
    scaled = np.asarray(Image.fromarray(image).resize((24, 24), Image.Resampling.BILINEAR)) / 255
    expected = (scaled - np.array(wanted.mean)) / np.array(wanted.std)
    assert np.abs(found.permute(1, 2, 0).numpy() - expected).max() < 1.01 / 255 / 0.2  # a grey level


def test_bicubic_edges_stay_within_the_range_of_pixels():
    edge = torch.zeros(1, 3, 8, 8, dtype=torch.uint8)
    edge[..., 4:] = 255
    found = preprocess(edge, Preprocessing(20, (0.0,) * 3, (1.0,) * 3, "bicubic"))
    assert (found.min(), found.max()) == (0, 1)


def test_images_of_the_right_size_are_not_resampled():
    pixels = coloured(2, "train").pixels
    found = preprocess(pixels, Preprocessing(8, (0.0,) * 3, (1.0,) * 3, "bicubic"))
    assert torch.equal(found, pixels / 255)
