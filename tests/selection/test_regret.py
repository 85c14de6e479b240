"""Regret and its companions against values worked out on paper."""

from math import inf, nan

import numpy as np
import pytest
import scipy.stats
from handmade import ACCURACY, DEFINITION, ENTROPY, RANKME, curve, run, sweep
from hypothesis import given, settings
from hypothesis import strategies as st

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


def test_regret_by_hand():
    group, figures = only(judge(*FOUR))
    assert (figures.chosen.id, figures.chosen_accuracy) == ("d", 0.7)
    assert (group.best.run.id, group.best.accuracy) == ("b", 0.9)
    assert figures.regret == pytest.approx(0.2)
    assert figures.normalised == pytest.approx(0.2 / 0.7)  # of 0.9 - 0.2
    assert group.expected_random == pytest.approx(0.3)  # 0.9 - 0.6
    assert figures.against_random == pytest.approx(0.2 / 0.3)
    assert figures.random_as_good == 0.5  # b and d of four
    assert figures.hit is False


def test_progress_counts_every_metric_of_every_pool():
    told = []
    runs = sweep(*(run(*one) for one in FOUR), run("of another width", 1.0, 0.5, backbone_width=0.5))
    found = regret(runs, [RANKME, ENTROPY], ACCURACY, progress=lambda *counts: told.append(counts))
    assert len(found.groups) == 2
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]  # entropy, which no run logged, counted too


def test_shortlists_by_hand():
    # In rankme's order d, c, b, a the accuracies are 0.7, 0.6, 0.9, 0.2.
    _, figures = only(judge(*FOUR))
    assert figures.shortlist == {1: pytest.approx(0.2), 3: 0}
    _, figures = only(judge(*FOUR, ("e", 25.0, 0.5)))
    assert figures.shortlist == {1: pytest.approx(0.2), 3: pytest.approx(0.2), 5: 0}


def test_correlations_by_hand():
    # Ranks (1, 2, 3, 4) against (1, 4, 2, 3): 1 - 6 (0 + 4 + 1 + 1) / 60 = 0.4; pairs: 4 agree, 2 do not.
    _, figures = only(judge(*FOUR))
    assert figures.spearman.value == pytest.approx(0.4)
    assert figures.kendall.value == pytest.approx(2 / 6)
    assert figures.pearson.value == pytest.approx(scipy.stats.pearsonr([1, 2, 3, 4], [2, 9, 6, 7]).statistic)
    assert figures.spearman.method == "exact"


def test_a_metric_that_is_better_low_agrees_when_it_falls():
    runs = [
        run(id, accuracy=a, values={"label_free/entropy": h})
        for id, h, a in (("a", 3.0, 0.9), ("b", 4.0, 0.5))
    ]
    _, figures = only(regret(sweep(*runs), [ENTROPY], ACCURACY))
    assert (figures.direction, figures.chosen.id, figures.regret, figures.spearman.value) == (
        "min",
        "a",
        0,
        1,
    )
    _, figures = only(regret(sweep(*runs), [ENTROPY], ACCURACY, direction="max"))
    assert (figures.direction, figures.chosen.id, figures.spearman.value) == ("max", "b", -1)


def test_tie_set_by_hand():
    # c and d score alike: 0.6 and 0.7 against 0.9 cost 0.3 and 0.2. The smaller learning rate (c) is chosen.
    rows = (("a", 10.0, 0.2), ("b", 20.0, 0.9), ("c", 40.0, 0.6), ("d", 40.0, 0.7))
    _, figures = only(judge(*rows))
    assert [tied.id for tied in figures.tie_set] == ["c", "d"]
    assert figures.regret == pytest.approx(0.3)
    assert figures.tied_expected == pytest.approx(0.25)
    assert figures.tied_worst == pytest.approx(0.3)


def test_a_constant_score_costs_what_random_does():
    group, figures = only(judge(("a", 1.0, 0.2), ("b", 1.0, 0.9), ("c", 1.0, 0.4)))
    assert len(figures.tie_set) == 3
    assert figures.tied_expected == pytest.approx(group.expected_random)
    assert (figures.spearman.value, figures.kendall.value, figures.pearson.value) == (None, None, None)
    assert figures.weighted_tau is None


def test_constant_accuracy_costs_nothing_and_normalises_to_nothing():
    group, figures = only(judge(("a", 1.0, 0.5), ("b", 2.0, 0.5)))
    assert (figures.regret, figures.normalised, figures.against_random) == (0, None, None)
    assert (group.expected_random, figures.spearman.value) == (0, None)


def test_equal_accuracies_that_no_float_can_average_exactly():
    # The mean of six times 0.1 is not exactly 0.1 in floating point: no reason for an expected regret but 0.
    group, figures = only(judge(*((f"r{i}", float(i), 0.1) for i in range(6))))
    assert (group.expected_random, figures.against_random) == (0, None)
    assert {b.name: b.regret for b in group.baselines}["random"] == 0


def test_one_run():
    report = judge(("a", 1.0, 0.5))
    _, figures = only(report)
    assert (figures.regret, figures.spearman.value, figures.interval) == (0, None, None)
    assert report.warnings == ("only run a was judged: there was no choice to regret",)


def test_two_runs_have_a_certain_p():
    _, figures = only(judge(("a", 1.0, 0.5), ("b", 2.0, 0.6)))
    assert (figures.kendall.value, figures.kendall.p_value) == (1, 1)


def test_few_configurations_have_exact_p_values():
    _, figures = only(judge(*FOUR))
    # Of the 24 orders of four, 1 + 3 + 5 have at most two inversions (τ ≥ 1/3), and as many τ ≤ -1/3.
    assert figures.kendall.p_value == pytest.approx(18 / 24)


def test_hit_within_a_point_or_the_oracles_own_error():
    _, figures = only(judge(("a", 1.0, 0.91), ("b", 2.0, 0.90)))
    assert figures.hit is True
    # 0.5 of 400 images: standard error 0.025
    _, figures = only(judge(("a", 1.0, 0.50), ("b", 2.0, 0.48)))
    assert figures.hit is True
    _, figures = only(judge(("a", 1.0, 0.50), ("b", 2.0, 0.47)))
    assert figures.hit is False
    _, figures = only(judge(("a", 1.0, 50.0), ("b", 2.0, 47.0)))
    assert figures.hit is None


def test_the_oracles_standard_error_and_who_is_within_it():
    # 0.9 of 400 images: √(0.9 · 0.1 / 400) = 0.015; of 0.86: √(0.86 · 0.14 / 400) = 0.01735.
    # Their difference: √(0.015² + 0.01735²) = 0.02293, so 0.04 is within twice that and 0.2 is not.
    group, _ = only(judge(("a", 1.0, 0.9), ("b", 2.0, 0.86), ("c", 3.0, 0.7)))
    assert group.best.standard_error == pytest.approx(0.015)
    assert group.near_best == 2


def test_a_score_that_is_not_finite_is_never_chosen_but_may_be_the_best():
    group, figures = only(judge(("a", 1.0, 0.5), ("b", 2.0, 0.6), ("c", nan, 0.9), ("d", inf, 0.1)))
    assert (figures.chosen.id, figures.finite) == ("b", 2)
    assert (len(group.judged), group.best.run.id) == (4, "c")
    assert figures.regret == pytest.approx(0.3)
    assert figures.kendall.n == 2


def test_a_metric_without_any_score_is_undefined_beside_one_with():
    report = regret(sweep(*(run(id, s, a) for id, s, a in FOUR)), [RANKME, ENTROPY], ACCURACY)
    undefined = [f for group in report.groups for f in group.metrics if f.metric is ENTROPY]
    assert [(f.chosen, f.regret, f.interval, f.spearman.value) for f in undefined] == [
        (None, None, None, None)
    ]
    assert "entropy chooses nothing: no run has a finite label_free/entropy" in report.warnings[-1]
    with pytest.raises(UserError, match="no judged run in sweep/ has a finite value of label_free/entropy"):
        regret(sweep(*(run(id, s, a) for id, s, a in FOUR)), [ENTROPY], ACCURACY)


def test_runs_that_the_oracle_did_not_judge():
    report = judge(*FOUR, ("e", 99.0, None), ("f", 5.0, nan))
    _, figures = only(report)
    assert figures.chosen.id == "d"
    assert [unjudged.id for unjudged in report.without_oracle] == ["e", "f"]
    assert "rankme chooses run e, which the oracle did not judge" in report.warnings[0]
    assert report.warnings[1] == (
        "2 finished runs have no finite labelled/linear_probe_accuracy and are left out: e, f"
    )
    with pytest.raises(UserError, match=r"none of the 1 finished runs .* --oracle"):
        judge(("a", 1.0, None))
    with pytest.raises(UserError, match=r"no finished run to judge, of 1 \(run a: failed\)"):
        regret(sweep(run("a", 1.0, 0.5, state="failed")), [RANKME], ACCURACY)


def test_the_oracle_is_read_at_the_end_whatever_the_metric_chooses_at():
    runs = [
        run("a", milestones=curve((5, 9.0), (10, 1.0), accuracy=0.3)),
        run("b", milestones=curve((5, 8.0), (10, 3.0), accuracy=0.8)),
    ]
    _, figures = only(regret(sweep(*runs), [RANKME], ACCURACY, milestone=5))
    assert (figures.chosen.id, figures.chosen_accuracy) == ("a", 0.3)
    assert figures.regret == pytest.approx(0.5)


def test_unfinished_runs_are_in_no_pool():
    report = regret(
        sweep(run("a", 1.0, 0.5), run("b", 2.0, 0.6), run("c", 9.0, 0.99, state="crashed")),
        [RANKME],
        ACCURACY,
    )
    group, _ = only(report)
    assert group.best.run.id == "b"
    assert [gone.run for gone in report.excluded] == ["c"]


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
    assert [f.metric.name for f in only_group(together).metrics] == ["rankme", "entropy"]


def only_group(report):
    (group,) = report.groups
    return group


def test_the_interval_is_of_these_checkpoints():
    # Two runs, 0.9 and 0.8 of 400 images: standard errors 0.015 and 0.02, of the difference 0.025. One
    # comparison: 1.960 times that is 0.049.
    _, figures = only(judge(("a", 1.0, 0.9), ("b", 2.0, 0.8)))
    assert figures.interval == pytest.approx((0.051, 0.149), abs=1e-4)
    unknown = {name: value for name, value in DEFINITION.items() if name != "evaluation_images"}
    runs = [run(id, s, a, definition=unknown) for id, s, a in FOUR]
    assert only(regret(sweep(*runs), [RANKME], ACCURACY))[1].interval is None


def test_runs_of_different_length_are_warned_of():
    runs = [run("a", 1.0, 0.5, epoch=5), run("b", 2.0, 0.6)]
    warnings = regret(sweep(*runs), [RANKME], ACCURACY).warnings
    assert warnings == ("the runs are compared at different epochs: 5, 10",)


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
    assert "at least two of the configurations" in group.repetition_reason
    assert (figures.repetition_interval, figures.configuration_interval) == (None, None)


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


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=9))
def test_choosing_by_the_accuracy_itself_costs_nothing(accuracies):
    runs = [run(f"r{i}", accuracy, accuracy) for i, accuracy in enumerate(accuracies)]
    _, figures = only(regret(sweep(*runs), [RANKME], ACCURACY))
    assert figures.regret == 0


def test_an_oracle_that_is_better_low():

    loss = declared_labelled("x/probe_loss", "min")
    runs = [run(id, s, values={"x/probe_loss": loss}) for id, s, loss in (("a", 1.0, 0.5), ("b", 2.0, 0.8))]
    group, figures = only(regret(sweep(*runs), [RANKME], loss))
    assert (group.best.run.id, figures.chosen.id, figures.chosen_accuracy) == ("a", "b", 0.8)
    assert figures.regret == pytest.approx(0.3)


def test_runs_judged_by_unlike_probes_are_refused():
    rows = [run("a", 1.0, 0.5), run("b", 2.0, 0.6, definition={**DEFINITION, "probe": "fast"})]
    with pytest.raises(UserError, match="was not computed alike"):
        regret(sweep(*rows), [RANKME], ACCURACY)


def test_nothing_is_chosen_by_labels():
    with pytest.raises(TypeError, match="linear_probe_accuracy is no label-free metric"):
        judge(*FOUR, metrics=[ACCURACY])


def test_milestones_that_do_not_exist_are_refused():
    with pytest.raises(UserError, match="milestone 3 is not among"):
        judge(*FOUR, milestone=3)


def test_a_run_that_never_logged_anything():
    report = regret(sweep(run("a", 1.0, 0.5), run("b", milestones=())), [RANKME], ACCURACY)
    assert [unjudged.id for unjudged in report.without_oracle] == ["b"]
    report = regret(sweep(run("a", 1.0, 0.5), run("b", milestones=(Milestone(0, {}),))), [RANKME], ACCURACY)
    assert [unjudged.id for unjudged in report.without_oracle] == ["b"]
