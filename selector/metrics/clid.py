"""CLID: how learnable the clusters of embeddings are, plus their intrinsic dimension."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from selector.metrics.arrays import (
    PAIRWISE_MAX_IMAGES,
    as_vectors,
    float64_blocks,
    one_thread,
    some_of,
    unit_vectors,
)
from selector.metrics.metric import BACKBONE, OF_SUBSET, label_free
from selector.metrics.neighbors import nearest_neighbors

if TYPE_CHECKING:
    import torch

    from selector.metrics.arrays import Array

OF_CLID = (*OF_SUBSET, "clid_clusters", "clid_neighbors")


def default_clusters(count: int) -> int:
    """⌊√N⌋, the number of clusters for N images."""
    return math.isqrt(count)


@label_free(
    reads="some_backbone",
    shared="learnability",
    instead={"one_direction": math.nan},
    prefix="clid",
    symbol="CL",
    formula="accuracy of 1-NN by cosine on half of the images, √N clusters",
    space=BACKBONE,
    direction="max",
    cost="k-means, neighbours; 5,000 images",
    source="Lu et al. 2022, arXiv:2206.01251, in third-party code",
    settings=OF_CLID,
)
def cluster_learnability(
    embeddings: Array,
    max_images: int = PAIRWISE_MAX_IMAGES,
    *,
    clusters: int | None = None,
    seed: int = 0,
) -> float:
    """How well the nearest image tells the k-means cluster of a held-out image.

    From 0 to 1.
    All images are clustered by direction; one random half names the clusters of the other half by the nearest
    image, by cosine. Embeddings that share one direction are one cluster, trivially learnt: 1. So only the
    intrinsic dimension shows a collapse. Unchanged by rotation and by rescaling single images, up to
    rounding. One k-means start is enough: the accuracy is already a mean over √N clusters.

    Two third-party implementations do it this way; the paper's own text was not read. The abstract of its
    first version speaks of the speed of learning, not of a held-out half.

    Args:
        embeddings: (N, D) array or tensor.
        max_images: If there are more, a random subset is taken, the same of each encoder.
        clusters: Number of clusters; ⌊√N⌋ by default.
        seed: Of the k-means start and of the split into two halves.
    """
    vectors = some_of(as_vectors(embeddings, least=2), max_images)
    count = len(vectors)
    if clusters is None:
        clusters = default_clusters(count)
    if not 1 <= clusters <= count:
        raise ValueError(f"expected 1 to {count} clusters for {count} embeddings, got {clusters}")
    labels = _clusters_by_direction(vectors, clusters, seed)
    order = np.random.default_rng(seed).permutation(count)
    known, held_out = order[: count // 2], order[count // 2 :]
    nearest, _ = nearest_neighbors(vectors[known], 1, "cosine", queries=vectors[held_out])
    return float((labels[known[nearest[:, 0]]] == labels[held_out]).mean())


def twonn(
    embeddings: Array,
    max_images: int = PAIRWISE_MAX_IMAGES,
    *,
    discard: float = 0.1,
    distances: NDArray[np.float32] | None = None,
) -> float:
    """Intrinsic dimension from the two nearest neighbours of each image, from 0 to D.

    Where density is locally even, μ = r₂/r₁ has the distribution 1 − μ^(−d): d is the slope through the
    origin of −ln(1 − i/N) on the ordered ln μ, the largest tenth of which is left out. Never above D, which
    is what equally distant images reach. Equal images count once; fewer than three different ones give 0.
    Unchanged by rotation, offset and scale of all embeddings. CLID takes higher as better
    (expressiveness), IdEst and others lower (compression).

    Source: Facco et al. 2017, "Estimating the intrinsic dimension of datasets by a minimal neighborhood
    information", https://doi.org/10.1038/s41598-017-11873-y.

    Args:
        embeddings: (N, D) array or tensor; the work is done where it is, exactly, in O(N² D).
        max_images: If there are more, a random subset is taken, the same of each encoder.
        discard: Share of the largest ratios to leave out, above 0 and below 1.
        distances: (N, 2 or more) distances of each image to its nearest others, where they are known.
    """
    import torch

    vectors = some_of(as_vectors(embeddings, least=3), max_images).to(torch.float64)
    if not 0 < discard < 1:
        raise ValueError(f"expected a share between 0 and 1 to discard, got {discard}")
    # Distances are float32, which holds no very small or large ones, and equal images count once.
    if distances is not None and distances[:, 0].min() > 1e-30 and distances[:, 1].max() < 1e30:
        nearest = distances[:, :2].astype(np.float64)
    else:
        nearest = _two_nearest(vectors / vectors.abs().max().clamp(min=torch.finfo(torch.float64).tiny))
    if len(nearest) < 3:
        return 0.0
    ratios = np.sort(np.log(nearest[:, 1] / nearest[:, 0]))[: int(len(nearest) * (1 - discard))]
    heights = -np.log1p(-np.arange(1, len(ratios) + 1) / len(nearest))
    dimension = float(vectors.shape[1])
    if not ratios.any():
        return dimension
    return min(dimension, float(ratios @ heights / (ratios @ ratios)))


@label_free(
    reads="some_backbone",
    shared="clid",
    instead={"one_direction": math.nan},
    also={"clid": cluster_learnability, "twonn": twonn},
    symbol="CLID",
    formula="CL + ID/D, ID by the two nearest neighbours (TwoNN)",
    space=BACKBONE,
    direction="max",
    cost="k-means, neighbours; 5,000 images",
    source="Lu et al. 2022, arXiv:2206.01251, in third-party code",
    settings=OF_CLID,
)
def clid(embeddings: Array, max_images: int = PAIRWISE_MAX_IMAGES, *, seed: int = 0) -> float:
    """How learnable the clusters are, and how many dimensions the images spread over.

    From 0 to 2; `seed` is `cluster_learnability`'s. If there are more images than `max_images`, a random
    subset is taken.
    The paper's own text was not read. That ID enters as ID/D is the reading of published third-party code;
    the paper may instead standardise both parts over the compared models, which is impossible for one
    model alone: for that, compare `cluster_learnability` and `twonn` themselves.
    """
    vectors = some_of(as_vectors(embeddings, least=3), max_images)
    return cluster_learnability(vectors, seed=seed) + twonn(vectors) / vectors.shape[1]


def _two_nearest(points: torch.Tensor) -> NDArray[np.float64]:
    """(M, 2) distances from each of the M different points to the two nearest others; empty for M < 3."""
    import torch

    distances = nearest_neighbors(points, 2)[1].astype(np.float64)
    if distances[:, 0].all():
        return distances
    different = torch.unique(points, dim=0)
    return _two_nearest(different) if 3 <= len(different) < len(points) else np.empty((0, 2))


def _clusters_by_direction(vectors: torch.Tensor, clusters: int, seed: int) -> NDArray[np.int32]:
    import torch
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    directions = torch.cat([unit_vectors(block) for block in float64_blocks(vectors)])
    # Equal directions of unequal lengths differ in the last digit.
    rounded = directions.round(decimals=12).cpu().numpy()
    with one_thread(), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer different directions than clusters
        labels: NDArray[np.int32] = KMeans(clusters, n_init=1, random_state=seed).fit_predict(rounded)
    return labels
