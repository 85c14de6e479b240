"""UMAP points: the few coordinates in which embeddings are clustered and their entropy is measured."""

import warnings
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from selector.evaluation.arrays import as_vectors
from selector.evaluation.neighbors import nearest_neighbors
from selector.evaluation.threads import one_thread, torch_threads_kept

COMPONENTS = 3
MIN_DIST = 0.1
FEWEST = COMPONENTS + 2  # the spectral start takes 4 of the Laplacian's eigenvectors, and ARPACK wants N > 4
_NEIGHBORS = 50


def umap_neighbors(count: int) -> int:
    """How many neighbours each of `count` vectors has, itself included: 50, or N - 1 where N ≤ 50."""
    return min(_NEIGHBORS, count - 1)


def umap_points(vectors: ArrayLike | torch.Tensor, seeds: Iterable[int]) -> list[NDArray[np.float32]]:
    """Z3: the 3-d UMAP points of the vectors, once for each seed.

    What umap-learn computes for n_components=3, n_neighbors=50, min_dist=0.1, metric="euclidean" and
    random_state=seed, but with exact neighbours, searched once for all seeds. As in umap-learn a vector is
    the first of its own neighbours, there are N - 1 of them where N ≤ 50, and the layout takes 500 epochs,
    or 200 where N > 10,000. The points do not depend on the number of threads. Only distances among them
    mean something: origin and axes are arbitrary.

    Source: McInnes, Healy & Melville 2020, https://arxiv.org/abs/1802.03426. 50 neighbours and three
    dimensions are from Xu, Lowe & Trappenberg 2022, https://arxiv.org/abs/2409.06612, section III-C, which
    leaves the rest to UMAP's defaults.

    Args:
        vectors: (N, D) array or tensor, N ≥ 5; in the paper the backbone's 512-d embeddings.
        seeds: Of the noise in the start and of the points that repel each other.

    Returns:
        One (N, 3) array a seed.

    Raises:
        ValueError: Vectors that are not a finite (N, D) matrix, are fewer than 5, or are all equal: collapsed
            embeddings have no neighbourhoods to lay out.
    """
    array = as_vectors(vectors, least=FEWEST).double().cpu().numpy()
    if (array == array[0]).all():
        raise ValueError(f"UMAP has nothing to lay out: all {len(array)} vectors are equal")
    with torch_threads_kept():
        graph = _fuzzy_graph(array)
        return [_layout(array, graph, seed) for seed in seeds]


def _fuzzy_graph(vectors: NDArray[np.float64]) -> Any:
    """UMAP's fuzzy simplicial set: a sparse (N, N) matrix of how strongly two vectors are joined."""
    neighbors = umap_neighbors(len(vectors))
    # umap-learn counts a vector as its own first neighbour.
    others, distances = nearest_neighbors(vectors, neighbors - 1)
    own = np.arange(len(vectors))[:, None]
    indices = np.hstack([own, others]).astype(np.int32)
    distances = np.hstack([np.zeros(own.shape, np.float32), distances])
    graph, _, _ = _umap().fuzzy_simplicial_set(
        vectors, neighbors, None, "euclidean", knn_indices=indices, knn_dists=distances
    )
    return graph


def _layout(vectors: NDArray[np.float64], graph: Any, seed: int) -> NDArray[np.float32]:
    """(N, 3) points that umap-learn lays out for the graph, from the graph's spectral embedding."""
    umap = _umap()
    a, b = umap.find_ab_params(spread=1.0, min_dist=MIN_DIST)
    # Degenerate graphs (groups of equal vectors) make the spectral start warn and take its own way out.
    with one_thread(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        points, _ = umap.simplicial_set_embedding(
            vectors, graph, COMPONENTS, initial_alpha=1.0, a=a, b=b, gamma=1.0, negative_sample_rate=5,
            n_epochs=None, init="spectral", random_state=np.random.RandomState(seed),
            metric="euclidean", metric_kwds={}, densmap=False, densmap_kwds={}, output_dens=False,
            euclidean_output=True, parallel=False, tqdm_kwds={"disable": True},
        )  # fmt: skip
    layout: NDArray[np.float32] = points
    return layout


@cache
def _umap() -> Any:
    """umap-learn, imported when it is first needed, with its compiled functions kept on disk.

    Compilation is most of what UMAP costs in a fresh process (9 s of 11 s for 360 vectors), and
    umap-learn repeats it in each. numba keeps what it compiled beside umap-learn's own files, or
    in the user's cache folder, and compiles afresh where those files or the processor changed.
    """
    import umap.layouts
    import umap.umap_

    with suppress(RuntimeError):  # no folder that can be written to: compiled in each process, as before
        for function in (
            umap.umap_.smooth_knn_dist,
            umap.umap_.compute_membership_strengths,
            umap.layouts._get_optimize_layout_euclidean_single_epoch_fn(parallel=False),
        ):
            function.enable_caching()
    return umap.umap_
