"""How well one series of numbers follows another: correlations, and how sure one can be of their sign."""

from dataclasses import dataclass
from itertools import permutations
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

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
    if not _varies(a, b):
        return None
    # Scaled first: squares of very small or very large numbers would leave the range of a float.
    a, b = (side / np.abs(side).max() for side in (a - a.mean(), b - b.mean()))
    return float(np.clip(a @ b / np.sqrt((a @ a) * (b @ b)), -1, 1))


def spearman(x: ArrayLike, y: ArrayLike) -> float | None:
    """Spearman's ρ: Pearson's r of the ranks, ties given their average rank; None where undefined."""
    a, b = _pairs(x, y)
    return pearson(average_ranks(a), average_ranks(b))


def weighted_tau(x: ArrayLike, y: ArrayLike) -> float | None:
    """Kendall's τ with more weight for pairs near the top: what a selector of the best cares about.

    Source: Vigna 2015, https://arxiv.org/abs/1404.3325, additive hyperbolic weights.
    """
    from scipy.stats import weightedtau  # here, as below: it takes half a second, which ranking need not

    a, b = _pairs(x, y)
    return float(weightedtau(a, b).statistic) if _varies(a, b) else None


def pearson_test(x: ArrayLike, y: ArrayLike) -> Correlation:
    """Pearson's r with its two-sided p-value (Student's t; all orders where n < 8)."""
    a, b = _pairs(x, y)
    value, n, method = pearson(a, b), len(a), _method(a)
    if value is None:
        return Correlation(None, None, n, method)
    if method == "exact":
        return Correlation(value, _share_as_large(b[_orders(n)] @ (a - a.mean())), n, method)
    from scipy.special import betainc

    # P(|R| >= |r|) for unrelated normal series: Student's t with n - 2 degrees of freedom.
    return Correlation(value, float(betainc((n - 2) / 2, 0.5, 1 - value * value)), n, method)


def spearman_test(x: ArrayLike, y: ArrayLike) -> Correlation:
    """Spearman's ρ with its two-sided p-value (Student's t; all orders where n < 8)."""
    a, b = _pairs(x, y)
    return pearson_test(average_ranks(a), average_ranks(b))


def kendall_test(x: ArrayLike, y: ArrayLike) -> Correlation:
    """Kendall's τ-b with its two-sided p-value (normal with ties; all orders where n < 8)."""
    from scipy.stats import kendalltau

    a, b = _pairs(x, y)
    method = _method(a)
    if not _varies(a, b):
        return Correlation(None, None, len(a), method)
    found = kendalltau(a, b, method="auto" if method == "exact" else method)
    p = float(found.pvalue)
    if method == "exact":  # scipy's has no ties
        orders = _orders(len(a))
        of_a, of_b = (np.sign(side[:, None] - side) for side in (a, b))
        p = _share_as_large(np.einsum("ij,pij->p", of_a, of_b[orders[:, :, None], orders[:, None, :]]))
    return Correlation(float(found.statistic), p, len(a), method)


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


def _method(series: Floats) -> Literal["exact", "asymptotic"]:
    return "exact" if len(series) < EXACT_BELOW else "asymptotic"


def _orders(n: int) -> NDArray[np.int64]:
    """(n!, n), the order in which the pairs came first."""
    return np.array(list(permutations(range(n))))


def _share_as_large(totals: Floats) -> float:
    sizes = np.abs(totals)
    return float(np.mean(sizes >= sizes[0] * (1 - 1e-9)))  # equal sums may differ by rounding
