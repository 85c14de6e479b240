"""What an earlier choice would have been, and what it would have saved."""

import pytest
from handmade import ACCURACY, RANKME, curve, run

from selector.selection.oracle import read_oracle
from selector.selection.stopping import along_training


def follow(*runs, direction="max"):
    judged, _ = read_oracle(runs, ACCURACY)
    return along_training(judged, RANKME, direction, ())


# Choices a, b, a, b: it agrees with the end at 20 already, but never for three in a row.
A = run("a", milestones=curve((0, 99.0), (10, 5.0), (20, 1.0), (30, 5.0), (40, 1.0), accuracy=0.4))
B = run("b", milestones=curve((0, 0.0), (10, 4.0), (20, 4.0), (30, 4.0), (40, 4.0), accuracy=0.9))


def test_choices_by_epoch():
    along = follow(A, B)
    assert [(p.epoch, p.chosen.id, p.final_accuracy) for p in along.points] == [
        (10, "a", 0.4),
        (20, "b", 0.9),
        (30, "a", 0.4),
        (40, "b", 0.9),
    ]
    assert [p.regret for p in along.points] == [pytest.approx(0.5), 0, pytest.approx(0.5), 0]
    assert along.settled is None
    assert [p.standing for p in along.points] == [1, 1, 1, 1]


def test_saved_by_hand():
    # Two runs of 40 epochs, 80 in all. Stopped at 20: 40 spent, half saved; if the choice goes on, 60 spent.
    point = follow(A, B).points[1]
    assert point.saved_finishing_choice == pytest.approx(0.25)
    assert follow(A, B).points[-1].saved_finishing_choice == 0


def test_the_same_choice_from_the_start_settles_there():
    c = run("c", milestones=curve((10, 1.0), (20, 1.0), accuracy=0.1))
    d = run("d", milestones=curve((10, 2.0), (20, 3.0), accuracy=0.2))
    along = follow(c, d)
    assert along.settled is None  # two milestones are not three
    assert follow(c, d, direction="min").points[-1].chosen.id == "c"


def test_a_shorter_run_stands_with_its_last_milestone():
    short = run("s", milestones=curve((10, 3.0), accuracy=0.5))
    along = follow(short, B)
    assert [(p.epoch, p.chosen.id) for p in along.points] == [(10, "b"), (20, "b"), (30, "b"), (40, "b")]
    # Where s is the choice and the sweep stops at 20, 10 + 20 of 10 + 40 epochs are spent.
    assert follow(short, B, direction="min").points[1].saved_finishing_choice == pytest.approx(0.4)


def test_a_run_without_the_metric_holds_nobody_up():
    without = run("w", accuracy=0.5, epoch=40)
    assert [p.epoch for p in follow(without, B).points] == [10, 20, 30, 40]
    assert follow(without).points == ()
    assert follow(without).settled is None


def test_the_rule_stops_where_a_choice_has_stood_for_three_milestones():
    # b is the choice at 10, 20 and 30: there the rule stops. 20 of 80 epochs are saved, less b's last 10.
    other = run("o", milestones=curve((10, 1.0), (20, 1.0), (30, 1.0), (40, 9.0), accuracy=0.95))
    settled = follow(other, B).settled
    assert (settled.epoch, settled.chosen.id, settled.regret) == (30, "b", pytest.approx(0.05))
    assert settled.saved_finishing_choice == pytest.approx(0.125)
