"""How far a correlation over milestones could have come out otherwise: moving-block bootstrap.

Neighbouring milestones of one run resemble each other, so they are no independent observations. Drawing whole
blocks of consecutive milestones keeps that resemblance. The series are taken as they are, trend included: a
correlation that both owe to a common trend stays.

Source: Künsch 1989, The jackknife and the bootstrap for general stationary observations.
"""

from itertools import count
from math import ceil, sqrt
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from selector.selection.bootstrap import LEVEL, RESAMPLES, SEED

LEAST_MILESTONES = 12  # below, blocks of 3 or more leave too few different resamples
BLOCK_RULE = (
    "first lag, from the cube root of n on, at which the autocorrelations of both series are within ±2/√n;"
    " at most n/3"
)

Floats = NDArray[np.float64]


def block_length(x: Floats, y: Floats) -> int:
    """How many consecutive milestones are drawn at once: BLOCK_RULE, for n of at least LEAST_MILESTONES.

    Beyond ±2/√n an autocorrelation is more than white noise would show; the cube root is the rate at which
    the length should grow with n (Künsch 1989); three blocks are the least to tell anything apart.
    """
    n = len(x)
    longest, shortest = n // 3, next(length for length in count(1) if length**3 >= n)
    for lag in range(shortest, longest):
        if max(abs(autocorrelation(series, lag)) for series in (x, y)) <= 2 / sqrt(n):
            return lag
    return longest


def autocorrelation(series: Floats, lag: int) -> float:
    """Correlation of a series that is not constant with itself `lag` milestones later, -1 to 1."""
    centred = series - series.mean()
    return float(centred[:-lag] @ centred[lag:] / (centred @ centred))


def resampled_pearson(x: Floats, y: Floats, length: int, name: str) -> Floats:
    """Pearson's r of each resample, (RESAMPLES,); NaN where a side of it came out constant.

    A resample is made of blocks of `length` consecutive pairs, any start as likely as any other, cut off at
    n pairs. The draws depend on SEED and `name` alone: the same for all metrics of one run, unrelated
    between runs.
    """
    rng = np.random.default_rng([SEED, crc32(name.encode())])
    n = len(x)
    starts = rng.integers(0, n - length + 1, (RESAMPLES, ceil(n / length)))
    drawn = (starts[:, :, None] + np.arange(length)).reshape(RESAMPLES, -1)[:, :n]
    a, b = (series[drawn] / np.abs(series).max() for series in (x, y))
    constant = (np.ptp(a, axis=1) == 0) | (np.ptp(b, axis=1) == 0)
    a, b = a - a.mean(axis=1, keepdims=True), b - b.mean(axis=1, keepdims=True)
    spread = np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1))
    return np.where(constant, np.nan, (a * b).sum(axis=1) / np.where(constant, 1, spread)).clip(-1, 1)


def percentile_interval(resampled: Floats) -> tuple[float, float] | None:
    """The middle 95 % of what was drawn; None where more than half of it is NaN."""
    known = resampled[np.isfinite(resampled)]
    if 2 * len(known) < len(resampled):
        return None
    low, high = np.percentile(known, [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
    return float(low), float(high)
