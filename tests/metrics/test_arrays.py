"""What every metric of (N, D) embeddings accepts and refuses."""

import numpy as np
import pytest
import torch
from handmade import FROM_UMAP
from test_edge_cases import FUNCTIONS, OF_VIEWS

from selector.metrics.arrays import as_vectors, unit_vectors
from selector.metrics.clid import clid, cluster_learnability, twonn
from selector.metrics.clusters import cosine_kmeans
from selector.metrics.entropy import histogram_entropy, outlier_share, robust_histogram_entropy
from selector.metrics.geometry import channel_std, collapse_level, self_clustering, uniformity
from selector.metrics.neighbors import nearest_neighbors
from selector.metrics.spectral import alpha_req, alpha_req_score, condition_number, rankme
from selector.metrics.umap import umap_points

METRICS = [alpha_req, twonn, *(f for name, f in FUNCTIONS.items() if name not in FROM_UMAP | OF_VIEWS)]


@pytest.fixture
def embeddings() -> np.ndarray:
    rng = np.random.default_rng(0)
    return (rng.standard_normal((90, 30)) * np.arange(1, 31) ** -0.5 + 0.3).astype(np.float32)


@pytest.mark.parametrize("metric", METRICS)
def test_one_value_for_every_kind_of_array(metric, embeddings):
    value = metric(embeddings)
    assert type(value) is float
    read_only = embeddings.copy()
    read_only.flags.writeable = False
    kinds = [
        torch.from_numpy(embeddings),
        torch.from_numpy(embeddings).requires_grad_(),
        embeddings.astype(np.float64),
        embeddings.astype(">f4"),
        np.asfortranarray(embeddings),
        read_only,
        embeddings.tolist(),
    ]
    assert [metric(kind) for kind in kinds] == pytest.approx([value] * len(kinds), rel=1e-6)


@pytest.mark.filterwarnings("error")
def test_read_only_arrays_are_taken_without_a_warning():
    array = np.ones((4, 3))
    array.flags.writeable = False
    as_vectors(array).add_(1)  # torch would warn that this changes the array
    assert (array == 1).all()


@pytest.mark.parametrize("metric", METRICS)
def test_leaves_its_input_as_it_was(metric, embeddings):
    copy = embeddings.astype(np.float64)  # the dtype in which the work is done
    metric(copy)
    assert (copy == embeddings).all()


# The others read small singular values, which rounding to the dtype makes: see test_spectrum.
@pytest.mark.parametrize(
    "metric", [m for m in METRICS if m not in (alpha_req, alpha_req_score, condition_number)]
)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.int64])
def test_low_precision_is_read_exactly(metric, dtype, embeddings):
    coarse = torch.from_numpy(100 * embeddings).to(dtype)
    assert metric(coarse) == pytest.approx(metric(coarse.double()), rel=1e-6)


REFUSING = [
    *METRICS,
    histogram_entropy,
    robust_histogram_entropy,
    outlier_share,
    lambda points: cosine_kmeans(points, 2, 0),
    lambda vectors: nearest_neighbors(vectors, 1),
    lambda vectors: umap_points(vectors, [0]),
]


@pytest.mark.parametrize("metric", REFUSING)
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (np.ones(3), r"shape \(3,\)"),
        (np.ones((2, 3, 4)), r"shape \(2, 3, 4\)"),
        (np.ones((20, 0)), r"shape \(20, 0\)"),
        (np.ones((0, 20)), "got 0|leave"),
        (np.full((20, 20), np.nan), "NaN or infinity"),
        (np.full((20, 20), -np.inf), "NaN or infinity"),
        (np.full((20, 20), 1e200), "1e\\+200"),
        (np.ones((20, 20), dtype=complex), "complex"),
        (torch.ones(20, 20, dtype=torch.complex64), "complex"),
        (torch.ones(20, 20, dtype=torch.bool), "bool"),
        (torch.eye(20).to_sparse(), r"a dense tensor, got one of torch\.sparse_coo: pass tensor\.to_dense"),
        (torch.eye(20).to_sparse_csr(), r"a dense tensor, got one of torch\.sparse_csr"),
        (np.array([["a", "b"]] * 20), "real numbers"),
        (np.ma.masked_array(np.ones((20, 20)), mask=np.eye(20)), "MaskedArray"),
    ],
)
def test_says_what_it_refuses(metric, wrong, message):
    with pytest.raises(ValueError, match=message):
        metric(wrong)


@pytest.mark.parametrize(
    "metric", [self_clustering, channel_std, collapse_level, uniformity, cluster_learnability]
)
def test_the_lengths_of_single_embeddings_change_nothing_on_the_sphere(metric, embeddings):
    lengths = np.random.default_rng(1).uniform(0.1, 10, (90, 1))
    assert metric(lengths * embeddings.astype(np.float64)) == pytest.approx(metric(embeddings), rel=1e-6)


def test_unit_vectors_of_any_length():
    lengths = torch.tensor([5, 5e-300, 5e200, 0], dtype=torch.float64)
    directions = unit_vectors(lengths[:, None] * torch.tensor([0.6, 0.8], dtype=torch.float64))
    assert directions.numpy() == pytest.approx(np.array([[0.6, 0.8]] * 3 + [[0, 0]]))


@pytest.mark.parametrize("dtype", [np.uint16, np.uint32, np.uint64, np.longdouble])
def test_kinds_of_numbers_that_torch_does_not_compute_with(dtype):
    assert rankme(np.eye(4).astype(dtype)) == rankme(np.eye(4))


@pytest.mark.parametrize("metric", [clid, cluster_learnability, twonn, uniformity])
def test_all_pairs_of_a_subset_are_compared_where_there_are_many(metric, embeddings):
    chosen = np.random.default_rng(0).choice(90, 50, replace=False)  # as of the images of a milestone
    assert metric(embeddings, 50) == metric(embeddings[chosen]) != metric(embeddings)
    with pytest.raises(ValueError, match="expected max_images of at least 4, got 3"):
        metric(embeddings, 3)
