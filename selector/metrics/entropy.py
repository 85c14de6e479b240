"""Entropy of the embedding distribution, from a histogram of low-dimensional points."""

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from selector.metrics.arrays import as_vectors

_MAD_OF_A_GAUSSIAN = 0.6744897501960817  # median absolute deviation of a standard normal: its 0.75 quantile


def histogram_entropy(points: ArrayLike | torch.Tensor, bin_width: float = 0.4) -> float:
    """H(Z3): entropy in nats of the histogram of the points, from 0 to ln N.

    Low when the points gather in few places. Over training it falls with quality for SimCLR and MoCo-v2
    and rises for SimSiam (Table I of the paper), so the better direction depends on the method.

    Axis i is cut into half-open bins [min_i + j w_i, min_i + (j + 1) w_i) of width w_i = bin_width · σ_i,
    σ_i being the standard deviation (divisor N). An axis on which all points agree has one bin.
    A few distant points inflate σ and so lower the entropy; `robust_histogram_entropy` resists them.

    Source: Xu, Lowe & Trappenberg 2022, https://arxiv.org/abs/2409.06612, section III-C. The paper does not
    say where bins begin.

    Args:
        points: (N, d) array or tensor; in the paper UMAP's 3-d points of the evaluation images.
        bin_width: In standard deviations; 0.4 in the paper, 0.8 for its supervised pretrained models.

    Raises:
        ValueError: Points that are not a finite, non-empty (N, d) matrix, or a width that is not positive.
    """
    coordinates = _checked(points, bin_width)
    return _entropy(coordinates, bin_width * coordinates.std(axis=0))


def robust_histogram_entropy(points: ArrayLike | torch.Tensor, bin_width: float = 0.4) -> float:
    """`histogram_entropy` with a scale that outliers do not move, in nats, from 0 to ln N.

    In place of σ_i stands the median absolute deviation of axis i divided by 0.6745, which is σ for Gaussian
    points. Where it is 0 because more than half of the points share one value, σ_i is used.

    Source: our variant of H(Z3); section IV of the paper finds that outliers in early training lower H(Z3).

    Args:
        points: (N, d) array or tensor.
        bin_width: In robust standard deviations.

    Raises:
        ValueError: Points that are not a finite, non-empty (N, d) matrix, or a width that is not positive.
    """
    coordinates = _checked(points, bin_width)
    deviations = np.abs(coordinates - np.median(coordinates, axis=0))
    scale = np.median(deviations, axis=0) / _MAD_OF_A_GAUSSIAN
    return _entropy(coordinates, bin_width * np.where(scale > 0, scale, coordinates.std(axis=0)))


def _checked(points: ArrayLike | torch.Tensor, bin_width: float) -> NDArray[np.float64]:
    if not bin_width > 0:
        raise ValueError(f"bin_width must be greater than 0, got {bin_width}")
    return as_vectors(points).double().cpu().numpy()


def _entropy(points: NDArray[np.float64], widths: NDArray[np.float64]) -> float:
    offsets = points - points.min(axis=0)
    # An axis of equal values has σ = 0, or σ = rounding; its offsets are 0 and any width puts them in bin 0.
    bins = np.floor(offsets / np.where(widths > 0, widths, np.inf))
    counts = np.unique(bins, axis=0, return_counts=True)[1]
    p = counts / len(points)
    return float(-(p * np.log(p)).sum() + 0.0)  # + 0.0 turns the -0.0 of a single bin into 0.0
