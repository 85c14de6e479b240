"""How well one series of numbers follows another, and how far that could have come out otherwise.

Neighbouring milestones of one run resemble each other, so they are no independent observations. Drawing whole
blocks of consecutive milestones keeps that resemblance. The series are taken as they are, trend included: a
correlation that both owe to a common trend stays.

Source: Künsch 1989, The jackknife and the bootstrap for general stationary observations; Politis & Romano
1992, A circular block-resampling procedure for stationary data.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import count
from math import ceil, isfinite, sqrt
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from selector.metrics import LabelFreeMetric, LabelledMetric
from selector.selection.correlation import Correlation, kendall_test, pearson_test, spearman_test

RESAMPLES = 2000
SEED = 0
LEVEL = 0.95
SIGNIFICANT = 0.05
DRAWS = {"resamples": RESAMPLES, "seed": SEED, "level": LEVEL}  # as `--json` says them
LEAST_PAIRS = 3  # two are always on one line
LEAST_MILESTONES = 12  # for an interval; below, blocks of 3 or more leave too few different resamples
LEAST_MODELS = 8  # for an interval; below, resamples are too alike
BLOCK_RULE = (
    "first lag, from the cube root of n on, at which the autocorrelations of both series are within ±2/√n;"
    " at most n/3"
)
# Simulated: 16 to 50 milestones, autoregressive coefficients of 0 to 0.8, correlations of 0 and 0.6.
COVERAGE = "on autoregressive series such an interval holds the true correlation in 75 to 93 % of cases"

Floats = NDArray[np.float64]
Metric = LabelFreeMetric | LabelledMetric


@dataclass(frozen=True, kw_only=True)
class Association:
    """How well a metric follows the oracle; the fields are keys of `--json`.

    Pearson's r, Spearman's ρ and Kendall's τ-b are None where they are undefined, for the reason given. Their
    two-sided p-values take the pairs for independent observations.

    Attributes:
        p_method: "exact": over all orders of the pairs; "asymptotic": the large-sample formulas.
        marked: Whether pearson_p < 0.05.
        interval: 95 % interval of Pearson's r over resampled pairs, or None.
    """

    pearson: float | None
    pearson_p: float | None
    spearman: float | None
    spearman_p: float | None
    kendall_tau: float | None
    kendall_p: float | None
    p_method: str
    marked: bool
    interval: tuple[float, float] | None
    reason: str | None


def finite_pairs(
    rows: Iterable[Mapping[str, float]], metric: Metric, oracle: Metric
) -> tuple[Floats, Floats, int]:
    """Finite values of metric and oracle, in order, and in how many rows one side alone is finite."""
    held = [row for row in rows if metric.key in row or oracle.key in row]
    pairs = [(row.get(metric.key, np.nan), row.get(oracle.key, np.nan)) for row in held]
    finite = [pair for pair in pairs if isfinite(pair[0]) and isfinite(pair[1])]
    x, y = np.array(finite, dtype=np.float64).reshape(-1, 2).T
    return x, y, len(held) - len(finite)


def undefined(x: Floats, y: Floats, metric: Metric, oracle: Metric, unit: str) -> str | None:
    """Why the pairs have no correlation, or None; `unit` is what a pair is of: "milestone" or "model"."""
    n = len(x)
    if n < LEAST_PAIRS:
        return f"{n} {unit}{'' if n == 1 else 's'} with both values, {LEAST_PAIRS} are needed"
    constant = [name for name, series in ((metric.name, x), (oracle.name, y)) if np.ptp(series) == 0]
    where = "at" if unit == "milestone" else "for"
    return f"{' and '.join(constant)} the same {where} all {n} {unit}s" if constant else None


def associate(
    x: Floats, y: Floats, interval: tuple[float, float] | None, reason: str | None
) -> dict[str, Any]:
    """The fields of an Association: of the pairs, or of none for the reason given."""
    none = Correlation(None, None, len(x), "exact")
    tests = (none,) * 3 if reason else (pearson_test(x, y), spearman_test(x, y), kendall_test(x, y))
    pearson, spearman, kendall = tests
    return {
        "pearson": pearson.value,
        "pearson_p": pearson.p_value,
        "spearman": spearman.value,
        "spearman_p": spearman.p_value,
        "kendall_tau": kendall.value,
        "kendall_p": kendall.p_value,
        "p_method": pearson.method,
        "marked": pearson.p_value is not None and pearson.p_value < SIGNIFICANT,
        "interval": interval,
        "reason": reason,
    }


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


def resampled_pearson(x: Floats, y: Floats, length: int, name: str, keep_first: bool = False) -> Floats:
    """Pearson's r of each resample, (RESAMPLES,); NaN where a side of it came out constant.

    A resample is made of blocks of `length` consecutive pairs, the last pair being followed by the first, any
    start as likely as any other, cut off at n pairs. With `keep_first` the first pair, which is the untrained
    network, stands in every resample once, and the blocks are drawn from the others: it is no draw from what
    the trained milestones are drawn from, and a resample without it would say nothing about a correlation
    with it. The draws depend on SEED and `name` alone: the same for all metrics of one run, unrelated between
    runs.
    """
    rng = np.random.default_rng([SEED, crc32(name.encode())])
    kept = int(keep_first)
    n = len(x) - kept
    starts = rng.integers(0, n, (RESAMPLES, ceil(n / length)))
    blocks = (starts[:, :, None] + np.arange(length)) % n
    drawn = np.zeros((RESAMPLES, len(x)), dtype=np.int64)
    drawn[:, kept:] = blocks.reshape(RESAMPLES, -1)[:, :n] + kept
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
