import warnings

import numpy as np
import pytest
from scipy.sparse.csgraph import minimum_spanning_tree
from scipy.spatial.distance import pdist, squareform

from selector.metrics.idest import _dimension_of_growth, _spanning_tree_length, idest


def tree_length(points: np.ndarray) -> float:
    distances = squareform(pdist(points)).astype(np.float32)
    return _spanning_tree_length(distances, np.arange(len(points)))


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ([[0, 0], [0, 3], [4, 3], [4, 0]], 3 + 3 + 4),  # a rectangle without one long side
        ([[5.0], [0], [2], [9]], 9),  # a line, end to end
        ([[0, 0], [1, 0], [1, 0], [0, 0]], 1),  # equal points cost nothing
        ([[0, 0], [3, 4]], 5),
        ([[2, 2]] * 5, 0),
    ],
)
def test_tree_worked_out_by_hand(points, expected):
    assert tree_length(np.array(points, dtype=float)) == pytest.approx(expected)


@pytest.mark.parametrize("dimension", [1, 2, 30])
def test_tree_agrees_with_scipy(dimension):
    rng = np.random.default_rng(dimension)
    points = rng.standard_normal((200, dimension))
    assert tree_length(points) == pytest.approx(minimum_spanning_tree(squareform(pdist(points))).sum())
    grid = np.unique(rng.integers(0, 9, (60, dimension)), axis=0)  # many equal distances
    assert tree_length(grid) == pytest.approx(minimum_spanning_tree(squareform(pdist(grid))).sum())


@pytest.mark.parametrize(("dimension", "images"), [(1, 500), (2, 1000), (3, 2000)])
def test_finds_the_dimension_of_a_cube(dimension, images):
    rng = np.random.default_rng(0)
    cube = rng.random((images, dimension)) @ np.linalg.qr(rng.standard_normal((10, dimension)))[0].T
    assert idest(cube) == pytest.approx(dimension, rel=0.12)


def test_evenly_spaced_points_on_a_helix_have_dimension_one():
    # Figure 2 of the paper, where TwoNN diverges.
    turn = np.linspace(0, 12, 200)
    assert idest(np.stack([np.cos(turn), np.sin(turn), turn], axis=1)) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize(
    ("exponent", "dimension"), [(2 / 3, 3), (0, 1), (-1, 0.5), (0.999, 1000), (1.2, np.inf)]
)
def test_dimension_of_known_lengths(exponent, dimension):
    sizes = np.array([20, 40, 80, 300])
    assert _dimension_of_growth(sizes, 5.0 * sizes.astype(float) ** exponent) == pytest.approx(dimension)


def test_range():
    assert idest(np.full((50, 8), 0.1)) == 0.0
    with pytest.warns(UserWarning, match="64 embeddings was cut off at their 64 dimensions"):
        assert idest(np.eye(64)) == 64.0  # all equally far from each other
    places = np.random.default_rng(0).random((5, 8))
    assert idest(np.repeat(places, 100, axis=0)) == pytest.approx(1, abs=0.2)
    assert idest(np.random.default_rng(0).random((100, 1))) <= 1.0


def test_only_a_value_at_the_upper_bound_is_warned_of():
    # Of 40 images in 64 dimensions every subsample is too small; of 1,000, the trees' growth slows down.
    embeddings = np.random.default_rng(0).standard_normal((1000, 64))
    with pytest.warns(
        UserWarning, match="IdEst of 40 embeddings was cut off at their 64 dimensions: embed more"
    ):
        assert idest(embeddings[:40]) == 64.0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert 20 < idest(embeddings) < 64


def test_seeds_repeat():
    embeddings = np.random.default_rng(0).random((300, 6))
    assert idest(embeddings, seed=1) == idest(embeddings, seed=1)
    assert idest(embeddings, seed=1) != idest(embeddings, seed=2)
    assert idest(embeddings, max_images=100, seed=1) == idest(embeddings, max_images=100, seed=1)
    assert idest(embeddings, max_images=100, seed=1) != idest(embeddings, seed=1)
    assert idest(embeddings, max_images=300, seed=1) == idest(embeddings, seed=1)
