import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_limits

from selector.metrics.umap import umap_points


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
        (np.ones(60), r"shape \(60,\)"),
        (np.full((60, 8), np.nan), "finite"),
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
