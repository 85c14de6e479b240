import numpy as np
import pytest

from selector.metrics.spectrum import CompactSpectrum, compact_spectrum


def test_worked_out_by_hand():
    # Ten values, four points: ranks 10^0, 10^(1/3) = 2.15, 10^(2/3) = 4.64, 10^1.
    compact = compact_spectrum([20, 10, 8, 6, 5, 4, 3, 2, 1, 0.5], points=4)
    assert compact == CompactSpectrum(ranks=(1, 2, 5, 10), values=(1.0, 0.5, 0.25, 0.025))


@pytest.mark.parametrize("count", [1, 2, 5, 63, 64])
def test_a_short_spectrum_is_kept_whole(count):
    values = np.linspace(3, 0, count) if count > 1 else np.array([3.0])
    compact = compact_spectrum(values)
    assert len(compact.ranks) == len(compact.values) == 64
    assert compact.values[:count] == pytest.approx(values / 3)
    assert set(compact.values[count:]) <= {compact.values[count - 1]}


@pytest.mark.parametrize("count", [65, 66, 80, 128, 512, 2048, 16384])
@pytest.mark.parametrize("points", [2, 16, 64])
def test_ranks_rise_to_the_last_and_start_with_the_first(count, points):
    compact = compact_spectrum(np.ones(count), points)
    ranks = np.array(compact.ranks)
    assert (np.diff(ranks) > 0).all()
    assert (ranks[0], ranks[-1], len(ranks)) == (1, count, points)
    ratios = ranks[1:] / ranks[:-1]
    # Log-spaced: no step in the logarithm is more than twice the even one, beyond where steps of 1 suffice.
    assert ratios[ranks[:-1] > 4 * points].max(initial=1) < count ** (2 / (points - 1))


def test_collapse_is_kept():
    compact = compact_spectrum(np.where(np.arange(512) < 7, 2.0, 0.0))
    assert compact.values == tuple(1.0 if rank <= 7 else 0.0 for rank in compact.ranks)
    assert not any(compact_spectrum(np.zeros(512)).values)


@pytest.mark.parametrize(
    ("values", "points", "message"),
    [
        ([], 64, r"shape \(0,\)"),
        ([[1.0]], 64, r"shape \(1, 1\)"),
        ([1.0, 2.0], 64, "descending"),
        ([1.0, -1.0], 64, "at least 0"),
        ([np.inf, 1.0], 64, "finite"),
        ([np.nan], 64, "finite"),
        ([2.0, 1.0], 1, "at least 2 points, got 1"),
    ],
)
def test_says_what_it_refuses(values, points, message):
    with pytest.raises(ValueError, match=message):
        compact_spectrum(values, points)
