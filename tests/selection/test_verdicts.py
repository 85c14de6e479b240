"""Verdicts on planted trainings: each has the rule that gave it, and no label is read."""

from dataclasses import replace

import numpy as np
import pytest
from handmade import run

from selector.metrics import rankme
from selector.runs import Milestone
from selector.selection.verdicts import Verdict, trend, verdict_of

RNG = np.random.default_rng(0)
EPOCHS = (0, 5, 10, 15, 20, 25, 30)


def trained(*, projector_dim=64, **series):
    rows = tuple(
        Milestone(epoch, {f"label_free/{name}": float(values[i]) for name, values in series.items()})
        for i, epoch in enumerate(EPOCHS)
    )
    return run("a", milestones=rows, projector_dim=projector_dim)


def of(embeddings):
    """What a training logs whose embeddings are healthy at epochs 0 and 5, and then these."""
    healthy = RNG.standard_normal((200, 64))
    return trained(rankme=[rankme(healthy)] * 2 + [rankme(embeddings)] * 5)


@pytest.mark.parametrize(
    ("embeddings", "expected"),
    [
        (np.ones((200, 64)), Verdict("collapsed", 10, "rankme")),  # all images at one point
        (np.outer(RNG.uniform(1, 2, 200), np.ones(64)), Verdict("collapsed", 10, "rankme")),  # rank 1
        (  # two directions: RankMe 2, of 64 dimensions
            RNG.standard_normal((200, 2)) @ RNG.standard_normal((2, 64)),
            Verdict("few dimensions", 10, "rankme"),
        ),
        (RNG.standard_normal((200, 64)), Verdict("unknown")),  # noise fills all dimensions: no score, no word
    ],
)
def test_collapse(embeddings, expected):
    assert verdict_of(of(embeddings)) == expected


def test_the_projector_of_a_run_without_such_a_setting_is_as_wide_as_its_projections():
    """As in somebody's own loop."""
    rows = tuple(Milestone(epoch, {"label_free/rankme": 2.0}) for epoch in EPOCHS)
    found = verdict_of(run("a", milestones=rows, definition={"projector_dim": 64}))
    assert found == Verdict("few dimensions", 5, "rankme")


def test_a_training_that_recovers_has_not_collapsed():
    assert verdict_of(trained(rankme=[30, 1, 1, 1, 20, 30, 40])).kind == "unknown"


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ((0.10, 0.20, 0.30, 0.40, 0.50, 0.60), ("improving", None)),  # a line, of no noise
        ((0.10, 0.40, 0.60, 0.605, 0.606, 0.606), ("settled", 15)),
        ((0.10, 0.40, 0.60, 0.55, 0.45, 0.30), ("worse", 15)),
        ((0.50, 0.50, 0.50, 0.50, 0.50, 0.50), ("settled", 5)),  # constant
        ((0.51, 0.49, 0.50, 0.52, 0.48, 0.50), ("unknown", None)),  # noise, or has it turned? Six cannot tell
    ],
)
def test_the_course_of_a_score(scores, expected):
    assert trend(EPOCHS[1:], scores) == expected
    kind, since = expected
    verdict = verdict_of(trained(rankme=[30] * 7, pretext_score=(0.0, *scores)))
    assert verdict == Verdict(kind, since, "" if kind == "unknown" else "pretext_score")
    assert verdict.is_bad == (kind == "worse")


def test_noise_around_a_level_is_neither_better_nor_worse():
    kinds = [trend(range(20), list(0.5 + 0.01 * RNG.standard_normal(20)))[0] for _ in range(500)]
    assert kinds.count("worse") <= 42  # 1 in 12
    assert kinds.count("settled") >= 400


@pytest.mark.parametrize("milestones", range(3, 25))
def test_a_rise_that_slows_down_is_not_settled_before_it_has_ended(milestones):
    """Scores 1 - r^k without noise: where one is called settled it has at most 5 % of its rise to go."""
    for factor in np.linspace(0.05, 0.95, 181):
        scores = [1 - factor**k for k in range(milestones)]
        kind, since = trend(range(milestones), scores)
        assert kind != "worse"
        if kind == "settled":
            assert scores[-1] - scores[since] <= 0.05 * (scores[-1] - scores[0]) + 1e-12


def test_every_verdict_says_its_rule_and_none_reads_labels():
    run = trained(pretext_score=[0.0, 0.1, 0.4, 0.6, 0.5, 0.4, 0.3])
    verdict = verdict_of(run)
    assert verdict.text == (
        "Getting worse since epoch 15, by pretext_score (the last two scores are below the highest, at that"
        " epoch, by more than the noise)."
    )
    assert verdict.short == "worse since 15"
    rows = tuple(
        replace(m, values={**m.values, "labelled/linear_probe_accuracy": m.epoch}) for m in run.milestones
    )
    assert verdict_of(replace(run, milestones=rows)) == verdict
