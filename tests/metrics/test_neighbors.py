import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.neighbors import NearestNeighbors

from selector.metrics.neighbors import nearest_neighbors


def by_hand(vectors, k, metric="euclidean", queries=None):
    """All float64 distances, ordered by distance, then by index."""
    x = np.asarray(vectors, np.float64)
    y = x if queries is None else np.asarray(queries, np.float64)
    if metric == "cosine":
        x, y = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (x, y))
    distances = np.sqrt(((y[:, None] - x[None]) ** 2).sum(-1))
    if queries is None:
        np.fill_diagonal(distances, np.inf)
    indices = np.argsort(distances, axis=1, kind="stable")[:, :k]
    found = np.take_along_axis(distances, indices, 1)
    return indices, found**2 / 2 if metric == "cosine" else found


def clusters(seed=0, count=400, dimension=64, offset=0.0, spread=0.1):
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((5, dimension)) + offset
    points = centres[rng.integers(5, size=count)] + spread * rng.standard_normal((count, dimension))
    return points.astype(np.float32)


def test_points_on_a_line():
    # From 0, 1, 3 and 7: the nearest to 3 are 1 (2 away) and 0 (3 away); to 7 they are 3 and 1.
    indices, distances = nearest_neighbors([[0.0], [1.0], [3.0], [7.0]], 2)
    assert indices.tolist() == [[1, 2], [0, 2], [1, 0], [2, 1]]
    assert distances.tolist() == [[1, 3], [1, 2], [2, 3], [4, 6]]


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_equals_scikit_learn(metric):
    vectors = clusters(spread=0.5)
    expected = NearestNeighbors(n_neighbors=30, metric=metric, algorithm="brute").fit(vectors.astype(float))
    indices, distances = nearest_neighbors(vectors, 30, metric)
    assert (indices == expected.kneighbors()[1]).all()
    assert distances == pytest.approx(expected.kneighbors()[0], abs=1e-6)
    indices, distances = nearest_neighbors(vectors[:300], 30, metric, queries=vectors[300:])
    expected = expected.fit(vectors[:300].astype(float)).kneighbors(vectors[300:].astype(float))
    assert (indices == expected[1]).all()
    assert distances == pytest.approx(expected[0], abs=1e-6)


@pytest.mark.parametrize(
    "vectors",
    [
        clusters(offset=1000.0),  # the float32 product is blind to what is left of such distances
        clusters(spread=1e-4),  # neighbours nearer to one another than the product's rounding
        clusters(spread=0.0),  # five points, eighty times each
        np.ones((300, 8), np.float32),  # one point
        np.vstack([clusters(), 1e4 * np.ones((1, 64), np.float32)]),  # one far away
        1e-30 * clusters(),  # squares below float32's range
        1e30 * clusters().astype(np.float64),  # and above it
    ],
)
def test_exact_where_float32_is_not(vectors):
    indices, distances = nearest_neighbors(vectors, 20)
    expected = by_hand(vectors, 20)
    assert (indices == expected[0]).all()
    assert distances == pytest.approx(expected[1], rel=1e-6)


@settings(max_examples=50, deadline=None)
@given(
    arrays(np.float32, st.tuples(st.integers(25, 60), st.integers(1, 3)), elements=st.integers(-2, 2)),
    st.integers(1, 24),
)
def test_ties_are_ordered_by_index(vectors, k):
    # Integers have exact distances and few of them: almost all are ties, and most points have duplicates.
    indices, _ = nearest_neighbors(vectors, k)
    assert (indices == by_hand(vectors, k)[0]).all()


def test_a_duplicate_is_a_neighbour_but_the_vector_itself_is_not():
    vectors = clusters(count=50, spread=1.0)
    vectors[7] = vectors[3]
    indices, distances = nearest_neighbors(vectors, 49)
    assert (indices[3, 0], distances[3, 0], indices[7, 0]) == (7, 0, 3)
    assert (np.sort(indices, 1) == [[j for j in range(50) if j != i] for i in range(50)]).all()


def test_zero_vectors_have_no_angle():
    # At distance 1 from others, farther than 60° (0.5) and nearer than the opposite direction (2).
    vectors = [[0.0, 0.0], [1.0, 0.0], [0.5, 0.75**0.5], [-1.0, 0.0], [0.0, 0.0]]
    indices, distances = nearest_neighbors(vectors, 4, "cosine")
    assert indices[1].tolist() == [2, 0, 4, 3]
    assert distances[1] == pytest.approx([0.5, 1, 1, 2])
    assert (indices[0, 0], distances[0, 0]) == (4, 0)
    assert distances[0, 1:] == pytest.approx([1, 1, 1])


def test_same_bits_for_any_number_of_threads_and_precision_of_products(monkeypatch):
    vectors = clusters(count=1500, dimension=32, spread=1.0)
    threads = torch.get_num_threads()
    expected = nearest_neighbors(vectors, 20)
    try:
        torch.set_num_threads(3 - min(threads, 2))
        other_threads = nearest_neighbors(vectors, 20)
        torch.set_float32_matmul_precision("medium")
        other_precision = nearest_neighbors(vectors, 20)
    finally:
        torch.set_num_threads(threads)
        torch.set_float32_matmul_precision("highest")
    monkeypatch.setattr("selector.metrics.neighbors._BLOCK_BYTES", 50_000)
    small_blocks = nearest_neighbors(vectors, 20)
    for other in (other_threads, other_precision, small_blocks):
        assert (other[0] == expected[0]).all()
        assert (other[1] == expected[1]).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.ones((4, 2)), 4), "k must be from 1 to 3 for 4 vectors, got 4"),
        ((np.ones((4, 2)), 0), "got 0"),
        ((np.ones((4, 2)), 1, "manhattan"), "manhattan"),
    ],
)
def test_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        nearest_neighbors(*arguments)


@pytest.mark.parametrize("among", ["the vectors", "the queries", "both"])
def test_a_zero_vector_on_one_side_of_the_search(among):
    vectors, queries = np.eye(4)[:3] + 0.1, np.eye(4)[1:] * 5.0
    zero = np.zeros((1, 4))
    if among != "the queries":
        vectors = np.concatenate([vectors, zero])
    if among != "the vectors":
        queries = np.concatenate([queries, zero])
    indices, distances = nearest_neighbors(vectors, 1, "cosine", queries=queries)
    assert indices[:2, 0].tolist() == [1, 2]
    if among == "the queries":
        assert distances[-1, 0] == pytest.approx(1)  # from every other vector
    if among == "both":
        assert (indices[-1, 0], distances[-1, 0]) == (3, 0)
