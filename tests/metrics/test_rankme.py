from math import exp, log

import numpy as np
import pytest
from scipy.linalg import svdvals

from selector.metrics.arrays import one_thread
from selector.metrics.spectral import rankme

rng = np.random.default_rng(0)


def by_definition(embeddings, eps=1e-7):
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
def test_value_worked_out_by_hand(embeddings, expected):
    with np.errstate(all="raise"):
        assert rankme(embeddings) == pytest.approx(expected, abs=1e-5)


def test_each_unused_direction_adds_its_eps():
    # p = (1 + eps, eps, …, eps): 127 unused directions, of which 40 images of 128 dimensions show 39
    assert rankme(np.ones((200, 128))) == pytest.approx(exp(127e-7 * log(1e7) - 1e-7), rel=1e-9)
    assert rankme(np.ones((40, 128))) == pytest.approx(exp(39e-7 * log(1e7) - 1e-7), rel=1e-9)


@pytest.mark.parametrize(
    "embeddings",
    [
        rng.standard_normal((1000, 128)),
        rng.standard_normal((50, 200)),  # N < D
        rng.standard_normal((1000, 64)) * np.arange(1, 65) ** -2.0,
        rng.standard_normal((1000, 64)) * 10.0 ** -np.linspace(0, 16, 64),
        rng.standard_normal((1000, 5)) @ rng.standard_normal((5, 64)),
        (np.ones((1000, 128)) + 1e-6 * rng.standard_normal((1000, 128))).astype(np.float32),
        rng.standard_normal((1000, 128)) + 1e6,
        np.maximum(rng.standard_normal((1000, 64)) - 2, 0),
    ],
)
def test_is_the_rankme_of_a_float64_svd(embeddings):
    assert rankme(embeddings) == pytest.approx(by_definition(embeddings), rel=1e-9)


@pytest.mark.parametrize("eps", [1e-5, 1e-7, 1e-9])
def test_eps_is_added_after_scaling(eps):
    embeddings = rng.standard_normal((200, 64)) * np.arange(1, 65) ** -2.0
    assert rankme(embeddings, eps=eps) == pytest.approx(by_definition(embeddings, eps), rel=1e-9)
