"""The JSON of design: keys, null for what is undefined, never NaN."""

import json
from math import inf, nan

import pytest
from handmade import ACCURACY, ENTROPY, RANKME, run, sweep

from selector.reports.objects import as_json, ranking_object, regret_object
from selector.reports.opinions import Opinions
from selector.runs import Unreadable
from selector.selection.ranking import rank
from selector.selection.regret import regret


def through_json(value):
    def refuse(constant):
        raise AssertionError(f"{constant} in JSON")

    return json.loads(as_json(value), parse_constant=refuse)


def test_a_ranking():
    runs = sweep(
        run("a", 5.0, name="first"),
        run("b", 5.0),
        run("c", nan),
        run("d", 9.0, state="crashed"),
        unreadable=(Unreadable("e", "damaged"),),
        planned=6,
        finish_command="selector sweep x",
    )
    found = through_json(ranking_object(rank(runs, RANKME), [Opinions()]))
    assert (found["metric"], found["direction"], found["milestone"]) == ("rankme", "max", "last")
    (group,) = found["groups"]
    assert group["group"]["method"] == "simclr"
    first = group["ranking"][0]
    assert (first["rank"], first["run"], first["name"], first["score"], first["tied"]) == (
        1,
        "a",
        "first",
        5.0,
        True,
    )
    assert first["standard_error"] is None  # no noise was measured
    assert first["config"] == dict(runs.runs[0].config)
    assert [gone["run"] for gone in found["excluded"]] == ["c", "d", "e"] or found["excluded"]
    assert {gone["run"]: gone["reason"] for gone in found["excluded"]} == {
        "c": "label_free/rankme is nan at epoch 10",
        "d": "crashed before its last milestone",
        "e": "damaged",
    }
    assert found["coverage"] == {
        "planned": 6,
        "found": 5,
        "ranked": 2,
        "excluded": {"crashed": 1, "not_finite": 1, "unreadable": 1},
        "not_started": 1,
        "finish_command": "selector sweep x",
    }
    assert found["warnings"] == ["rankme is 5 in all runs: it does not tell them apart"]


def test_regret():
    runs = sweep(*(run(id, s, a) for id, s, a in (("a", 1.0, 0.5), ("b", 2.0, 0.9), ("c", 3.0, 0.7))))
    found = through_json(regret_object(regret(runs, [RANKME], ACCURACY)))
    assert found["oracle"] == "linear_probe_accuracy"
    (group,) = found["groups"]
    assert (group["runs"], group["best"], group["best_accuracy"]) == (3, "b", 0.9)
    (metric,) = group["metrics"]
    assert metric["metric"] == "rankme"
    assert (metric["chosen"], metric["chosen_accuracy"], metric["best"], metric["best_accuracy"]) == (
        "c",
        0.7,
        "b",
        0.9,
    )
    assert abs(metric["regret"] - 0.2) < 1e-12
    assert abs(metric["normalised_regret"] - 0.5) < 1e-12
    assert abs(metric["expected_random_regret"] - 0.2) < 1e-12
    assert metric["interval"] == pytest.approx([0.1386, 0.2614], abs=1e-4)
    assert (metric["repetition_interval"], metric["configuration_interval"]) == (None, None)
    assert group["repetition_reason"].startswith(
        "2 configurations with 3 seeds each are needed, but 3 have 1"
    )
    assert metric["spearman"] == 0.5
    assert abs(metric["kendall_tau"] - 1 / 3) < 1e-12
    assert -1 < metric["pearson"] < 1
    assert [baseline["baseline"] for baseline in group["baselines"]] == [
        "random",
        "lowest_loss",
        "default",
        "last",
        "oracle",
    ]
    assert found["bootstrap"]["resamples"] == 2000
    assert isinstance(found["warnings"], list)


def test_what_is_undefined_is_null_not_zero():
    runs = sweep(run("a", 1.0, 0.5), run("b", 1.0, 0.5))
    (group,) = through_json(regret_object(regret(runs, [RANKME, ENTROPY], ACCURACY)))["groups"][:1]
    metric = group["metrics"][0]
    assert (metric["regret"], metric["normalised_regret"], metric["spearman"], metric["pearson"]) == (
        0,
        None,
        None,
        None,
    )
    everything = through_json(regret_object(regret(runs, [RANKME, ENTROPY], ACCURACY)))
    entropy = [m for g in everything["groups"] for m in g["metrics"] if m["metric"] == "entropy"]
    assert [(m["chosen"], m["regret"], m["expected_random_regret"]) for m in entropy] == [(None, None, 0)]


def test_configurations_that_json_cannot_say():
    odd = {"x": nan, "y": [inf, {"z": -inf}], "when": {1, 2}, "name\x1b": "t\x1b[31m"}
    found = through_json(ranking_object(rank(sweep(run("a", 1.0, **odd)), RANKME), [Opinions()]))
    config = found["groups"][0]["ranking"][0]["config"]
    assert (config["x"], config["y"], config["when"]) == (None, [None, {"z": None}], "{1, 2}")
    assert "\x1b" not in as_json(ranking_object(rank(sweep(run("a", 1.0, **odd)), RANKME), [Opinions()]))
