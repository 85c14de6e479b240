"""The bootstrap against enumeration on paper, and against what nesting must mean."""

import numpy as np
import pytest
import scipy.stats

from selector.selection.bootstrap import nested_resamples, regret_interval


def test_each_resample_holds_as_many_configurations_with_their_own_seeds():
    drawn, empty = nested_resamples(["x", "y", "x", "z", "y", "x"], 200, seed=0)
    owner = np.array([0, 1, 0, 2, 1, 0])  # of runs 0 to 5
    size = np.array([3, 2, 1])
    for runs, holes in zip(drawn.reshape(200, 3, 3), empty.reshape(200, 3, 3), strict=True):
        for slots, hole in zip(runs, holes, strict=True):
            configuration = owner[slots[0]]
            assert (owner[slots[~hole]] == configuration).all()
            assert (~hole).sum() == size[configuration]


def test_every_run_is_drawn_equally_often_within_its_configuration():
    drawn, empty = nested_resamples(["x", "y", "x", "y"], 20_000, seed=1)
    counts = np.bincount(drawn[~empty], minlength=4) / 20_000
    assert counts == pytest.approx(
        [1, 1, 1, 1], abs=0.03
    )  # two configurations of two seeds: one each a resample


def test_interval_by_hand():
    # Eight configurations; the metric places the only bad run (regret 1) first. It is drawn at least once in
    # a share of 1 - (7/8)^8 = 0.656 of resamples, and then chosen: regret 1 unless nothing else was drawn
    # (8^-8). So the 2.5 % point is 0 and the 97.5 % point is 1.
    assert regret_interval(range(8), [0.0] + [1.0] * 7, [str(i) for i in range(8)]) == (0.0, 1.0)
    # A perfect ranking never regrets.
    assert regret_interval(range(8), np.arange(8.0)[::-1], [str(i) for i in range(8)]) == (0.0, 0.0)


def test_the_interval_leaves_two_and_a_half_percent_on_each_side():
    # Twenty configurations, the three worst placed first: none of them is drawn in (17/20)^20 = 3.9 % of
    # resamples, which alone regret nothing. That is more than 2.5 % and less than 5 %.
    assert regret_interval(range(20), [0.0] * 3 + [1.0] * 17, [str(i) for i in range(20)]) == (0.0, 1.0)
    # Three runs placed first regret 0.1; in the 3.9 % without them one of the ten bad ones is chosen, and
    # hardly ever none of those is drawn either.
    quality = [0.9] * 3 + [0.0] * 10 + [1.0] * 7
    interval = regret_interval(range(20), quality, [str(i) for i in range(20)])
    assert interval == (pytest.approx(0.1), 1.0)


def test_interval_is_scipys_where_no_seeds_are_nested():
    rng = np.random.default_rng(3)
    quality = rng.uniform(0, 1, 20)
    place = np.argsort(np.argsort(-(quality + rng.normal(0, 0.3, 20)))).astype(float)

    def regret(indices):
        indices = indices.astype(int)
        return quality[indices].max() - quality[indices[place[indices].argmin()]]

    expected = scipy.stats.bootstrap(
        (np.arange(20),), regret, n_resamples=5000, method="percentile", vectorized=False, rng=rng
    ).confidence_interval
    low, high = regret_interval(place, quality, [str(i) for i in range(20)])
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=0.03)


def test_fewer_than_eight_configurations_have_none_however_many_seeds():
    configurations = [str(i % 7) for i in range(70)]
    assert regret_interval(range(70), np.arange(70.0), configurations) is None


def test_runs_without_a_score_are_never_chosen():
    # The best run has no score: whenever it is drawn beside another, the other is chosen and 1 is regretted.
    place = [np.inf, *map(float, range(7))]
    low, high = regret_interval(place, [1.0] + [0.0] * 7, [str(i) for i in range(8)])
    assert (low, high) == (0.0, 1.0)


def test_resamples_in_which_nothing_can_be_chosen_do_not_count():
    # Only the worst run has a score. Where it is drawn it is chosen and regrets 1; where it is not, in
    # (7/8)^8 = 34 % of resamples, there is no choice, and so nothing to regret or not.
    place = [0.0] + [np.inf] * 7
    assert regret_interval(place, [0.0] + [1.0] * 7, [str(i) for i in range(8)]) == (1.0, 1.0)


def test_the_same_call_gives_the_same_interval():
    rng = np.random.default_rng(0)
    quality = rng.uniform(0, 1, 12)
    arguments = (range(12), quality, [str(i // 2 if i < 8 else i) for i in range(12)])
    assert regret_interval(*arguments) == regret_interval(*arguments)
