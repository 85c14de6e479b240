"""Entropy and outliers of points, worked out by hand and against scipy."""

from math import log

import numpy as np
import pytest
import scipy.stats
from scipy import stats

from selector.metrics.entropy import THRESHOLD, histogram_entropy, outlier_share, robust_histogram_entropy

RNG = np.random.default_rng(0)
BLOBS = (
    RNG.standard_normal((2000, 3)) * [1, 3, 0.2] + 6 * RNG.standard_normal((5, 3))[RNG.integers(0, 5, 2000)]
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
def test_entropy_worked_out_by_hand(entropy, points, expected):
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
@pytest.mark.parametrize("width", [0.0, float("nan")])
def test_a_width_that_is_none_is_refused(entropy, width):
    with pytest.raises(ValueError, match=f"bin_width must be greater than 0, got {width}"):
        entropy([[1.0]], bin_width=width)


# Median 0, distances 2, 1, 0, 1, x: their median is 1 for every x beyond 1, so x is out from above 4.
LINE = [[-2.0], [-1.0], [0.0], [1.0]]


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ([*LINE, [4.0]], 0),
        ([*LINE, [4.1]], 1 / 5),
        ([*LINE, [1e9]], 1 / 5),
        # Centre (0, 0); (3, 3) is √18 = 4.24 away, though within 4 on each axis; the median distance is 1.
        ([[1, 0], [-1, 0], [0, 1], [0, -1], [0, 0], [3, 3], [-1, 0]], 1 / 7),
        ([[1, 0], [-1, 0], [0, 1], [0, -1], [0, 0], [2.8, 2.8], [-1, 0]], 0),  # 3.96
        ([[5.0, 5.0]] * 4, 0),
        ([[5.0]] * 3 + [[5.1], [9.0]], 2 / 5),  # more than half coincide
        ([[7.0, 1.0]], 0),
    ],
)
def test_outliers_worked_out_by_hand(points, expected):
    assert outlier_share(np.array(points)) == pytest.approx(expected)


def test_a_higher_threshold_lets_more_pass():
    assert outlier_share([*LINE, [4.1]], threshold=4.2) == 0
    assert outlier_share([*LINE, [4.1]], threshold=1.5) == 2 / 5  # and -2


def test_clusters_a_ball_and_a_gaussian_have_none():
    rng = np.random.default_rng(0)
    gaussian = rng.standard_normal((10_000, 3))
    ball = gaussian / np.linalg.norm(gaussian, axis=1, keepdims=True)
    ball *= rng.uniform(size=(10_000, 1)) ** (1 / 3)
    clusters = 0.3 * gaussian + 8 * rng.standard_normal((10, 3))[rng.integers(0, 10, 10_000)]
    assert [outlier_share(points) for points in (gaussian, ball, clusters)] == [0, 0, 0]
    # The docstring's three in a hundred million: chi with 3 degrees of freedom.
    assert stats.chi.sf(THRESHOLD * stats.chi.median(3), 3) == pytest.approx(3e-8, rel=0.02)
