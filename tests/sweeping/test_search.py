import itertools
import random
from collections import Counter

import pytest
from scipy import stats

from selector.sweeping.search import flag_values, grid_config, grid_size, nested, random_config

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
    alone = read("program: p.py\nmethod: random\nparameters: {kind: {values: [a, b, c]}}\n").parameters
    together = read(RANDOM).parameters
    for index in range(20):
        assert random_config(alone, 3, index)["kind"] == random_config(together, 3, index)["kind"]


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


def test_nested_parameters_become_one_dictionary_under_the_first_name(read):
    config = nested((parameter, i) for i, parameter in enumerate(read(GRID).parameters))
    assert config == {"a": 0, "c": 1, "fixed": 2, "group": {"m": 3, "n": 4}}
    assert flag_values(config)["group"] == {"value": {"m": 3, "n": 4}}
