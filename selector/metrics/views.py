"""What several augmented views of an image have in common: alignment and LiDAR."""

from __future__ import annotations

import math
from itertools import combinations
from typing import TYPE_CHECKING

from selector.metrics.arrays import TooFew, Undefined, as_views, float64_blocks, unit_vectors
from selector.metrics.metric import VIEWS, label_free
from selector.metrics.spectrum import singular_values_of

if TYPE_CHECKING:
    from selector.metrics.arrays import Array


@label_free(
    reads="views",
    instead={"views_have_one_direction": math.nan},
    symbol="L_align",
    formula="mean ‖u_a - u_b‖² over the pairs of views of an image, as unit vectors",
    space=VIEWS,
    direction="min",
    cost="10 views of 1,000 images",
    source="Wang & Isola 2020, arXiv:2005.10242, equation 1",
)
def alignment(views: Array, *, alpha: float = 2.0) -> float:
    """How far apart two views of an image are; read it together with uniformity.

    The mean of their distances to the power of α, from 0 (views of an image coincide) to 2^α; 2 for α = 2
    when views are no nearer than chance. A collapsed encoder has the best value, 0. A zero vector stays zero.
    The source compares two views.

    Args:
        views: (n, q, D): q ≥ 2 views, from the training augmentations, of each of n images.
        alpha: Exponent of the distance, above 0.
    """
    import torch

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


# One direction is the worst of all; of its rounding alone LiDAR counts all directions, delta being above all.
@label_free(
    reads="views",
    instead={"views_have_one_direction": 1.0},
    symbol="LiDAR",
    formula="exp(-Σ p ln p), p = λ/Σλ + 1e-7, λ of Sw^-1/2 Sb Sw^-1/2, Sw with 1e-4 on its diagonal",
    space=VIEWS,
    direction="max",
    cost="10 views of 1,000 images",
    source="Thilak et al. 2023, arXiv:2312.04000",
)
def lidar(views: Array, *, delta: float = 1e-4, eps: float = 1e-7) -> float:
    """How many directions tell images apart better than they tell views of one image apart.

    Effective rank of the linear discriminant analysis whose classes are images.
    Sb is the covariance of the n images' means (divisor n - 1), Sw the pooled covariance of the views about
    the mean of their image (divisor n (q - 1)) plus delta on its diagonal. From about 1 to about
    min(D, n - 1): take n > D. Images that share one mean leave nothing to tell apart and give 1. Because
    delta is absolute, LiDAR depends on the scale of the embeddings unless Sw is much larger.

    Implementations disagree on its constants (delta 1e-4 with eps 1e-8, delta 1e-6 with eps 1e-7): delta is
    1e-4 here, the one that keeps Sw invertible in float32 embeddings, and eps is RankMe's, so that the two
    ranks read alike.

    Args:
        views: (n, q, D) array or tensor: n images, q views of each drawn with the training augmentations.
            The work is done where they are, in float64.
        delta: Ridge on the within-image covariance.
        eps: Added to each scaled eigenvalue.

    Raises:
        ValueError: Views that are not a finite (n, q, D) array of at least 2 images with at least 2 views
            each, or a delta that is not positive, or lost to rounding beside views that vary too much.
    """
    import torch

    vectors = as_views(views).double()
    n, q, dimensions = vectors.shape
    if n < 2:
        raise TooFew(f"LiDAR compares at least 2 images, got {n}")
    if not delta > 0:
        raise ValueError(f"delta must be greater than 0, got {delta}")
    means = vectors.mean(dim=1)
    between = means - means.mean(dim=0)  # betweenᵀ between = (n - 1) Sb, whose factor drops out of p
    within = (vectors - means[:, None]).reshape(n * q, dimensions)
    ridge = delta * torch.eye(dimensions, dtype=torch.float64, device=vectors.device)
    factor, failed = torch.linalg.cholesky_ex(within.T @ within / (n * (q - 1)) + ridge)
    if failed:
        raise Undefined(
            f"delta {delta:g} is negligible next to the covariance of the views: use a larger one"
        )
    # With Sw = L Lᵀ, L^-1 Sb L^-T has the eigenvalues of Sw^-1/2 Sb Sw^-1/2: squares of singular values.
    whitened = torch.linalg.solve_triangular(factor, between.T, upper=False)
    found = singular_values_of(whitened).square()
    if found.sum() == 0:
        return 1.0
    p = torch.zeros_like(ridge[0]) + eps
    p[: len(found)] += found / found.sum()
    return float(torch.special.entr(p).sum().exp())
