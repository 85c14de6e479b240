from math import log

import numpy as np
import pytest
import scipy.stats

from selector.metrics.entropy import histogram_entropy, robust_histogram_entropy

rng = np.random.default_rng(0)
BLOBS = (
    rng.standard_normal((2000, 3)) * [1, 3, 0.2] + 6 * rng.standard_normal((5, 3))[rng.integers(0, 5, 2000)]
)


def by_histogramdd(points, widths):
    # One bin more than needed: histogramdd closes the last bin on the right, the metric none.
    edges = [
        low + width * np.arange(int((high - low) / width) + 3)
        for low, high, width in zip(points.min(0), points.max(0), widths, strict=True)
    ]
    return scipy.stats.entropy(np.histogramdd(points, edges)[0].ravel())


@pytest.mark.parametrize("entropy", [histogram_entropy, robust_histogram_entropy])
@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ([[0.0], [1.0], [2.0], [3.0]], log(4)),  # each in a bin of its own
        ([[0.0], [0.0], [0.0], [1.0]], log(4) - 0.75 * log(3)),  # p = (3/4, 1/4)
        ([[0.0, 5.0], [1.0, 5.0]], log(2)),  # the second axis has one bin
        ([[0.1, 0.1, 0.1]] * 3, 0.0),  # all in one place
        ([[1.0, 2.0]], 0.0),  # one point
    ],
)
def test_value_worked_out_by_hand(entropy, points, expected):
    with np.errstate(all="raise"):
        assert entropy(points) == pytest.approx(expected, abs=1e-12)


def test_width_is_in_population_standard_deviations():
    # σ = 1/2 with divisor N: bins of 0.75 part 0 from 1. With divisor N - 1 they would be 1.06 wide.
    assert histogram_entropy([[0.0], [1.0]], bin_width=1.5) == pytest.approx(log(2))
    assert histogram_entropy([[0.0], [1.0]], bin_width=2.5) == 0


def test_a_point_on_an_edge_begins_a_new_bin():
    # σ = 1/2 and bins of exactly 1: [0, 1), [1, 2)
    assert histogram_entropy([[0.0], [1.0]], bin_width=2) == pytest.approx(log(2))


def test_robust_width_is_the_median_deviation_over_0_6745():
    # median 2, deviations 2 1 0 1 2, their median 1: bins of 1.4826 hold {0, 1}, {2}, {3, 4}
    expected = -(0.8 * log(0.4) + 0.2 * log(0.2))
    assert robust_histogram_entropy([[0.0], [1.0], [2.0], [3.0], [4.0]], bin_width=1) == pytest.approx(
        expected
    )


@pytest.mark.parametrize("bin_width", [0.2, 0.4, 0.8])
def test_agrees_with_numpy_and_scipy(bin_width):
    expected = by_histogramdd(BLOBS, bin_width * BLOBS.std(axis=0))
    assert histogram_entropy(BLOBS, bin_width=bin_width) == pytest.approx(expected, rel=1e-12)
    scale = scipy.stats.median_abs_deviation(BLOBS, scale="normal")
    expected = by_histogramdd(BLOBS, bin_width * scale)
    assert robust_histogram_entropy(BLOBS, bin_width=bin_width) == pytest.approx(expected, rel=1e-12)


def test_outliers_lower_only_the_plain_entropy():
    outliers = np.vstack([BLOBS, [[1e3, 1e3, 1e3], [-1e3, 2e3, 1e3]]])
    assert histogram_entropy(outliers) < histogram_entropy(BLOBS) - 1
    assert robust_histogram_entropy(outliers) == pytest.approx(robust_histogram_entropy(BLOBS), abs=0.02)


@pytest.mark.parametrize("entropy", [histogram_entropy, robust_histogram_entropy])
@pytest.mark.parametrize(
    ("points", "bin_width", "message"),
    [
        (np.ones(3), 0.4, r"shape \(3,\)"),
        (np.ones((0, 3)), 0.4, "at least 1"),
        ([[1.0, np.nan]], 0.4, "finite"),
        ([[1.0]], 0.0, "bin_width must be greater than 0, got 0"),
        ([[1.0]], float("nan"), "bin_width must be greater than 0, got nan"),
    ],
)
def test_says_what_it_refuses(entropy, points, bin_width, message):
    with pytest.raises(ValueError, match=message):
        entropy(points, bin_width=bin_width)
