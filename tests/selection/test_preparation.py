"""What runs need before a choice, on runs written out by hand."""

from math import nan

import pytest
from handmade import run, sweep

from selector.metrics import label_free_metric
from selector.runs import Milestone
from selector.selection.consensus import CONSENSUS
from selector.selection.preparation import prepared
from selector.selection.ranking import rank

SCORE = label_free_metric("pretext_score")


def asked(id, rotation, retrieval, hog, **config):
    """A run whose score is the mean of the parts that it has."""
    parts = {"rotation_probe": rotation, "view_retrieval": retrieval, "hog_probe": hog}
    values = {f"label_free/{name}": value for name, value in parts.items() if value is not None}
    told = None if rotation is None else max(0, (rotation - 0.25) / 0.75)
    scaled = [part for part in (told, retrieval, hog) if part is not None]
    values[SCORE.key] = sum(scaled) / len(scaled)
    return run(id, milestones=(Milestone(5, values, {"bootstrap/pretext_score": (0.1, 0.2)}),), **config)


UPRIGHT = asked("a", 0.85, 0.2, 0.3)  # (0.8 + 0.2 + 0.3) / 3 = 0.4333, without rotation 0.25
BETTER = asked("b", 0.40, 0.5, 0.4)  # (0.2 + 0.5 + 0.4) / 3 = 0.3667, without rotation 0.45
TURNED = asked("c", None, 0.3, 0.3, rotation_degrees=30.0)
LOST = [asked("d", 0.29, 0.2, 0.2), asked("e", 0.25, 0.3, 0.2)]  # means 0.151 and 0.167; 0.2 and 0.25


@pytest.mark.parametrize(
    ("runs", "scores", "said"),
    [
        ([UPRIGHT, BETTER], {"a": 1.3 / 3, "b": 1.1 / 3}, None),
        ([UPRIGHT, BETTER, TURNED], {"b": 0.45, "c": 0.3, "a": 0.25}, "1 of 3 runs trained on rotated views"),
        ([TURNED], {"c": 0.3}, "1 of 1 runs trained on rotated views"),
        (
            LOST,
            {"e": 0.25, "d": 0.2},
            "no run can tell rotations apart (the best accuracy is 0.29, chance 0.25)",
        ),
        ([*LOST, BETTER], {"b": 1.1 / 3, "e": 0.5 / 3, "d": (0.4 + 0.04 / 0.75) / 3}, None),
    ],
)
def test_rotation_counts_in_the_whole_pool_or_in_none_of_it(runs, scores, said):
    found, (metric,) = prepared(sweep(*runs), [SCORE])
    ranking = rank(found, metric)
    assert {one.run.id: one.score for one in ranking.groups[0].ranking} == pytest.approx(scores)
    assert list(scores) == [one.run.id for one in ranking.groups[0].ranking]
    notes = [line for line in ranking.warnings if "rotation_probe" in line]
    assert notes == (
        [] if said is None else [f"pretext_score leaves rotation_probe out for all runs: {said}"]
    )
    resampled = {one.run.id: one.replicates for one in ranking.groups[0].ranking}
    assert all(bool(resampled[one.id]) == (said is None or one is TURNED) for one in runs)


@pytest.mark.parametrize(
    ("runs", "scores", "said"),
    [
        # By its own two parts, "small" would have (0.7 + 0.3) / 2 = 0.5 and win: HOG is the hardest part.
        (
            [asked("small", 0.775, 0.3, None), asked("large", 0.85, 0.35, 0.1)],
            {"large": 0.575, "small": 0.5},
            ["pretext_score leaves hog_probe out for all runs: 1 of 2 runs have it"],
        ),
        (
            [asked("a", 0.85, 0.2, None), asked("b", 0.85, 0.4, None)],
            {"b": 0.6, "a": 0.5},
            ["pretext_score leaves hog_probe out for all runs: 0 of 2 runs have it"],
        ),
        (
            [*LOST, asked("small", 0.27, 0.4, None)],
            {"small": 0.4, "e": 0.3, "d": 0.2},
            [
                "pretext_score leaves rotation_probe out for all runs: no run can tell rotations apart"
                " (the best accuracy is 0.29, chance 0.25)",
                "pretext_score leaves hog_probe out for all runs: 2 of 3 runs have it",
            ],
        ),
        # Only the score was logged: there is nothing to make it anew of.
        ([UPRIGHT, run("x", values={SCORE.key: 0.4})], {"a": 1.3 / 3, "x": 0.4}, []),
        # A run that diverged takes no part.
        ([*LOST, run("nan", values={SCORE.key: nan})], {"e": 0.25, "d": 0.2}, None),
    ],
)
def test_all_scores_of_a_pool_are_made_of_the_same_parts(runs, scores, said):
    found, (metric,) = prepared(sweep(*runs), [SCORE])
    ranking = rank(found, metric).groups[0].ranking
    assert {one.run.id: one.score for one in ranking} == pytest.approx(scores)
    assert [one.run.id for one in ranking] == [*scores]
    if said is not None:
        assert [line for line in found.warnings if "leaves" in line] == said


def test_runs_without_these_criteria_are_left_alone():
    plain = sweep(run("a", 30.0), run("b", 20.0))
    assert prepared(plain, [label_free_metric("rankme")])[0] == plain
    assert prepared(plain, [SCORE, label_free_metric("rankme")])[1][0] is SCORE


def spread(id, score=None):
    """A run with the parts of the consensus, and with a pretext score where one is given."""
    values = dict.fromkeys(CONSENSUS.parts, 1.0) | {"label_free/rankme": 9.0}
    return run(id, values=values if score is None else values | {SCORE.key: score})


@pytest.mark.parametrize(
    ("runs", "chooses", "note"),
    [
        ([spread("a", 0.1), spread("b")], "pretext_score", ""),
        ([spread("a", 0.1), spread("b", nan)], "pretext_score", ""),
        (
            [spread("a", 0.1), spread("b"), spread("c")],
            "consensus",
            "1 of 3 runs have pretext_score: the choice is by consensus instead",
        ),
        (
            [run("a", 30.0), run("b", 20.0)],
            "rankme",
            "0 of 2 runs have pretext_score, and 0 of 2 runs have nesum, channel_std, idest, which make the"
            " consensus: the choice is by rankme instead",
        ),
        (
            [spread("a")],
            "rankme",
            "0 of 1 runs have pretext_score, and the consensus compares runs with each other, and there is"
            " nothing to compare with: the choice is by rankme instead",
        ),
        ([], "pretext_score", ""),
    ],
)
def test_what_chooses_where_runs_lack_the_score(runs, chooses, note):
    found, (metric,) = prepared(sweep(*runs), [SCORE])
    assert metric.name == chooses
    assert [line for line in found.warnings if "instead" in line] == ([note] if note else [])


def said(*runs, metric=SCORE):
    return " | ".join(prepared(sweep(*runs), [metric])[0].warnings)


def test_it_is_said_wherever_the_score_is_shown():
    # Other metrics' opinions of a choice by the consensus, and a regret of all metrics, show the score, too.
    assert "pretext_score leaves rotation_probe out" in said(*LOST, metric=CONSENSUS)
    assert "pretext_score" not in said(*LOST, metric=label_free_metric("rankme"))


def test_a_collapsed_run_is_named():
    values = {"label_free/rankme": 1.0, SCORE.key: 0.0}
    assert "1 of 2 runs collapsed (dead)" in said(run("a", 30.0), run("dead", values=values))


def test_every_metric_that_is_named_is_looked_at():
    runs = run("a", 30.0, method="vicreg"), run("b", values={"label_free/rankme": 1.0}, method="vicreg")
    metrics = [label_free_metric(name) for name in ("nesum", "hog_probe", "channel_std", "pretext_score")]
    collapsed, in_loss = prepared(sweep(*runs), metrics)[0].warnings
    assert collapsed.startswith("1 of 2 runs collapsed (b)")
    assert in_loss.startswith("vicreg's loss contains what is measured by channel_std and nesum")


@pytest.mark.parametrize(
    ("method", "metric", "warned"),
    [("vicreg", "rankme", True), ("vicreg", "hog_probe", False), ("simclr", "rankme", False)],
)
def test_a_loss_that_contains_the_metric_is_named(method, metric, warned):
    runs = run("a", 30.0, method=method), run("b", 20.0, method=method)
    assert ("loss contains" in said(*runs, metric=label_free_metric(metric))) == warned
