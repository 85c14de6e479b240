"""How well one series of numbers follows another, and how far that could have come out otherwise.

Neighbouring milestones of one run resemble each other, so they are no independent observations. Drawing whole
blocks of consecutive milestones keeps that resemblance. The series are taken as they are, trend included: a
correlation that both owe to a common trend stays.

Source: Künsch 1989, The jackknife and the bootstrap for general stationary observations; Politis & Romano
1992, A circular block-resampling procedure for stationary data.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from math import ceil, isfinite, nan, sqrt
from typing import Any, Literal
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from selector.metrics import LabelFreeMetric, LabelledMetric
from selector.selection.correlation import UNDEFINED, kendall_test, pearson_test, spearman_test
from selector.text import counted

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
# Simulated by benchmarks/chance.py: 16 to 50 milestones, coefficients of 0 to 0.8, correlations of 0 and 0.6.
COVERAGE = "on autoregressive series such an interval holds the true correlation in 80 to 91 % of cases"

Floats = NDArray[np.float64]
Metric = LabelFreeMetric | LabelledMetric
Initial = Literal["with_init", "without_init"]  # with the untrained network, milestone 0, or without it
INITIAL: dict[Initial, str] = {"with_init": "w/", "without_init": "w/o"}  # and how tables head them

# What `--json` says of each correlation.
STATISTICS = "pearson pearson_p spearman spearman_p kendall_tau kendall_p p_method marked interval reason"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """How well one metric follows the oracle in one column of a table, ours or the paper's.

    Pearson's r, Spearman's ρ and Kendall's τ-b are None where they are undefined, for the reason given. Their
    two-sided p-values take the pairs for independent observations; a median of runs has none.

    Attributes:
        source: What it is over: the milestones of a run, a median of runs, models, or the paper's.
        group: Method, or family of models, or "overall".
        initial: Of Table I alone.
        key: W&B key of the metric.
        n: Pairs with finite values of both; of the median None.
        left_out: Milestones with one of the two values, or with one that is not finite.
        p_method: "exact": over all orders of the pairs; "asymptotic": the large-sample formulas.
        marked: Whether p < 0.05; of the median, whether more than half of the runs with a correlation are
            significant.
        interval: 95 % interval of Pearson's r over resampled pairs; of the median over each run's resampled
            milestones, the runs being the ones that there are, and None where one of them has none.
        block_length: Milestones per block of the bootstrap, or None without an interval.
        runs: What the median is over.
        runs_significant: Runs with p < 0.05 and the sign of the median.
    """

    source: Literal["run", "median", "models", "paper"]
    group: str
    dataset: str
    initial: Initial | None = None
    run: str = ""
    metric: str
    key: str = ""
    label_free: bool | None = None
    n: int | None = None
    left_out: int = 0
    pearson: float | None
    pearson_p: float | None = None
    spearman: float | None = None
    spearman_p: float | None = None
    kendall_tau: float | None = None
    kendall_p: float | None = None
    p_method: str = ""
    marked: bool
    interval: tuple[float, float] | None = None
    block_length: int | None = None
    reason: str | None = None
    interval_reason: str | None = None
    runs: tuple["Entry", ...] = ()
    runs_with_value: int = 0
    runs_significant: int = 0

    @property
    def heads(self) -> tuple[str, ...]:
        """The lines above its column."""
        dataset = self.dataset + " (paper)" * (self.source == "paper")
        return (self.group, dataset, *([INITIAL[self.initial]] if self.initial else []))

    def object(self, fields: str, **renamed: str) -> dict[str, Any]:
        """Some of its fields for `--json`, those in `renamed` under another name."""
        return {renamed.get(name, name): getattr(self, name) for name in fields.split()}


def associate(
    rows: Sequence[Mapping[str, float]], metric: Metric, oracle: Metric, unit: str, missing: str | None = None
) -> tuple[dict[str, Any], Floats, Floats]:
    """Fields of an Entry that follow from the rows, and the finite pairs of metric and oracle.

    Args:
        rows: Values by W&B key.
        metric: What is held against the oracle.
        oracle: The oracle.
        unit: What a row is of: "milestone" or "model".
        missing: Why there is no correlation, whatever the pairs are; or None.
    """
    pairs = [(row.get(metric.key, nan), row.get(oracle.key, nan)) for row in rows]
    finite = [pair for pair in pairs if isfinite(pair[0]) and isfinite(pair[1])]
    x, y = np.array(finite, dtype=np.float64).reshape(-1, 2).T
    reason = missing or _undefined(x, y, metric, oracle, unit)
    tests = (UNDEFINED,) * 3 if reason else (pearson_test(x, y), spearman_test(x, y), kendall_test(x, y))
    pearson, spearman, kendall = tests
    fields = {
        "metric": metric.name,
        "key": metric.key,
        "label_free": isinstance(metric, LabelFreeMetric),
        "n": len(x),
        "left_out": sum(metric.key in row or oracle.key in row for row in rows) - len(x),
        "pearson": pearson.value,
        "pearson_p": pearson.p_value,
        "spearman": spearman.value,
        "spearman_p": spearman.p_value,
        "kendall_tau": kendall.value,
        "kendall_p": kendall.p_value,
        "p_method": pearson.method,
        "marked": pearson.p_value is not None and pearson.p_value < SIGNIFICANT,
        "reason": reason,
    }
    return fields, x, y


def _undefined(x: Floats, y: Floats, metric: Metric, oracle: Metric, unit: str) -> str | None:
    n = len(x)
    if n < LEAST_PAIRS:
        return f"{counted(n, unit)} with both values, {LEAST_PAIRS} are needed"
    constant = [name for name, series in ((metric.name, x), (oracle.name, y)) if np.ptp(series) == 0]
    where = "at" if unit == "milestone" else "for"
    return f"{' and '.join(constant)} the same {where} all {n} {unit}s" if constant else None


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
