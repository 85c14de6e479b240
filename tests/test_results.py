"""docs/results.md and the tables beside the records hold what the records say, byte for byte."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
from handmade import ACCURACY, curve, run, sweep

from selector.runs import Milestone

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def results():
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        import results
    finally:
        sys.path.remove(str(ROOT / "benchmarks"))
    return results


@pytest.fixture(scope="module")
def pages(results):
    return results.pages(DOCS)


def test_every_table_is_what_the_records_say(pages):
    assert {path: path.read_text("utf-8") for path in pages} == pages


def test_the_page_can_be_read_in_one_sitting():
    assert len((DOCS / "results.md").read_bytes()) <= 25_000


def test_text_outside_of_markers_is_left_alone(results):
    text = "before\n<!-- evidence: x -->\nold\n<!-- end -->\nafter\n"
    made = results.rebuilt(text, {"x": lambda: iter(["new"])})
    assert made == "before\n<!-- evidence: x -->\nnew\n<!-- end -->\nafter\n"


@pytest.mark.parametrize(
    ("differences", "p"),
    [
        ([1.0, 1.0, 1.0], 2 / 8),  # +++ and ---
        ([3.0, 1.0, -1.0], 6 / 8),  # sums ±5, ±3 twice, ±1; observed 3
        ([0.0, 0.0], 1.0),
        ([], 1.0),
    ],
)
def test_sign_flips_by_hand(results, differences, p):
    assert results.sign_flip_p(differences) == pytest.approx(p)


def pool(results, name, method, *rows):
    """Runs (id, rankme, loss, accuracy), all of one seed."""
    runs = [run(id, r, a, values={"train/loss": loss}) for id, r, loss, a in rows]
    return results.Pool(name, method, "digits", True, sweep(*runs), ())


def test_a_verdict_by_hand(results):
    # One: rankme picks a (0.9, the best), the loss b (0.8). Two: rankme picks b (0.6 of 0.8), the loss a.
    one = pool(results, "one", "simclr", ("a", 3.0, 2.0, 0.9), ("b", 2.0, 1.0, 0.8), ("c", 1.0, 3.0, 0.5))
    two = pool(results, "two", "simsiam", ("a", 1.0, 1.0, 0.8), ("b", 2.0, 2.0, 0.6))
    found = {v.name: v for v in results.verdicts([one.group, two.group])}
    assert [cost.regret for cost in found["rankme"].costs] == pytest.approx([0.0, 0.2])
    assert [cost.normalised for cost in found["rankme"].costs] == pytest.approx([0.0, 1.0])
    assert found["rankme"].less == pytest.approx((0.1, -0.2))
    assert found["rankme"].p == 1.0  # |-0.1| is the smallest of the four sums
    assert found["random"].costs[0].regret == pytest.approx(0.9 - 2.2 / 3)
    assert found["lowest loss"].mean == pytest.approx(0.05)


def test_what_is_learned_elsewhere_is_judged_here(results):
    # In one and two rankme is right and stable_rank wrong; in three it is the other way round.
    def made(name, method, right):
        values = ((1.0, 2.0), (2.0, 1.0)) if right else ((2.0, 1.0), (1.0, 2.0))
        runs = [
            run(id, r, a, values={"label_free/stable_rank": s})
            for (r, s), (id, a) in zip(values, (("a", 0.5), ("b", 0.9)), strict=True)
        ]
        return results.Pool(name, method, "digits", True, sweep(*runs), ())

    pools = [made("one", "simclr", True), made("two", "simclr", True), made("three", "simsiam", False)]
    by_sweep = [cost.regret for cost in results.learned(pools, lambda pool: pool.name, 1)]
    assert by_sweep == pytest.approx([0.0, 0.0, 0.4])  # one and two outvote or tie with three
    # Without its method, one has only three to learn from, which teaches the wrong metric.
    by_method = [cost.regret for cost in results.learned(pools, lambda pool: pool.method, 1)]
    assert by_method == pytest.approx([0.4, 0.4, 0.4])


SCORES = {"rotation_probe": 0.55, "view_retrieval": 0.5, "hog_probe": 0.3, "accuracy": 0.8}


@pytest.mark.parametrize(
    ("best_rotation", "expected"),
    [(0.55, ((0.55 - 0.25) / 0.75 + 0.5 + 0.3) / 3), (0.29, (0.5 + 0.3) / 2)],  # told apart by nobody
)
def test_the_rule_on_runs_that_were_judged_later(results, best_rotation, expected):
    rows = [{"epoch": 10, **SCORES, "rotation_probe": best_rotation, "correct": ""}]
    one = results.with_pretext(run("a", accuracy=0.1), {"a": {"images": 1797, "milestones": rows}})
    (scored,) = results.with_pool_score([one])
    assert scored.milestones[0].values["label_free/pretext_score"] == pytest.approx(expected)
    assert scored.milestones[0].values[ACCURACY.key] == 0.8  # the protocol's oracle, not the run's own
    assert scored.definition["evaluation_images"] == 1797


def test_one_seed_per_configuration(results):
    seeds = [run(f"s{n}", 1.0, learning_rate=1, seed=n) for n in (2, 0, 1)]
    once, further = results.split_by_seed([*seeds, run("other", 1.0)])
    assert [one.id for one in once] == ["s0", "other"]
    assert [one.id for one in further] == ["s2", "s1"]


def test_ruined_runs_end_below_their_own_beginning(results):
    rows = curve((0, 0.3), (10, 0.2), key=ACCURACY.key)
    assert results.ruined(run("a", milestones=rows))
    assert not results.ruined(run("b", milestones=curve((0, 0.3), (10, 0.4), key=ACCURACY.key)))


def test_along_training_by_hand(results):
    # Scores 9, 1, 2, 4 beside accuracies 0.1, 0.2, 0.4, 0.3: of three trained pairs two are in order.
    rows = zip((0, 5, 10, 15), (9.0, 1.0, 2.0, 4.0), (0.1, 0.2, 0.4, 0.3), strict=True)
    milestones = tuple(Milestone(e, {"label_free/rankme": x, ACCURACY.key: y}) for e, x, y in rows)
    whole, trained, pairs = results.follows(run("a", milestones=milestones), "label_free/rankme")
    # Deviations (-4/3, -1/3, 5/3) and (-1, 1, 0): 1 / √(14/3 · 2).
    assert trained == pytest.approx(1 / (28 / 3) ** 0.5)
    assert whole < 0
    assert pairs == pytest.approx(2 / 3)
    untrained = replace(run("b"), milestones=milestones[1:])
    assert results.follows(untrained, "label_free/rankme") is None
