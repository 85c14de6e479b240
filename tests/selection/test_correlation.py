"""Correlations against scipy, and against values worked out on paper."""

from math import erfc, sqrt

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings, strategies as st

from selector.selection.correlation import (
    kendall_test,
    pearson,
    pearson_test,
    spearman,
    spearman_test,
    weighted_tau,
)


def kendall_tau_b(x, y):
    return kendall_test(x, y).value


ALL = [pearson, spearman, kendall_tau_b, weighted_tau]
# Few different values, so that ties are common.
SERIES = st.integers(2, 30).flatmap(
    lambda n: st.tuples(*[st.lists(st.integers(-4, 4).map(float), min_size=n, max_size=n)] * 2)
)


@pytest.mark.parametrize(
    ("statistic", "x", "y", "expected"),
    [
        # Deviations (-1, 0, 1) and (-4/3, -1/3, 5/3).
        (pearson, [1, 2, 3], [1, 2, 4], 3 / np.sqrt(2 * 14 / 3)),
        # Ranks (1, 2, 3, 4) and (1, 3, 2, 4): 1 - 6 (0 + 1 + 1 + 0) / (4 · 15); the size of 400 is nothing.
        (spearman, [1, 2, 3, 4], [10, 30, 20, 400], 0.8),
        # (1, 1, 2) has ranks (1.5, 1.5, 3) and the other side (1, 2, 3): 1.5 / √(1.5 · 2).
        (spearman, [1, 1, 2], [1, 2, 3], np.sqrt(3) / 2),
        # Six pairs, one of them (30, 20) the other way round: (5 - 1) / 6.
        (kendall_tau_b, [1, 2, 3, 4], [10, 30, 20, 400], 4 / 6),
        # x = (1, 1, 2): two of three pairs untied, both concordant; y untied: 2 / √(2 · 3).
        (kendall_tau_b, [1, 1, 2], [1, 2, 3], 2 / np.sqrt(6)),
        # Largest to smallest, x ranks 0, 1, 2. Weights: (0,1) 1 + 1/2, (0,2) 1 + 1/3, (1,2) 1/2 + 1/3.
        # y swaps the two lowest, by both sides' ranks pair (1,2): (3/2 + 4/3 - 5/6) / (11/3).
        (weighted_tau, [1, 2, 3], [2, 1, 3], 6 / 11),
        # Swapping the two highest costs more: pair (0,1) is discordant, (-3/2 + 4/3 + 5/6) / (11/3).
        (weighted_tau, [1, 2, 3], [1, 3, 2], 2 / 11),
        *[(statistic, [1, 2], [5, 9], 1) for statistic in ALL],
        *[(statistic, [1, 2], [9, 5], -1) for statistic in ALL],
        *[(pearson, [n * scale for n in (1, 2, 3, 5)], [1, 2, 3, 5], 1) for scale in (1e-200, 1e200)],
        *[
            (statistic, *sides, None)
            for statistic in ALL
            for sides in (([], []), ([1.0], [2.0]), ([1, 1, 1], [1, 2, 3]), ([1, 2, 3], [5, 5, 5]))
        ],
    ],
)
def test_values_by_hand(statistic, x, y, expected):
    assert statistic(x, y) == pytest.approx(expected)


@settings(deadline=None)
@given(SERIES)
def test_values_are_scipys(series):
    x, y = series
    if len(set(x)) == 1 or len(set(y)) == 1:
        assert [statistic(x, y) for statistic in ALL] == [None] * 4
        return
    assert pearson(x, y) == pytest.approx(scipy.stats.pearsonr(x, y).statistic, abs=1e-9)
    assert spearman(x, y) == pytest.approx(scipy.stats.spearmanr(x, y).statistic, abs=1e-9)
    assert kendall_tau_b(x, y) == pytest.approx(scipy.stats.kendalltau(x, y).statistic, abs=1e-9)
    assert weighted_tau(x, y) == pytest.approx(scipy.stats.weightedtau(x, y).statistic, abs=1e-9)


@pytest.mark.parametrize("n", [8, 12, 41])
@pytest.mark.parametrize("values", [1000, 4])  # hardly any ties; many
def test_large_sample_p_values_are_scipys(n, values):
    rng = np.random.default_rng(n + values)
    x = rng.integers(0, values, n)
    y = x + rng.integers(0, values, n)
    assert pearson_test(x, y).p_value == pytest.approx(scipy.stats.pearsonr(x, y).pvalue, rel=1e-9)
    assert spearman_test(x, y).p_value == pytest.approx(scipy.stats.spearmanr(x, y).pvalue, rel=1e-9)
    expected = scipy.stats.kendalltau(x, y, method="asymptotic").pvalue
    assert kendall_test(x, y).p_value == pytest.approx(expected, rel=1e-9)
    assert kendall_test(x, y).method == "asymptotic"


@pytest.mark.parametrize(
    ("test", "x", "y", "p", "method"),
    [
        # Of the 3! orders of three pairs, the perfect one and its reverse reach |ρ| = |τ| = 1.
        (spearman_test, [1, 2, 3], [1, 2, 3], 2 / 6, "exact"),
        (kendall_test, [1, 2, 3], [1, 2, 3], 2 / 6, "exact"),
        (kendall_test, [1, 2, 3, 4], [4, 3, 2, 1], 2 / 24, "exact"),
        # Two pairs always agree perfectly, one way or the other.
        (pearson_test, [1, 2], [3, 7], 1, "exact"),
        # y = (0, 0, 1): the orders of y put the 1 at each place twice; |r| is largest at the ends.
        (pearson_test, [1, 2, 3], [0, 0, 1], 4 / 6, "exact"),
        (kendall_test, [1, 2, 3], [0, 0, 1], 4 / 6, "exact"),
        # Of seven pairs, all 7! = 5,040 orders; from eight on, the large-sample formula.
        (spearman_test, range(7), range(7), 2 / 5040, "exact"),
        (kendall_test, range(7), range(7), 2 / 5040, "exact"),
        (spearman_test, range(8), range(8), 0, "asymptotic"),
        # All 28 pairs agree; if unrelated, their balance has variance n (n - 1) (2n + 5) / 18.
        (kendall_test, range(8), range(8), erfc(28 / sqrt(2 * 8 * 7 * 21 / 18)), "asymptotic"),
    ],
)
def test_p_values_by_hand(test, x, y, p, method):
    found = test(x, y)
    assert (found.p_value, found.method) == (pytest.approx(p), method)


@pytest.mark.parametrize("test", [pearson_test, spearman_test, kendall_test])
@pytest.mark.parametrize("n", [0, 1, 5, 20])
def test_undefined_has_no_p(test, n):
    result = test(np.ones(n), np.arange(n))
    assert (result.value, result.p_value, result.n) == (None, None, n)


@pytest.mark.parametrize("statistic", ALL)
def test_refuses_what_is_no_pair_of_series(statistic):
    with pytest.raises(ValueError, match=r"shapes \(2,\) and \(3,\)"):
        statistic([1, 2], [1, 2, 3])
    with pytest.raises(ValueError, match="NaN or infinity"):
        statistic([1, float("nan")], [1, 2])
