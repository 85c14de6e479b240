"""Entropy and outliers of the distribution of low-dimensional points."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from selector.metrics.arrays import as_vectors
from selector.metrics.metric import Z3, label_free

if TYPE_CHECKING:
    from selector.metrics.arrays import Array

# Table I of the paper; it says nothing about other methods.
_TABLE_ONE = {"simclr": "min", "moco_v2": "min", "simsiam": "max"}
_MAD_OF_A_GAUSSIAN = 0.6744897501960817  # median absolute deviation of a standard normal: its 0.75 quantile
THRESHOLD = 4.0
_of_points = partial(
    label_free, reads="points", instead={"one_point": math.nan}, space=Z3, cost="UMAP, once per seed"
)


@_of_points(
    name="entropy",
    prefix="entropy",
    symbol="H(Z3)",
    formula="-Σ p ln p over boxes of 0.4 standard deviations per side, in nats",
    direction=None,
    direction_for=_TABLE_ONE,
    source="Xu, Lowe & Trappenberg 2022, arXiv:2409.06612, section III-C; directions from Table I",
)
def histogram_entropy(points: Array, *, bin_width: float = 0.4) -> float:
    """How evenly the images fill the space of their UMAP points; low means few dense places.

    Entropy of their histogram, from 0 to ln N. Over training it falls with quality for SimCLR and MoCo-v2 and
    rises for SimSiam.

    Axis i is cut into half-open bins [min_i + j w_i, min_i + (j + 1) w_i) of width w_i = bin_width · σ_i,
    σ_i being the standard deviation (divisor N). An axis on which all points agree has one bin.
    A few distant points inflate σ and so lower the entropy; `robust_histogram_entropy` resists them. The
    paper does not say where bins begin.

    Args:
        points: (N, d) array or tensor; in the paper UMAP's 3-d points of the evaluation images.
        bin_width: In standard deviations; 0.4 in the paper, 0.8 for its supervised pretrained models.
    """
    coordinates = _checked(points, bin_width)
    return _entropy(coordinates, bin_width * coordinates.std(axis=0))


@_of_points(
    name="entropy_robust",
    prefix="entropy",
    symbol="H_MAD(Z3)",
    formula="as entropy, with 1.4826 · median absolute deviation for the standard deviation",
    direction=None,
    direction_for=_TABLE_ONE,
    source="ours, after section IV of the paper, which finds outliers in early training",
)
def robust_histogram_entropy(points: Array, *, bin_width: float = 0.4) -> float:
    """The entropy with a scale that a few distant points do not move.

    In nats, from 0 to ln N. The median absolute deviation of axis i divided by 0.6745 is σ for Gaussian
    points. Where it is 0 because more than half of the points share one value, σ_i is used.
    """
    coordinates = _checked(points, bin_width)
    deviations = np.abs(coordinates - np.median(coordinates, axis=0))
    scale = np.median(deviations, axis=0) / _MAD_OF_A_GAUSSIAN
    return _entropy(coordinates, bin_width * np.where(scale > 0, scale, coordinates.std(axis=0)))


def _checked(points: Array, bin_width: float) -> NDArray[np.float64]:
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


@_of_points(
    symbol="outliers(Z3)",
    formula="share farther from the median than 4 times the median distance",
    direction="min",
    source="ours, after section IV of the paper, which finds outliers in early training",
)
def outlier_share(points: Array, threshold: float = THRESHOLD) -> float:
    """How many UMAP points lie far from all others: where there are some, entropy comes out low.

    From 0 to 1; it says when H(Z3) is not to be trusted.

    A point is an outlier when its Euclidean distance from the centre is more than `threshold` times the
    median of these distances; the centre is the median of each coordinate. The median distance is the median
    absolute deviation of points in a space, so up to half of the points cannot move the yardstick. In three
    dimensions, three in a hundred million Gaussian points lie that far out, and no point of a uniformly
    filled ball does. Where more than half of the points coincide, all others are outliers; where all
    coincide, none is.

    A share of several percent more likely means a second cluster, beside one with over half of the points.

    The paper speaks of "outlier embeddings (at a large distance away from the rest of the samples)" and gives
    no rule.
    """
    if not threshold > 0:
        raise ValueError(f"threshold must be greater than 0, got {threshold}")
    coordinates = as_vectors(points).double().cpu().numpy()
    distances = np.linalg.norm(coordinates - np.median(coordinates, axis=0), axis=1)
    return float((distances > threshold * np.median(distances)).mean())
