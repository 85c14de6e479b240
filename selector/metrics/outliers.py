"""Outliers of an embedding: the few points far from all the rest, which make its entropy look low."""

import numpy as np
import torch
from numpy.typing import ArrayLike

from selector.metrics.arrays import as_vectors

THRESHOLD = 4.0


def outlier_share(points: ArrayLike | torch.Tensor, threshold: float = THRESHOLD) -> float:
    """Share of points that are outliers, from 0 to 1; it says when H(Z3) is not to be trusted.

    A point is an outlier when its Euclidean distance from the centre is more than `threshold` times the
    median of these distances; the centre is the median of each coordinate. The median distance is the median
    absolute deviation of points in a space, so up to half of the points cannot move the yardstick. Of
    Gaussian points in three dimensions three in a hundred million are so far out, of points that fill a ball
    none. Where more than half of the points coincide, all others are outliers; where all coincide, none is.

    A share of several percent is rather a second cluster beside one that holds over half of the points.

    Source: ours. Section IV of Xu, Lowe & Trappenberg 2022, https://arxiv.org/abs/2409.06612, finds that
    "outlier embeddings (at a large distance away from the rest of the samples)" lower the entropy early in
    training; the paper gives no rule.

    Args:
        points: (N, d) array or tensor; UMAP's 3-d points of the evaluation images.
        threshold: In median distances.

    Raises:
        ValueError: Points that are not a finite, non-empty (N, d) matrix, or a threshold not above 0.
    """
    if not threshold > 0:
        raise ValueError(f"threshold must be greater than 0, got {threshold}")
    coordinates = as_vectors(points).double().cpu().numpy()
    distances = np.linalg.norm(coordinates - np.median(coordinates, axis=0), axis=1)
    return float((distances > threshold * np.median(distances)).mean())
