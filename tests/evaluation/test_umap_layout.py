import warnings
from pathlib import Path

import numba
import numpy as np
import pytest
import scipy.sparse
import umap.umap_ as umap_learn
from numba.core.caching import CacheImpl
from scipy.spatial.distance import cdist
from sklearn.datasets import load_digits

from selector.evaluation import umap_layout
from selector.evaluation.neighbors import nearest_neighbors
from selector.evaluation.umap_layout import epochs_for, fuzzy_graph, layouts, spectral_start

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


def graph_and_start(vectors, k=14):
    graph = fuzzy_graph(*nearest_neighbors(vectors, k))
    return graph, spectral_start(graph, vectors)


def with_duplicates():
    vectors = np.repeat(DIGITS[:60], 2, axis=0)
    vectors[:40] = vectors[0]  # more of them than neighbours
    return vectors


@pytest.mark.parametrize("vectors", [DIGITS[:100], DIGITS[:20], 1e-6 * DIGITS[:50], with_duplicates()])
def test_graph_is_umap_learns(vectors, monkeypatch):
    for name in (
        "smooth_knn_dist",
        "compute_membership_strengths",
    ):  # quicker than compiling
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


def test_spectral_start_spans_the_laplacians_lowest_eigenvectors():
    graph, start = graph_and_start(DIGITS)
    weights = graph.toarray().astype(np.float64)
    scaling = 1 / np.sqrt(weights.sum(0))
    values, vectors = np.linalg.eigh(np.eye(300) - scaling[:, None] * weights * scaling)
    assert abs(values[0]) < 1e-6
    assert np.abs(vectors[:, 1:4].T @ start) == pytest.approx(np.eye(3), abs=1e-3)


def test_parts_that_are_not_connected_stay_apart():
    vectors = np.vstack([DIGITS[:100], DIGITS[100:200] + 50, DIGITS[200:] - 50])
    graph, start = graph_and_start(vectors)
    points = layouts(graph, start, [0])[0]
    assert np.isfinite(points).all()
    centres = np.array([part.mean(0) for part in np.split(points, 3)])
    radius = max(np.linalg.norm(part - part.mean(0), axis=1).max() for part in np.split(points, 3))
    assert cdist(centres, centres)[np.triu_indices(3, 1)].min() > radius


@pytest.mark.parametrize("scale", [1, 1e-3])
def test_power_is_near_numpys(scale):
    x = (np.geomspace(1e-25, 1e20, 20_000) * scale).astype(np.float32)
    power = np.array([umap_layout._power(value) for value in x])
    assert power == pytest.approx(x.astype(np.float64) ** umap_layout._B, rel=1e-5)


def test_curve_is_the_one_umap_learn_fits():
    expected = umap_learn.find_ab_params(spread=1.0, min_dist=umap_layout.MIN_DIST)
    assert expected == pytest.approx((umap_layout._A, umap_layout._B), rel=1e-6)


def test_epochs_by_size():
    assert (epochs_for(10_000), epochs_for(10_001)) == (500, 200)


def one_at_a_time(points, heads, tails, period, epochs, draws):
    """umap-learn's loop over edges, in float64 and plain Python; `draws` gives the random points."""
    points, period = points.astype(np.float64), period.astype(np.float64)
    a, b = umap_learn.find_ab_params(spread=1.0, min_dist=0.1)
    due, repel_due = period.copy(), period / 5
    rate = 1.0
    for epoch in range(epochs):
        for edge in range(len(heads)):
            if due[edge] > epoch:
                continue
            i, j = heads[edge], tails[edge]
            gap = points[i] - points[j]
            square = gap @ gap
            force = -2 * a * b * square ** (b - 1) / (1 + a * square**b)
            points[i] += rate * np.clip(force * gap, -4, 4)
            points[j] -= rate * np.clip(force * gap, -4, 4)
            repellers = int((epoch - repel_due[edge]) / (period[edge] / 5))
            for _ in range(repellers):
                k = next(draws)
                gap = points[i] - points[k]
                square = gap @ gap
                if k != i:
                    force = 2 * b / ((0.001 + square) * (1 + a * square**b))
                    points[i] += rate * np.clip(force * gap, -4, 4)
            due[edge] += period[edge]
            repel_due[edge] += repellers * period[edge] / 5
        rate = 1 - epoch / epochs
    return points


def plain_python(monkeypatch, lanes):
    """The layout's functions with so many lanes, not compiled."""
    source = Path(umap_layout.__file__).read_text()
    assert "\n_LANES = 32\n" in source
    monkeypatch.setattr(numba, "njit", lambda function, **_: function)
    functions = {"__name__": "plain"}
    exec(compile(source.replace("\n_LANES = 32\n", f"\n_LANES = {lanes}\n"), "plain", "exec"), functions)
    return functions


def complete_graph():
    """Points, edges from each to all others, and periods whose fifths are exact."""
    rng = np.random.default_rng(0)
    heads, tails = (ends.astype(np.int32) for ends in np.nonzero(~np.eye(12, dtype=bool)))
    period = np.float32([1.25, 2.5, 5, 7.5])[rng.integers(4, size=len(heads))]
    return rng.uniform(0, 10, (12, 3)).astype(np.float32), heads, tails, period


def test_one_lane_is_umap_learns_loop(monkeypatch):
    # With one lane nothing moves together, and a random number is drawn for each repeller in turn.
    def xorshift32(bits):
        while True:
            bits ^= bits << 13 & 0xFFFFFFFF
            bits ^= bits >> 17
            bits ^= bits << 5 & 0xFFFFFFFF
            yield bits * 12 >> 32

    points, *edges = complete_graph()
    expected = one_at_a_time(points, *edges, 6, xorshift32(12345))
    plain_python(monkeypatch, lanes=1)["_lay_out"](points, *edges, 6, np.array([12345], np.uint32))
    assert points == pytest.approx(expected, abs=2e-3)


def test_compiled_lanes_move_as_in_plain_python(monkeypatch):
    points, *edges = complete_graph()
    expected, state = points.copy(), np.arange(1, 33, dtype=np.uint32)
    umap_layout._lay_out(points, *edges, 6, state.copy())
    plain_python(monkeypatch, lanes=32)["_lay_out"](expected, *edges, 6, state.copy())
    assert points == pytest.approx(expected, abs=2e-3)


def test_the_same_points_for_any_number_of_threads_and_any_company():
    graph, start = graph_and_start(DIGITS)
    alone = layouts(graph, start, [3], threads=1)[0]
    together = layouts(graph, start, [1, 2, 3], threads=2)
    assert (together[2] == alone).all()
    assert all((together[seed] != alone).any() for seed in (0, 1))


def test_seeds_mirror_the_start():
    _, start = graph_and_start(DIGITS)
    path = scipy.sparse.diags([np.ones(299)] * 2, [-1, 1]).tocsr()  # attracts neighbours in the list alone
    signs = {
        tuple(np.sign((points - points.mean(0)) * start).sum(0) > 0)
        for points in layouts(path, start, range(30))
    }
    assert len(signs) == 8


def test_neighbours_stay_together():
    # Each digit's nearest neighbour among the points mostly is one of its fourteen nearest images.
    indices, distances = nearest_neighbors(DIGITS, 14)
    graph = fuzzy_graph(indices, distances)
    for points in layouts(graph, spectral_start(graph, DIGITS), [0, 1]):
        nearest, _ = nearest_neighbors(points, 1)
        assert np.mean([near in row for near, row in zip(nearest[:, 0], indices, strict=True)]) > 0.6


def test_five_points():
    points = layouts(*graph_and_start(DIGITS[:5], k=3), [0])[0]
    assert points.shape == (5, 3)
    assert points.dtype == np.float32
    assert np.isfinite(points).all()


def test_layout_says_nothing_about_degenerate_graphs():
    vectors = np.repeat(DIGITS[:4], 30, axis=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        points = layouts(*graph_and_start(vectors), [0])[0]
    assert np.isfinite(points).all()


def test_compiles_where_nothing_can_be_kept(monkeypatch):
    def twice(x):
        return 2 * x

    monkeypatch.setattr(CacheImpl, "_locator_classes", [])  # as if no folder could be written to
    with pytest.raises(RuntimeError, match="no locator"):
        numba.njit(twice, cache=True)
    assert umap_layout._compiled(twice)(21) == 42
