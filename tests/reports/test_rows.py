"""What tables show, worked out by hand on small sweeps."""

from math import nan

import pytest
from handmade import ACCURACY, ENTROPY, RANKME, curve, run, sweep

from selector.reports.report import report_of
from selector.reports.rows import choice_rows, rank_rows


def group_of(*runs, **options):
    (group,) = report_of(sweep(*runs), RANKME, ACCURACY, **options).groups
    return group


def ranked(group, metric=RANKME):
    return rank_rows(group.ranked, metric.key, group.judged)


def test_rows_of_a_ranking():
    group = group_of(
        run("a", milestones=curve((0, 100.0), (5, 1.0), (10, 3.0)), name="first", temperature=0.1),
        run("b", milestones=curve((5, 8.0), (10, nan), (15, 8.0)), temperature=0.2),
    )
    # One scale for both, without the untrained network: 1 to 8 in eight bars.
    assert [(row.rank, row.run, row.score, row.training, row.hyperparameters) for row in ranked(group)] == [
        ("1", "b", "8.000", "█·█", "learning_rate=0.098 temperature=0.2"),
        ("2", "a first", "3.000", "▁▃", "learning_rate=0.097 temperature=0.1"),
    ]


def test_rows_show_roles_and_accuracies():
    group = group_of(run("a", 30.0, 0.7), run("b", 20.0, 0.9), run("c", 10.0, 0.6), run("d", 5.0))
    assert [(row.ranked.run.id, row.role, row.accuracy) for row in ranked(group)] == [
        ("a", "pick", 0.7),
        ("b", "best", 0.9),
        ("c", "run", 0.6),
        ("d", "run", None),
    ]


def test_runs_within_the_metrics_noise_are_tied():
    rows = [{"label_free/entropy": h, "noise/entropy": 0.3} for h in (3.0, 3.1)]
    runs = [run("a", accuracy=0.9, values=rows[0]), run("b", accuracy=0.8, values=rows[1])]
    (group,) = report_of(sweep(*runs), ENTROPY, ACCURACY).groups
    # 0.3 / √3 seeds
    assert [(row.rank, row.role, row.score) for row in ranked(group, ENTROPY)] == [
        ("1=", "pick", "3.000 ±0.17"),
        ("2=", "tied", "3.100 ±0.17"),
    ]


def test_every_way_of_choosing_and_what_it_costs():
    values = [
        {"label_free/entropy": e, "train/loss": loss} for e, loss in ((1.0, 3.0), (2.0, 1.0), (3.0, 2.0))
    ]
    group = group_of(
        run("a", 10.0, 0.9, values=values[0]),  # lowest entropy, best accuracy
        run("b", 30.0, 0.7, values=values[1]),  # highest rankme, lowest loss
        run("c", 20.0, 0.8, values=values[2]),
    )
    found = choice_rows(group.judged)
    assert [(row.chosen_by, row.arrow, row.run, row.regret) for row in found[:4]] == [
        ("rankme", "↑", "b", pytest.approx(0.2)),
        ("entropy", "↓", "a", pytest.approx(0.0)),
        ("random (expected)", "", "", pytest.approx(0.1)),  # (0.0 + 0.2 + 0.1) / 3
        ("lowest loss", "", "b", pytest.approx(0.2)),
    ]
