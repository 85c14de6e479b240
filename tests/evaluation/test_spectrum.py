import numpy as np
import pytest
import torch

from selector.evaluation import arrays
from selector.evaluation.spectrum import Spectrum, StreamingGram, singular_values, spectrum_of


def by_numpy(embeddings: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    embeddings = embeddings.astype(np.float64)
    centred = embeddings - embeddings.mean(axis=0)
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
    embeddings = examples()[name]
    spectrum = spectrum_of(embeddings)
    for ours, theirs in zip((spectrum.uncentred, spectrum.centred), by_numpy(embeddings), strict=True):
        assert ours.dtype == np.float64
        assert len(ours) == min(embeddings.shape)
        # The absolute term is what an SVD in float64 itself guarantees, relative to the uncentred σ₁.
        assert ours == pytest.approx(theirs, rel=1e-6, abs=1e-13 * spectrum.uncentred[0] + 1e-300)


@pytest.mark.parametrize("name", examples())
def test_streaming_equals_one_shot(name):
    embeddings = examples()[name]
    parts = np.array_split(embeddings, 7)
    first, second = StreamingGram(embeddings.shape[1]), StreamingGram(embeddings.shape[1])
    for part in parts[:3]:
        first.add(part)
    for part in parts[3:]:
        second.add(torch.from_numpy(part))
    first.merge(second)
    merged, whole = first.spectrum(), spectrum_of(embeddings)
    assert (merged.count, merged.dimension) == (whole.count, whole.dimension)
    # Squares lose what is below √(D · eps) = 7e-8 of the largest centred value.
    lost = (embeddings.shape[1] * 2.3e-16) ** 0.5 * whole.centred[0]
    for ours, theirs in (merged.uncentred, whole.uncentred), (merged.centred, whole.centred):
        assert ours == pytest.approx(theirs, rel=1e-6, abs=lost + 1e-13 * whole.uncentred[0])
        assert ((ours == 0) | (ours > lost)).all()


def test_streaming_may_go_on_after_a_spectrum_was_read():
    rng = np.random.default_rng(0)
    first, second = rng.standard_normal((2, 50, 8))
    gram = StreamingGram(8)
    gram.add(first)
    assert gram.spectrum().centred == pytest.approx(singular_values(first, centred=True))
    gram.add(np.empty((0, 8)))
    gram.merge(StreamingGram(8))
    gram.add(second)
    both = np.concatenate([first, second])
    assert gram.count == 100
    assert gram.mean.numpy() == pytest.approx(both.mean(axis=0))
    assert gram.spectrum().centred == pytest.approx(singular_values(both, centred=True))


def test_streaming_refuses_what_it_cannot_add():
    gram = StreamingGram(8)
    with pytest.raises(ValueError, match="no embeddings"):
        gram.spectrum()
    with pytest.raises(ValueError, match=r"dimension 8, got shape \(2, 7\)"):
        gram.add(np.ones((2, 7)))
    with pytest.raises(ValueError, match="NaN"):
        gram.add(np.full((2, 8), np.nan))
    with pytest.raises(ValueError, match="dimension 7 into dimension 8"):
        gram.merge(StreamingGram(7))
    with pytest.raises(ValueError, match="at least 1, got 0"):
        StreamingGram(0)
    assert gram.count == 0


def test_equal_embeddings_leave_nothing_when_centred():
    for constant in (0.1, 1 / 3, 1e6):
        for dtype in (np.float32, np.float64):
            spectrum = spectrum_of(np.full((1000, 20), constant, dtype=dtype))
            # One direction, of length constant · √(1000 · 20).
            assert spectrum.uncentred[0] == pytest.approx(constant * 20000**0.5, rel=1e-6)
            assert not spectrum.uncentred[1:].any()
            assert not spectrum.centred.any()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_rounding_to_a_dtype_is_not_taken_for_rank(dtype):
    rng = np.random.default_rng(0)
    rank_5 = torch.from_numpy(rng.standard_normal((2000, 5)) @ rng.standard_normal((5, 128)))
    rounded = rank_5.to(dtype)
    gram = StreamingGram(128)
    gram.add(rounded)
    for spectrum in (spectrum_of(rounded), gram.spectrum()):
        assert np.count_nonzero(spectrum.centred) == 5
        assert np.count_nonzero(spectrum.uncentred) == 5


def test_merging_keeps_the_coarsest_rounding():
    rng = np.random.default_rng(0)
    rank_2 = torch.from_numpy(rng.standard_normal((200, 2)) @ rng.standard_normal((2, 16)))
    fine, coarse = StreamingGram(16), StreamingGram(16)
    fine.add(rank_2[:100])
    coarse.add(rank_2[100:].bfloat16())
    fine.merge(coarse)
    assert np.count_nonzero(fine.spectrum().centred) == 2


def test_a_spectrum_is_handed_back():
    spectrum = spectrum_of(np.eye(3))
    assert spectrum_of(spectrum) is spectrum
    assert singular_values(spectrum) is spectrum.uncentred
    assert singular_values(spectrum, centred=True) is spectrum.centred
    assert isinstance(spectrum, Spectrum)
