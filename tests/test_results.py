"""docs/results.md and the tables beside the records hold what the records say, byte for byte."""

import sys
from pathlib import Path

import pytest
from handmade import ACCURACY, run, sweep

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
