import numpy as np
import pytest
import torch

from selector.evaluation.singular_values import singular_values
from selector.evaluation.threads import one_thread

rng = np.random.default_rng(0)


def rotated(scales, rows=2000):
    scales = np.asarray(scales, dtype=np.float64)
    rotation = np.linalg.qr(rng.standard_normal((len(scales), len(scales))))[0]
    return (rng.standard_normal((rows, len(scales))) * scales) @ rotation


MATRICES = {
    "well conditioned": rng.standard_normal((3000, 60)),
    "wide": rng.standard_normal((30, 200)),
    "one row": rng.standard_normal((1, 5)),
    "16 orders of magnitude": rotated(10.0 ** -np.linspace(0, 16, 96)),
    "two scales": rotated([1.0] * 20 + [1e-7] * 20 + [1e-12] * 20),
    "rank 7 of 50": rng.standard_normal((2000, 7)) @ rng.standard_normal((7, 50)),
    "rank 7 of 50 in float32": (rng.standard_normal((2000, 7)) @ rng.standard_normal((7, 50))).astype("f4"),
    "equal rows": np.full((500, 64), 3.3),
    "dead features": np.maximum(rng.standard_normal((500, 64)) * (np.arange(64) % 2), 0),
    "offset of 1e6": rng.standard_normal((2000, 50)) + 1e6,
    "hilbert": 1 / (1.0 + np.arange(300)[:, None] + np.arange(80)),
    "huge": 1e100 * rng.standard_normal((100, 8)),
    "tiny": 1e-300 * rng.standard_normal((100, 8)),
    "zero": np.zeros((10, 4)),
}


@pytest.mark.parametrize("name", MATRICES)
def test_are_those_of_an_svd(name):
    matrix = MATRICES[name]
    with one_thread():
        expected = np.linalg.svd(matrix.astype(np.float64), compute_uv=False)
    actual = singular_values(matrix)
    assert actual.shape == expected.shape
    assert (np.diff(actual) <= 0).all()
    # 1e-12 of the largest is an SVD's own accuracy, give or take a factor that grows with the size.
    np.testing.assert_allclose(actual, expected, rtol=1e-6, atol=1e-12 * expected[0])


def test_worked_out_by_hand():
    # columns (3, 3) and (1, -1) are at right angles: their lengths are the singular values
    np.testing.assert_allclose(singular_values([[3.0, 1.0], [3.0, -1.0]]), [3 * 2**0.5, 2**0.5])


def test_a_tensor_gives_what_its_array_gives():
    matrix = MATRICES["well conditioned"]
    np.testing.assert_array_equal(singular_values(torch.from_numpy(matrix)), singular_values(matrix))


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (np.ones(3), r"shape \(3,\)"),
        (np.ones((0, 3)), "at least 1"),
        (np.ones((3, 0)), r"shape \(3, 0\)"),
        ([[1.0, np.nan]], "finite"),
        ([[1.0, np.inf]], "finite"),
    ],
)
def test_says_what_it_refuses(matrix, message):
    with pytest.raises(ValueError, match=message):
        singular_values(matrix)
