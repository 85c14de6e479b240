from math import inf, nan

import pytest
from handmade import DEFINITION, ENTROPY, RANKME, run, sweep

from selector.selection.candidates import finished_runs, read_scores


def test_every_run_is_either_finished_or_excluded():
    states = ["finished", "diverged", "running", "crashed", "failed", "stopped"]
    finished, excluded = finished_runs(sweep(*(run(f"r{i}", 1.0, state=s) for i, s in enumerate(states))))
    assert [one.id for one in finished] == ["r0"]
    assert {gone.run: gone.category for gone in excluded} == {
        f"r{i}": state for i, state in enumerate(states) if state != "finished"
    }


def test_the_standard_error_is_of_the_mean_over_umap_seeds():
    # 0.6 over 9 seeds: 0.6 / 3
    noisy = run(
        "a",
        values={"label_free/entropy": 3.0, "noise/entropy": 0.6},
        definition={**DEFINITION, "umap_seeds": 9},
    )
    (candidate,), excluded = read_scores([noisy], ENTROPY, "last")
    assert candidate.standard_error == pytest.approx(0.2)
    assert excluded == []


@pytest.mark.parametrize("seeds", [10**400, nan, inf, "9", True, None])
def test_the_standard_error_is_0_for_what_is_no_number_of_umap_seeds(seeds):
    noisy = run(
        "a", values={"label_free/entropy": 3.0, "noise/entropy": 0.6}, definition={"umap_seeds": seeds}
    )
    (candidate,), _ = read_scores([noisy], ENTROPY, "last")
    assert candidate.standard_error == 0


def test_categories_of_scores():
    runs = [run("a", 1.0), run("b", nan), run("c"), run("d", milestones=())]
    candidates, excluded = read_scores(runs, RANKME, "last")
    assert [c.run.id for c in candidates] == ["a"]
    assert [(gone.run, gone.category) for gone in excluded] == [
        ("b", "not_finite"),
        ("c", "missing"),
        ("d", "missing"),
    ]
