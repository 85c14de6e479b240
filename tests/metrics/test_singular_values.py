from functools import partial

import numpy as np
import pytest
import torch

from selector.metrics import SpectrumSums, arrays, lidar, rankme
from selector.metrics.spectrum import gram_of, roots_of_gram
from selector.metrics.umap_layout import _centres


def roots(matrix, floor=0.0):
    rows = torch.as_tensor(matrix, dtype=torch.float64)
    return roots_of_gram(gram_of(rows, 1.0), partial(gram_of, rows, 1.0, None), floor)


def test_worked_out_by_hand():
    # columns (3, 3) and (1, -1) are at right angles: their lengths are the singular values
    np.testing.assert_allclose(roots([[3.0, 1.0], [3.0, -1.0]]), [3 * 2**0.5, 2**0.5])


def test_small_values_are_found_where_a_gram_matrix_has_lost_them():
    rotation = np.linalg.qr(np.random.default_rng(0).standard_normal((3, 3)))[0]
    matrix = np.diag([1.0, 1e-6, 1e-11]) @ rotation
    once = np.sqrt(np.linalg.eigvalsh(matrix.T @ matrix).clip(0))
    assert once[0] != pytest.approx(1e-11, rel=0.5)  # squares of 1e-11 are below the rounding of 1
    np.testing.assert_allclose(roots(matrix), [1.0, 1e-6, 1e-11], rtol=1e-3)
    np.testing.assert_allclose(roots(matrix)[:2], [1.0, 1e-6], rtol=1e-9)


def test_below_the_floor_nothing_is_told_apart():
    looks = []
    rows = torch.diag(torch.tensor([1.0, 1e-6, 1e-11], dtype=torch.float64))

    def gram_along(basis):
        looks.append(basis.shape[1])
        return gram_of(rows, 1.0, None, basis)

    found = roots_of_gram(gram_of(rows, 1.0), gram_along, floor=1e-5)
    assert looks == [2]
    assert found[0] == 1.0
    assert (found[1:] <= 1e-5).all()


@pytest.mark.parametrize("blocks", [2**22, 7], ids=["one block", "many blocks"])
def test_gram_of_scaled_shifted_and_projected_rows(blocks, monkeypatch):
    monkeypatch.setattr(arrays, "BLOCK_ELEMENTS", blocks)
    rng = np.random.default_rng(0)
    rows, offset, basis = rng.standard_normal((20, 4)), rng.standard_normal(4), rng.standard_normal((4, 2))
    a = (rows / 3 - offset) @ basis
    actual = gram_of(*(torch.from_numpy(rows), 3.0, torch.from_numpy(offset), torch.from_numpy(basis)))
    np.testing.assert_allclose(actual, a.T @ a)


def test_eigenvalues_that_do_not_converge_are_computed_anew_and_said(monkeypatch):
    def gives_up(_):
        raise np.linalg.LinAlgError("Eigenvalues did not converge")

    matrix = np.random.default_rng(0).standard_normal((50, 8))
    expected = roots(matrix)
    monkeypatch.setattr(np.linalg, "eigh", gives_up)
    monkeypatch.setattr(torch.linalg, "eigvalsh", gives_up)
    with pytest.warns(RuntimeWarning, match="8 x 8 matrix did not converge.*QR iteration"):
        found = roots(matrix)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    np.testing.assert_allclose(found, np.linalg.svd(matrix, compute_uv=False), rtol=1e-10)


def test_every_metric_of_a_spectrum_goes_on_where_lapack_gives_up(monkeypatch):
    """LiDAR by an SVD, a stream by the eigenvalues of its Gram matrix, UMAP's start by eigenvectors."""

    def gives_up(*_, **__):
        raise torch.linalg.LinAlgError("did not converge")

    rng = np.random.default_rng(0)
    views, means = rng.standard_normal((20, 3, 8)), rng.standard_normal((12, 5))
    sums = SpectrumSums()
    sums.add(views.reshape(-1, 8))
    expected = lidar(views), rankme(sums.spectrum()), np.abs(_centres(means, np.random.RandomState(0)))
    for module, name in ((torch.linalg, "svdvals"), (torch.linalg, "eigvalsh"), (np.linalg, "eigh")):
        monkeypatch.setattr(module, name, gives_up)
    with pytest.warns(RuntimeWarning, match="singular values of a 8 x 20 matrix did not converge.*anew"):
        assert lidar(views) == pytest.approx(expected[0], rel=1e-12)
    with pytest.warns(RuntimeWarning, match="eigenvalues of a 8 x 8 matrix did not converge.*anew"):
        assert rankme(sums.spectrum()) == pytest.approx(expected[1], rel=1e-12)
    with pytest.warns(RuntimeWarning, match="eigenvalues of a 12 x 12 matrix did not converge.*anew"):
        np.testing.assert_allclose(
            np.abs(_centres(means, np.random.RandomState(0))), expected[2], rtol=1e-6, atol=1e-9
        )
