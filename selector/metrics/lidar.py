"""LiDAR: how many directions tell images apart better than they tell views of one image apart."""

import torch
from numpy.typing import ArrayLike

from selector.metrics.arrays import as_views
from selector.metrics.callable_module import make_callable
from selector.metrics.singular_values import singular_values_of

DELTA = 1e-4
EPS = 1e-7


def lidar(views: ArrayLike | torch.Tensor, delta: float = DELTA, eps: float = EPS) -> float:
    """Effective rank of the linear discriminant analysis whose classes are images; higher is better.

    exp(-Σ p ln p) with p = λ / Σλ + eps over the D eigenvalues λ of Sw^-1/2 Sb Sw^-1/2. Sb is the
    covariance of the n images' means (divisor n - 1), Sw the pooled covariance of the views about the
    mean of their image (divisor n (q - 1)) plus delta on its diagonal. From about 1 to about min(D, n - 1):
    take n > D. Images that share one mean leave nothing to tell apart and give 1. Because delta is
    absolute, LiDAR depends on the scale of the embeddings unless Sw is much larger.

    Source: Thilak et al. 2023, https://arxiv.org/abs/2312.04000. Implementations disagree on its constants
    (delta 1e-4 with eps 1e-8, delta 1e-6 with eps 1e-7): delta is 1e-4 here, the one that keeps Sw
    invertible in float32 embeddings, and eps is RankMe's, so that the two ranks read alike.

    Args:
        views: (n, q, D) array or tensor: n images, q views of each drawn with the training augmentations.
            The work is done where they are, in float64.
        delta: Ridge on the within-image covariance.
        eps: Added to each scaled eigenvalue.

    Raises:
        ValueError: Views that are not a finite (n, q, D) array of at least 2 images with at least 2 views
            each, or a delta that is not positive, or lost to rounding beside views that vary too much.
    """
    vectors = as_views(views).double()
    n, q, dimensions = vectors.shape
    if n < 2:
        raise ValueError(f"LiDAR compares at least 2 images, got {n}")
    if not delta > 0:
        raise ValueError(f"delta must be greater than 0, got {delta}")
    means = vectors.mean(dim=1)
    between = means - means.mean(dim=0)  # betweenᵀ between = (n - 1) Sb, whose factor drops out of p
    within = (vectors - means[:, None]).reshape(n * q, dimensions)
    ridge = delta * torch.eye(dimensions, dtype=torch.float64, device=vectors.device)
    factor, failed = torch.linalg.cholesky_ex(within.T @ within / (n * (q - 1)) + ridge)
    if failed:
        raise ValueError(f"delta {delta:g} is nothing beside the covariance of the views: take a larger one")
    # With Sw = L Lᵀ, L^-1 Sb L^-T has the eigenvalues of Sw^-1/2 Sb Sw^-1/2: squares of singular values.
    whitened = torch.linalg.solve_triangular(factor, between.T, upper=False)
    found = singular_values_of(whitened).square()
    if found.sum() == 0:
        return 1.0
    p = torch.zeros_like(ridge[0]) + eps
    p[: len(found)] += found / found.sum()
    return float(torch.special.entr(p).sum().exp())


make_callable(__name__)
