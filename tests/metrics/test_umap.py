"""UMAP points, and each step of their layout against umap-learn."""

import numba
import numpy as np
import pytest
import torch
import umap.layouts
import umap.umap_ as umap_learn
from numba.core.caching import CacheImpl
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import ArpackNoConvergence
from scipy.spatial.distance import pdist
from sklearn.datasets import load_digits
from threadpoolctl import threadpool_limits
from umap.spectral import spectral_layout

from selector.metrics import umap_layout
from selector.metrics.neighbors import nearest_neighbors
from selector.metrics.umap import MIN_DIST, umap_points
from selector.metrics.umap_layout import fuzzy_graph, layouts, spectral_starts


def blobs(count, dimension=16, seed=0):
    rng = np.random.default_rng(seed)
    centers = 3 * rng.standard_normal((5, dimension))
    return (rng.standard_normal((count, dimension)) + centers[rng.integers(0, 5, count)]).astype(np.float32)


def test_seeds_differ_and_repeat_themselves():
    vectors = blobs(80)
    first, second = umap_points(vectors, [0, 1])
    assert first.shape == (80, 3)
    assert not np.allclose(first, second, atol=0.1)
    np.testing.assert_array_equal(umap_points(torch.from_numpy(vectors), [1])[0], second)


def test_points_do_not_depend_on_the_number_of_threads():
    vectors = blobs(300, 32)
    points = []
    before = torch.get_num_threads()
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            with threadpool_limits(threads):
                points.append(umap_points(vectors, [0, 1]))
    finally:
        torch.set_num_threads(before)
    np.testing.assert_array_equal(*points)


@pytest.mark.parametrize("distinct", [2, 9])
def test_groups_of_equal_vectors_are_laid_out_the_same_each_time(distinct):
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((distinct, 8))[rng.integers(0, distinct, 60)]
    points = umap_points(vectors, [0])[0]
    assert np.isfinite(points).all()
    np.testing.assert_array_equal(umap_points(vectors, [0])[0], points)


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        (blobs(4), "at least 5 embeddings, got 4"),
        (np.full((60, 8), 0.3), "all 60 vectors are equal"),
    ],
)
def test_says_what_it_refuses(vectors, message):
    with pytest.raises(ValueError, match=message):
        umap_points(vectors, [0])


@pytest.mark.parametrize("vectors", [blobs(60), 50 * np.eye(2).repeat(60, 0) + blobs(120, 2)])
def test_torch_keeps_its_number_of_threads(vectors):
    """A run that is resumed after a milestone must train with as many threads as one that went through it."""
    before = torch.get_num_threads()
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            umap_points(vectors, [0])
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)


DIGITS = (load_digits().data[:300] / 16).astype(np.float32)


def umap_learn_graph(vectors, indices, distances):
    """umap-learn's weights of the same neighbours, without the edges that it drops before the layout."""
    own = np.arange(len(indices))[:, None]
    indices = np.hstack([own, indices]).astype(np.int32)
    distances = np.hstack([np.zeros(own.shape, np.float32), distances])
    graph, _, _ = umap_learn.fuzzy_simplicial_set(
        vectors, indices.shape[1], None, "euclidean", knn_indices=indices, knn_dists=distances
    )
    graph.data[graph.data < graph.data.max() / 500] = 0
    graph.eliminate_zeros()
    return graph


def graph_and_starts(vectors, seeds=(0,), k=14):
    graph = fuzzy_graph(*nearest_neighbors(vectors, k))
    return graph, spectral_starts(graph, torch.from_numpy(vectors), seeds)


def laid_out(vectors, seeds=(0,), k=14, threads=1):
    return layouts(*graph_and_starts(vectors, seeds, k), seeds, threads)


def with_duplicates():
    vectors = np.repeat(DIGITS[:60], 2, axis=0)
    vectors[:40] = vectors[0]  # more of them than neighbours
    return vectors


@pytest.mark.parametrize("vectors", [DIGITS[:100], DIGITS[:20], 1e-6 * DIGITS[:50], with_duplicates()])
def test_graph_is_umap_learns(vectors, monkeypatch):
    for name in ("smooth_knn_dist", "compute_membership_strengths"):  # quicker than compiling
        monkeypatch.setattr(umap_learn, name, getattr(umap_learn, name).py_func)
    neighbors = nearest_neighbors(vectors, 14)
    graph, expected = fuzzy_graph(*neighbors), umap_learn_graph(vectors, *neighbors)
    assert abs(graph - expected).max() < 1e-4  # umap-learn stops its bisection within 1e-5 of the sum
    assert abs(graph - graph.T).max() == 0


def test_weights_by_hand():
    # 0, 1 and 3 on a line, k = 2, so that weights sum to log2(3) = 1.585: the nearest has 1, the other 0.585.
    # 0 → 1: 1, 0 → 3: .585; 1 → 0: 1, 1 → 3: .585; 3 → 1: 1, 3 → 0: .585. Joined by u + v - uv:
    # 0 - 1: 1; 0 - 3: 2 · .585 - .585² = .8278; 1 - 3: .585 + 1 - .585 = 1.
    graph = fuzzy_graph(np.array([[1, 2], [0, 2], [1, 0]]), np.array([[1, 3], [1, 2], [2, 3]], np.float32))
    assert graph.toarray() == pytest.approx(np.array([[0, 1, 0.8278], [1, 0, 1], [0.8278, 1, 0]]), abs=1e-4)


def test_spectral_starts_are_the_laplacians_lowest_eigenvectors():
    graph, starts = graph_and_starts(DIGITS, [0, 1])
    weights = graph.toarray().astype(np.float64)
    scaling = 1 / np.sqrt(weights.sum(0))
    values, vectors = np.linalg.eigh(np.eye(300) - scaling[:, None] * weights * scaling)
    assert abs(values[0]) < 1e-6
    for start in starts:
        start = start / np.linalg.norm(start, axis=0)
        assert np.abs(vectors[:, 1:4].T @ start) == pytest.approx(np.eye(3), abs=1e-3)


def in_parts(count, apart=50.0):
    """So many groups of digits, far from each other for the digits' size."""
    rng = np.random.default_rng(0)
    parts = [part + apart * rng.standard_normal(64) for part in np.array_split(DIGITS, count)]
    return np.vstack(parts).astype(np.float32)


def up_to_mirrors(start, parts):
    """Coordinates of each part seen from its mean, axes turned so that the first is positive."""
    seen = [part - part.mean(0) for part in np.split(start, parts)]
    return np.vstack([part * np.sign(part[0]) for part in seen])


def umap_learns_start(vectors, graph, seed):
    return spectral_layout(vectors.astype(np.float64), graph, 3, np.random.RandomState(seed)).astype(float)


def test_a_graph_in_parts_starts_as_in_umap_learn_but_for_mirrors():
    vectors = in_parts(3, apart=5)
    graph, starts = graph_and_starts(vectors, [0, 1])
    expected = up_to_mirrors(umap_learns_start(vectors, graph, 0), 3)
    for start in starts:
        assert up_to_mirrors(start, 3) == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize(("count", "scale"), [(2, 1), (3, 1), (6, 1), (10, 0.015)])
def test_parts_have_umap_learns_places(count, scale):
    vectors = scale * in_parts(count, apart=5)
    graph, starts = graph_and_starts(vectors, [0, 1])
    assert connected_components(graph, return_labels=False) == count
    expected = umap_learns_start(vectors, graph, 0)
    places = [part.mean(0) for part in np.split(expected, count)]
    for start in starts:
        # An eigenvector has no mean of exactly 0: mirrored, it moves the part's by twice its mean.
        assert [part.mean(0) for part in np.split(start, count)] == pytest.approx(np.array(places), abs=0.1)


def test_parts_too_far_apart_for_any_affinity_start_at_different_places_the_same_each_time():
    vectors = in_parts(10)
    _, starts = graph_and_starts(vectors, [0, 1])
    for start in starts:
        centres = [part.mean(0) for part in np.split(start, 10)]
        assert pdist(centres).min() > 0.05
    _, again = graph_and_starts(vectors, [1, 0])
    np.testing.assert_array_equal(starts[0], again[1])
    np.testing.assert_array_equal(starts[1], again[0])


def test_starts_at_random_where_eigenvectors_do_not_converge(monkeypatch):
    def fails(*_, **__):
        raise ArpackNoConvergence("no convergence", np.empty(0), np.empty((0, 0)))

    monkeypatch.setattr(umap_layout, "eigsh", fails)
    _, starts = graph_and_starts(DIGITS, [0, 1])
    assert starts[0].shape == (300, 3)
    assert np.abs(starts[0] - starts[1]).mean() == pytest.approx(2 / 3, rel=0.1)  # two points in [-1, 1]


def test_forces_are_the_derivatives_of_the_cost():
    """As umap-learn has them, and McInnes et al. in section 3.2, but for 2^-30 more of squared distance."""
    a, b = umap_learn.find_ab_params(spread=1.0, min_dist=MIN_DIST)
    for distance in np.geomspace(1e-3, 1e5, 5_000).astype(np.float32):
        square = float(distance) ** 2
        attraction = -2 * a * b * square ** (b - 1) / (1 + a * square**b)
        repulsion = 2 * b / ((0.001 + square) * (1 + a * square**b))
        for lines, expected in ((umap_layout._ATTRACTION, attraction), (umap_layout._REPULSION, repulsion)):
            force = umap_layout._force(lines, distance, np.float32(0), np.float32(0))
            assert force == pytest.approx(expected, rel=5e-6 + 2.0**-30 / square)


def test_curve_is_the_one_umap_learn_fits():
    expected = umap_learn.find_ab_params(spread=1.0, min_dist=MIN_DIST)
    assert expected == pytest.approx((umap_layout._A, umap_layout._B), rel=1e-6)


def by_umap_learn(points, heads, tails, period, epochs, seed):
    """umap-learn's own loop over edges, not compiled."""
    points = points.copy()
    random = np.random.RandomState(seed)
    a, b = umap_learn.find_ab_params(spread=1.0, min_dist=0.1)
    umap_learn.optimize_layout_euclidean(
        points,
        points,
        heads,
        tails,
        epochs,
        len(points),
        period,
        a,
        b,
        random.randint(umap_learn.INT32_MIN, umap_learn.INT32_MAX, 3).astype(np.int64),
        move_other=True,
        tqdm_kwds={"disable": True},
    )
    return points


def test_layout_is_umap_learns_loop(monkeypatch):
    """As far as rounding lets it: moved by 1e-5 at the start, umap-learn's own points end as far apart."""
    loop = umap.layouts._optimize_layout_euclidean_single_epoch
    monkeypatch.setattr(umap.layouts, "_get_optimize_layout_euclidean_single_epoch_fn", lambda _: loop)
    rng = np.random.default_rng(0)
    edges = np.argwhere(~np.eye(30, dtype=bool)).astype(np.int32)
    heads, tails = edges[np.sort(rng.permutation(len(edges))[:60])].T
    period = np.array([1, 1.3, 2, 3.7, 6.1])[rng.integers(5, size=60)]
    points = rng.uniform(0, 10, (30, 3)).astype(np.float32)
    expected = by_umap_learn(points, heads, tails, period, epochs=20, seed=5)
    streams = umap_layout._streams(points, np.random.RandomState(5))
    umap_layout._lay_out(points, heads, tails, period, 20, streams)
    assert points == pytest.approx(expected, abs=2e-3)


def test_the_same_points_for_any_number_of_threads_and_any_company():
    alone = laid_out(DIGITS, [3])[0]
    together = laid_out(DIGITS, [1, 2, 3], threads=2)
    assert (together[2] == alone).all()
    assert all((together[seed] != alone).any() for seed in (0, 1))


def test_compiles_where_nothing_can_be_kept(monkeypatch):
    def twice(x):
        return 2 * x

    monkeypatch.setattr(CacheImpl, "_locator_classes", [])  # as if no folder could be written to
    with pytest.raises(RuntimeError, match="no locator"):
        numba.njit(twice, cache=True)
    assert umap_layout._compiled(twice)(21) == 42
