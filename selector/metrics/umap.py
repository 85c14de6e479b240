"""UMAP points: the few coordinates in which embeddings are clustered and their entropy is measured."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from selector.metrics.arrays import as_vectors
from selector.metrics.neighbors import nearest_neighbors

if TYPE_CHECKING:
    import torch

    from selector.metrics.arrays import Array

COMPONENTS = 3
MIN_DIST = 0.1
FEWEST = COMPONENTS + 2  # the spectral start takes 4 of the Laplacian's eigenvectors, and ARPACK wants N > 4
_NEIGHBORS = 50


def umap_neighbors(count: int) -> int:
    """How many neighbours each of `count` vectors has, itself included: 50, or N - 1 where N ≤ 50."""
    return min(_NEIGHBORS, count - 1)


def umap_points(
    vectors: Array,
    seeds: Iterable[int],
    neighbors: tuple[NDArray[np.int64], NDArray[np.float32]] | None = None,
) -> list[NDArray[np.float32]]:
    """Z3: the 3-d UMAP points of the vectors, once for each seed.

    What umap-learn computes, but for rounding, for n_components=3, n_neighbors=50, min_dist=0.1,
    metric="euclidean" and a random_state, with exact neighbours, searched once for all seeds, and mirrored by
    the seed: see `umap_layout`. As in umap-learn a vector is the first of its own neighbours,
    there are N - 1 of them where N ≤ 50, and the layout takes 500 epochs, or 200 where N > 10,000. The seeds
    are shared among torch's threads; the points do not depend on how many there are. Only distances among
    points mean something: origin and axes are arbitrary.

    Source: McInnes, Healy & Melville 2020, https://arxiv.org/abs/1802.03426. 50 neighbours and three
    dimensions are from Xu, Lowe & Trappenberg 2022, https://arxiv.org/abs/2409.06612, section III-C, which
    leaves the rest to UMAP's defaults.

    Args:
        vectors: (N, D) array or tensor, N ≥ 5; in the paper the backbone's 512-d embeddings.
        seeds: Of the start's mirror image and noise, and of the points that repel each other.
        neighbors: Of each vector, as `nearest_neighbors` finds them, where they are known.

    Returns:
        One (N, 3) array per seed.

    Raises:
        ValueError: Vectors that are not a finite (N, D) matrix, are fewer than 5, or are all equal: collapsed
            embeddings have no neighbourhoods to lay out.
    """
    import torch

    from selector.metrics.umap_layout import fuzzy_graph, layouts, spectral_starts

    points, seeds = _checked(vectors), list(seeds)
    graph = fuzzy_graph(*(neighbors or nearest_neighbors(points, umap_neighbors(len(points)) - 1)))
    return layouts(graph, spectral_starts(graph, points, seeds), seeds, torch.get_num_threads())


def umap_learn_points(vectors: Array, seeds: Iterable[int]) -> list[NDArray[np.float32]]:
    """The same by umap-learn itself, as in the paper: slower, and other points for another processor.

    Args:
        vectors: (N, D) array or tensor, N ≥ 5.
        seeds: Each is umap-learn's `random_state`.

    Returns:
        One (N, 3) array per seed.

    Raises:
        ValueError: As of `umap_points`.
    """
    from umap import UMAP

    points = _checked(vectors).cpu().numpy()
    found = []
    for seed in seeds:
        neighbors = umap_neighbors(len(points))
        layout = UMAP(neighbors, COMPONENTS, min_dist=MIN_DIST, random_state=seed, n_jobs=1)
        found.append(np.asarray(layout.fit_transform(points), np.float32))
    return found


def _checked(vectors: Array) -> torch.Tensor:
    points = as_vectors(vectors, least=FEWEST)
    if (points == points[0]).all():
        raise ValueError(f"UMAP has nothing to lay out: all {len(points)} vectors are equal")
    return points
