import itertools
import math
import random
from collections import Counter

import pytest
from scipy import stats

from selector.sweeping.search import grid_config, grid_size, planned_runs, propose, random_config
from selector.sweeping.state import SweepRun
from selector.sweeping.sweep_file import Objective

GRID = """
    program: p.py
    method: grid
    parameters:
      c: {values: [x, y]}
      a: {values: [1, 2, 3]}
      fixed: {value: null}
      group: {parameters: {n: {min: 1, max: 2}, m: {value: 0.5}}}
"""

RANDOM = """
    program: p.py
    method: random
    parameters:
      rate: {distribution: log_uniform_values, min: 0.001, max: 1}
      kind: {values: [a, b, c]}
      group: {parameters: {size: {min: 1, max: 8}, noise: {distribution: normal}}}
"""


def test_a_grid_is_the_product_over_the_sorted_names(read):
    parameters = read(GRID).parameters
    expected = [
        {"a": a, "c": c, "fixed": None, "group": {"m": 0.5, "n": n}}
        for a, c, n in itertools.product([1, 2, 3], ["x", "y"], [1, 2])
    ]
    assert grid_size(parameters) == 12
    assert [grid_config(parameters, index) for index in range(12)] == expected


def test_a_grid_ends(read):
    with pytest.raises(ValueError, match="beyond the end"):
        grid_config(read(GRID).parameters, 12)


def test_a_huge_grid_costs_nothing(read):
    axes = "\n".join(f"  p{i:02}: {{values: {list(range(100))}}}" for i in range(20))
    parameters = read(f"program: p.py\nmethod: grid\nparameters:\n{axes}\n").parameters
    assert grid_size(parameters) == 100**20
    # 7 hundreds and 42 ones: the last name changes fastest
    assert list(grid_config(parameters, 742).values()) == [0] * 18 + [7, 42]


def test_a_draw_depends_on_seed_and_index_alone(read):
    parameters = read(RANDOM).parameters
    in_order = [random_config(parameters, 0, index) for index in range(30)]
    shuffled = list(range(30))
    random.Random(5).shuffle(shuffled)
    assert {i: random_config(parameters, 0, i) for i in shuffled} == dict(enumerate(in_order))
    assert random_config(parameters, 1, 0) != in_order[0]
    assert len({str(config) for config in in_order}) == 30


def test_a_draw_is_the_same_in_every_version_of_selector(read):
    # Sweeps that were begun with an older version must be continued with the same configurations.
    config = random_config(read(RANDOM).parameters, 0, 0)
    expected = random.Random("0/0/rate").random()
    assert config["rate"] == pytest.approx(0.001 * 1000**expected)
    assert list(config) == ["group", "kind", "rate"]


def test_the_draws_of_one_parameter_do_not_depend_on_the_others(read):
    axes = "{kind: {values: [a, b, c]}, other: {min: 0.0, max: 1.0}}"
    alone = read(f"program: p.py\nmethod: random\nparameters: {axes}\n").parameters
    together = read(RANDOM).parameters
    for index in range(20):
        assert random_config(alone, 3, index)["kind"] == random_config(together, 3, index)["kind"]


FEW = "program: p.py\nmethod: random\nparameters:\n"


@pytest.mark.parametrize(
    ("axes", "different"),
    [
        ("  a: {values: [1, 2, 3]}\n  b: {values: [x, y]}\n  c: {value: 7}", 6),
        ("  a: {min: 2, max: 5}\n  b: {values: [1, 1, 2]}", 8),
        ("  a: {values: [1, 2, 3], probabilities: [0.5, 0.5, 0]}", 2),
    ],
)
def test_no_draw_comes_again_before_all_others_came(read, axes, different):
    parameters = read(FEW + axes).parameters
    draws = [str(random_config(parameters, 3, index)) for index in range(2 * different)]
    assert len(set(draws[:different])) == len(set(draws[different:])) == different


def test_draws_that_cannot_be_counted_do_not_come_again_either(read):
    parameters = read(FEW + "  a: {distribution: q_uniform, min: 0, max: 4, q: 1}").parameters
    assert sorted(random_config(parameters, 0, index)["a"] for index in range(5)) == [0, 1, 2, 3, 4]


def test_bayes_proposes_no_configuration_twice_while_there_are_others(read):
    sweep = read(
        "program: p.py\nmethod: bayes\nmetric: {name: x, goal: minimize}\n"
        "parameters: {a: {values: [1, 2, 3]}, b: {values: [1, 2]}}\n"
    )
    runs = []
    for index in range(6):
        config, coordinates = propose(sweep.parameters, runs, sweep.metric, 0, index)
        runs.append(
            SweepRun(index, f"run{index}", config, "finished", objective=config["a"], coordinates=coordinates)
        )
    assert len({str(run.config) for run in runs}) == 6


def test_draws_are_uniform_over_indices_and_independent_between_parameters(read):
    parameters = read(RANDOM).parameters
    configs = [random_config(parameters, 7, index) for index in range(3000)]
    assert stats.kstest([c["rate"] for c in configs], stats.loguniform(0.001, 1).cdf).pvalue > 1e-3
    assert stats.kstest([c["group"]["noise"] for c in configs], stats.norm.cdf).pvalue > 1e-3
    assert stats.chisquare(list(Counter(c["kind"] for c in configs).values())).pvalue > 1e-3
    assert stats.chisquare(list(Counter(c["group"]["size"] for c in configs).values())).pvalue > 1e-3
    rates, noises = [c["rate"] for c in configs], [c["group"]["noise"] for c in configs]
    assert stats.spearmanr(rates, noises).pvalue > 1e-3
    assert stats.spearmanr(rates[1:], rates[:-1]).pvalue > 1e-3  # nor between neighbours


@pytest.mark.parametrize(
    ("method", "cap", "count", "planned"),
    [
        ("grid", None, None, 3),
        ("grid", None, 2, 2),
        ("grid", None, 9, 3),
        ("grid", 1, 2, 1),
        ("random", None, None, None),
        ("random", None, 4, 4),
        ("random", 6, None, 6),
        ("random", 6, 4, 4),
        ("random", 6, 9, 6),
    ],
)
def test_number_of_runs_is_the_least_of_all_limits(read, method, cap, count, planned):
    text = f"program: p.py\nmethod: {method}\nparameters: {{x: {{values: [1, 2, 3]}}}}\n"
    assert planned_runs(read(text + (f"run_cap: {cap}" if cap else "")), count) == planned


# Bayes

BAYES = """
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


LOSS = Objective("loss")


def ran(coordinates, objective: float | None = None, status="finished") -> SweepRun:
    """A run that bayes proposed before."""
    return SweepRun(0, "run00000", {}, status, objective=objective, coordinates=coordinates)


def search(parameters, runs: int, seed: int, goal="minimize") -> list[dict]:
    """The configurations of a whole bayes search."""
    found: list[SweepRun] = []
    configs = []
    for index in range(runs):
        config, coordinates = propose(parameters, found, Objective("loss", goal), seed, index)
        configs.append(config)
        found.append(ran(coordinates, loss(config) * (-1 if goal == "maximize" else 1)))
    return configs


def test_proposals_lie_in_the_search_space(read):
    for config in search(read(BAYES).parameters, 25, 0):
        assert 1e-4 <= config["rate"] <= 1
        assert type(config["layers"]) is int
        assert 1 <= config["layers"] <= 9
        assert config["kind"] in ([1], {"a": 2}, None)
        assert config["skewed"] in ("x", "y")
        assert config["step"] % 2 == 0
        assert config["fixed"] == 3
        assert list(config) == sorted(config)


@pytest.mark.parametrize("goal", ["minimize", "maximize"])
def test_finds_better_configurations_than_chance(read, goal):
    parameters = read(BAYES).parameters
    found, chance = [], []
    for seed in range(4):
        found += sorted(map(loss, search(parameters, 40, seed, goal)[20:]))[:10]
        chance += sorted(loss(random_config(parameters, seed, index)) for index in range(20, 40))[:10]
    assert sum(found) < 0.6 * sum(chance)


def test_a_proposal_depends_on_seed_index_and_runs_alone(read):
    parameters = read(BAYES).parameters
    runs = [ran(propose(parameters, [], LOSS, 0, i)[1], float(i)) for i in range(12)]
    again = propose(parameters, runs, LOSS, 0, 12)
    assert propose(parameters, runs, LOSS, 0, 12) == again
    assert propose(parameters, runs, LOSS, 0, 13) != again
    assert propose(parameters, runs, LOSS, 1, 12) != again
    assert propose(parameters, runs[::-1][:11], LOSS, 0, 12) != again


@pytest.mark.parametrize("status", ["failed", "running", "interrupted"])
def test_without_one_result_bayes_still_draws_at_random(read, status):
    parameters = read(BAYES).parameters
    runs = [ran(propose(parameters, [], LOSS, 0, i)[1], status=status) for i in range(15)]
    assert propose(parameters, runs, LOSS, 0, 15) == propose(parameters, [], LOSS, 0, 15)
