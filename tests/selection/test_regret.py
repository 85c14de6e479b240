"""Regret and its companions against values worked out on paper."""

from dataclasses import replace
from math import inf, nan
from operator import attrgetter

import numpy as np
import pytest
import scipy.stats
from handmade import ACCURACY, DEFINITION, ENTROPY, RANKME, curve, run, sweep
from hypothesis import given, settings, strategies as st

from selector.errors import UserError
from selector.metrics import declared_labelled
from selector.runs import Milestone
from selector.selection.regret import regret

# rankme → accuracy. Chosen is d (rankme 40, accuracy 0.7), best is b (0.9), worst a (0.2), mean 0.6.
FOUR = (("a", 10.0, 0.2), ("b", 20.0, 0.9), ("c", 30.0, 0.6), ("d", 40.0, 0.7))


def judge(*rows, metrics=(RANKME,), **more):
    return regret(
        sweep(*(run(id, score, accuracy) for id, score, accuracy in rows)), metrics, ACCURACY, **more
    )


def only(report):
    (group,) = report.groups
    (figures,) = group.metrics
    return group, figures


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (
            FOUR,
            {
                "chosen.id": "d",
                "chosen_accuracy": 0.7,
                "best.run.id": "b",
                "best.accuracy": 0.9,
                "regret": 0.2,
                "normalised": 0.2 / 0.7,  # of 0.9 - 0.2
                "expected_random": 0.3,  # 0.9 - 0.6
                "against_random": 0.2 / 0.3,
                "random_as_good": 0.5,  # b and d of four
                "hit": False,
                # In rankme's order d, c, b, a the accuracies are 0.7, 0.6, 0.9, 0.2.
                "shortlist": {1: 0.2, 3: 0},
                # Ranks (1, 2, 3, 4) against (1, 4, 2, 3): 1 - 6 (0 + 4 + 1 + 1) / 60; 4 pairs agree, 2 not.
                "spearman.value": 0.4,
                "spearman.method": "exact",
                "kendall.value": 2 / 6,
                # Of the 24 orders of four, 1 + 3 + 5 have at most two inversions (τ ≥ 1/3); as many τ ≤ -1/3.
                "kendall.p_value": 18 / 24,
                "pearson.value": scipy.stats.pearsonr([1, 2, 3, 4], [2, 9, 6, 7]).statistic,
            },
        ),
        ((*FOUR, ("e", 25.0, 0.5)), {"shortlist": {1: 0.2, 3: 0.2, 5: 0}}),
        (  # c and d score alike: 0.6 and 0.7 against 0.9. The smaller learning rate (c) is chosen.
            (("a", 10.0, 0.2), ("b", 20.0, 0.9), ("c", 40.0, 0.6), ("d", 40.0, 0.7)),
            {"chosen.id": "c", "regret": 0.3, "tied_expected": 0.25, "tied_worst": 0.3},
        ),
        (  # a constant score costs what random does: 0.9 less the mean of 0.5
            (("a", 1.0, 0.2), ("b", 1.0, 0.9), ("c", 1.0, 0.4)),
            {
                "tied_expected": 0.4,
                "expected_random": 0.4,
                "spearman.value": None,
                "kendall.value": None,
                "pearson.value": None,
                "weighted_tau": None,
            },
        ),
        (  # a constant accuracy costs nothing and normalises to nothing
            (("a", 1.0, 0.5), ("b", 2.0, 0.5)),
            {
                "regret": 0,
                "normalised": None,
                "against_random": None,
                "expected_random": 0,
                "spearman.value": None,
            },
        ),
        ((("a", 1.0, 0.5),), {"regret": 0, "spearman.value": None, "interval": None}),
        ((("a", 1.0, 0.5), ("b", 2.0, 0.6)), {"kendall.value": 1, "kendall.p_value": 1}),
        # Hit: within a point, or within the oracle's own error; 0.5 of 400 images: 0.025.
        ((("a", 1.0, 0.91), ("b", 2.0, 0.90)), {"hit": True}),
        ((("a", 1.0, 0.50), ("b", 2.0, 0.48)), {"hit": True}),
        ((("a", 1.0, 0.50), ("b", 2.0, 0.47)), {"hit": False}),
        ((("a", 1.0, 50.0), ("b", 2.0, 47.0)), {"hit": None}),
        (  # 0.9 of 400 images: √(0.9 · 0.1 / 400) = 0.015; of 0.86: √(0.86 · 0.14 / 400) = 0.01735.
            # Their difference: √(0.015² + 0.01735²) = 0.02293, so 0.04 is within twice that and 0.2 is not.
            (("a", 1.0, 0.9), ("b", 2.0, 0.86), ("c", 3.0, 0.7)),
            {"best.standard_error": 0.015, "near_best": 2},
        ),
        (  # a score that is not finite is never chosen, but may be the best
            (("a", 1.0, 0.5), ("b", 2.0, 0.6), ("c", nan, 0.9), ("d", inf, 0.1)),
            {
                "chosen.id": "b",
                "finite": 2,
                "configurations": 4,
                "best.run.id": "c",
                "regret": 0.3,
                "kendall.n": 2,
            },
        ),
        (  # 0.9 and 0.8 of 400 images: of the difference √(0.015² + 0.02²) = 0.025; 1.95996 times that.
            (("a", 1.0, 0.9), ("b", 2.0, 0.8)),
            {"interval": (0.1 - 0.025 * 1.959964, 0.1 + 0.025 * 1.959964)},
        ),
    ],
)
def test_figures_by_hand(rows, expected):
    group, figures = only(judge(*rows))
    for name, value in expected.items():
        owner = figures if hasattr(figures, name.split(".")[0]) else group
        assert attrgetter(name)(owner) == pytest.approx(value), name


def test_a_metric_that_is_better_low_agrees_when_it_falls():
    runs = [
        run(id, accuracy=a, values={"label_free/entropy": h})
        for id, h, a in (("a", 3.0, 0.9), ("b", 4.0, 0.5))
    ]
    _, figures = only(regret(sweep(*runs), [ENTROPY], ACCURACY))
    assert (figures.direction, figures.chosen.id, figures.regret) == ("min", "a", 0)
    assert figures.spearman.value == 1
    _, figures = only(regret(sweep(*runs), [ENTROPY], ACCURACY, direction="max"))
    assert (figures.direction, figures.chosen.id, figures.spearman.value) == ("max", "b", -1)


def test_a_metric_without_any_score_is_undefined_beside_one_with():
    report = judge(*FOUR, metrics=[RANKME, ENTROPY])
    (undefined,) = [f for group in report.groups for f in group.metrics if f.metric is ENTROPY]
    assert (undefined.chosen, undefined.regret, undefined.interval) == (None, None, None)
    assert undefined.spearman.value is None
    assert "entropy chooses nothing: no run has a finite label_free/entropy" in report.warnings[-1]
    with pytest.raises(UserError, match="no judged run in sweep/ has a finite value of label_free/entropy"):
        judge(*FOUR, metrics=[ENTROPY])


def test_runs_that_the_oracle_did_not_judge():
    report = judge(*FOUR, ("e", 99.0, None), ("f", 5.0, nan))
    _, figures = only(report)
    assert figures.chosen.id == "d"
    assert [unjudged.id for unjudged in report.without_oracle] == ["e", "f"]
    assert "rankme chooses run e, which the oracle did not judge" in report.warnings[0]
    assert report.warnings[1] == (
        "left out, as their last milestone has no finite labelled/linear_probe_accuracy: e, f"
    )
    with pytest.raises(UserError, match=r"no finished run in .* --oracle"):
        judge(("a", 1.0, None))
    with pytest.raises(UserError, match=r"no finished run to judge among 1 \(run a: failed\)"):
        regret(sweep(run("a", 1.0, 0.5, state="failed")), [RANKME], ACCURACY)


def test_the_oracle_is_read_at_the_end_whatever_the_metric_chooses_at():
    runs = [
        run("a", milestones=curve((5, 9.0), (10, 1.0), accuracy=0.3)),
        run("b", milestones=curve((5, 8.0), (10, 3.0), accuracy=0.8)),
    ]
    _, figures = only(regret(sweep(*runs), [RANKME], ACCURACY, milestone=5))
    assert (figures.chosen.id, figures.chosen_accuracy) == ("a", 0.3)
    assert figures.regret == pytest.approx(0.5)


def test_metrics_share_a_group_where_they_compare_the_same_runs():
    wide = {**DEFINITION, "projector_dim": 256}
    runs = [
        run(id, score, accuracy, values={"label_free/entropy": score}, definition=definition)
        for (id, score, accuracy), definition in zip(FOUR, (DEFINITION, DEFINITION, wide, wide), strict=True)
    ]
    report = regret(sweep(*runs), [RANKME, ENTROPY], ACCURACY)
    found = [([f.metric.name for f in g.metrics], sorted(j.run.id for j in g.judged)) for g in report.groups]
    assert found == [(["rankme"], ["a", "b"]), (["rankme"], ["c", "d"]), (["entropy"], ["a", "b", "c", "d"])]
    together = regret(sweep(*runs), [RANKME, ENTROPY], ACCURACY, allow_mixed=True)
    (group,) = together.groups
    assert [f.metric.name for f in group.metrics] == ["rankme", "entropy"]


def test_other_seeds_are_spoken_of_only_where_seeds_were_repeated():
    rows = [(id, seed, s, a) for id, s, a in FOUR for seed in range(3 if id in "ab" else 1)]
    runs = [run(f"{id}{n}", s + n / 10, a + n / 100, learning_rate=s, seed=n) for id, n, s, a in rows]
    group, figures = only(regret(sweep(*runs), [RANKME], ACCURACY))
    assert group.repetition_reason == ""
    # d costs 0.91 - 0.7 = 0.21, b0 to b2 being 0.9, 0.91 and 0.92; and other seeds change little.
    assert figures.regret == pytest.approx(0.21)
    for low, high in (figures.repetition_interval, figures.configuration_interval):
        assert 0.1 < low < figures.regret < high < 0.3
    once = [one for one in runs if one.id != "a2"]
    group, figures = only(regret(sweep(*once), [RANKME], ACCURACY))
    assert group.repetition_reason == (
        "2 configurations with 3 seeds each are needed, but 1 has 3 seeds, 1 has 2 seeds, 2 have 1 seed:"
        " train a0 again with --seed 2"
    )
    assert (figures.repetition_interval, figures.configuration_interval) == (None, None)


@pytest.mark.parametrize(
    ("ids", "seeds", "reason"),
    [
        (
            "abcd",
            (0, 1),
            "4 have 2 seeds: train a0 again with --seed 2, and b0 again with --seed 2",
        ),
        (
            "ab",
            (2,),
            "2 have 1 seed: train a2 again with --seed 1 and --seed 3,"
            " and b2 again with --seed 1 and --seed 3",
        ),
        ("d", (0, 1), "there is only one configuration"),
        ("abcd", (0, 1, 2), ""),
    ],
)
def test_only_the_seeds_that_are_missing_are_asked_for(ids, seeds, reason):
    runs = [
        run(f"{id}{seed}", s, a, learning_rate=s, seed=seed)
        for id, s, a in FOUR
        if id in ids
        for seed in seeds
    ]
    group, _ = only(regret(sweep(*runs), [RANKME], ACCURACY))
    said = group.repetition_reason
    assert said.removeprefix("2 configurations with 3 seeds each are needed, but ") == reason


def test_no_number_is_proposed_for_a_seed_of_another_name():
    runs = [run(f"{id}{n}", s, a, learning_rate=s, random_state=n) for id, s, a in FOUR for n in (0, 1)]
    runs = [replace(one, config={k: v for k, v in one.config.items() if k != "seed"}) for one in runs]
    group, _ = only(regret(sweep(*runs), [RANKME], ACCURACY, seed_key="random_state"))
    assert group.repetition_reason.endswith("train a0 again with 1 more seed, and b0 again with 1 more seed")


def test_seeds_of_one_configuration_are_one_choice():
    # Eight runs, but four configurations with two seeds each: the p-value of four means.
    runs = [
        run(f"{id}{seed}", score + seed / 10, accuracy, learning_rate=score, seed=seed)
        for id, score, accuracy in FOUR
        for seed in (0, 1)
    ]
    group, figures = only(regret(sweep(*runs), [RANKME], ACCURACY))
    assert (len(group.accuracies), group.configurations, figures.finite) == (8, 4, 4)
    assert figures.chosen.id == "d1"
    assert (figures.kendall.p_value, figures.kendall.method) == (pytest.approx(18 / 24), "exact")
    assert figures.kendall.n == 4


RUNS = st.lists(
    st.tuples(st.integers(-3, 3).map(float), st.integers(0, 10).map(lambda k: k / 10)), min_size=1, max_size=9
)


@settings(deadline=None)
@given(RUNS, st.sampled_from(["max", "min"]))
def test_what_always_holds(rows, direction):
    runs = [run(f"r{i}", score, accuracy) for i, (score, accuracy) in enumerate(rows)]
    group, figures = only(regret(sweep(*runs), [RANKME], ACCURACY, direction=direction))
    accuracies = [accuracy for _, accuracy in rows]
    assert 0 <= figures.regret <= max(accuracies) - min(accuracies)
    assert figures.normalised is None or 0 <= figures.normalised <= 1
    assert group.expected_random == pytest.approx(np.mean([max(accuracies) - a for a in accuracies]))
    assert figures.tied_expected <= figures.tied_worst + 1e-12
    assert figures.regret <= figures.tied_worst
    assert list(figures.shortlist.values()) == sorted(figures.shortlist.values(), reverse=True)
    assert only(regret(sweep(*runs[::-1]), [RANKME], ACCURACY, direction=direction))[1] == figures
    oracle = {baseline.name: baseline for baseline in group.baselines}["oracle"]
    assert (oracle.regret, oracle.accuracy) == (0, max(accuracies))


def test_an_oracle_that_is_better_low():
    loss = declared_labelled("x/probe_loss", "min")
    runs = [run(id, s, values={"x/probe_loss": loss}) for id, s, loss in (("a", 1.0, 0.5), ("b", 2.0, 0.8))]
    group, figures = only(regret(sweep(*runs), [RANKME], loss))
    assert (group.best.run.id, figures.chosen.id, figures.chosen_accuracy) == ("a", "b", 0.8)
    assert figures.regret == pytest.approx(0.3)


def test_a_metric_that_was_computed_in_different_ways_is_refused_beside_one_that_was_not():
    rows = [
        run(id, s, a, values={"label_free/entropy": s}, definition={**DEFINITION, "umap_seeds": seeds})
        for seeds, (id, s, a) in enumerate(FOUR, start=3)
    ]
    report = regret(sweep(*rows), [ENTROPY, RANKME], ACCURACY)
    assert [figures.metric for group in report.groups for figures in group.metrics] == [RANKME]
    assert report.warnings[:1] == report.refused
    assert report.refused[0].startswith(
        "entropy was not computed the same way in these runs: umap_seeds is 3"
    )
    with pytest.raises(UserError, match="entropy was not computed the same way"):
        regret(sweep(*rows), [ENTROPY], ACCURACY)


def test_which_way_is_better_may_be_unknown_or_unlike():
    def of(*methods):
        rows = zip(FOUR, methods, strict=False)
        return sweep(*(run(id, s, a, values={"label_free/entropy": s}, method=m) for (id, s, a), m in rows))

    undefined, told = regret(of("byol", "byol"), [ENTROPY, RANKME], ACCURACY).groups[0].metrics
    assert (undefined.direction, undefined.chosen, told.chosen.id) == (None, None, "b")
    with pytest.raises(UserError, match="which way entropy is better is not known for method 'byol'"):
        regret(of("byol", "byol"), [ENTROPY], ACCURACY)
    with pytest.raises(UserError, match="entropy is better high for some of these methods"):
        regret(of("simclr", "simsiam"), [ENTROPY], ACCURACY, allow_mixed=True)


def test_runs_judged_by_unlike_probes_are_refused():
    rows = [run("a", 1.0, 0.5), run("b", 2.0, 0.6, definition={**DEFINITION, "probe": "fast"})]
    with pytest.raises(UserError, match="was not computed the same way"):
        regret(sweep(*rows), [RANKME], ACCURACY)


@pytest.mark.parametrize(
    ("asked", "error", "message"),
    [
        ({"metrics": [ACCURACY]}, TypeError, "linear_probe_accuracy is not a label-free metric"),
        ({"milestone": 3}, UserError, "milestone 3 is not among"),
    ],
)
def test_what_cannot_choose_is_refused(asked, error, message):
    with pytest.raises(error, match=message):
        judge(*FOUR, **asked)


@pytest.mark.parametrize("milestones", [(), (Milestone(0, {}),)])
def test_a_run_that_never_logged_anything(milestones):
    report = regret(sweep(run("a", 1.0, 0.5), run("b", milestones=milestones)), [RANKME], ACCURACY)
    assert [unjudged.id for unjudged in report.without_oracle] == ["b"]
