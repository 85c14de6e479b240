"""Directions on the sphere, worked out by hand and against lightly."""

import numpy as np
import pytest
import torch
from lightly.loss.hypersphere_loss import HypersphereLoss
from lightly.utils.debug import std_of_l2_normalized
from scipy.spatial.distance import pdist
from scipy.special import hyp0f1

from selector.metrics import alignment, arrays, geometry, uniformity
from selector.metrics.geometry import channel_std, collapse_level, self_clustering


def test_channels_worked_out_by_hand():
    # Directions (1, 0), (0, 1), (0, 1): each channel deviates by ±(2/3, 1/3, 1/3); squares sum to 2/3, over
    # N − 1 = 2.
    embeddings = [[3.0, 0.0], [0.0, 2.0], [0.0, 5.0]]
    assert channel_std(embeddings) == pytest.approx(3**-0.5)
    assert collapse_level(embeddings) == pytest.approx(1 - (2 / 3) ** 0.5)


@pytest.mark.parametrize("shape", [(500, 16), (10, 64), (2, 3)])
def test_channels_agree_with_lightly(shape, monkeypatch):
    monkeypatch.setattr(arrays, "BLOCK_ELEMENTS", 100)
    embeddings = torch.from_numpy(np.random.default_rng(0).standard_normal(shape) + 1)
    theirs = std_of_l2_normalized(embeddings).item()
    assert channel_std(embeddings) == pytest.approx(theirs, rel=1e-12)
    assert collapse_level(embeddings) == pytest.approx(max(0, 1 - shape[1] ** 0.5 * theirs), abs=1e-12)


def test_collapsed_and_spread():
    rng = np.random.default_rng(0)
    direction = rng.standard_normal(64)
    for collapsed in (np.tile(direction, (100, 1)), np.zeros((100, 64)), np.full((100, 64), 0.1)):
        assert channel_std(collapsed) == 0
        assert collapse_level(collapsed) == 1
    lengths_alone = rng.uniform(1, 9, (100, 1)) * direction
    assert channel_std(lengths_alone) == pytest.approx(0, abs=1e-15)
    spread = rng.standard_normal((20000, 64))
    assert channel_std(spread) == pytest.approx(1 / 8, rel=1e-3)  # 1/√D
    assert collapse_level(spread) == pytest.approx(0, abs=1e-3)


def test_level_is_never_negative():
    # Two ends of a line, ±1/√2 in each channel: squares 1/2 + 1/2, over N − 1 = 1. Above 1/√D = 0.71.
    ends = np.array([[1.0, 1.0], [-1.0, -1.0]])
    assert channel_std(ends) == pytest.approx(1.0)
    assert collapse_level(ends) == 0.0


@pytest.mark.parametrize(
    ("views", "alpha", "expected"),
    [
        ([[[1, 0], [0, 7]]], 2, 2),  # at right angles
        ([[[1, 0], [0, 7]]], 1, 2**0.5),
        ([[[1, 0], [-3, 0]]], 2, 4),  # opposite
        ([[[1, 0], [0, 7], [2, 0]]], 2, 4 / 3),  # pairs: 2, 0, 2
        ([[[1, 0], [0, 7]], [[2, 2], [5, 5]]], 2, 1),  # two images: 2 and 0
        ([[[0, 0], [0, 7]]], 2, 1),  # a zero vector stays zero
    ],
)
def test_alignment_worked_out_by_hand(views, alpha, expected):
    assert alignment(np.array(views), alpha=alpha) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("embeddings", "t", "expected"),
    [
        ([[1, 0], [0, 7]], 2, -4),  # ‖u − v‖² = 2: ln e^(−4)
        ([[1, 0], [-7, 0]], 2, -8),  # opposite, the least for two: −2t N/(N − 1)
        ([[1, 0], [0, 7]], 0.5, -1),
        ([[1, 0], [4, 0], [0, 1]], 2, np.log((1 + 2 * np.exp(-4)) / 3)),
        ([[1, 2]] * 9, 2, 0),  # one point
        ([[0, 0], [0, 7]], 2, -2),  # a zero vector stays zero, at distance 1
        ([[0, 0], [0, 0]], 2, 0),
        ([[1, 0], [-7, 0]], 500, -2000),  # where exp alone would vanish
    ],
)
def test_uniformity_worked_out_by_hand(embeddings, t, expected):
    assert uniformity(np.array(embeddings), t=t) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("block", [2**22, 64, 5], ids=["one block", "blocks", "one row at a time"])
def test_agree_with_the_authors_formulas(block, monkeypatch):
    monkeypatch.setattr(arrays, "BLOCK_ELEMENTS", block)
    monkeypatch.setattr(geometry, "BLOCK_ELEMENTS", block)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((50, 6)) + 0.5
    y = x + 0.3 * rng.standard_normal((50, 6))
    x, y = (z / np.linalg.norm(z, axis=1, keepdims=True) for z in (x, y))
    for power in (1, 2, 3):
        theirs = (np.linalg.norm(x - y, axis=1) ** power).mean()
        assert alignment(np.stack([x, y], axis=1), alpha=power) == pytest.approx(theirs)
    for t in (0.5, 2):
        assert uniformity(x, t=t) == pytest.approx(np.log(np.exp(-t * pdist(x) ** 2).mean()))


def test_agree_with_lightly():
    rng = np.random.default_rng(0)
    views = rng.standard_normal((200, 2, 16)) + rng.standard_normal((200, 1, 16))
    first, second = torch.from_numpy(views[:, 0]), torch.from_numpy(views[:, 1])
    aligned = HypersphereLoss(t=2.0, lam=0.0, alpha=1.0)(first, second).item()
    assert alignment(views, alpha=1) == pytest.approx(aligned)
    assert uniformity(first) == pytest.approx(
        HypersphereLoss(t=2.0)(first, first).item()
    )  # whose alignment is 0


def test_uniformity_of_evenly_spread_directions():
    spread = np.random.default_rng(0).standard_normal((3000, 16))
    # E exp(−t‖u − v‖²) over the sphere is e^(−2t) ₀F₁(; D/2; t²) (Wang and Isola, corollary 1).
    assert uniformity(spread) == pytest.approx(-4 + np.log(hyp0f1(8, 4)), abs=0.01)


def test_refused_arguments():
    with pytest.raises(ValueError, match="alpha above 0, got 0"):
        alignment(np.ones((2, 2, 2)), alpha=0)
    with pytest.raises(ValueError, match="t above 0, got nan"):
        uniformity(np.ones((2, 2)), t=float("nan"))
    with pytest.raises(ValueError, match="at least 2 embeddings, got 1"):
        uniformity(np.ones((1, 2)))
    with pytest.raises(ValueError, match=r"shape \(5, 3\)"):
        alignment(torch.ones(5, 3))


@pytest.mark.parametrize(
    ("embeddings", "expected"),
    [
        # Q = 2, E = 2 + 2/2 = 3: (2 − 3) / (4 − 3)
        (np.eye(2), -1),
        # e₁, e₁, e₂ in two dimensions: Q = 3 + 2 = 5, E = 3 + 6/2 = 6: (5 − 6) / (9 − 6)
        ([[1, 0], [5, 0], [0, 2]], -1 / 3),
        # and in three: E = 3 + 6/3 = 5, exactly chance
        ([[1, 0, 0], [5, 0, 0], [0, 2, 0]], 0),
        # an angle of 60°: Q = 2 + 2/4 = 2.5, E = 2 + 2/2 = 3
        ([[1, 0], [1, 3**0.5]], -0.5),
        ([[1, 2, 2]] * 7, 1),  # one point
        ([[1, 2, 2], [-1, -2, -2]], 1),  # opposite directions are one line
        ([[0.0], [1.0], [2.0]], 1),  # in one dimension all are
    ],
)
def test_self_clustering_worked_out_by_hand(embeddings, expected):
    assert self_clustering(np.array(embeddings)) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("shape", [(60, 8), (8, 60)])
def test_self_clustering_agrees_with_all_pairs(shape, monkeypatch):
    monkeypatch.setattr(arrays, "BLOCK_ELEMENTS", 50)
    embeddings = np.random.default_rng(0).standard_normal(shape) + 0.5
    count, dimension = shape
    pairs = 0.0
    for u in embeddings:
        for v in embeddings:
            pairs += (u @ v / np.linalg.norm(u) / np.linalg.norm(v)) ** 2
    chance = count + count * (count - 1) / dimension
    assert self_clustering(embeddings) == pytest.approx((pairs - chance) / (count**2 - chance))


def test_zero_vectors_are_one_point_of_their_own():
    assert self_clustering(np.zeros((5, 3))) == 1
    # Two zero vectors as one direction at right angles to e₁ and e₂: like e₁, e₂, e₃, e₃ in three dimensions.
    zeros = self_clustering(np.array([[1, 0, 0], [0, 1, 0], [0, 0, 0], [0, 0, 0]]))
    assert zeros == self_clustering(np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 1]]))
