"""Moving-block bootstrap against blocks drawn one by one and against series whose course is known."""

from zlib import crc32

import numpy as np
import pytest
import scipy.stats

from selector.selection.block_bootstrap import (
    autocorrelation,
    block_length,
    percentile_interval,
    resampled_pearson,
)


def autoregressive(rng, n, coefficient):
    """An AR(1) series: each value remembers that share of the one before."""
    series = np.zeros(n + 50)
    for t in range(1, n + 50):
        series[t] = coefficient * series[t - 1] + rng.standard_normal()
    return series[50:]


def test_autocorrelation_by_hand():
    # Less its mean 2: -1, 0, 1, 0; products one apart 0 + 0 + 0, two apart -1 + 0; squares 2.
    assert autocorrelation(np.array([1.0, 2, 3, 2]), 1) == 0
    assert autocorrelation(np.array([1.0, 2, 3, 2]), 2) == -0.5


def test_block_length_by_hand():
    # 27 milestones: at least ∛27 = 3, at most 27/3 = 9, and 2/√27 = 0.38. A wave of period 8 is unlike itself
    # a quarter of a period later or three quarters: lag 2, which is too short, and lag 6.
    wave = np.sin(np.arange(27) * np.pi / 4)
    noise = np.random.default_rng(3).standard_normal(27)
    assert max(abs(lag(noise, k)) for k in (3, 6)) < 2 / np.sqrt(27)
    assert block_length(noise, noise) == 3
    assert block_length(wave, noise) == block_length(noise, wave) == 6


def test_block_length_of_a_step_and_of_what_never_forgets():
    # Half zeros, half ones, 30 in all: k of the 30 - k pairs k apart differ: (30 - 3k)/30, which is below
    # 2/√30 = 0.365 from k = 7 on.
    step = np.repeat([0.0, 1.0], 15)
    assert block_length(step, step) == 7
    # 1, -1, 1, ...: ±(30 - k)/30, never small: a third of 30.
    assert block_length(np.tile([1.0, -1.0], 15), step) == 10


def lag(series, k):
    """Autocorrelation by numpy.correlate."""
    centred = series - series.mean()
    return (np.correlate(centred, centred, "full") / (centred @ centred))[len(series) - 1 + k]


def test_autocorrelation_as_numpy():
    series = autoregressive(np.random.default_rng(0), 40, 0.7)
    for k in range(1, 12):
        assert autocorrelation(series, k) == pytest.approx(lag(series, k))


def test_resamples_as_drawn_one_by_one():
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((2, 14))
    resampled = resampled_pearson(x, y, 4, "run")
    # 4 blocks of 4 of 14, starts 0 to 10, cut off at 14.
    starts = np.random.default_rng([0, crc32(b"run")]).integers(0, 11, (2000, 4))
    for place in (0, 1, 1999):
        drawn = [i for start in starts[place] for i in range(start, start + 4)][:14]
        assert resampled[place] == pytest.approx(scipy.stats.pearsonr(x[drawn], y[drawn]).statistic)
    assert starts.min() == 0
    assert starts.max() == 10


def test_draws_depend_on_the_name_alone():
    x, y = np.random.default_rng(2).standard_normal((2, 20))
    assert np.array_equal(resampled_pearson(x, y, 3, "a"), resampled_pearson(x, y, 3, "a"))
    assert not np.array_equal(resampled_pearson(x, y, 3, "a"), resampled_pearson(x, y, 3, "b"))


def test_a_straight_line_has_no_spread():
    x = np.arange(15.0)
    assert percentile_interval(resampled_pearson(x, -2 * x + 1, 3, "a")) == pytest.approx((-1, -1))


def test_constant_resamples_do_not_count():
    # One value differs: a resample without it is constant. With block length 1 that is (14/15)^15 = 36 %.
    x = np.zeros(15)
    x[7] = 1
    resampled = resampled_pearson(x, np.arange(15.0), 1, "a")
    assert np.isnan(resampled).mean() == pytest.approx(0.355, abs=0.04)
    assert percentile_interval(resampled) is not None
    # It is the first value: of 13 starts of a block of 3 only one reaches it, 5 blocks: (12/13)^5 = 67 %.
    assert percentile_interval(resampled_pearson(np.roll(x, -7), np.arange(15.0), 3, "a")) is None


def test_percentiles_by_hand():
    # 0, 1, ..., 200: 2.5 % of the way is 5, 97.5 % is 195.
    values = np.append(np.arange(201.0), [np.nan] * 50)
    assert percentile_interval(values) == pytest.approx((5, 195))


def test_unrelated_series_with_memory_fool_p_more_often_than_the_interval():
    rng = np.random.default_rng(4)
    fooled_p = fooled_interval = 0
    for trial in range(60):
        x, y = autoregressive(rng, 50, 0.9), autoregressive(rng, 50, 0.9)
        low, high = percentile_interval(resampled_pearson(x, y, block_length(x, y), str(trial)))
        fooled_interval += low > 0 or high < 0
        fooled_p += scipy.stats.pearsonr(x, y).pvalue < 0.05
    assert fooled_p > 20  # of 60, where an honest p would be fooled 3 times
    assert fooled_interval < 0.8 * fooled_p
