import numpy as np
import pytest
import torch

from selector.metrics import arrays
from selector.metrics.arrays import one_thread
from selector.metrics.spectrum import spectrum_of


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
