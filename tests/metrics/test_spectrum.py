"""Singular values: of rows in memory, of streamed sums, and the few that are logged."""

import numpy as np
import pytest
import torch

from selector.metrics import SpectrumSums, arrays, lidar, rankme
from selector.metrics.arrays import one_thread
from selector.metrics.spectrum import POINTS, Spectrum, logged_spectrum, spectra_of, spectrum_of
from selector.metrics.umap_layout import _centres


def by_numpy(embeddings: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    embeddings = embeddings.astype(np.float64)
    centred = embeddings - embeddings.mean(axis=0)
    with one_thread():
        return tuple(np.linalg.svd(matrix, compute_uv=False) for matrix in (embeddings, centred))


def examples() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    gauss = rng.standard_normal((400, 24))
    return {
        "tall": gauss + 0.5,
        "float32": gauss.astype(np.float32),
        "wide": rng.standard_normal((10, 24)),
        "square": rng.standard_normal((24, 24)),
        "one row": rng.standard_normal((1, 24)),
        "one column": rng.standard_normal((400, 1)),
        "steep": gauss * 10.0 ** -np.arange(0, 12, 0.5),
        "rank 5": gauss[:, :5] @ rng.standard_normal((5, 24)),
        "dead channels": np.where(np.arange(24) % 3 == 0, 0, gauss),
        "duplicates": np.repeat(gauss[:20], 20, axis=0),
        "far from the origin": gauss + 1e6,
        "constant": np.full((400, 24), 0.1),
        "wide, few directions": rng.standard_normal((10, 2)) @ rng.standard_normal((2, 24)),
        "two scales": gauss * np.repeat([1.0, 1e-7, 1e-12], 8),
        "dead features": np.maximum(gauss * (np.arange(24) % 2), 0),
        "hilbert": 1 / (1.0 + np.arange(300)[:, None] + np.arange(80)),
        "huge": 1e100 * gauss,
        "tiny": 1e-300 * gauss,
        "zero": np.zeros((400, 24)),
    }


def test_value_worked_out_by_hand():
    # XᵀX = diag(18, 2); without the mean (3, 0) only the second column is left, whose squares sum to 2.
    spectrum = spectrum_of([[3.0, 1.0], [3.0, -1.0]])
    assert spectrum.uncentred == pytest.approx([3 * 2**0.5, 2**0.5])
    assert spectrum.centred == pytest.approx([2**0.5, 0])
    assert (spectrum.count, spectrum.dimension) == (2, 2)


@pytest.mark.parametrize("blocks", [2**22, 100], ids=["one block", "many blocks"])
@pytest.mark.parametrize("name", examples())
def test_agrees_with_numpy_svd(name, blocks, monkeypatch):
    monkeypatch.setattr(arrays, "BLOCK_ELEMENTS", blocks)
    monkeypatch.setattr("selector.metrics.spectrum.BLOCK_ELEMENTS", blocks)
    embeddings = examples()[name]
    spectrum = spectrum_of(embeddings)
    for ours, theirs in zip((spectrum.uncentred, spectrum.centred), by_numpy(embeddings), strict=True):
        assert ours.dtype == np.float64
        assert len(ours) == min(embeddings.shape)
        # The absolute term is what an SVD in float64 itself guarantees, relative to the uncentred σ₁, give
        # or take a factor that grows with the size.
        assert ours == pytest.approx(theirs, rel=1e-6, abs=1e-12 * spectrum.uncentred[0] + 1e-300)


def test_equal_embeddings_leave_nothing_when_centred():
    for constant in (0.1, 1 / 3, 1e6):
        for dtype in (np.float32, np.float64):
            spectrum = spectrum_of(np.full((1000, 20), constant, dtype=dtype))
            # One direction, of length constant · √(1000 · 20).
            assert spectrum.uncentred[0] == pytest.approx(constant * 20000**0.5, rel=1e-6)
            assert spectrum.uncentred[1:].max() < 1e-12 * spectrum.uncentred[0]
            assert not spectrum.centred.any()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_rounding_to_a_dtype_is_not_taken_for_rank(dtype):
    rng = np.random.default_rng(0)
    rank_5 = torch.from_numpy(rng.standard_normal((2000, 5)) @ rng.standard_normal((5, 128)))
    rounded = rank_5.to(dtype)
    assert np.count_nonzero(spectrum_of(rounded).centred) == 5


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

    def giving_up(error):
        def gives_up(*_, **__):
            raise error("did not converge")

        return gives_up

    rng = np.random.default_rng(0)
    views, means = rng.standard_normal((20, 3, 8)), rng.standard_normal((12, 5))
    sums = SpectrumSums()
    sums.add(views.reshape(-1, 8))
    expected = lidar(views), rankme(views.reshape(-1, 8)), np.abs(_centres(means, np.random.RandomState(0)))
    for module, name in ((torch.linalg, "svdvals"), (torch.linalg, "eigvalsh"), (np.linalg, "eigh")):
        error = (np if module is np.linalg else torch).linalg.LinAlgError
        monkeypatch.setattr(module, name, giving_up(error))
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


def compact(values, points=POINTS):
    return spectra_of(logged_spectrum("backbone", values, points))["backbone"]


def test_log_spaced_ranks_worked_out_by_hand():
    # Ten values, four points: ranks 10^0, 10^(1/3) = 2.15, 10^(2/3) = 4.64, 10^1.
    found = compact(np.array([20, 10, 8, 6, 5, 4, 3, 2, 1, 0.5]), points=4)
    assert found == ((1, 2, 5, 10), (1.0, 0.5, 0.25, 0.025))


@pytest.mark.parametrize("count", [1, 2, 5, 63, 64])
def test_a_short_spectrum_is_kept_whole(count):
    values = 3.0 - np.arange(count) / count
    ranks, shares = compact(values)
    assert ranks == tuple(range(1, count + 1))
    assert shares == pytest.approx(values / 3, rel=1e-3)  # four digits


@pytest.mark.parametrize("count", [65, 66, 80, 128, 512, 2048, 16384])
@pytest.mark.parametrize("points", [2, 16, 64])
def test_ranks_rise_to_the_last_and_start_with_the_first(count, points):
    ranks = np.array(compact(np.ones(count), points)[0])
    assert (np.diff(ranks) > 0).all()
    assert (ranks[0], ranks[-1], len(ranks)) == (1, count, points)
    ratios = ranks[1:] / ranks[:-1]
    # Log-spaced: no step in the logarithm is more than twice the even one, beyond where steps of 1 suffice.
    assert ratios[ranks[:-1] > 4 * points].max(initial=1) < count ** (2 / (points - 1))


def test_a_compact_spectrum_keeps_collapse():
    ranks, shares = compact(np.where(np.arange(512) < 7, 2.0, 0.0))
    assert shares == tuple(1.0 if rank <= 7 else 0.0 for rank in ranks)
    assert not any(compact(np.zeros(512))[1])
