"""Correlations over milestones against scipy and against values worked out on paper."""

from dataclasses import replace
from math import inf, nan

import numpy as np
import pytest
import scipy.stats
from handmade import ACCURACY, DEFINITION, ENTROPY, RANKME, run, sweep

from selector.errors import UserError
from selector.metrics import declared_labelled, labelled_metric
from selector.paper.along_training import correlate_metric, correlate_milestones
from selector.paper.association import block_length, resampled_pearson
from selector.runs import Milestone

KNN = labelled_metric("knn_accuracy")


def trained(id, rankme, accuracy, first=0, **more):
    """A run with a milestone each 5 epochs; None leaves a value out."""
    rows = []
    for place, pair in enumerate(zip(rankme, accuracy, strict=True), start=first):
        values = dict(zip((RANKME.key, ACCURACY.key), pair, strict=True))
        rows.append(Milestone(5 * place, {key: value for key, value in values.items() if value is not None}))
    return run(id, milestones=tuple(rows), **more)


def cell(*runs, initial="with_init"):
    return correlate_metric(runs, RANKME, ACCURACY, initial)


def of_run(*arguments, **more):
    return cell(*arguments, **more).runs[0]


# Milestone 0 has the highest rank and no accuracy: with it the metric seems useless.
FIVE = trained("a", (90.0, 10.0, 30.0, 20.0, 40.0), (0.1, 0.5, 0.6, 0.7, 0.8))


def test_with_and_without_the_initial_network_by_hand():
    # Without: ranks 1, 3, 2, 4 against 1, 2, 3, 4, evenly spaced: r = ρ = 1 - 6 (1 + 1) / 60 = 0.8, τ = 4/6.
    without = of_run(FIVE, initial="without_init")
    assert without.n == 4
    assert (without.pearson, without.spearman, without.kendall_tau) == pytest.approx((0.8, 0.8, 4 / 6))
    # With: ranks 5, 1, 3, 2, 4 against 1 to 5: 1 - 6 (16 + 1 + 0 + 4 + 1) / 120 = -0.1; τ = (5 - 5) / 10.
    # Deviations 52, -28, -8, -18, 2 and -0.44, -0.04, 0.06, 0.16, 0.26: -24.6 over √(3880 · 0.292).
    given = of_run(FIVE)
    assert given.n == 5
    expected = (-24.6 / (3880 * 0.292) ** 0.5, -0.1, 0)
    assert (given.pearson, given.spearman, given.kendall_tau) == pytest.approx(expected)


def test_as_scipy():
    rng = np.random.default_rng(0)
    rankme, accuracy = rng.standard_normal((2, 30)).cumsum(axis=1).round(1)
    one = of_run(trained("a", rankme, accuracy), initial="without_init")
    for ours, theirs in (
        ((one.pearson, one.pearson_p), scipy.stats.pearsonr),
        ((one.spearman, one.spearman_p), scipy.stats.spearmanr),
        ((one.kendall_tau, one.kendall_p), scipy.stats.kendalltau),
    ):
        assert ours == pytest.approx(tuple(theirs(rankme[1:], accuracy[1:])))
    assert one.n == 29


@pytest.mark.parametrize(
    ("rankme", "accuracy", "reason"),
    [
        ((1.0, 2.0), (0.1, 0.2), "2 milestones with both values, 3 are needed"),
        ((5.0,) * 4, (0.1, 0.2, 0.3, 0.4), "rankme the same at all 4 milestones"),
        ((1.0, 2.0, 3.0, 4.0), (0.1,) * 4, "linear_probe_accuracy the same at all 4 milestones"),
        ((5.0,) * 4, (0.1,) * 4, "rankme and linear_probe_accuracy the same at all 4 milestones"),
    ],
)
def test_undefined_correlations_say_why(rankme, accuracy, reason):
    found = cell(trained("a", rankme, accuracy))
    assert (found.pearson, found.spearman, found.kendall_tau, found.interval) == (None,) * 4
    assert (found.reason, found.runs_with_value, found.marked) == (reason, 0, False)
    assert (found.runs[0].pearson_p, found.runs[0].reason) == (None, reason)


def test_without_milestone_0_nothing_is_shown_as_with_it():
    late = trained("a", (1.0, 2.0, 3.0), (0.1, 0.2, 0.3), first=1)
    assert (cell(late).pearson, cell(late).reason) == (
        None,
        "milestone 0, the untrained network, was not logged",
    )
    assert cell(late, initial="without_init").pearson == pytest.approx(1)
    steps = replace(FIVE, counted_by="_step", definition={})
    assert (cell(steps).pearson, of_run(steps, initial="without_init").n) == (None, 5)


def test_what_is_not_finite_is_left_out_and_counted():
    holes = trained("a", (1.0, nan, 2.0, 9.0, None, inf, 3.0), (0.1, 0.2, 0.2, None, 0.4, 0.5, 0.3), first=1)
    one = of_run(holes, initial="without_init")
    assert (one.n, one.left_out, one.pearson) == (3, 4, pytest.approx(1))
    (warning,) = correlate_milestones(sweep(holes), ACCURACY).warnings
    assert "up to 4 milestones of a run lack a finite value" in warning


def test_several_runs_are_medians_never_one_series():
    # Pooled into one series, these would correlate negatively; r of each: 1, 1 and -1.
    rises = trained("a", (10.0, 11.0, 12.0), (0.1, 0.2, 0.3))
    low = trained("b", (1.0, 2.0, 3.0), (0.7, 0.8, 0.9))
    falls = trained("c", (3.0, 2.0, 1.0), (0.7, 0.8, 0.9))
    several = cell(rises, low, falls)
    assert (several.pearson, several.spearman, several.kendall_tau) == pytest.approx((1, 1, 1))
    assert [one.pearson for one in several.runs] == pytest.approx([1, 1, -1])
    assert cell(rises, falls).pearson == pytest.approx(0)  # halfway between 1 and -1
    # A run without a correlation does not count.
    assert cell(rises, trained("d", (1.0,) * 3, (0.1, 0.2, 0.3)), falls, falls).runs_with_value == 3


def test_marked_where_more_than_half_agree():
    n = 10
    up, noise = np.arange(n) + 0.0, np.array([3, 1, 4, 1, 5, 9, 2, 6, 5, 3]) + 0.0
    assert scipy.stats.pearsonr(noise, up).pvalue > 0.05
    rises, falls, unclear = (trained(id, x, up / n) for id, x in (("a", up), ("b", -up), ("c", noise)))
    for runs, significant, marked in [
        ((rises,), 1, True),
        ((falls,), 1, True),
        ((unclear,), 0, False),
        ((rises, unclear), 1, False),  # one of two
        ((rises, rises, unclear), 2, True),
        ((rises, rises, falls), 2, True),
        ((rises, falls), 0, False),  # their median is 0
        ((trained("a", (1.0, 2.0, 3.0), (0.1, 0.2, 0.3)),), 0, False),  # of 6 orders 2 are as extreme
    ]:
        assert (cell(*runs).runs_significant, cell(*runs).marked) == (significant, marked)


def test_an_interval_from_twelve_milestones_on():
    x, y = np.random.default_rng(1).standard_normal((2, 13))
    eleven = cell(trained("a", x[:12], y[:12]), initial="without_init")
    assert (eleven.interval, eleven.runs[0].block_length) == (None, None)
    assert eleven.interval_reason == "11 milestones, an interval needs 12"
    for initial, first in (("without_init", 1), ("with_init", 0)):
        found = cell(trained("a", x, y), initial=initial)
        length = block_length(x[first:], y[first:])
        assert (found.runs[0].block_length, found.interval_reason) == (length, None)
        drawn = resampled_pearson(x[first:], y[first:], length, "a", keep_first=initial == "with_init")
        assert found.interval == pytest.approx(tuple(np.percentile(drawn, [2.5, 97.5])))
        assert found.runs[0].interval == found.interval


ROWS = ((1.0, 2.0, 3.0), (0.1, 0.2, 0.3))


def test_groups_by_method_and_data_set():
    report = correlate_milestones(
        sweep(
            trained("a", *ROWS, method="simsiam"),
            trained("b", *ROWS),
            trained("c", *ROWS),
            trained("d", *ROWS, dataset="cifar10"),
            trained("e", *ROWS, dataset="folder", data_dir="/cats"),
            trained("f", *ROWS, dataset="folder", data_dir="/dogs"),
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


def test_unfinished_runs_and_duplicates_are_left_out_and_unlike_definitions_are_said():
    runs = sweep(
        trained("a", *ROWS, learning_rate=1.0),
        trained("b", *ROWS, learning_rate=1.0),
        trained("c", *ROWS, state="crashed"),
        trained("d", *ROWS, definition={**DEFINITION, "umap_seeds": 5}),
    )
    report = correlate_milestones(runs, ACCURACY)
    assert [one.id for one in report.groups[0].runs] == ["a", "d"]
    assert [(gone.run, gone.category) for gone in report.excluded] == [("b", "duplicate"), ("c", "crashed")]
    (warning,) = report.warnings
    assert "method simclr, dataset digits" in warning
    assert "(umap_seeds)" in warning


@pytest.mark.parametrize(
    ("runs", "oracle", "metrics", "said"),
    [
        ([FIVE], KNN, [], "no finished run of sweep/ logged labelled/knn_accuracy"),
        (
            [FIVE],
            declared_labelled("labelled/linear_prob_accuracy"),
            [],
            "did you mean 'labelled/linear_probe_accuracy'",
        ),
        ([FIVE], ACCURACY, [RANKME, ENTROPY], "no finished run of sweep/ logged label_free/entropy"),
        (
            [trained("a", (None,) * 3, (0.1, 0.2, 0.3))],
            ACCURACY,
            [],
            "no metric besides labelled/linear_probe_accuracy",
        ),
        ([], ACCURACY, [], "no finished run of"),
    ],
)
def test_refusals(runs, oracle, metrics, said):
    with pytest.raises(UserError, match=said):
        correlate_milestones(sweep(*runs), oracle, metrics)
