"""Metrics of one spectrum, worked out by hand and against other implementations."""

from math import exp, log

import numpy as np
import pytest
from scipy.linalg import svdvals
from test_edge_cases import CROSS

from selector.metrics.arrays import one_thread
from selector.metrics.spectral import (
    LARGEST_CONDITION_NUMBER,
    alpha_req,
    alpha_req_score,
    condition_number,
    nesum,
    participation_ratio,
    rankme,
    stable_rank,
)

RNG = np.random.default_rng(0)


def rankme_by_definition(embeddings, eps=1e-7):
    """Garrido et al. 2023, equation 1, on scipy's SVD."""
    with one_thread():
        sigma = svdvals(np.asarray(embeddings, dtype=np.float64))
    p = sigma / sigma.sum() + eps
    return exp(-(p * np.log(p)).sum())


@pytest.mark.parametrize(
    ("embeddings", "expected"),
    [
        (np.eye(4), 4.0),  # four directions, equally used
        ([[3.0, 1.0], [3.0, -1.0]], 4 / 3**0.75),  # singular values 3√2, √2: p = (3/4, 1/4)
        ([[2.0, 0.0], [0.0, 0.0]], 1.0),  # one direction
        (np.zeros((5, 3)), 1.0),  # no direction at all
        ([[7.0, 1.0]], 1.0),  # one image
    ],
)
def test_rankme_worked_out_by_hand(embeddings, expected):
    with np.errstate(all="raise"):
        assert rankme(embeddings) == pytest.approx(expected, abs=1e-5)


def test_each_unused_direction_adds_its_eps():
    # p = (1 + eps, eps, …, eps): 127 unused directions, of which 40 images of 128 dimensions show 39
    assert rankme(np.ones((200, 128))) == pytest.approx(exp(127e-7 * log(1e7) - 1e-7), rel=1e-9)
    assert rankme(np.ones((40, 128))) == pytest.approx(exp(39e-7 * log(1e7) - 1e-7), rel=1e-9)


@pytest.mark.parametrize(
    "embeddings",
    [
        RNG.standard_normal((1000, 128)),
        RNG.standard_normal((50, 200)),  # N < D
        RNG.standard_normal((1000, 64)) * np.arange(1, 65) ** -2.0,
        RNG.standard_normal((1000, 64)) * 10.0 ** -np.linspace(0, 16, 64),
        RNG.standard_normal((1000, 5)) @ RNG.standard_normal((5, 64)),
        (np.ones((1000, 128)) + 1e-6 * RNG.standard_normal((1000, 128))).astype(np.float32),
        RNG.standard_normal((1000, 128)) + 1e6,
        np.maximum(RNG.standard_normal((1000, 64)) - 2, 0),
    ],
)
def test_rankme_is_that_of_a_float64_svd(embeddings):
    assert rankme(embeddings) == pytest.approx(rankme_by_definition(embeddings), rel=1e-9)


@pytest.mark.parametrize("eps", [1e-5, 1e-7, 1e-9])
def test_eps_is_added_after_scaling(eps):
    embeddings = RNG.standard_normal((200, 64)) * np.arange(1, 65) ** -2.0
    assert rankme(embeddings, eps=eps) == pytest.approx(rankme_by_definition(embeddings, eps), rel=1e-9)


def power_law(alpha: float, count: int = 400, dimension: int = 150) -> np.ndarray:
    """Embeddings whose covariance eigenvalues are exactly j^(−α)."""
    rng = np.random.default_rng(0)
    columns = np.linalg.qr(np.hstack([np.ones((count, 1)), rng.standard_normal((count, dimension))]))[0]
    return columns[:, 1:] * np.arange(1, dimension + 1) ** (-alpha / 2) + 3.0  # orthogonal to the constant


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        (nesum, 1.5),
        # XᵀX = diag(16, 4, 4) + 6 · diag(4, 0, 0) = diag(40, 4, 4)
        (stable_rank, 48 / 40),
        (participation_ratio, 2.0),
        (condition_number, 2.0),
    ],
)
def test_only_the_stable_rank_keeps_the_mean(metric, expected):
    assert metric(CROSS + np.array([2, 0, 0])) == pytest.approx(expected)


def test_condition_number_of_collapsed_embeddings_is_the_largest():
    rng = np.random.default_rng(0)
    collapsed = rng.standard_normal((500, 3)) @ rng.standard_normal((3, 8))
    assert condition_number(collapsed) == LARGEST_CONDITION_NUMBER == 2**52
    assert condition_number(collapsed.astype(np.float32)) == LARGEST_CONDITION_NUMBER
    assert condition_number(np.ones((500, 8))) == LARGEST_CONDITION_NUMBER
    assert condition_number(rng.standard_normal((8, 8))) == LARGEST_CONDITION_NUMBER  # rank 7 when centred
    assert condition_number(rng.standard_normal((500, 8)) * 10.0 ** -np.arange(8)) < 1e8


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0, 2.5])
def test_alpha_req_recovers_an_exact_power_law(alpha):
    embeddings = power_law(alpha)
    assert alpha_req(embeddings) == pytest.approx(alpha, abs=1e-9)
    assert alpha_req(embeddings, first=1, last=5) == pytest.approx(alpha, abs=1e-9)
    assert alpha_req_score(embeddings) == pytest.approx(-abs(alpha - 1), abs=1e-9)


def test_alpha_req_is_that_of_reptrix():
    rng = np.random.default_rng(0)
    embeddings = rng.standard_normal((400, 150)) * np.arange(1, 151) ** -0.6
    # reptrix 0.1.0: get_alpha(torch.from_numpy(embeddings))[0]
    assert alpha_req(embeddings) == pytest.approx(1.2848651146939296, rel=1e-9)


def test_alpha_req_weighs_each_rank_by_its_inverse():
    # ln λ = 0, 0, 0, 0, −1 at ln j = 0, ln 2, ln 3, ln 4, ln 5 with weights 1, 1/2, 1/3, 1/4, 1/5:
    # Σw = 2.283333, Σw x = 1.381239, Σw x² = 1.641054, Σw y = −0.2, Σw x y = −0.321888;
    # slope = (2.283333 · −0.321888 + 1.381239 · 0.2) / (2.283333 · 1.641054 − 1.381239²) = −0.249411
    eigenvalues = np.array([1, 1, 1, 1, np.exp(-1), 0.1])
    basis = np.linalg.qr(np.hstack([np.ones((40, 1)), np.random.default_rng(0).standard_normal((40, 6))]))[0]
    assert alpha_req(basis[:, 1:] * eigenvalues**0.5, first=1, last=5) == pytest.approx(0.249411, abs=1e-6)


def test_alpha_req_has_no_value_without_enough_directions():
    rng = np.random.default_rng(0)
    gauss = rng.standard_normal((400, 150))
    with pytest.raises(ValueError, match="rank 40"):
        alpha_req(gauss[:, :40] @ rng.standard_normal((40, 150)))
    with pytest.raises(ValueError, match="rank 0"):
        alpha_req(np.full((400, 150), 0.1))
    with pytest.raises(ValueError, match="400 embeddings of dimension 14 leave ranks 11 to 14"):
        alpha_req(gauss[:, :14])
    with pytest.raises(ValueError, match="15 embeddings of dimension 150 leave ranks 11 to 14"):
        alpha_req(gauss[:15])
    with pytest.raises(ValueError, match="ranks 0 to 100"):
        alpha_req(gauss, first=0)
