"""The rule by which running runs are stopped, on curves where it can be followed by hand."""

from dataclasses import replace
from math import nan

import pytest
from handmade import ENTROPY, RANKME, curve, run, sweep

from selector.runs import Milestone
from selector.selection.losers import find_losers

EPOCHS = (10, 20, 30, 40, 100)


def finished(count=8, **config):
    """Runs that rise in a straight line to 40, 41, … at epoch 100: 0.3 of that at epoch 30."""
    return [
        run(
            f"f{n}",
            milestones=curve(*((e, (40 + n) * e / 100) for e in EPOCHS)),
            seed=n,
            **{"epochs": 100, **config},
        )
        for n in range(count)
    ]


def running(*rows, id="x", **config):
    return run(id, milestones=curve((0, 99.0), *rows), state="running", epochs=100, **config)


def verdict(*runs, metric=RANKME, direction=None):
    losers, kept = find_losers(sweep(*runs), metric, direction)
    return {one.run.id: one for one in losers}, {one.run.id: one.reason for one in kept}


def test_a_run_that_is_hopelessly_behind():
    losers, kept = verdict(*finished(), running((30, 1.0), (40, 1.5)))
    assert kept == {}
    early, late = losers["x"].evidence
    # At epoch 40 the best stands at 0.4 · 47 and gains 0.6 · 47 = 28.2; 1.5 + 28.2 is 17.3 short of 47.
    assert (late.epoch, late.score, late.rank, late.reached, late.finished) == (40, 1.5, 9, 9, 8)
    assert (late.greatest_gain, late.margin) == (pytest.approx(28.2), pytest.approx(17.3))
    assert (early.greatest_gain, early.margin) == (pytest.approx(32.9), pytest.approx(47 - 1 - 32.9))
    assert (losers["x"].leader.id, losers["x"].leader_score) == ("f7", 47.0)
    assert losers["x"].reason == (
        "rank 9 of 9 at epoch 40; after the greatest gain that any of 8 finished runs made from there (28.2)"
        " it would still be worse than f7 by 17.3"
    )


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        (((30, 1.0), (40, 18.9)), "may still win"),  # 18.9 + 28.2 > 47, just
        (((30, 14.2), (40, 1.5)), "may still win"),  # it might have won two milestones ago
        (((20, 1.0), (30, 1.0)), "has 1 milestones from epoch 25 on, 2 are needed"),
        (((30, 1.0),), "has 1 milestones from epoch 25 on, 2 are needed"),
        (((30, 1.0), (40, nan)), "its rankme is not finite at epoch 40"),
        (((30, 1.0), (35, 1.0)), "0 finished runs can be compared with it at epoch 35, 8 are needed"),
        ((), "has 0 milestones from epoch 25 on, 2 are needed"),
    ],
)
def test_runs_that_go_on(rows, why):
    losers, kept = verdict(*finished(), running(*rows))
    assert (losers, kept) == ({}, {"x": why})


def test_enough_runs_must_have_been_trained_to_their_end():
    losers, kept = verdict(*finished(7), running((30, 1.0), (40, 1.5)))
    assert (losers, kept) == ({}, {"x": "7 finished runs can be compared with it, 8 are needed"})
    one_less_there = replace(finished()[0], milestones=curve((10, 4.0), (40, 16.0), (100, 40.0)))
    losers, kept = verdict(*finished()[1:], one_less_there, running((30, 1.0), (40, 1.5)))
    assert kept == {"x": "7 finished runs can be compared with it at epoch 30, 8 are needed"}


@pytest.mark.parametrize("other", [{"epochs": 200}, {"dataset": "cifar10"}, {"method": "simsiam"}])
def test_only_comparable_runs_count(other):
    losers, kept = verdict(*finished(**other), running((30, 1.0), (40, 1.5)))
    assert (losers, list(kept)) == ({}, ["x"])


def test_only_finished_runs_show_what_can_be_gained():
    crashed = [replace(one, state="crashed") for one in finished()]
    others = [running((30, 9.0), (40, 12.0), id=f"r{n}") for n in range(9)]
    losers, kept = verdict(*crashed, *others, running((30, 1.0), (40, 1.5)))
    assert losers == {}
    assert set(kept.values()) == {"0 finished runs can be compared with it, 8 are needed"}


def test_the_upper_half_goes_on_even_if_nobody_ever_gained_so_much():
    # All finished runs fell to 5 but one that jumped up before epoch 30 and stayed: nobody gains anything.
    flat = [
        run(f"f{n}", milestones=curve((30, 5.0), (40, 5.0), (100, 5.0)), seed=n, epochs=100) for n in range(7)
    ]
    star = run("star", milestones=curve((30, 50.0), (40, 50.0), (100, 50.0)), epochs=100)
    losers, kept = verdict(*flat, star, running((30, 6.0), (40, 6.0)))
    assert (losers, kept) == ({}, {"x": "may still win"})
    losers, _ = verdict(*flat, star, running((30, 4.0), (40, 4.0)))
    assert list(losers) == ["x"]


def test_where_lower_is_better_and_the_noise_of_the_metric():
    def entropy(id, last, state="finished", noise=0.0):
        key = "label_free/entropy"
        rows = tuple(Milestone(e, {key: last, "noise/entropy": noise}) for e in (30, 40))
        return run(id, milestones=rows, state=state, epochs=100, seed=ord(id[-1]))

    best = [entropy(f"f{n}", 4.0 + n / 10) for n in range(8)]
    losers, kept = verdict(*best, entropy("x", 5.0, "running"), entropy("y", 4.1, "running"), metric=ENTROPY)
    assert (list(losers), kept) == (["x"], {"y": "may still win"})
    assert losers["x"].evidence[0].margin == pytest.approx(1.0)
    # Over 3 UMAP seeds a standard deviation of 0.9 is a standard error of 0.52: twice that is more than 1.
    noisy = entropy("x", 5.0, "running", noise=0.9)
    assert verdict(*best, noisy, metric=ENTROPY)[1] == {"x": "may still win"}
    assert verdict(*best, entropy("x", 5.0, "running"), metric=ENTROPY, direction="max")[0] == {}


def test_runs_that_log_no_epoch_go_on():
    steps = replace(running((30, 1.0), (40, 1.5)), counted_by="_step")
    assert verdict(*finished(), steps)[1] == {"x": "logs no epoch"}
