"""The consensus, worked out by hand, and when something else takes its place."""

from dataclasses import replace

import pytest
from handmade import run, sweep

from selector.runs import Milestone
from selector.selection.consensus import CONSENSUS, with_consensus
from selector.selection.preparation import prepared
from selector.selection.ranking import rank

KEYS = ("label_free/nesum", "label_free/channel_std", "label_free/idest")
RANKME = "label_free/rankme"


def logged(id, *rows, **config):
    """A run with (nesum, channel_std, idest turned so that higher is better) at epochs 5, 10, …"""
    milestones = [
        Milestone(epoch=5 * number, values=dict(zip(KEYS, (*row[:2], -row[2]), strict=True)) | {RANKME: 5.0})
        for number, row in enumerate(rows, start=1)
    ]
    return run(id, milestones=tuple(milestones), **config)


def score(runs, id, epoch=None):
    (found,) = [one for one in runs.runs if one.id == id]
    rows = [row for row in found.milestones if epoch in (None, row.epoch)]
    return rows[-1].values.get(CONSENSUS.key)


def test_mean_share_of_the_others_that_a_run_beats():
    # beaten of 2 others: a 2, 0, 1; b 1, 1 (a tie counts half: 1.5 of b and c above a), …
    runs = with_consensus(
        sweep(logged("a", (9.0, 0.1, 0.5)), logged("b", (8.0, 0.3, 0.9)), logged("c", (7.0, 0.3, 0.1)))
    )
    assert score(runs, "a") == pytest.approx((2 + 0 + 1) / 3 / 2)
    assert score(runs, "b") == pytest.approx((1 + 1.5 + 2) / 3 / 2)
    assert score(runs, "c") == pytest.approx((0 + 1.5 + 0) / 3 / 2)
    assert rank(runs, CONSENSUS).groups[0].chosen.id == "b"


def test_no_other_scale_of_a_part_changes_it():
    rows = {"a": (9.0, 0.1, 0.5), "b": (8.0, 0.3, 0.9), "c": (7.0, 0.2, 0.1)}
    plain = with_consensus(sweep(*(logged(id, row) for id, row in rows.items())))
    scaled = with_consensus(sweep(*(logged(id, (n**3, 100 * s - 5, a)) for id, (n, s, a) in rows.items())))
    assert [score(plain, id) for id in rows] == [score(scaled, id) for id in rows]


def test_each_epoch_has_its_own_ranks_and_the_last_ones_are_compared():
    runs = with_consensus(
        sweep(
            logged("a", (1.0, 1.0, 1.0), (9.0, 9.0, 9.0)),
            logged("b", (2.0, 2.0, 2.0), (3.0, 3.0, 3.0)),
            logged("c", (5.0, 5.0, 5.0)),
        )
    )
    assert [score(runs, id, 5) for id in "ab"] == [0.0, 0.5]
    assert [score(runs, id) for id in "abc"] == [1.0, 0.0, 0.5]


def test_runs_that_may_not_be_compared_do_not_count():
    a, b = logged("a", (1.0, 1.0, 1.0)), logged("b", (2.0, 2.0, 2.0))
    other = logged("c", (9.0, 9.0, 9.0), method="simsiam")
    assert score(with_consensus(sweep(a, b, other)), "b") == 1.0
    assert score(with_consensus(sweep(a, b, other), allow_mixed=True), "b") == 0.5


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_run_without_a_part_is_left_out_and_named(value):
    runs = with_consensus(sweep(logged("a", (1.0, 1.0, 1.0)), logged("b", (2.0, value, 2.0))))
    assert score(runs, "a") == 0.0
    (gone,) = rank(runs, CONSENSUS).excluded
    assert (gone.run, gone.category) == ("b", "not_finite")
    assert gone.reason == f"label_free/channel_std is {value} at epoch 5"


def test_at_an_epoch_runs_are_ranked_as_they_were_there_however_long_they_are():
    # a, the best of all at epoch 5, ends there; behind b and c at epoch 10, whose numbers have doubled.
    runs = sweep(
        logged("a", (3.0, 3.0, 3.0)),
        logged("b", (2.0, 2.0, 2.0), (4.0, 4.0, 4.0)),
        logged("c", (1.0, 1.0, 1.0), (5.0, 5.0, 5.0)),
    )
    at_five, (metric,) = prepared(runs, [CONSENSUS], 5)
    assert [score(at_five, id, 5) for id in "abc"] == [1.0, 0.5, 0.0]
    assert rank(at_five, metric, 5).groups[0].chosen.id == "a"
    last, (metric,) = prepared(runs, [CONSENSUS])
    assert rank(last, metric).groups[0].chosen.id == "c"


def test_of_other_peoples_runs_the_last_row_with_all_parts_counts():
    first, second = logged("a", (1.0, 1.0, 1.0), definition={}), logged("b", (2.0, 2.0, 2.0), definition={})
    first = replace(first, milestones=(*first.milestones, Milestone(6, {"loss": 0.5})))
    assert [score(with_consensus(sweep(first, second)), id, 5) for id in "ab"] == [0.0, 1.0]
    assert rank(with_consensus(sweep(first, second)), CONSENSUS).groups[0].chosen.id == "b"


def bare(id):
    whole = logged(id, (1.0, 1.0, 1.0))
    return replace(whole, milestones=(replace(whole.milestones[0], values={RANKME: 3.0, KEYS[0]: 1.0}),))


def test_rankme_takes_its_place_where_most_runs_never_logged_a_part():
    new, crashed = logged("n", (1.0, 1.0, 1.0)), replace(logged("x", (1.0, 1.0, 1.0)), state="crashed")
    for given, whole in (((bare("a"), crashed), "0 of 1"), ((bare("a"), bare("b"), new), "1 of 3")):
        runs, (metric,) = prepared(sweep(*given), [CONSENSUS])
        assert metric.name == "rankme"
        assert runs.runs == sweep(*given).runs
        assert runs.warnings == (
            f"{whole} runs have nesum, channel_std, idest, which make the consensus:"
            " the choice is by rankme instead",
        )
    other = logged("b", (1.0, 1.0, 1.0))
    assert prepared(sweep(bare("a"), new, other), [CONSENSUS])[1] == [CONSENSUS]


@pytest.mark.parametrize(
    "others",
    [[], [bare("a")], [logged("b", (1.0, 1.0, 1.0), method="byol")]],
    ids=["no other run", "one without its parts", "one of another method"],
)
def test_there_is_no_consensus_of_one(others):
    runs, (metric,) = prepared(sweep(logged("n", (1.0, 1.0, 1.0)), *others), [CONSENSUS])
    assert metric.name == "rankme"
    assert (
        "the consensus compares runs with each other, and there is nothing to compare with"
        in runs.warnings[0]
    )
