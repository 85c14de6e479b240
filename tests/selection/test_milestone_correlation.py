"""Correlations over milestones against scipy and against values worked out on paper."""

from dataclasses import replace
from math import inf, nan

import numpy as np
import pytest
import scipy.stats
from handmade import ACCURACY, DEFINITION, ENTROPY, RANKME, run, sweep

from selector.errors import UserError
from selector.metrics.metrics import declared_labelled, labelled_metric
from selector.runs import Milestone
from selector.selection.block_bootstrap import block_length, resampled_pearson
from selector.selection.milestone_correlation import correlate_metric, correlate_milestones, correlate_run

KNN = labelled_metric("knn_accuracy")


def trained(id, rankme, accuracy, first=0, **more):
    """A run with a milestone each 5 epochs; None leaves a value out."""
    rows = []
    for place, pair in enumerate(zip(rankme, accuracy, strict=True), start=first):
        values = dict(zip((RANKME.key, ACCURACY.key), pair, strict=True))
        rows.append(Milestone(5 * place, {key: value for key, value in values.items() if value is not None}))
    return run(id, milestones=tuple(rows), **more)


def cell(*runs, initial=True, metric=RANKME):
    return correlate_metric(runs, metric, ACCURACY, initial)


# Milestone 0 has the highest rank and no accuracy: with it the metric seems useless.
FIVE = trained("a", (90.0, 10.0, 30.0, 20.0, 40.0), (0.1, 0.5, 0.6, 0.7, 0.8))


def test_with_and_without_the_initial_network_by_hand():
    # Without: ranks 1, 3, 2, 4 against 1, 2, 3, 4, evenly spaced: r = ρ = 1 - 6 (1 + 1) / 60 = 0.8, τ = 4/6.
    without = correlate_run(FIVE, RANKME, ACCURACY, initial=False)
    assert without.n == 4
    assert without.pearson.value == pytest.approx(0.8)
    assert without.spearman.value == pytest.approx(0.8)
    assert without.kendall.value == pytest.approx(4 / 6)
    # With: ranks 5, 1, 3, 2, 4 against 1 to 5: 1 - 6 (16 + 1 + 0 + 4 + 1) / 120 = -0.1; τ = (5 - 5) / 10.
    given = correlate_run(FIVE, RANKME, ACCURACY, initial=True)
    assert given.n == 5
    assert given.spearman.value == pytest.approx(-0.1)
    assert given.kendall.value == pytest.approx(0)
    # Deviations 52, -28, -8, -18, 2 and -0.44, -0.04, 0.06, 0.16, 0.26: -24.6 over √(3880 · 0.292).
    assert given.pearson.value == pytest.approx(-24.6 / (3880 * 0.292) ** 0.5)


def test_as_scipy():
    rng = np.random.default_rng(0)
    rankme, accuracy = rng.standard_normal(30).cumsum().round(1), rng.standard_normal(30).cumsum().round(1)
    one = correlate_run(trained("a", rankme, accuracy), RANKME, ACCURACY, initial=False)
    for ours, theirs in (
        (one.pearson, scipy.stats.pearsonr),
        (one.spearman, scipy.stats.spearmanr),
        (one.kendall, scipy.stats.kendalltau),
    ):
        assert ours.value == pytest.approx(theirs(rankme[1:], accuracy[1:]).statistic)
    assert one.pearson.p_value == pytest.approx(scipy.stats.pearsonr(rankme[1:], accuracy[1:]).pvalue)
    assert one.n == 29


def test_two_milestones_are_no_trend():
    (figures,) = cell(trained("a", (1.0, 2.0), (0.1, 0.2))).runs
    assert (figures.pearson.value, figures.pearson.p_value, figures.spearman.value) == (None, None, None)
    assert (figures.kendall.value, figures.interval) == (None, None)
    assert figures.reason == "2 milestones with both values, 3 are needed"
    assert cell(trained("a", (1.0, 2.0, 3.0), (0.1, 0.2, 0.3))).pearson == pytest.approx(1)
    one = cell(trained("a", (1.0, 2.0), (0.1, 0.2)), initial=False)
    assert (one.pearson, one.defined, one.marked) == (None, 0, False)
    assert one.reason == "1 milestone with both values, 3 are needed"


@pytest.mark.parametrize(
    ("rankme", "accuracy", "said"),
    [
        ((5.0,) * 4, (0.1, 0.2, 0.3, 0.4), "rankme the same at all 4 milestones"),
        ((1.0, 2.0, 3.0, 4.0), (0.1,) * 4, "linear_probe_accuracy the same at all 4 milestones"),
        ((5.0,) * 4, (0.1,) * 4, "rankme and linear_probe_accuracy the same at all 4 milestones"),
    ],
)
def test_a_constant_series_has_no_correlation(rankme, accuracy, said):
    constant = cell(trained("a", rankme, accuracy))
    assert (constant.pearson, constant.spearman, constant.kendall) == (None, None, None)
    assert (constant.interval, constant.reason) == (None, said)


def test_without_milestone_0_nothing_is_shown_as_with_it():
    late = trained("a", (1.0, 2.0, 3.0), (0.1, 0.2, 0.3), first=1)
    assert cell(late).pearson is None
    assert cell(late).reason == "milestone 0, the untrained network, was not logged"
    assert cell(late, initial=False).pearson == pytest.approx(1)


def test_what_is_not_finite_is_left_out_and_counted():
    holes = trained("a", (1.0, nan, 2.0, 9.0, None, inf, 3.0), (0.1, 0.2, 0.2, None, 0.4, 0.5, 0.3), first=1)
    (one,) = cell(holes, initial=False).runs
    assert (one.n, one.left_out, one.pearson.value) == (3, 4, pytest.approx(1))
    report = correlate_milestones(sweep(holes), ACCURACY)
    assert "up to 4 milestones of a run lack a finite value" in report.warnings[0]


def test_several_runs_are_medians_never_one_series():
    # Pooled into one series, these would correlate negatively; r of each: 1, 1 and -1.
    rises = trained("a", (10.0, 11.0, 12.0), (0.1, 0.2, 0.3))
    low = trained("b", (1.0, 2.0, 3.0), (0.7, 0.8, 0.9))
    falls = trained("c", (3.0, 2.0, 1.0), (0.7, 0.8, 0.9))
    several = cell(rises, low, falls)
    assert (several.pearson, several.spearman, several.kendall) == pytest.approx((1, 1, 1))
    assert [one.pearson.value for one in several.runs] == pytest.approx([1, 1, -1])
    assert cell(rises, falls).pearson == pytest.approx(0)  # halfway between 1 and -1
    # A run without a correlation does not count.
    assert cell(rises, trained("d", (1.0, 1.0, 1.0), (0.1, 0.2, 0.3)), falls, falls).defined == 3


def test_marked_where_more_than_half_agree():
    n = 10
    up, noise = np.arange(n) + 0.0, np.array([3, 1, 4, 1, 5, 9, 2, 6, 5, 3]) + 0.0
    assert scipy.stats.pearsonr(noise, up).pvalue > 0.05
    rises, falls, unclear = (trained(id, x, up / n) for id, x in (("a", up), ("b", -up), ("c", noise)))
    assert cell(rises).marked
    assert cell(falls).marked
    assert not cell(unclear).marked
    assert not cell(rises, unclear).marked  # one of two
    assert cell(rises, rises, unclear).marked
    assert (cell(rises, rises, falls).significant, cell(rises, rises, falls).marked) == (2, True)
    assert (cell(rises, falls).significant, cell(rises, falls).marked) == (0, False)  # their median is 0


def test_three_milestones_in_order_prove_nothing():
    # Of 6 orders 2 are as extreme.
    three = trained("a", (1.0, 2.0, 3.0), (0.1, 0.2, 0.3))
    assert cell(three).runs[0].pearson.p_value == pytest.approx(2 / 6)
    assert not cell(three).marked


def test_an_interval_from_twelve_milestones_on():
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((2, 13))
    eleven = cell(trained("a", x[:12], y[:12]), initial=False)
    assert (eleven.interval, eleven.runs[0].block_length) == (None, None)
    assert eleven.interval_reason == "11 milestones, an interval needs 12"
    twelve = cell(trained("a", x, y), initial=False)
    low, high = twelve.interval
    length = block_length(x[1:], y[1:])
    assert (twelve.runs[0].block_length, twelve.interval_reason) == (length, "")
    expected = np.percentile(resampled_pearson(x[1:], y[1:], length, "a"), [2.5, 97.5])
    assert (low, high) == pytest.approx(tuple(expected))
    assert low < twelve.pearson < high


def test_the_interval_of_a_median_resamples_each_run_by_itself():
    rng = np.random.default_rng(2)
    accuracy = rng.standard_normal(30).cumsum()
    several = [trained(id, accuracy + 3 * rng.standard_normal(30), accuracy) for id in "abcdefg"]
    together = cell(*several)
    low, high = together.interval
    assert low < together.pearson < high
    assert high - low < 0.8 * np.median([np.diff(one.interval) for one in together.runs])
    with_a_short_one = cell(*several, trained("short", accuracy[:5], accuracy[5:10]))
    assert with_a_short_one.interval is None
    assert with_a_short_one.interval_reason == "5 milestones, an interval needs 12"


def test_groups_by_method_and_data_set():
    rows = ((1.0, 2.0, 3.0), (0.1, 0.2, 0.3))
    report = correlate_milestones(
        sweep(
            trained("a", *rows, method="simsiam"),
            trained("b", *rows),
            trained("c", *rows),
            trained("d", *rows, dataset="cifar10"),
            trained("e", *rows, dataset="folder", data_dir="/cats"),
            trained("f", *rows, dataset="folder", data_dir="/dogs"),
        ),
        ACCURACY,
    )
    assert [(group.method, group.dataset, [one.id for one in group.runs]) for group in report.groups] == [
        ("simclr", "cifar10", ["d"]),
        ("simclr", "digits", ["b", "c"]),
        ("simclr", "folder /cats", ["e"]),
        ("simclr", "folder /dogs", ["f"]),
        ("simsiam", "digits", ["a"]),
    ]


def test_all_metrics_that_were_logged_but_the_oracle():
    rows = [Milestone(e, {RANKME.key: e, KNN.key: e / 9, ACCURACY.key: e / 9}) for e in range(4)]
    (group,) = correlate_milestones(sweep(run("a", milestones=tuple(rows))), ACCURACY).groups
    assert [one.metric.name for one in group.with_init] == ["rankme", "knn_accuracy"]
    (group,) = correlate_milestones(sweep(run("a", milestones=tuple(rows))), KNN, [ACCURACY]).groups
    assert [one.metric.name for one in group.without_init] == ["linear_probe_accuracy"]


def test_unfinished_runs_and_duplicates_are_left_out():
    rows = ((1.0, 2.0, 3.0), (0.1, 0.2, 0.3))
    report = correlate_milestones(
        sweep(
            trained("a", *rows, learning_rate=1.0),
            trained("b", *rows, learning_rate=1.0),
            trained("c", *rows, state="crashed"),
        ),
        ACCURACY,
    )
    assert [one.id for one in report.groups[0].runs] == ["a"]
    assert [(gone.run, gone.category) for gone in report.excluded] == [("b", "duplicate"), ("c", "crashed")]


def test_unlike_definitions_are_said():
    rows = ((1.0, 2.0, 3.0), (0.1, 0.2, 0.3))
    other = {**DEFINITION, "umap_seeds": 5}
    report = correlate_milestones(sweep(trained("a", *rows), trained("b", *rows, definition=other)), ACCURACY)
    (warning,) = report.warnings
    assert "method simclr, dataset digits" in warning
    assert "(umap_seeds)" in warning


def test_refusals():
    runs = sweep(FIVE)
    with pytest.raises(UserError, match="none of the 1 finished runs of sweep/ logged labelled/knn_accuracy"):
        correlate_milestones(runs, KNN)
    with pytest.raises(UserError, match="did you mean 'labelled/linear_probe_accuracy'"):
        correlate_milestones(runs, declared_labelled("labelled/linear_prob_accuracy"))
    with pytest.raises(UserError, match="no finished run of sweep/ logged label_free/entropy"):
        correlate_milestones(runs, ACCURACY, [RANKME, ENTROPY])
    with pytest.raises(UserError, match="no metric beside labelled/linear_probe_accuracy"):
        correlate_milestones(sweep(trained("a", (None,) * 3, (0.1, 0.2, 0.3))), ACCURACY)
    with pytest.raises(UserError, match="none of the 0 finished runs"):
        correlate_milestones(sweep(), ACCURACY)


def test_runs_counted_by_steps_have_no_initial_network():
    steps = replace(FIVE, counted_by="_step", definition={})
    assert cell(steps).pearson is None
    assert cell(steps, initial=False).runs[0].n == 5
