import numpy as np
import pytest
import torch

from selector.metrics import SpectrumSums, lidar, rankme
from selector.metrics.arrays import one_thread
from selector.metrics.spectrum import Spectrum
from selector.metrics.umap_layout import _centres


def test_small_values_are_found_where_a_gram_matrix_has_lost_them():
    rotation = np.linalg.qr(np.random.default_rng(0).standard_normal((3, 3)))[0]
    matrix = np.diag([1.0, 1e-6, 1e-11]) @ rotation
    once = np.sqrt(np.linalg.eigvalsh(matrix.T @ matrix).clip(0))
    assert once[0] != pytest.approx(1e-11, rel=0.5)  # squares of 1e-11 are below the rounding of 1
    np.testing.assert_allclose(Spectrum(matrix).uncentred, [1.0, 1e-6, 1e-11], rtol=1e-3)
    np.testing.assert_allclose(Spectrum(matrix).uncentred[:2], [1.0, 1e-6], rtol=1e-9)


@pytest.mark.parametrize("threads", [1, 2])
def test_no_digit_depends_on_the_number_of_threads(threads):
    rows, before = np.random.default_rng(0).standard_normal((3000, 200)), torch.get_num_threads()
    torch.set_num_threads(threads)
    found = Spectrum(rows)
    values = found.uncentred.tolist(), found.centred.tolist()
    torch.set_num_threads(before)
    with one_thread():
        alone = Spectrum(rows)
        assert values == (alone.uncentred.tolist(), alone.centred.tolist())


def test_every_metric_of_a_spectrum_goes_on_where_lapack_gives_up(monkeypatch):
    """RankMe and LiDAR by an SVD, a stream by its Gram matrix, the start of UMAP by eigenvectors."""

    def gives_up(*_, **__):
        raise torch.linalg.LinAlgError("did not converge")

    rng = np.random.default_rng(0)
    views, means = rng.standard_normal((20, 3, 8)), rng.standard_normal((12, 5))
    sums = SpectrumSums()
    sums.add(views.reshape(-1, 8))
    expected = lidar(views), rankme(views.reshape(-1, 8)), np.abs(_centres(means, np.random.RandomState(0)))
    for module, name in ((torch.linalg, "svdvals"), (torch.linalg, "eigvalsh"), (np.linalg, "eigh")):
        monkeypatch.setattr(module, name, gives_up)
    with pytest.warns(
        RuntimeWarning, match="singular values of a 8 x 20 matrix did not converge.*recomputed"
    ):
        assert lidar(views) == pytest.approx(expected[0], rel=1e-12)
    with pytest.warns(RuntimeWarning, match="singular values of a 9 x 8 matrix did not converge.*recomputed"):
        assert rankme(views.reshape(-1, 8)) == pytest.approx(expected[1], rel=1e-12)
    with pytest.warns(RuntimeWarning, match="eigenvalues of a 8 x 8 matrix did not converge.*recomputed"):
        assert rankme(sums.spectrum()) == pytest.approx(expected[1], rel=1e-9)
    with pytest.warns(RuntimeWarning, match="eigenvalues of a 12 x 12 matrix did not converge.*recomputed"):
        np.testing.assert_allclose(
            np.abs(_centres(means, np.random.RandomState(0))), expected[2], rtol=1e-6, atol=1e-9
        )
