import numpy as np
import pytest
import torch
from lightly.loss.hypersphere_loss import HypersphereLoss
from scipy.spatial.distance import pdist
from scipy.special import hyp0f1

from selector.metrics import alignment, arrays, geometry, uniformity


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
