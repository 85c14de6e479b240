"""Cosine k-means, and how good and how stable its clusters are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from selector.metrics.arrays import as_vectors, one_thread, refuse_masked, unit_vectors
from selector.metrics.metric import BACKBONE, OF_CLUSTERS, Z3, label_free, labelled

if TYPE_CHECKING:
    from selector.metrics.arrays import Array

KMEANS_RESTARTS = 10
_BLOCK_ROWS = 1024  # distances held at once: 8 MiB
_PAPER = "Xu, Lowe & Trappenberg 2022, arXiv:2409.06612, section III-C"
_SILHOUETTE: dict[str, Any] = {
    "space": BACKBONE,
    "direction": "max",
    "cost": "distances of all pairs",
    "source": _PAPER,
}
_AGREEMENT: dict[str, Any] = {
    "space": Z3,
    "direction": "max",
    "cost": "k-means on the UMAP points",
    "source": f"{_PAPER}, equation 4",
    "settings": OF_CLUSTERS,
}


def cosine_kmeans(points: Array, clusters: int, seed: int) -> NDArray[np.int32]:
    """Cluster of each point by direction: rows are scaled to length 1, then clustered by Euclidean k-means.

    The points are not centred: their directions are those seen from the origin of their own coordinates.
    A zero vector has no direction; it stays at the origin, equally far from every direction. The best of 10
    k-means++ starts (scikit-learn's KMeans); the result does not depend on the number of threads.

    Source: "k-means using the cosine distance metric" of Xu, Lowe & Trappenberg 2022,
    https://arxiv.org/abs/2409.06612, section III-C.

    Args:
        points: (N, d) array or tensor; in the paper UMAP's 3-d points of the evaluation images.
        clusters: K, from 1 to the number of distinct directions.
        seed: Of the k-means++ starts.

    Returns:
        (N,) cluster indices from 0 to K - 1.

    Raises:
        ValueError: Points that are not a finite (N, d) matrix, or fewer distinct directions than clusters.
    """
    from sklearn.cluster import KMeans

    if clusters < 1:
        raise ValueError(f"clusters must be at least 1, got {clusters}")
    directions = unit_vectors(as_vectors(points).double()).cpu().numpy()
    # Rounded, because equal directions of unequal lengths differ in the last digit.
    distinct = len(np.unique(directions.round(12), axis=0))
    if distinct < clusters:
        raise ValueError(f"{clusters} clusters need as many distinct directions, got {distinct}")
    with one_thread():
        model = KMeans(clusters, n_init=KMEANS_RESTARTS, random_state=seed).fit(directions)
    labels: NDArray[np.int32] = model.labels_
    return labels


def cosine_clusterings(
    layouts: Sequence[NDArray[np.float32]], clusters: Sequence[int]
) -> list[list[NDArray[np.int32]]]:
    """`cosine_kmeans` of all layouts, each with its place as the seed, for each number of clusters.

    They are shared among torch's threads; the result does not depend on how many there are.
    """
    import torch

    tasks = [(points, count, seed) for count in clusters for seed, points in enumerate(layouts)]
    threads = torch.get_num_threads()
    # Held here as well: BLAS has one limit for all, which the first to end would lift for the others.
    with one_thread(), ThreadPoolExecutor(threads) as pool:
        found = list(pool.map(lambda task: cosine_kmeans(*task), tasks))
    return [found[start : start + len(layouts)] for start in range(0, len(found), len(layouts))]


@labelled(
    name="silhouette_labels",
    reads=("backbone_vectors", "labels"),
    shared="silhouette_of_labels",
    instead={"one_point": 0.0},
    symbol="S_GT",
    meaning="How tight and far apart the classes are.",
    formula="as silhouette, of the classes",
    **_SILHOUETTE,
)
@label_free(
    name="silhouette_umap",
    reads=("points", "clusters"),
    instead={"one_point": math.nan},
    symbol="S_1(Z3)",
    meaning="How tight and far apart the k-means clusters are in the space where they were found.",
    formula="as silhouette, distances in Z3 too",
    space=Z3,
    direction="max",
    cost="distances of all pairs, in 3-d",
    source="Lowe et al. 2024, arXiv:2406.02465: silhouettes in UMAP space follow AMI with the classes",
    settings=OF_CLUSTERS,
)
@label_free(
    reads=("backbone_vectors", "clusters"),
    shared="silhouettes",
    instead={"one_point": math.nan},
    symbol="S_1",
    meaning="How tight and far apart the k-means clusters are.",
    formula="mean (b - a)/max(a, b), distances to own and nearest other cluster, from Z3",
    settings=OF_CLUSTERS,
    **_SILHOUETTE,
)
def silhouette(vectors: Array, clusters: Array) -> float:
    """Mean silhouette (Rousseeuw 1987) of the clusters, from -1 to 1.

    For each vector a is the mean Euclidean distance to the others of its cluster, b the smallest mean
    distance to another cluster: 0 where a = b = 0, and 0 for the only vector of a cluster. S1 of the paper
    when the clusters are those of k-means, S_GT when they are labels.

    Args:
        vectors: (N, D) array or tensor; in the paper the backbone's 512-d embeddings.
        clusters: (N,) integers, one cluster per vector.
    """
    return silhouettes(vectors, [clusters])[0]


def silhouettes(vectors: Array, clusterings: Sequence[Array]) -> list[float]:
    """`silhouette` of several clusterings of the same vectors, for the price of one pass over the distances.

    Memory above the input is O(N (D + total number of clusters)), never N². Distances come from matrix
    products of centred float64 vectors: those below about 1e-8 of the vectors' spread are rounding.
    """
    import torch

    array = as_vectors(vectors).to("cpu", torch.float64, copy=True).numpy()
    members = [_members(clusters, len(array)) for clusters in clusterings]
    totals = _distances_to_clusters(array, np.hstack(members))
    ends = np.cumsum([member.shape[1] for member in members])
    parts = np.split(totals, ends[:-1], axis=1)
    return [_mean_silhouette(total, member) for total, member in zip(parts, members, strict=True)]


@labelled(
    name="ami_labels",
    reads=("clusters", "labels"),
    instead={"one_point": 0.0},
    symbol="AMI(C_1, C_GT)",
    meaning="How well the clusters that k-means finds agree with the classes.",
    formula="(I - E[I]) / ((H_1 + H_GT)/2 - E[I])",
    **_AGREEMENT,
)
@label_free(
    reads=("clusters", "finer_clusters"),
    instead={"one_point": math.nan},
    symbol="AMI(C_1, C_2)",
    meaning="How well two k-means clusterings agree, one with twice the clusters of the other.",
    formula="(I - E[I]) / ((H_1 + H_2)/2 - E[I])",
    **_AGREEMENT,
)
def clustering_agreement(first: Array, second: Array) -> float:
    """Adjusted mutual information of two clusterings of the same points: 1 if equal, about 0 by chance.

    Both are (N,) integers. In the paper the first has k1 clusters and the second 2 k1, and a higher agreement
    means that k-means finds stable groups. Two clusterings of a single cluster each agree perfectly: 1.
    """
    from sklearn.metrics import adjusted_mutual_info_score

    labels = _integers(first), _integers(second)
    if len(labels[0]) != len(labels[1]) or len(labels[0]) == 0:
        raise ValueError(f"expected clusters of the same points, got {len(labels[0])} and {len(labels[1])}")
    return float(adjusted_mutual_info_score(*labels, average_method="arithmetic"))


def _integers(clusters: Array) -> NDArray[np.int64]:
    import torch

    refuse_masked(clusters)
    array = np.asarray(clusters.detach().cpu() if isinstance(clusters, torch.Tensor) else clusters)
    if array.ndim != 1 or not np.issubdtype(array.dtype, np.integer):
        raise ValueError(f"expected (N,) integers, got {array.dtype} of shape {array.shape}")
    return array


def _members(clusters: Array, size: int) -> NDArray[np.float64]:
    """(N, K): 1 where a vector belongs to a cluster, else 0."""
    labels = _integers(clusters)
    if len(labels) != size:
        raise ValueError(f"expected one cluster for each of {size} vectors, got {len(labels)}")
    names, index = np.unique(labels, return_inverse=True)
    if len(names) < 2:
        raise ValueError(f"a silhouette needs at least 2 clusters, got {len(names)}")
    return np.eye(len(names))[index]


def _distances_to_clusters(vectors: NDArray[np.float64], members: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, K) sums of the distances from each vector to the members of each cluster; centres the vectors."""
    vectors -= vectors.mean(axis=0)  # distances stay, rounding errors shrink with the norms
    totals = np.zeros(members.shape)
    starts = range(0, len(vectors), _BLOCK_ROWS)
    squares = np.concatenate([(vectors[row : row + _BLOCK_ROWS] ** 2).sum(axis=1) for row in starts])
    for row in starts:
        rows = slice(row, row + _BLOCK_ROWS)
        for column in starts[row // _BLOCK_ROWS :]:  # the distances on the other side are the same
            columns = slice(column, column + _BLOCK_ROWS)
            distances = vectors[rows] @ vectors[columns].T
            distances *= -2
            distances += squares[rows, None]
            distances += squares[columns]
            if row == column:
                np.fill_diagonal(distances, 0)
            np.sqrt(np.maximum(distances, 0, out=distances), out=distances)
            totals[rows] += distances @ members[columns]
            if row != column:
                totals[columns] += distances.T @ members[rows]
    return totals


def _mean_silhouette(totals: NDArray[np.float64], members: NDArray[np.float64]) -> float:
    sizes = members.sum(axis=0)
    own = members.astype(bool)
    own_size = (members @ sizes).astype(int)
    within = totals[own] / np.maximum(own_size - 1, 1)
    nearest_other = np.where(own, np.inf, totals / sizes).min(axis=1)
    larger = np.maximum(within, nearest_other)
    values = (nearest_other - within) / np.where(larger > 0, larger, 1)
    return float(np.where(own_size > 1, values, 0.0).mean())
