"""How well one series of numbers follows another: correlations, and how sure one can be of their sign."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import permutations
from math import erfc, sqrt
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betainc

Floats = NDArray[np.float64]

_PAIRS_AT_ONCE = 1 << 20  # 8 MiB of signs: runs that log every step have billions of pairs
EXACT_BELOW = 8  # 7! = 5,040 orders are all tried; from 8 on the large-sample formulas are used


@dataclass(frozen=True)
class Correlation:
    """A correlation with its significance.

    Attributes:
        value: From -1 to 1; None where it is undefined: fewer than two pairs, or a constant side.
        p_value: Two-sided probability of so large a value if the two sides were unrelated; None where the
            value is.
        n: Pairs it was computed from.
        method: "exact": over all orders of the pairs; "asymptotic": the large-sample formula.
    """

    value: float | None
    p_value: float | None
    n: int
    method: Literal["exact", "asymptotic"]


UNDEFINED = Correlation(None, None, 0, "exact")


def pearson(x: ArrayLike, y: ArrayLike) -> float | None:
    """Pearson's r: how well a straight line fits, -1 to 1; None where a side is constant or n < 2."""
    a, b = _pairs(x, y)
    return _cosine(a - a.mean(), b - b.mean()) if _varies(a, b) else None


def spearman(x: ArrayLike, y: ArrayLike) -> float | None:
    """Spearman's ρ: Pearson's r of the ranks, ties given their average rank; None where undefined."""
    a, b = _pairs(x, y)
    return pearson(average_ranks(a), average_ranks(b)) if _varies(a, b) else None


def kendall_tau_b(x: ArrayLike, y: ArrayLike) -> float | None:
    """Kendall's τ-b: concordant less discordant pairs, as a share of the pairs that are not tied.

    The divisor is the geometric mean of the numbers of pairs untied in x and untied in y, so that ties on
    either side cannot raise it. None where undefined.

    Source: Kendall 1945, The treatment of ties in ranking problems.
    """
    a, b = _pairs(x, y)
    if not _varies(a, b):
        return None
    both, only_a, only_b = np.sum(
        [[(x * y).sum(), (x * x).sum(), (y * y).sum()] for x, y in _signs(a, b)], axis=0
    )
    return float(both / np.sqrt(only_a * only_b))


def weighted_tau(x: ArrayLike, y: ArrayLike) -> float | None:
    """Kendall's τ with more weight for pairs near the top: what a selector of the best cares about.

    A pair weighs 1/(r + 1) + 1/(s + 1) with the ranks r, s of its members, 0 for the largest; the mean of
    ranking by x (ties by y) and by y (ties by x). None where undefined.

    Source: Vigna 2015, https://arxiv.org/abs/1404.3325, additive hyperbolic weights.
    """
    a, b = _pairs(x, y)
    if not _varies(a, b):
        return None
    return (_weighted_by_rank_of(a, b) + _weighted_by_rank_of(b, a)) / 2


def pearson_test(x: ArrayLike, y: ArrayLike) -> Correlation:
    """Pearson's r with its two-sided p-value (Student's t; all orders where n < 8)."""
    a, b = _pairs(x, y)
    return _test(pearson(a, b), a - a.mean() if a.size else a, b, _p_of_t)


def spearman_test(x: ArrayLike, y: ArrayLike) -> Correlation:
    """Spearman's ρ with its two-sided p-value (Student's t; all orders where n < 8)."""
    a, b = average_ranks(x), average_ranks(y)
    return _test(spearman(x, y), a - a.mean() if a.size else a, b, _p_of_t)


def kendall_test(x: ArrayLike, y: ArrayLike) -> Correlation:
    """Kendall's τ-b with its two-sided p-value (normal with ties; all orders where n < 8)."""
    a, b = _pairs(x, y)
    value = kendall_tau_b(a, b)
    if value is None or len(a) >= EXACT_BELOW:
        p = None if value is None else _kendall_normal_p(a, b)
        return Correlation(value, p, len(a), "asymptotic" if len(a) >= EXACT_BELOW else "exact")
    orders = _orders(len(a))
    ((of_a, signs),) = _signs(a, b)
    totals = np.einsum("ij,pij->p", of_a, signs[orders[:, :, None], orders[:, None, :]])
    return Correlation(value, _share_as_large(totals), len(a), "exact")


def average_ranks(values: ArrayLike) -> Floats:
    """Ranks from 1 for the smallest; equal values share the mean of their ranks."""
    _, place, equal = np.unique(np.asarray(values, np.float64), return_inverse=True, return_counts=True)
    ranks: Floats = (np.cumsum(equal) - (equal - 1) / 2)[place]
    return ranks


def _pairs(x: ArrayLike, y: ArrayLike) -> tuple[Floats, Floats]:
    a, b = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if a.ndim != 1 or a.shape != b.shape:
        raise ValueError(f"expected two series of one length, got shapes {a.shape} and {b.shape}")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError("expected finite numbers, got NaN or infinity")
    return a, b


def _varies(a: Floats, b: Floats) -> bool:
    return bool(len(a) >= 2 and np.ptp(a) > 0 and np.ptp(b) > 0)


def _cosine(a: Floats, b: Floats) -> float:
    # Scaled first: squares of very small or very large numbers would leave the range of a float.
    a, b = a / np.abs(a).max(), b / np.abs(b).max()
    return float(np.clip(a @ b / np.sqrt((a @ a) * (b @ b)), -1, 1))


def _signs(a: Floats, b: Floats) -> Iterator[tuple[Floats, Floats]]:
    """Signs of the differences of each value to all others in a, and in b, for some values at a time."""
    rows = max(1, _PAIRS_AT_ONCE // max(1, len(a)))
    for start in range(0, len(a), rows):
        some = slice(start, start + rows)
        yield np.sign(a[some, None] - a), np.sign(b[some, None] - b)


def _weighted_by_rank_of(first: Floats, second: Floats) -> float:
    rank = np.empty(len(first))
    rank[np.lexsort((second, first))[::-1]] = np.arange(len(first))
    hyperbolic = 1 / (rank + 1)
    sums, start = np.zeros(3), 0
    for x, y in _signs(first, second):
        weights = hyperbolic[start : start + len(x), None] + hyperbolic
        sums += (weights * x * y).sum(), (weights * x * x).sum(), (weights * y * y).sum()
        start += len(x)
    return float(sums[0] / sqrt(sums[1] * sums[2]))


def _test(
    value: float | None, centred: Floats, other: Floats, large_sample_p: Callable[[float, int], float]
) -> Correlation:
    """The significance of a correlation whose numerator is centred @ other."""
    n = len(centred)
    if n >= EXACT_BELOW:
        p = None if value is None else large_sample_p(value, n)
        return Correlation(value, p, n, "asymptotic")
    if value is None:
        return Correlation(None, None, n, "exact")
    return Correlation(value, _share_as_large(other[_orders(n)] @ centred), n, "exact")


def _orders(n: int) -> NDArray[np.int64]:
    """(n!, n), the order in which the pairs came first."""
    return np.array(list(permutations(range(n))))


def _share_as_large(totals: Floats) -> float:
    sizes = np.abs(totals)
    return float(np.mean(sizes >= sizes[0] * (1 - 1e-9)))  # equal sums may differ by rounding


def _p_of_t(r: float, n: int) -> float:
    """P(|R| >= |r|) for unrelated normal series: I_{1-r²}((n-2)/2, 1/2), Student's t with n-2 degrees."""
    return float(betainc((n - 2) / 2, 0.5, 1 - r * r))


def _kendall_normal_p(a: Floats, b: Floats) -> float:
    """Normal approximation of the concordant less the discordant pairs, with Kendall's terms for ties."""
    n = len(a)
    excess = sum(float((x * y).sum()) for x, y in _signs(a, b)) / 2
    pairs = n * (n - 1)
    (pairs_a, triples_a, slope_a), (pairs_b, triples_b, slope_b) = _tie_terms(a), _tie_terms(b)
    variance = (pairs * (2 * n + 5) - slope_a - slope_b) / 18
    variance += pairs_a * pairs_b / (2 * pairs)
    variance += triples_a * triples_b / (9 * pairs * (n - 2))
    return erfc(abs(excess) / sqrt(2 * variance))


def _tie_terms(values: Floats) -> tuple[float, float, float]:
    """Sums over the groups of t equal values: t(t-1), t(t-1)(t-2), t(t-1)(2t+5)."""
    t = np.unique(values, return_counts=True)[1].astype(np.float64)
    pairs = t * (t - 1)
    return float(pairs.sum()), float((pairs * (t - 2)).sum()), float((pairs * (2 * t + 5)).sum())
