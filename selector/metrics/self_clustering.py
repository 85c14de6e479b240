"""Self-clustering: how far embeddings crowd together on the unit sphere."""

import torch
from numpy.typing import ArrayLike

from selector.metrics.arrays import as_vectors, float64_blocks, unit_vectors
from selector.metrics.callable_module import make_callable


def self_clustering(embeddings: ArrayLike | torch.Tensor) -> float:
    """Squared cosines of all pairs, between chance (0) and one point (1); lower is better.

    (Q − E) / (N² − E) with Q the sum of the squared cosines over all ordered pairs, an image with itself
    included, and E = N + N(N − 1)/D its expectation for directions spread evenly over the sphere. From
    −1/(N − 1) to 1. Unchanged by rotation, and by any scaling of single vectors, of either sign. Not
    centred. A zero vector has no direction: all zero vectors together count as one point at right
    angles to the rest. In one dimension every direction is the same line: 1.

    From the (D, D) second moment of the directions, in O(N D²), or from their cosines where N < D.

    Source: Tsitsulin et al. 2023, arXiv:2305.16562, definition 3.5, read in the authors' code (tensorflow_gnn
    `self_clustering`); the paper's own text was not read. Their range (−0.5, 1] is that for N > 2.

    Args:
        embeddings: (N, D) array or tensor; the work is done where it is.

    Raises:
        ValueError: When the embeddings are not (N, D) with N ≥ 2, or not finite.
    """
    vectors = as_vectors(embeddings, least=2)
    count, dimension = vectors.shape
    if dimension == 1:
        return 1.0
    zeros = int((vectors == 0).all(dim=1).sum())
    squared_cosines = _sum_of_squared_cosines(vectors) + zeros**2
    expected = count + count * (count - 1) / dimension
    return (squared_cosines - expected) / (count**2 - expected)


def _sum_of_squared_cosines(vectors: torch.Tensor) -> float:
    count, dimension = vectors.shape
    if count < dimension:
        directions = unit_vectors(vectors.to(torch.float64))
        return float((directions @ directions.T).square().sum())
    moment = torch.zeros(dimension, dimension, dtype=torch.float64, device=vectors.device)
    for block in float64_blocks(vectors):
        directions = unit_vectors(block)
        moment += directions.T @ directions
    return float(moment.square().sum())  # ‖UᵀU‖²_F = ‖UUᵀ‖²_F


make_callable(__name__)
