"""Second opinions: who picks what, how firmly and since when, on sweeps of two or three runs."""

import io

import pytest
from handmade import ENTROPY, RANKME, run, sweep

from selector.metrics import label_free_metric
from selector.reports.objects import opinions_object, plain
from selector.reports.opinions import Opinions, opinions_of
from selector.reports.tables import open_console, print_ranking
from selector.runs import Milestone
from selector.selection.ranking import rank


def course(id, *rows, **config):
    """Milestones at 5, 10, …"""
    names = ("rankme", "hog_probe", "stable_rank")
    milestones = [
        Milestone(5 * n, {f"label_free/{name}": v for name, v in zip(names, row, strict=False)})
        for n, row in enumerate(rows, start=1)
    ]
    return run(id, milestones=tuple(milestones), **config)


A, B, C = (
    course("a", (9.0, 1.0, 1.0), (9.0, 1.0, 3.0)),
    course("b", (8.0, 3.0, 2.0), (8.0, 3.0, 2.0)),
    course("c", (7.0, 2.0, 3.0), (7.0, 2.0, 1.0)),
)


def opinions(*runs, metric=RANKME, **more):
    found = sweep(*runs)
    ranking = rank(found, metric, **more)
    return ranking, [opinions_of(found, group, metric, ranking.milestone) for group in ranking.groups]


def test_the_metric_that_chose_comes_first_and_then_where_the_pick_stands():
    _, (found,) = opinions(A, B, C)
    assert [row.cells for row in found.rows] == [
        ("rankme", "1 of 3", "the pick", "since epoch 5"),
        ("hog_probe", "3 of 3", "b", "since epoch 5"),
        ("stable_rank", "1 of 3", "the pick", "since epoch 10"),
    ]
    assert found.headline == "1 of 2 other recommended metrics would pick another configuration."
    assert found.lines()[1:3] == [
        "rankme picks a, since epoch 5.",
        "hog_probe picks b, since epoch 5; the pick is 3 of 3.",
    ]
    assert [line[:22] for line in found.settle] == [
        "label about 628 images",
        "train a and b again wi",
        "train longer: the choi",
    ]
    assert plain(opinions_object(found))["metrics"][1] == {
        "metric": "hog_probe",
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
    # Two seeds leave one degree of freedom: it takes 12.7 standard errors to tell the two apart.
    firmness = "3.0 standard errors ahead (tied), since epoch 5"
    assert found.rows[0].cells == ("rankme", "1 of 2", "the pick", firmness)
    assert f"rankme picks a1, {firmness}." in found.lines()
    assert found.note.endswith("Tied: the metric cannot tell the two apart.")


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
        # Asked to rank the other way round, rankme picks c; hog_probe b and stable_rank a.
        (
            (A, B, C),
            {"direction": "min"},
            "2 of 2 other recommended metrics would pick another configuration.",
        ),
        (
            (A, B, C),
            {"metric": label_free_metric("hog_probe")},
            "2 of 2 other recommended metrics would pick",
        ),
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


def asked(id, rankme, entropy, **config):
    """A run with milestones at 10, 20, …; three UMAP seeds."""
    rows = enumerate(zip(rankme, entropy, strict=True), start=1)
    keys = ("label_free/rankme", "label_free/entropy", "noise/entropy")
    milestones = (Milestone(10 * n, dict(zip(keys, (r, h, 0.3), strict=True))) for n, (r, h) in rows)
    return run(id, milestones=tuple(milestones), **config)


def by_entropy(*runs):
    _, (found,) = opinions(*runs, metric=ENTROPY)
    return found, *found.rows


D = asked("d", (5.0, 6.0, 9.0), (4.0, 3.0, 3.0))


def test_two_metrics_that_agree():
    # Rankme picks d since 20 (b was ahead at 10); entropy, where low is better, too at 20 and 30: no dispute.
    found, _, rankme = by_entropy(D, asked("b", (6.0, 5.0, 4.0), (3.5, 4.0, 5.0)))
    assert (found.settle, found.others) == ((), ())
    assert (rankme.chosen.id, rankme.since, rankme.held) == ("d", 20, 2)


def test_two_metrics_that_disagree():
    found, entropy, rankme = by_entropy(D, asked("b", (6.0, 5.0, 4.0), (3.0, 4.0, 2.0)))
    assert (rankme.chosen.id, entropy.chosen.id) == ("d", "b")
    # Entropy: 2 against 3, each ± 0.3 / √3: 1 / (0.3 √(2/3)) = 4.08 standard errors; rankme has no noise.
    assert entropy.margin == pytest.approx(4.08, abs=0.01)
    assert (rankme.margin, entropy.ranking[1].run.id) == (None, "d")
    # Three UMAP seeds each, so four degrees of freedom: 2.78 are enough.
    assert entropy.cells[3] == "4.1 standard errors ahead, since epoch 30"
    assert (entropy.since, entropy.held) == (30, 1)
    assert [line.split(" ")[:2] for line in found.settle] == [
        ["label", "about"],
        ["train", "b"],
        ["train", "longer:"],
    ]


def test_seeds_of_one_configuration_are_one_opinion():
    seeds = [
        asked(f"a{n}", (5.0, 6.0, 9.0 + n), (4.0, 3.0, 3.0 - n), learning_rate=1, seed=n) for n in (0, 1)
    ]
    found, _, rankme = by_entropy(*seeds, asked("b", (6.0, 5.0, 4.0), (3.5, 4.0, 5.0)))
    assert found.settle == ()
    assert [one.id for one in rankme.ranking[0].runs] == ["a0", "a1"]
    # 9 and 10: mean 9.5, standard error 0.5; b has none measured. 5.5 / 0.5.
    assert rankme.margin == pytest.approx(11)


def test_a_metric_with_fewer_than_two_values_has_no_opinion():
    alone = asked("d", (5.0,), (4.0,))
    assert opinions(alone, metric=ENTROPY)[1] == [Opinions()]
    one_more = run("e", milestones=(Milestone(10, {"label_free/entropy": 5.0}),))
    assert opinions(alone, one_more, metric=ENTROPY)[1] == [Opinions()]
