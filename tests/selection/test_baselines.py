"""Baselines on sweeps where what each picks can be read off."""

from dataclasses import replace

import pytest
from handmade import ACCURACY, run

from selector.selection.baselines import baselines
from selector.selection.oracle import read_oracle


def picks(*runs, default=None):
    judged, _ = read_oracle(runs, ACCURACY)
    return {baseline.name: baseline for baseline in baselines(judged, default)}


def test_random_is_the_mean():
    random = picks(run("a", accuracy=0.2), run("b", accuracy=0.9), run("c", accuracy=0.4))["random"]
    assert (random.run, random.accuracy, random.regret) == (None, pytest.approx(0.5), pytest.approx(0.4))


def test_lowest_loss():
    def lossy(id, accuracy, loss):
        return run(id, accuracy=accuracy, values={"train/loss": loss})

    found = picks(
        lossy("a", 0.2, 3.0), lossy("b", 0.9, 4.0), lossy("c", 0.5, float("nan")), run("d", accuracy=0.1)
    )
    assert (found["lowest_loss"].run.id, found["lowest_loss"].accuracy) == ("a", 0.2)
    assert found["lowest_loss"].regret == pytest.approx(0.7)
    assert found["lowest_loss"].detail == "not known of 2 of 4 runs"
    unknown = picks(run("a", accuracy=0.2))["lowest_loss"]
    assert (unknown.run, unknown.regret, unknown.detail) == (None, None, "no run logged train/loss")


def test_default_is_the_run_nearest_to_the_methods_recipe():
    # SimCLR's recipe has temperature 0.5 and learning rate 0.5.
    # Temperatures 0.25 to 1, learning rates 0.05 to 0.5, by their logarithms, as shares of the range:
    # a (1, 0.5): ln 2 / ln 4 = 1/2 and 0, mean 1/4. b (0.5, 0.05): 0 and 1, mean 1/2.
    # c (0.25, 0.5): 1/2 and 0, mean 1/4. a and c tie; the smaller temperature is first.
    a = run("a", accuracy=0.1, temperature=1.0, learning_rate=0.5)
    b = run("b", accuracy=0.2, temperature=0.5, learning_rate=0.05)
    c = run("c", accuracy=0.3, temperature=0.25, learning_rate=0.5)
    assert picks(a, b, c)["default"].run.id == "c"
    assert picks(c, b, a)["default"].run.id == "c"


def test_default_measures_factors_and_each_hyperparameter_by_its_own_range():
    # 0.05 is a tenth of the recipe's learning rate, 4 eight times it: nearer, though 3.5 is more than 0.45.
    small, large = run("a", accuracy=0.1, learning_rate=0.05), run("b", accuracy=0.2, learning_rate=4.0)
    assert picks(small, large)["default"].run.id == "b"
    # Temperature: ln 2 of a range of ln 4, 1/2. Learning rate: ln 2.5 of ln 10, 0.40: nearer, though 2.5 > 2.
    warm = run("a", accuracy=0.1, temperature=1.0, learning_rate=0.5)
    slow = run("b", accuracy=0.2, temperature=0.5, learning_rate=0.2)
    far = run("c", accuracy=0.3, temperature=0.25, learning_rate=0.05)
    assert picks(warm, slow, far)["default"].run.id == "b"


def test_equally_far_but_for_rounding_is_equally_far():
    # Half and twice the default: their distances differ in the last binary place.
    half, twice = run("b", accuracy=0.1, learning_rate=0.3), run("a", accuracy=0.2, learning_rate=1.2)
    assert picks(half, twice, default={"learning_rate": 0.6})["default"].run.id == "b"


def test_default_counts_differing_choices_as_one():
    near = run("a", accuracy=0.1, backbone="resnet-18", learning_rate=0.4)
    far = run("b", accuracy=0.2, backbone="resnet-9", learning_rate=0.5)
    # backbone 0 or 1; learning rates 0.4 and 0.5 around 0.5: a is 1 away by that, b 0: means 1/2 and 1/2,
    # a tie that the first name in alphabetical order (backbone: resnet-18 before resnet-9) breaks.
    assert picks(near, far)["default"].run.id == "a"
    assert picks(near, far, default={"backbone": "resnet-9", "learning_rate": 0.5})["default"].run.id == "b"


def test_default_ignores_the_seed_and_needs_a_known_method():
    near = run("b", accuracy=0.2, learning_rate=0.4, seed=0)
    far = run("a", accuracy=0.1, learning_rate=0.2, seed=1)
    assert picks(near, far, default={"learning_rate": 0.5, "seed": 1})["default"].run.id == "b"
    unknown = picks(run("a", accuracy=0.1, method="barlow"))["default"]
    assert (unknown.run, unknown.detail) == (None, "no default configuration is known")


def test_last_is_the_run_that_started_last():
    starts = {"a": 1767312000.5, "b": 1767312000.25, "c": None}
    runs = [replace(run(id, accuracy=0.5), started=start) for id, start in starts.items()]
    last = picks(*runs)["last"]
    assert (last.run.id, last.detail) == ("a", "not known of 1 of 3 runs")


def test_last_needs_to_know_when_runs_started():
    unknown = picks(run("a", accuracy=0.1))["last"]
    assert (unknown.run, unknown.detail) == (None, "the runs do not say when they started")


def test_oracle_regrets_nothing():
    oracle = picks(run("a", accuracy=0.1), run("b", accuracy=0.8))["oracle"]
    assert (oracle.run.id, oracle.regret) == ("b", 0)


def test_nothing_swept_is_no_reason_to_fail():
    same = run("a", accuracy=0.1, learning_rate=0.5)
    seeds = picks(same, replace(same, id="b"))
    assert (seeds["default"].run.id, seeds["random"].detail) == ("a", "expected over 1 configurations")
