import tracemalloc

import numpy as np
import pytest
import torch

from selector.evaluation import rankme, rankme_of_stream, singular_values_of_stream

rng = np.random.default_rng(0)
CLOUD = rng.standard_normal((300, 12)) * np.arange(1, 13) ** -1.5 + 0.5


def batches(rows, size):
    return (rows[start : start + size] for start in range(0, len(rows), size))


def test_worked_out_by_hand():
    # columns (3, 3) and (1, -1) are at right angles: their lengths are the singular values
    np.testing.assert_allclose(singular_values_of_stream([[[3.0, 1.0]], [[3.0, -1.0]]]), [3 * 2**0.5, 2**0.5])
    assert rankme_of_stream([np.eye(4)[:1], np.eye(4)[1:]]) == pytest.approx(4.0)


@pytest.mark.parametrize("size", [1, 7, 12, 100, 300])
def test_as_the_whole(size):
    found = singular_values_of_stream(batches(CLOUD, size))
    np.testing.assert_allclose(found, np.linalg.svd(CLOUD, compute_uv=False), rtol=1e-12)
    assert rankme_of_stream(batches(CLOUD, size)) == pytest.approx(rankme(CLOUD), rel=1e-9)


def test_values_that_a_gram_matrix_loses():
    rotation = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    rows = np.concatenate([np.diag([1.0, 1e-6, 1e-11]) @ rotation, np.zeros((20, 3))])
    np.testing.assert_allclose(singular_values_of_stream(batches(rows, 4)), [1.0, 1e-6, 1e-11], rtol=1e-3)


def test_fewer_rows_than_dimensions_and_tensors():
    few = CLOUD[:5]
    found = singular_values_of_stream(batches(torch.from_numpy(few).float(), 2))
    np.testing.assert_allclose(found, np.linalg.svd(few, compute_uv=False), rtol=1e-5)


def test_memory_does_not_grow_with_the_stream():
    def peak(count):
        tracemalloc.start()
        rankme_of_stream(np.full((100, 32), 1.0) + np.eye(100, 32) for _ in range(count))
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(2)
    assert peak(300) < 2 * peak(10)  # the stream is thirty times as long


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([], "at least one batch"),
        ([np.ones((2, 3)), np.ones((2, 4))], "4-d batch after 3-d"),
        ([np.ones((2, 3)), np.full((2, 3), np.nan)], "finite"),
        ([np.ones(3)], "shape"),
    ],
)
def test_refuses(given, said):
    with pytest.raises(ValueError, match=said):
        rankme_of_stream(given)
