"""Who picks what, how firmly and since when, on sweeps where it can be read off."""

import pytest
from handmade import ENTROPY, RANKME, run, sweep

from selector.runs import Milestone
from selector.selection.opinions import second_opinions


def course(id, rankme, entropy, noise=0.3, **config):
    """A run with milestones at 10, 20, …; three UMAP seeds."""
    rows = zip(rankme, entropy, strict=True)
    return run(
        id,
        milestones=tuple(
            Milestone(10 * n, {"label_free/rankme": r, "label_free/entropy": h, "noise/entropy": noise})
            for n, (r, h) in enumerate(rows, start=1)
        ),
        **config,
    )


def opinions(*runs, **more):
    (found,) = second_opinions(sweep(*runs), [RANKME, ENTROPY], **more)
    return found, {opinion.metric.name: opinion for opinion in found.opinions}


A = course("a", (5.0, 6.0, 9.0), (4.0, 3.0, 3.0))
B = course("b", (6.0, 5.0, 4.0), (3.5, 4.0, 5.0))


def test_two_metrics_that_disagree():
    # Rankme picks a since 20 (b was ahead at 10); entropy, where low is better, too at 20 and 30: no dispute.
    found, by = opinions(A, B)
    assert found.settle == ()
    assert (by["rankme"].pick.run.id, by["rankme"].since, by["rankme"].milestones) == ("a", 20, 2)
    found, by = opinions(A, course("b", (6.0, 5.0, 4.0), (3.0, 4.0, 2.0)))
    assert {name: opinion.pick.run.id for name, opinion in by.items()} == {"rankme": "a", "entropy": "b"}
    # Entropy: 2 against 3, each ± 0.3 / √3: 1 / (0.3 √(2/3)) = 4.08 standard errors; rankme has no noise.
    assert by["entropy"].margin == pytest.approx(4.08, abs=0.01)
    assert (by["rankme"].margin, by["entropy"].ranked.ranking[1].run.id) == (None, "a")
    assert (by["entropy"].since, by["entropy"].milestones) == (30, 1)
    assert [line.split(":")[0].split(" ")[0:2] for line in found.settle] == [
        ["label", "about"],
        ["train", "a"],
        ["train", "longer"],
    ]


def test_seeds_of_one_configuration_are_one_opinion():
    seeds = [
        course(f"a{n}", (5.0, 6.0, 9.0 + n), (4.0, 3.0, 3.0 - n), learning_rate=1, seed=n) for n in (0, 1)
    ]
    found, by = opinions(*seeds, B)
    assert found.settle == ()
    assert [one.id for one in by["rankme"].pick.runs] == ["a0", "a1"]
    # 9 and 10: mean 9.5, standard error 0.5; b has none measured. 5.5 / 0.5.
    assert by["rankme"].margin == pytest.approx(11)


def test_a_metric_that_nobody_logged_has_no_opinion():
    found, _ = opinions(run("a", 3.0), run("b", 2.0))
    assert [opinion.metric for opinion in found.opinions] == [RANKME]
    assert second_opinions(sweep(), [RANKME]) == ()
    (alone,) = second_opinions(sweep(run("a", 3.0)), [RANKME])
    assert (len(alone.opinions[0].ranked.ranking), alone.opinions[0].margin) == (1, None)
