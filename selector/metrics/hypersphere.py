"""Alignment and uniformity: near for two views of an image, spread out over all images."""

import math
from itertools import combinations

import torch
from numpy.typing import ArrayLike

from selector.metrics.arrays import (
    BLOCK_ELEMENTS,
    as_vectors,
    as_views,
    float64_blocks,
    unit_vectors,
)

ALPHA = 2.0
T = 2.0


def alignment(views: ArrayLike | torch.Tensor, *, alpha: float = ALPHA) -> float:
    """Mean of ‖u_a − u_b‖^α over all pairs of views of one image, as unit vectors; lower is better.

    From 0 (views of an image coincide) to 2^α; 2 for α = 2 when views are no nearer than chance. A
    collapsed encoder has the best value, 0: read it beside `uniformity`. A zero vector stays zero.

    Source: Wang and Isola 2020, "Understanding Contrastive Representation Learning through Alignment and
    Uniformity on the Hypersphere", arXiv:2005.10242, equation 1; they compare two views.

    Args:
        views: (n, q, D): q ≥ 2 views, from the training augmentations, of each of n images.
        alpha: Exponent of the distance, above 0.

    Raises:
        ValueError: When the views are not (n, q, D) with q ≥ 2, or not finite, or alpha is not above 0.
    """
    tensor = as_views(views)
    if not alpha > 0:
        raise ValueError(f"expected alpha above 0, got {alpha}")
    pairs = list(combinations(range(tensor.shape[1]), 2))
    total = 0.0
    for block in float64_blocks(tensor):
        directions = unit_vectors(block)
        for a, b in pairs:
            distances = torch.linalg.vector_norm(directions[:, a] - directions[:, b], dim=-1)
            total += float(distances.pow(alpha).sum())
    return total / (len(tensor) * len(pairs))


def uniformity(embeddings: ArrayLike | torch.Tensor, *, t: float = T) -> float:
    """Logarithm of the mean of exp(−t ‖u − v‖²) over all pairs of images, as unit vectors; lower is better.

    From −2t N/(N − 1) to 0, complete collapse. Directions spread evenly by chance have about −2t + 2t²/D,
    so values of different D are not comparable. Unchanged by rotation and by rescaling single images.
    A zero vector stays zero. Time O(N² D), in blocks, in float64.

    Source: Wang and Isola 2020, arXiv:2005.10242, equation 2, with t = 2.

    Args:
        embeddings: (N, D) array or tensor; the work is done where it is.
        t: Sharpness of the kernel, above 0.

    Raises:
        ValueError: When the embeddings are not (N, D) with N ≥ 2, or not finite, or t is not above 0.
    """
    vectors = as_vectors(embeddings, least=2)
    if not t > 0:
        raise ValueError(f"expected t above 0, got {t}")
    directions = torch.cat([unit_vectors(block) for block in float64_blocks(vectors)])
    squares = directions.square().sum(dim=1)  # 1, or 0 for a zero vector
    count = len(directions)
    rows = max(1, BLOCK_ELEMENTS // count)
    logs = []
    for start in range(0, count - 1, rows):
        stop = min(start + rows, count)
        # Each pair once: the columns right of the block's diagonal.
        cosines = directions[start:stop] @ directions[start + 1 :].T
        distances = squares[start:stop, None] + squares[start + 1 :] - 2 * cosines
        pairs = torch.ones_like(distances, dtype=torch.bool).triu()
        logs.append(torch.logsumexp(-t * distances.clamp(min=0)[pairs], dim=0))
    total = torch.logsumexp(torch.stack(logs), dim=0)
    return float(total) - math.log(count * (count - 1) / 2)
