"""Moving-block bootstrap against blocks drawn one by one and against series whose course is known."""

from zlib import crc32

import numpy as np
import pytest
import scipy.stats

from selector.paper.association import autocorrelation, block_length, percentile_interval, resampled_pearson


def autoregressive(rng, n, coefficient):
    """An AR(1) series: each value remembers that share of the one before."""
    series = np.zeros(n + 50)
    for t in range(1, n + 50):
        series[t] = coefficient * series[t - 1] + rng.standard_normal()
    return series[50:]


def lag(series, k):
    """Autocorrelation by numpy.correlate."""
    centred = series - series.mean()
    return (np.correlate(centred, centred, "full") / (centred @ centred))[len(series) - 1 + k]


def test_autocorrelation_by_hand_and_by_numpy():
    # Less its mean 2: -1, 0, 1, 0; products one apart 0 + 0 + 0, two apart -1 + 0; squares 2.
    assert autocorrelation(np.array([1.0, 2, 3, 2]), 1) == 0
    assert autocorrelation(np.array([1.0, 2, 3, 2]), 2) == -0.5
    series = autoregressive(np.random.default_rng(0), 40, 0.7)
    assert [autocorrelation(series, k) for k in range(1, 12)] == pytest.approx(
        [lag(series, k) for k in range(1, 12)]
    )


# 27 milestones: at least ∛27 = 3, at most 27/3 = 9, and 2/√27 = 0.38. A wave of period 8 is unlike itself a
# quarter of a period later or three quarters: lag 2, which is too short, and lag 6.
WAVE = np.sin(np.arange(27) * np.pi / 4)
NOISE = np.random.default_rng(3).standard_normal(27)
# Half zeros, half ones, 30 in all: k of the 30 - k pairs k apart differ: (30 - 3k)/30, which is below
# 2/√30 = 0.365 from k = 7 on.
STEP = np.repeat([0.0, 1.0], 15)
# 1, -1, 1, ...: ±(30 - k)/30, never small: a third of 30.
ALTERNATING = np.tile([1.0, -1.0], 15)


@pytest.mark.parametrize(
    ("x", "y", "length"),
    [(NOISE, NOISE, 3), (WAVE, NOISE, 6), (NOISE, WAVE, 6), (STEP, STEP, 7), (ALTERNATING, STEP, 10)],
)
def test_block_length_by_hand(x, y, length):
    assert block_length(x, y) == length


@pytest.mark.parametrize("keep_first", [False, True])
def test_resamples_as_drawn_one_by_one(keep_first):
    x, y = np.random.default_rng(1).standard_normal((2, 14))
    resampled = resampled_pearson(x, y, 4, "run", keep_first)
    # 4 blocks of 4 from a circle of 14 (or of 13, beside the first pair), cut off at 14 (13).
    n = 13 if keep_first else 14
    starts = np.random.default_rng([0, crc32(b"run")]).integers(0, n, (2000, 4))
    for place in (0, 1, 1999):
        drawn = [i % n for start in starts[place] for i in range(start, start + 4)][:n]
        drawn = [0, *(i + 1 for i in drawn)] if keep_first else drawn
        assert resampled[place] == pytest.approx(scipy.stats.pearsonr(x[drawn], y[drawn]).statistic)


def test_the_untrained_network_is_in_every_resample():
    # All else is unrelated; the first pair, far out, makes the correlation. Without it in a resample r is
    # small, as it would be in a third of ordinary resamples: (1 - 1/20)^20 = 36 %.
    x, y = np.random.default_rng(2).standard_normal((2, 20))
    x[0] = y[0] = 40
    assert resampled_pearson(x, y, 1, "a", keep_first=True).min() > 0.9
    assert (resampled_pearson(x, y, 1, "a") < 0.9).mean() == pytest.approx(0.36, abs=0.04)


def test_constant_resamples_do_not_count():
    # One value differs: a resample without it is constant. With block length 1 that is (14/15)^15 = 36 %.
    x = np.zeros(15)
    x[7] = 1
    resampled = resampled_pearson(x, np.arange(15.0), 1, "a")
    assert np.isnan(resampled).mean() == pytest.approx(0.355, abs=0.04)
    assert percentile_interval(resampled) is not None
    short = resampled_pearson(x[5:11], np.arange(6.0), 3, "a")
    assert np.isnan(short).mean() == pytest.approx((3 / 6) ** 2, abs=0.04)  # of 6 starts 3 reach it
    assert percentile_interval(np.repeat([np.nan, 0.5], [51, 49])) is None


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
