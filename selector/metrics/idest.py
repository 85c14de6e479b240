"""IdEst: intrinsic dimension from how the minimum spanning tree grows with the number of images."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from selector.metrics.arrays import BLOCK_ELEMENTS, PAIRWISE_MAX_IMAGES, as_vectors, some_of
from selector.metrics.metric import BACKBONE, OF_SUBSET, label_free

if TYPE_CHECKING:
    import torch

    from selector.metrics.arrays import Array

_PARTS = 16  # subsamples of 1/16, 2/16, … 15/16 of the images


@label_free(
    reads="some_backbone",
    instead={"one_point": math.nan},
    symbol="IdEst",
    formula="1/(1 - m), m the slope of ln(spanning tree length) on ln(images)",
    space=BACKBONE,
    direction="min",
    cost="15 spanning trees; 5,000 images",
    source="Mordacq et al. 2026, arXiv:2606.03338, section 3.2",
    settings=OF_SUBSET,
)
def idest(embeddings: Array, max_images: int = PAIRWISE_MAX_IMAGES, *, seed: int = 0) -> float:
    """Intrinsic dimension of the images; its authors find it uninformative in early epochs.

    From 0 to D, by the growth of spanning trees.
    The minimum spanning tree of n points spread over a d-dimensional set grows like n^((d − 1)/d). Trees
    of random subsamples of N/16, 2N/16, … 15N/16 images give the slope. 0 when all images coincide. Equally
    distant images reach D, and so may too few images in many dimensions; a UserWarning says so. A few places
    that many images share read as about 1; a UserWarning says so where less than half of the images differ.
    Unchanged by rotation, offset and scale of all embeddings; Euclidean.
    The authors find it uninformative in the first 10 epochs. They use 50,000 images and state neither the
    smallest subsample nor the step; N/16 is ours for both.

    Args:
        embeddings: (N, D) array or tensor; distances are computed where it is, the trees on the CPU.
        max_images: If there are more, a random subset is taken; memory is 4 · max_images² bytes.
        seed: Of the subset and of the subsamples: one seed takes the same images of each encoder.
    """
    import torch

    vectors = as_vectors(embeddings, least=4)
    rng = np.random.default_rng(seed)
    vectors = some_of(vectors, max_images, rng)
    distances = _distances(vectors)
    different = len(torch.unique(vectors, dim=0))
    if 1 < different < len(vectors) / 2:
        warnings.warn(
            f"IdEst of {len(vectors)} embeddings of which only {different} differ means little: duplicates"
            " have no distance",
            UserWarning,
            stacklevel=2,
        )
    sizes = _subsample_sizes(len(vectors))
    subsamples = (rng.choice(len(vectors), size, replace=False) for size in sizes)
    lengths = np.array([_spanning_tree_length(distances, subsample) for subsample in subsamples])
    found, most = _dimension_of_growth(sizes, lengths), vectors.shape[1]
    if found > most > 1:  # a line has one dimension
        warnings.warn(
            f"IdEst of {len(vectors)} embeddings was cut off at their {most} dimensions: embed more images to"
            " tell whether they fill that many",
            UserWarning,
            stacklevel=2,
        )
    return min(float(most), found)


def _subsample_sizes(count: int) -> NDArray[np.int64]:
    sizes = np.unique(count * np.arange(1, _PARTS) // _PARTS)
    return sizes[sizes >= 2]


def _dimension_of_growth(sizes: NDArray[np.int64], lengths: NDArray[np.float64]) -> float:
    """1/(1 − slope of ln length on ln size); infinite for slopes from 1 on, 0 where no tree has a length."""
    grown = lengths > 0
    if np.count_nonzero(grown) < 2:
        return 0.0
    slope = np.polyfit(np.log(sizes[grown]), np.log(lengths[grown]), 1)[0]
    return float(1 / (1 - slope)) if slope < 1 else math.inf


def _distances(vectors: torch.Tensor) -> NDArray[np.float32]:
    """(N, N) Euclidean distances as shares of the farthest embedding's distance from their mean."""
    import torch

    points = vectors.to(torch.float64)
    points = points - points.mean(dim=0)
    points /= torch.linalg.vector_norm(points, dim=1).max().clamp(min=torch.finfo(torch.float64).tiny)
    squares = points.square().sum(dim=1)
    distances = np.empty((len(points), len(points)), dtype=np.float32)
    rounding = points.shape[1] * torch.finfo(torch.float64).eps
    rows = max(1, BLOCK_ELEMENTS // len(points))
    for start in range(0, len(points), rows):
        block = slice(start, start + rows)
        sums = squares[block, None] + squares
        squared = sums - 2 * (points[block] @ points.T)
        squared[squared < rounding * sums] = 0  # between equal embeddings
        distances[block] = squared.sqrt().cpu().numpy()
    return distances


def _spanning_tree_length(distances: NDArray[np.float32], points: NDArray[np.int64]) -> float:
    """Length of the minimum spanning tree of some of the points, by Prim's algorithm."""
    outside = points[1:].copy()
    nearest = distances[points[0], outside]
    length = 0.0
    for last in range(len(outside) - 1, -1, -1):
        next_one = nearest[: last + 1].argmin()
        length += float(nearest[next_one])
        added = outside[next_one]
        # The last one outside takes its place.
        outside[next_one], nearest[next_one] = outside[last], nearest[last]
        np.minimum(nearest[:last], distances[added, outside[:last]], out=nearest[:last])
    return length
