import numba
import numpy as np
import pytest
import torch
import umap
from scipy.spatial.distance import cdist
from threadpoolctl import threadpool_limits

from selector.evaluation.umap_space import umap_neighbors, umap_points


def blobs(count, dimension=16, seed=0):
    rng = np.random.default_rng(seed)
    centers = 3 * rng.standard_normal((5, dimension))
    return (rng.standard_normal((count, dimension)) + centers[rng.integers(0, 5, count)]).astype(np.float32)


def by_umap_learn(vectors, seed):
    """umap-learn through its public interface, with exact neighbours of scipy's distances."""
    distances = cdist(vectors.astype(np.float64), vectors.astype(np.float64))
    neighbors = min(50, len(vectors) - 1)
    indices = distances.argsort(axis=1, kind="stable")[:, :neighbors]
    model = umap.UMAP(
        n_components=3,
        n_neighbors=neighbors,
        min_dist=0.1,
        metric="euclidean",
        random_state=seed,
        n_jobs=1,
        precomputed_knn=(indices, np.take_along_axis(distances, indices, 1).astype(np.float32)),
        force_approximation_algorithm=True,  # or umap-learn searches small data itself, in float32
    )
    return model.fit_transform(vectors)


@pytest.mark.filterwarnings("ignore:precomputed_knn")
@pytest.mark.parametrize("count", [5, 9, 30, 51, 150])
def test_points_are_those_of_umap_learn(count):
    vectors = blobs(count)
    first, second = umap_points(vectors, [0, 7])
    np.testing.assert_array_equal(first, by_umap_learn(vectors, 0))
    np.testing.assert_array_equal(second, by_umap_learn(vectors, 7))


def test_seeds_differ_and_repeat_themselves():
    vectors = blobs(80)
    first, second = umap_points(vectors, [0, 1])
    assert first.shape == (80, 3)
    assert not np.allclose(first, second, atol=0.1)
    np.testing.assert_array_equal(umap_points(torch.from_numpy(vectors), [1])[0], second)


def test_points_do_not_depend_on_the_number_of_threads():
    vectors = blobs(300, 32)
    points = []
    before = torch.get_num_threads(), numba.get_num_threads()
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
            with threadpool_limits(threads):
                points.append(umap_points(vectors, [0])[0])
    finally:
        torch.set_num_threads(before[0])
        numba.set_num_threads(before[1])
    np.testing.assert_array_equal(*points)


def test_neighbours_count_the_vector_itself():
    assert [umap_neighbors(count) for count in (5, 50, 51, 52, 10_000)] == [4, 49, 50, 50, 50]


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
        (np.ones(60), r"shape \(60,\)"),
        (np.full((60, 8), np.nan), "finite"),
    ],
)
def test_says_what_it_refuses(vectors, message):
    with pytest.raises(ValueError, match=message):
        umap_points(vectors, [0])


def test_torch_keeps_its_number_of_threads():
    """A run that is resumed after a milestone must train with as many threads as one that went through it."""
    vectors = np.random.default_rng(0).standard_normal((60, 4))
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        umap_points(vectors, [0])
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)
