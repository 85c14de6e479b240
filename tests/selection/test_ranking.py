"""Ranking of small sweeps whose right answer can be read off."""

import random
from dataclasses import replace
from math import inf, nan

import pytest
from handmade import ACCURACY, DEFINITION, ENTROPY, RANKME, curve, run, sweep
from hypothesis import given, settings, strategies as st

from selector.commands.named import named_label_free
from selector.errors import UserError
from selector.runs import Unreadable
from selector.selection.ranking import rank


def order(ranking, group=0):
    return [ranked.run.id for ranked in ranking.groups[group].ranking]


def ranks(ranking, group=0):
    return [(ranked.run.id, ranked.rank, ranked.tied) for ranked in ranking.groups[group].ranking]


def reasons(ranking):
    return {gone.run: gone.reason for gone in ranking.excluded}


def entropies(*values, **more):
    """Runs a, b, … with these entropies."""
    return [run(id, values={"label_free/entropy": h}, **more) for id, h in zip("abcd", values, strict=False)]


@pytest.mark.parametrize(
    ("runs", "metric", "direction", "first", "taken"),
    [
        ([run("a", 3.0), run("b", 5.0)], RANKME, None, "b", "max"),
        ([run("a", 3.0), run("b", 5.0)], RANKME, "min", "a", "min"),
        (entropies(3.0, 5.0), ENTROPY, None, "a", "min"),
        (entropies(3.0, 5.0, method="simsiam"), ENTROPY, None, "b", "max"),
    ],
)
def test_which_way_is_better(runs, metric, direction, first, taken):
    ranking = rank(sweep(*runs), metric, direction=direction)
    assert (ranking.groups[0].chosen.id, ranking.direction) == (first, taken)
    assert (ranking.milestone, ranking.warnings) == ("last", ())


def test_only_label_free_metrics_rank():
    with pytest.raises(TypeError, match="linear_probe_accuracy is not a label-free metric"):
        rank(sweep(run("a", 3.0, 0.5)), ACCURACY)


def test_the_untrained_network_is_never_chosen_from():
    # Run a is best of all at epoch 0, and worst once it is trained.
    runs = [
        run("a", milestones=curve((0, 100.0), (10, 1.0))),
        run("b", milestones=curve((0, 2.0), (10, 3.0))),
    ]
    assert order(rank(sweep(*runs), RANKME)) == ["b", "a"]
    only_untrained = rank(sweep(*runs, run("c", milestones=curve((0, 200.0)))), RANKME)
    assert reasons(only_untrained) == {"c": "has no trained milestone"}
    with pytest.raises(UserError, match="milestone 0 is the untrained network"):
        rank(sweep(*runs), RANKME, milestone=0)


def test_at_an_earlier_milestone():
    runs = [
        run("a", milestones=curve((5, 9.0), (10, 1.0))),
        run("b", milestones=curve((5, 8.0), (10, 3.0))),
        run("c", milestones=curve((3, 30.0), (10, 30.0))),
    ]
    ranking = rank(sweep(*runs), RANKME, milestone=5)
    assert order(ranking) == ["a", "b"]
    assert reasons(ranking) == {"c": "has no milestone 5, only 3, 10"}
    with pytest.raises(UserError, match=r"milestone 7 is not among \(3, 5, 10\) of the runs in sweep/"):
        rank(sweep(*runs), RANKME, milestone=7)


@pytest.mark.parametrize(
    ("scores", "expected", "tie_set"),
    [
        ((3.0, 5.0, 4.0), [("b", 1, False), ("c", 2, False), ("a", 3, False)], "b"),
        (
            (5.0, 5.0, 4.0, 4.0, 1.0),
            [("a", 1, True), ("b", 1, True), ("c", 3, False), ("d", 3, False), ("e", 5, False)],
            "ab",
        ),
        ((5.0,), [("a", 1, False)], "a"),
    ],
)
def test_equal_scores_share_a_rank_and_are_tied(scores, expected, tie_set):
    ranking = rank(sweep(*map(run, "abcde"[: len(scores)], scores)), RANKME)
    assert ranks(ranking) == expected
    assert [ranked.run.id for ranked in ranking.groups[0].tie_set] == list(tie_set)


def test_gaps_below_the_measured_noise_are_ties():
    # Three UMAP seeds with standard deviation 0.3: standard error 0.3 / √3 = 0.1732 a run, of a difference
    # 0.1732 √2 = 0.2449, with 2 + 2 degrees of freedom. t = 2.776 times that is 0.680.
    def noisy(id, entropy):
        return run(id, values={"label_free/entropy": entropy, "noise/entropy": 0.3})

    ranking = rank(sweep(noisy("a", 3.0), noisy("b", 3.67), noisy("c", 3.69)), ENTROPY)
    assert ranks(ranking) == [("a", 1, True), ("b", 2, True), ("c", 3, False)]
    assert ranking.groups[0].ranking[0].standard_error == pytest.approx(0.1732, abs=1e-4)


@pytest.mark.parametrize(("noise", "seeds"), [(nan, 3), (inf, 3), (9.0, 1)])
def test_noise_that_was_not_measured_is_none(noise, seeds):
    definition = {**DEFINITION, "umap_seeds": seeds}
    runs = [
        run(id, values={"label_free/entropy": h, "noise/entropy": noise}, definition=definition)
        for id, h in (("a", 3.0), ("b", 4.0))
    ]
    assert ranks(rank(sweep(*runs), ENTROPY)) == [("a", 1, False), ("b", 2, False)]


def test_of_equal_scores_the_cheapest_then_the_smallest_hyperparameters_win():
    cheap = run("z", 5.0, epoch=5, learning_rate=0.2, temperature=0.9)
    small = run("y", 5.0, learning_rate=0.2, temperature=0.1)
    large = run("x", 5.0, learning_rate=0.2, temperature=0.2)
    assert order(rank(sweep(large, small, cheap), RANKME)) == ["z", "y", "x"]
    seeds = [run("b", 5.0, learning_rate=0.2, seed=0), run("a", 5.0, learning_rate=0.2, seed=1)]
    assert order(rank(sweep(*seeds), RANKME, by="run")) == ["b", "a"]


def test_a_constant_metric_ties_everything_and_says_so():
    ranking = rank(sweep(run("a", 5.0), run("b", 5.0)), RANKME)
    assert [ranked.tied for ranked in ranking.groups[0].ranking] == [True, True]
    assert ranking.warnings == ("rankme is 5 in all runs: it does not tell them apart",)


def test_what_is_not_finished_is_excluded_with_its_reason():
    ranking = rank(
        sweep(
            run("a", 1.0),
            run("b", 99.0, state="crashed"),
            run("c", 99.0, state="failed", detail="exit code 1"),
            run("d", 99.0, state="running"),
            run("e", 99.0, state="stopped", detail="stopped by hyperband"),
            run("f", 99.0, state="diverged", detail="loss became nan in epoch 3"),
            unreadable=(Unreadable("g.wandb", "damaged"),),
            planned=10,
            finish_command="selector sweep s.yaml",
        ),
        RANKME,
    )
    assert order(ranking) == ["a"]
    assert [gone.run for gone in ranking.excluded] == ["f", "b", "c", "d", "e", "g.wandb"]  # diverged first
    assert reasons(ranking) == {
        "b": "crashed before its last milestone",
        "c": "failed: exit code 1",
        "d": "running: still running",
        "e": "stopped by hyperband",
        "f": "diverged: loss became nan in epoch 3",
        "g.wandb": "damaged",
    }
    coverage = ranking.coverage
    assert (coverage.planned, coverage.found, coverage.ranked, coverage.not_started) == (10, 7, 1, 3)
    assert coverage.excluded == {
        "crashed": 1,
        "diverged": 1,
        "failed": 1,
        "running": 1,
        "stopped": 1,
        "unreadable": 1,
    }
    assert coverage.finish_command == "selector sweep s.yaml"


@pytest.mark.parametrize("score", [nan, inf, -inf])
@pytest.mark.parametrize("direction", ["max", "min"])
def test_scores_that_are_not_finite_are_never_chosen(score, direction):
    ranking = rank(sweep(run("a", score), run("b", 5.0), run("c")), RANKME, direction=direction)
    assert order(ranking) == ["b"]
    assert reasons(ranking) == {
        "a": f"label_free/rankme is {score} at epoch 10",
        "c": "label_free/rankme is missing at epoch 10",
    }


def test_nothing_to_rank_is_one_clear_line():
    with pytest.raises(UserError, match=r"sweep/ holds no runs; give a folder with runs"):
        rank(sweep(), RANKME)
    with pytest.raises(UserError, match=r"sweep/ holds no runs; 4 have not begun"):
        rank(sweep(planned=4, warnings=("4 have not begun",)), RANKME)
    with pytest.raises(
        UserError, match=r"no run in .* 1 failed, 1 not finite \(run b: failed\); finish .*: do"
    ):
        rank(sweep(run("a", nan), run("b", 1.0, state="failed"), finish_command="do"), RANKME)


def test_a_key_that_no_run_logged_and_one_that_it_resembles():
    with pytest.raises(UserError, match="ranked by my/scor at their last milestone, did you mean 'my/score'"):
        rank(sweep(run("a", values={"my/score": 1.0})), named_label_free("my/scor", "max"))


def test_duplicates_count_once():
    same = {"learning_rate": 0.3, "seed": 4}
    ranking = rank(
        sweep(run("b", 9.0, **same), run("a", 5.0, output_dir="elsewhere", **same), run("c", 1.0)), RANKME
    )
    assert order(ranking) == ["a", "c"]
    assert reasons(ranking) == {"b": "duplicate of run a: same configuration and seed"}


SEEDS = (
    run("a", 5.0, learning_rate=0.1, seed=1),
    run("b", 8.0, learning_rate=0.1, seed=2),
    run("c", 6.5, learning_rate=0.1, seed=3),
    run("d", 7.0, learning_rate=0.2, seed=1),
)


def test_seeds_of_one_configuration_are_ranked_as_their_mean():
    # 5, 8 and 6.5 have mean 6.5 and standard deviation √(2 · 1.5² / 2) = 1.5: d, with 7, is first.
    ranking = rank(sweep(*SEEDS), RANKME)
    first, second = ranking.groups[0].ranking
    assert (first.run.id, first.deviation, len(first.runs)) == ("d", None, 1)
    assert [seed.id for seed in second.runs] == ["a", "b", "c"]
    assert (second.score, second.deviation) == (6.5, 1.5)
    assert second.run.id == "b"  # its best seed is handed over
    assert rank(sweep(*SEEDS), RANKME, direction="min").groups[0].chosen.id == "a"
    # The standard error 1.5 / √3 = 0.87 has 2 degrees of freedom: t = 4.30 times that explains a gap of 0.5.
    assert [one.tied for one in (first, second)] == [True, True]
    assert ranking.groups[0].swept == ("learning_rate",)
    assert order(rank(sweep(*SEEDS), RANKME, by="run")) == ["b", "d", "c", "a"]


def test_groups_that_cannot_be_compared_are_ranked_apart():
    wide = {**DEFINITION, "projector_dim": 256}
    runs = [run("a", 5.0), run("b", 6.0), run("c", 50.0, definition=wide), run("d", 60.0, definition=wide)]
    ranking = rank(sweep(*runs), RANKME)
    assert [order(ranking, i) for i in (0, 1)] == [["b", "a"], ["d", "c"]]
    assert [group.group["projector_dim"] for group in ranking.groups] == [128, 256]
    assert ranking.warnings == (
        "rankme cannot compare runs that differ in projector_dim: 2 groups are ranked separately",
    )
    # Entropy is computed behind the backbone: the projector's width separates nothing.
    near, far = entropies(1.0, 2.0)
    assert order(rank(sweep(near, replace(far, definition=wide)), ENTROPY)) == ["a", "b"]


def test_methods_are_ranked_apart_each_in_its_own_direction():
    runs = [
        run(f"{method}{h}", values={"label_free/entropy": h}, method=method)
        for method in ("simclr", "simsiam")
        for h in (1.0, 2.0)
    ]
    ranking = rank(sweep(*runs), ENTROPY)
    assert [group.direction for group in ranking.groups] == ["min", "max"]
    assert [group.chosen.id for group in ranking.groups] == ["simclr1.0", "simsiam2.0"]
    assert ranking.direction is None
    with pytest.raises(UserError, match="--direction max or --direction min"):
        rank(sweep(*runs), ENTROPY, allow_mixed=True)
    mixed = rank(sweep(*runs), ENTROPY, allow_mixed=True, direction="min")
    assert len(mixed.groups) == 1
    assert "method" not in mixed.groups[0].group


@pytest.mark.parametrize(("dataset", "groups"), [("folder", 2), ("digits", 1)])
def test_a_folder_of_images_is_told_apart_by_its_place(dataset, groups):
    runs = [run("a", 5.0, dataset=dataset, data_dir="/x"), run("b", 6.0, dataset=dataset, data_dir="/y")]
    assert len(rank(sweep(*runs), RANKME).groups) == groups


def test_unlike_definitions_are_refused_by_the_field_that_differs():
    runs = [run("a", 5.0), run("b", 6.0, definition={**DEFINITION, "version": 2})]
    with pytest.raises(
        UserError, match=r"rankme was not computed the same way .* version is 1 in run a and 2 in run b"
    ):
        rank(sweep(*runs), RANKME)
    assert order(rank(sweep(*runs), RANKME, allow_mixed=True)) == ["b", "a"]


def test_runs_without_a_definition_are_grouped_by_their_config_with_a_warning():
    runs = [run("a", 5.0, definition={}), run("b", 6.0, definition={}), run("c", 7.0)]
    ranking = rank(sweep(*runs), RANKME)
    assert [order(ranking, i) for i in (0, 1)] == [["c"], ["b", "a"]]
    assert "2 of 3 ranked runs do not say how rankme was computed" in ranking.warnings[1]


def test_other_peoples_runs_without_a_seed_are_repetitions_unless_they_logged_the_same():
    runs = [
        replace(run(id, score, definition={}), config={"lr": 1})
        for id, score in (("a", 5.0), ("b", 6.0), ("c", 5.0))
    ]
    ranking = rank(sweep(*runs), RANKME, by="run")
    assert order(ranking) == ["b", "a"]
    assert reasons(ranking) == {"c": "duplicate of run a: same configuration and logged numbers"}
    assert rank(sweep(*runs), RANKME).warnings[0].startswith("2 of 2 ranked runs do not say how")


SCORES = st.lists(
    st.one_of(st.floats(allow_nan=True, allow_infinity=True), st.integers(0, 3).map(float)),
    min_size=1,
    max_size=12,
)


@settings(deadline=None)
@given(SCORES, st.sampled_from(["max", "min"]), st.randoms(use_true_random=False))
def test_the_order_of_the_runs_does_not_matter(scores, direction, rng: random.Random):
    runs = [run(f"r{i}", score) for i, score in enumerate(scores)]
    shuffled = list(runs)
    rng.shuffle(shuffled)
    try:
        first = rank(sweep(*runs), RANKME, direction=direction)
    except UserError:
        assert not any(abs(score) < inf for score in scores)
        return
    second = rank(sweep(*shuffled), RANKME, direction=direction)
    assert first.groups == second.groups
    assert set(first.excluded) == set(second.excluded)
    assert first.coverage == second.coverage
    assert first.coverage.ranked + sum(first.coverage.excluded.values()) == first.coverage.found == len(runs)
    scores_in_order = [ranked.score for ranked in first.groups[0].ranking]
    assert scores_in_order == sorted(scores_in_order, reverse=direction == "max")


def test_the_seed_may_have_any_name_but_some_run_must_have_it():
    # means: x 6, y 5, though y has the best run
    alike = {"learning_rate": 0.1}
    scores = {"a": ("x", 1, 5.0), "b": ("x", 2, 7.0), "c": ("y", 1, 9.0), "d": ("y", 2, 1.0)}
    runs = sweep(*(run(id, s, init=seed, way=way, **alike) for id, (way, seed, s) in scores.items()))
    (group,) = rank(runs, RANKME, seed_key="init").groups
    assert [(one.run.id, one.score, len(one.runs)) for one in group.ranking] == [("b", 6.0, 2), ("c", 5.0, 2)]
    assert rank(runs, RANKME, by="run", seed_key="init").groups[0].chosen.id == "c"
    with pytest.raises(UserError, match="has a hyperparameter 'inti', did you mean 'init'"):
        rank(runs, RANKME, seed_key="inti")
