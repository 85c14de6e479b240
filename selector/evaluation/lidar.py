"""LiDAR: how many directions tell images apart better than they tell views of one image apart."""

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.linalg import cholesky, solve_triangular, svdvals

from selector.evaluation.arrays import as_views


def lidar(views: ArrayLike | torch.Tensor, delta: float = 1e-4, eps: float = 1e-7) -> float:
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
        delta: Ridge on the within-image covariance.
        eps: Added to each scaled eigenvalue.

    Raises:
        ValueError: Views that are not a finite (n, q, D) array of at least 2 images with at least 2 views
            each, or a delta that is not positive.
    """
    array = as_views(views).double().cpu().numpy()
    n, q, dimensions = array.shape
    if n < 2:
        raise ValueError(f"LiDAR compares at least 2 images, got {n}")
    if not delta > 0:
        raise ValueError(f"delta must be greater than 0, got {delta}")
    means = array.mean(axis=1)
    between = means - means.mean(axis=0)  # betweenᵀ between = (n - 1) Sb, whose factor drops out of p
    within = (array - means[:, None]).reshape(n * q, dimensions)
    covariance = within.T @ within / (n * (q - 1)) + delta * np.eye(dimensions)
    # With Sw = L Lᵀ, L^-1 Sb L^-T has the eigenvalues of Sw^-1/2 Sb Sw^-1/2: squares of singular values.
    whitened = solve_triangular(cholesky(covariance, lower=True), between.T, lower=True)
    eigenvalues = np.zeros(dimensions)
    found = svdvals(whitened) ** 2
    eigenvalues[: len(found)] = found
    if eigenvalues.sum() == 0:
        return 1.0
    p = eigenvalues / eigenvalues.sum() + eps
    return float(np.exp(-(p[p > 0] * np.log(p[p > 0])).sum()))
