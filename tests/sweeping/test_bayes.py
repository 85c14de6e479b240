import math

import pytest

from selector.sweeping.bayes import Trial, propose
from selector.sweeping.search import random_config

SWEEP = """
    program: p.py
    method: bayes
    metric: {name: loss, goal: minimize}
    parameters:
      rate: {distribution: log_uniform_values, min: 1.0e-4, max: 1}
      layers: {min: 1, max: 9}
      kind: {values: [[1], {a: 2}, null]}
      skewed: {values: [x, y], probabilities: [0.9, 0.1]}
      step: {distribution: q_normal, q: 2}
      fixed: {value: 3}
"""


def loss(config) -> float:
    """Best, with 0, at rate 0.01, layers 3 and kind None."""
    return (
        (math.log10(config["rate"]) + 2) ** 2 + (config["layers"] - 3) ** 2 / 9 + (config["kind"] is not None)
    )


def search(parameters, runs: int, seed: int, maximize: bool = False) -> list[float]:
    trials: list[Trial] = []
    losses: list[float] = []
    for index in range(runs):
        config, coordinates = propose(parameters, trials, maximize, seed, index)
        losses.append(loss(config))
        trials.append(Trial(coordinates, -losses[-1] if maximize else losses[-1]))
    return losses


def test_proposals_lie_in_the_search_space(read):
    parameters = read(SWEEP).parameters
    trials: list[Trial] = []
    for index in range(25):
        config, coordinates = propose(parameters, trials, False, 0, index)
        trials.append(Trial(coordinates, loss(config)))
        assert 1e-4 <= config["rate"] <= 1
        assert type(config["layers"]) is int
        assert 1 <= config["layers"] <= 9
        assert config["kind"] in ([1], {"a": 2}, None)
        assert config["skewed"] in ("x", "y")
        assert config["step"] % 2 == 0
        assert config["fixed"] == 3
        assert list(config) == sorted(config)


@pytest.mark.parametrize("maximize", [False, True])
def test_finds_better_configurations_than_chance(read, maximize):
    parameters = read(SWEEP).parameters
    found, chance = [], []
    for seed in range(4):
        found += sorted(search(parameters, 40, seed, maximize)[20:])[:10]
        chance += sorted(loss(random_config(parameters, seed, index)) for index in range(20, 40))[:10]
    assert sum(found) < 0.6 * sum(chance)


def test_a_proposal_depends_on_seed_index_and_trials_alone(read):
    parameters = read(SWEEP).parameters
    trials = [Trial(propose(parameters, [], False, 0, i)[1], float(i)) for i in range(12)]
    again = propose(parameters, trials, False, 0, 12)
    assert propose(parameters, trials, False, 0, 12) == again
    assert propose(parameters, trials, False, 0, 13) != again
    assert propose(parameters, trials, False, 1, 12) != again
    assert propose(parameters, trials[::-1][:11], False, 0, 12) != again


def test_runs_that_failed_or_are_going_are_no_results(read):
    parameters = read(SWEEP).parameters
    points = [propose(parameters, [], False, 0, i) for i in range(15)]
    failed = [Trial(coordinates, "failed") for _, coordinates in points]
    going = [Trial(coordinates, "running") for _, coordinates in points]
    for trials in (failed, going, []):
        config, _ = propose(parameters, trials, False, 0, 15)
        assert set(config) == {"rate", "layers", "kind", "skewed", "step", "fixed"}
    # Without one result the sampler still draws at random, whatever failed.
    assert propose(parameters, failed, False, 0, 15) == propose(parameters, [], False, 0, 15)
