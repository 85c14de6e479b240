"""The laws as W&B documents them (https://docs.wandb.ai/models/sweeps/sweep-config-keys), against scipy."""

import math

import numpy as np
import pytest
from scipy import stats

from selector.sweeping.parameters import (
    Beta,
    Categorical,
    Constant,
    IntUniform,
    LogNormal,
    LogUniform,
    Normal,
    Quantised,
    Uniform,
    grid_values,
    quantile,
)

PROBABILITIES = np.linspace(0.0005, 0.9995, 1000).tolist()


@pytest.mark.parametrize(
    ("distribution", "law"),
    [
        (Uniform(-1, 3), stats.uniform(-1, 4)),
        (LogUniform(1e-4, 10), stats.loguniform(1e-4, 10)),
        (Normal(), stats.norm(0, 1)),
        (Normal(5, 0.1), stats.norm(5, 0.1)),
        (LogNormal(), stats.lognorm(s=1, scale=1)),
        (LogNormal(-2, 0.5), stats.lognorm(s=0.5, scale=math.exp(-2))),
        (Beta(), stats.uniform(0, 1)),  # a = b = 1
        (Beta(2, 5), stats.beta(2, 5)),
    ],
)
def test_continuous_laws_have_the_distribution_function_of_scipy(distribution, law):
    values = [quantile(distribution, p) for p in PROBABILITIES]
    np.testing.assert_allclose(law.cdf(values), PROBABILITIES, atol=1e-12)
    assert all(type(value) is float for value in values)


def test_integers_are_equally_likely_and_both_ends_are_drawn():
    values = [quantile(IntUniform(-2, 2), (i + 0.5) / 500) for i in range(500)]
    assert {value: values.count(value) for value in set(values)} == dict.fromkeys(range(-2, 3), 100)
    assert all(type(value) is int for value in values)


def test_categories_are_drawn_in_their_shares():
    values = [quantile(Categorical(("a", None, [1]), (0.2, 0.5, 0.3)), (i + 0.5) / 100) for i in range(100)]
    assert [values.count(value) for value in ("a", None, [1])] == [20, 50, 30]
    equal = [quantile(Categorical(("a", "b")), (i + 0.5) / 10) for i in range(10)]
    assert equal == ["a"] * 5 + ["b"] * 5


def test_a_category_of_probability_0_is_never_drawn():
    # Shares may sum to a little less than 1: W&B tolerates 1e-5.
    values = {quantile(Categorical("abc", (0.0, 0.99999, 0.0)), p) for p in (0.0, 0.5, 0.999999, 1.0)}
    assert values == {"b"}


def test_quantised_values_are_multiples_of_q_counted_from_0():
    # uniform on [1, 8] in steps of 3: [1, 1.5) → 0, [1.5, 4.5) → 3, [4.5, 7.5) → 6, [7.5, 8] → 9
    values = [quantile(Quantised(Uniform(1, 8), 3), (i + 0.5) / 1400) for i in range(1400)]
    assert [values.count(value) for value in (0, 3, 6, 9)] == [100, 600, 600, 100]
    assert all(type(value) is int for value in values)


@pytest.mark.parametrize(
    "base", [Uniform(-1, 1), LogUniform(0.1, 9), Normal(0, 3), LogNormal(0, 1), Beta(0.5, 0.5)]
)
@pytest.mark.parametrize("q", [1.0, 0.25, 2])
def test_quantising_moves_a_value_by_at_most_half_a_step(base, q):
    for p in PROBABILITIES:
        before, after = quantile(base, p), quantile(Quantised(base, q), p)
        assert abs(before - after) <= q / 2 + 1e-12
        assert after / q == round(after / q)
        assert type(after) is type(q)


@pytest.mark.parametrize(
    ("distribution", "values"),
    [
        (Constant([1, 2]), [[1, 2]]),
        (Categorical((3, 1, 2)), [3, 1, 2]),
        (Categorical((1, 2, 1.0, True, 2)), [1.0, 2, True]),  # 1 and 1.0 are one value, kept as given last
        (Categorical(([1], [1], [1.0], {"a": 1, "b": 2}, {"b": 2, "a": 1})), [[1], [1.0], {"a": 1, "b": 2}]),
        (IntUniform(-1, 2), [-1, 0, 1, 2]),
        (Quantised(Uniform(0, 10), 3), [0, 3, 6, 9]),
        (Quantised(Uniform(0, 9), 3), [0, 3, 6]),  # W&B leaves max out
    ],
)
def test_values_of_a_grid(distribution, values):
    assert [(value, type(value)) for value in grid_values(distribution)] == [(v, type(v)) for v in values]


def test_a_grid_of_steps_is_numpys_arange():
    assert grid_values(Quantised(Uniform(0.3, 1.5), 0.1)) == np.arange(0.3, 1.5, 0.1).tolist()
