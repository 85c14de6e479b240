import numpy as np
import pytest
from scipy import stats

from selector.metrics.entropy import THRESHOLD, outlier_share

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
def test_value_worked_out_by_hand(points, expected):
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
