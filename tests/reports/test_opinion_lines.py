"""Second opinions as people and programs get them, read off sweeps of three runs."""

import io

import pytest
from handmade import RANKME, run, sweep

from selector.metrics import label_free_metric
from selector.reports.opinions import opinions_object, opinions_of
from selector.reports.tables import open_console, print_ranking
from selector.runs import Milestone
from selector.selection.ranking import rank


def course(id, *rows, **config):
    """Milestones at 5, 10, …: rankme, nesum and idest; of idest less is better."""
    names = ("rankme", "nesum", "idest")
    milestones = [
        Milestone(5 * n, {f"label_free/{name}": v for name, v in zip(names, row, strict=False)})
        for n, row in enumerate(rows, start=1)
    ]
    return run(id, milestones=tuple(milestones), **config)


A, B, C = (
    course("a", (9.0, 1.0, 3.0), (9.0, 1.0, 1.0)),
    course("b", (8.0, 3.0, 2.0), (8.0, 3.0, 2.0)),
    course("c", (7.0, 2.0, 1.0), (7.0, 2.0, 3.0)),
)


def opinions(*runs, metric=RANKME, **more):
    found = sweep(*runs)
    ranking = rank(found, metric, **more)
    return ranking, [opinions_of(found, group, metric, ranking.milestone) for group in ranking.groups]


def test_the_metric_that_chose_comes_first_and_then_where_the_pick_stands():
    _, (found,) = opinions(A, B, C)
    assert [row.cells for row in found.rows] == [
        ("rankme", "1 of 3", "the pick", "since epoch 5"),
        ("nesum", "3 of 3", "b", "since epoch 5"),
        ("idest", "1 of 3", "the pick", "since epoch 10"),
    ]
    assert found.headline == "1 of 2 other recommended metrics would pick another configuration."
    assert found.lines()[1:3] == [
        "rankme picks a, since epoch 5.",
        "nesum picks b, since epoch 5; the pick is 3 of 3.",
    ]
    assert [line[:22] for line in found.settle] == [
        "label about 628 images",
        "train a and b again wi",
        "train longer: the choi",
    ]
    assert opinions_object(found)["metrics"][1] == {
        "metric": "nesum",
        "picks": "b",
        "rank_of_pick": 3,
        "ranked": 3,
        "agrees": False,
        "lead_in_standard_errors": None,
        "since_epoch": 5,
    }


def test_the_lead_is_in_units_of_the_metrics_own_noise():
    # rankme 9 and 10 over two seeds: mean 9.5, standard error 0.5; the next is 8: 1.5 / 0.5 = 3.
    seeds = [course(f"a{n}", (9.0 + n, 1.0), learning_rate=1, seed=n) for n in (0, 1)]
    _, (found,) = opinions(*seeds, B)
    assert found.rows[0].cells == ("rankme", "1 of 2", "the pick", "3.0 standard errors ahead, since epoch 5")
    assert "rankme picks a1, 3.0 standard errors ahead, since epoch 5." in found.lines()


@pytest.mark.parametrize(
    ("runs", "more", "headline"),
    [
        ((A, C), {}, "1 of 2 other recommended metrics would pick another configuration."),
        (
            (A, course("d", (8.0, 0.5, 2.0))),
            {},
            "Every other recommended metric that was logged (2) picks it, too.",
        ),
        ((run("x", 2.0), run("y", 1.0)), {}, ""),
        # Asked to rank the other way round, rankme picks c; nesum b and idest a.
        (
            (A, B, C),
            {"direction": "min"},
            "2 of 2 other recommended metrics would pick another configuration.",
        ),
        ((A, B, C), {"metric": label_free_metric("nesum")}, "2 of 2 other recommended metrics would pick"),
    ],
)
def test_headline(runs, more, headline):
    _, (found,) = opinions(*runs, **more)
    assert found.headline.startswith(headline)
    assert bool(found.headline) == bool(headline)


def test_a_ranking_leads_with_them_where_they_disagree():
    def drawn(*runs):
        file = io.StringIO()
        print_ranking(*opinions(*runs), open_console(file))
        return file.getvalue()

    split = drawn(A, B, C)
    assert split.startswith("1 of 2 other recommended metrics")
    assert split.index("To settle it, label about") < split.index("rankme, higher is better")
    assert drawn(A, course("d", (8.0, 0.5, 2.0))).startswith("rankme, higher is better")
