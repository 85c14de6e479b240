"""Baselines on sweeps where what each picks can be read off."""

from dataclasses import replace

import pytest
from handmade import ACCURACY, run

from selector.selection.baselines import baselines, unlike_losses
from selector.selection.oracle import read_oracle

RESNETS = {
    "a": {"backbone": "resnet-18", "learning_rate": 0.4},
    "b": {"backbone": "resnet-9", "learning_rate": 0.5},
}


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


@pytest.mark.parametrize(
    ("default", "runs", "nearest"),
    [
        # SimCLR's recipe has temperature 0.5 and learning rate 0.5.
        # Temperatures 0.25 to 1, learning rates 0.05 to 0.5, by their logarithms, as shares of the range:
        # a (1, 0.5): ln 2 / ln 4 = 1/2 and 0, mean 1/4. b (0.5, 0.05): 0 and 1, mean 1/2.
        # c (0.25, 0.5): 1/2 and 0, mean 1/4. a and c tie; the smaller temperature is first.
        (
            None,
            {
                "a": {"temperature": 1.0, "learning_rate": 0.5},
                "b": {"temperature": 0.5, "learning_rate": 0.05},
                "c": {"temperature": 0.25, "learning_rate": 0.5},
            },
            "c",
        ),
        # 0.05 is a tenth of the recipe's, 4 eight times it: nearer, though 3.5 is more than 0.45.
        (None, {"a": {"learning_rate": 0.05}, "b": {"learning_rate": 4.0}}, "b"),
        # Temperature: ln 2 of a range of ln 4, 1/2. Learning rate: ln 2.5 of ln 10, 0.40: nearer.
        (
            None,
            {
                "a": {"temperature": 1.0, "learning_rate": 0.5},
                "b": {"temperature": 0.5, "learning_rate": 0.2},
                "c": {"temperature": 0.25, "learning_rate": 0.05},
            },
            "b",
        ),
        # Half and twice the default: their distances differ in the last binary place, and are equal.
        ({"learning_rate": 0.6}, {"b": {"learning_rate": 0.3}, "a": {"learning_rate": 1.2}}, "b"),
        # The backbone 0 or 1 away, the learning rate 1 or 0: a tie, and resnet-18 comes before resnet-9.
        (None, RESNETS, "a"),
        ({"backbone": "resnet-9", "learning_rate": 0.5}, RESNETS, "b"),
    ],
)
def test_default_is_the_run_nearest_to_it_or_to_the_methods_recipe(default, runs, nearest):
    found = [run(id, accuracy=0.1, **config) for id, config in runs.items()]
    for order in (found, found[::-1]):
        assert picks(*order, default=default)["default"].run.id == nearest


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
    unknown = picks(runs[2])["last"]
    assert (unknown.run, unknown.detail) == (None, "the runs do not say when they started")


@pytest.mark.parametrize(
    ("configs", "said"),
    [
        ([{"temperature": 0.1}, {"temperature": 1.0}], "temperature differs between runs and is part of the"),
        (
            [{"variance_weight": 5, "covariance_weight": 1}, {"variance_weight": 50, "covariance_weight": 2}],
            "covariance_weight and variance_weight differ between runs and are part of the loss",
        ),
        ([{"temperature": 0.1}, {"temperature": 0.1}], ""),
    ],
)
def test_losses_that_measure_different_things_are_named(configs, said):
    judged, _ = read_oracle(
        [
            run(name, accuracy=0.5, values={"train/loss": 1.0}, **config)
            for name, config in zip("ab", configs, strict=True)
        ],
        ACCURACY,
    )
    found = unlike_losses(judged)
    assert found.startswith(said)
    assert bool(found) == bool(said)
