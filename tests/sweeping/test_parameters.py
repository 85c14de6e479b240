import math

import pytest

from selector.errors import UserError
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
)


def distribution(read, section: str):
    (parameter,) = read(f"method: random\nprogram: p.py\nparameters: {{x: {section}}}\n").parameters
    return parameter.distribution


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        # inferred, as W&B does
        ("{value: 3}", Constant(3)),
        ("{value: null}", Constant(None)),
        ("{value: {a: [1, {b: 2}]}}", Constant({"a": [1, {"b": 2}]})),
        ("{values: [1, a, null]}", Categorical((1, "a", None))),
        ("{values: [1, 2], probabilities: [0.25, 0.75]}", Categorical((1, 2), (0.25, 0.75))),
        # the sum may miss 1 by a rounding error
        (
            "{values: [1, 2, 3], probabilities: [.333333, .333333, .333333]}",
            Categorical((1, 2, 3), (0.333333,) * 3),
        ),
        ("{min: 1, max: 5}", IntUniform(1, 5)),
        ("{min: 1.0, max: 5}", Uniform(1.0, 5)),
        ("{min: 1, max: 5.5}", Uniform(1, 5.5)),
        # named, with W&B's defaults
        ("{distribution: constant, value: 3}", Constant(3)),
        ("{distribution: categorical, values: [1]}", Categorical((1,))),
        (
            "{distribution: categorical_w_probabilities, values: [1, 2], probabilities: [0, 1]}",
            Categorical((1, 2), (0.0, 1.0)),
        ),
        ("{distribution: int_uniform, min: -3, max: 4}", IntUniform(-3, 4)),
        ("{distribution: uniform, min: 0, max: 1}", Uniform(0, 1)),
        ("{distribution: q_uniform, min: 0, max: 9}", Quantised(Uniform(0, 9), 1.0)),
        ("{distribution: q_uniform, min: 0, max: 9, q: 2}", Quantised(Uniform(0, 9), 2)),
        ("{distribution: log_uniform, min: -2, max: 3}", LogUniform(math.exp(-2), math.exp(3))),
        ("{distribution: log_uniform_values, min: 0.1, max: 3}", LogUniform(0.1, 3)),
        # 1/x between e^-2 and e^3
        ("{distribution: inv_log_uniform, min: -2, max: 3}", LogUniform(math.exp(-3), math.exp(2))),
        ("{distribution: inv_log_uniform_values, min: 0.1, max: 3}", LogUniform(0.1, 3)),
        ("{distribution: q_log_uniform, min: 0, max: 3}", Quantised(LogUniform(1.0, math.exp(3)), 1.0)),
        ("{distribution: q_log_uniform_values, min: 1, max: 9, q: 0.5}", Quantised(LogUniform(1, 9), 0.5)),
        ("{distribution: normal}", Normal(0, 1)),
        ("{distribution: normal, mu: 2, sigma: 3}", Normal(2, 3)),
        ("{distribution: q_normal, q: 2}", Quantised(Normal(0, 1), 2)),
        ("{distribution: q_normal}", Quantised(Normal(0, 1), 1.0)),
        ("{distribution: log_normal, sigma: 0.5}", LogNormal(0, 0.5)),
        ("{distribution: q_log_normal}", Quantised(LogNormal(0, 1), 1.0)),
        ("{distribution: beta}", Beta(1, 1)),
        ("{distribution: beta, a: 2, b: 0.5}", Beta(2, 0.5)),
        ("{distribution: q_beta, q: 0.1}", Quantised(Beta(1, 1), 0.1)),
    ],
)
def test_every_distribution_of_wandb(read, section, expected):
    assert distribution(read, section) == expected


@pytest.mark.parametrize(
    ("section", "reason"),
    [
        ("3", r"x must be a mapping such as {value: 3}"),
        ("[1, 2]", "x must be a mapping"),
        ("null", "x must be a mapping"),
        ("{}", "x: it needs value, values, min and max, or a distribution"),
        ("{value: 1, values: [1]}", "x: both value and values are given"),
        ("{value: 1, min: 0}", "constant takes value, not min"),
        ("{values: [1], max: 2}", "categorical takes values, not max"),
        ("{values: []}", "values must be a list of at least one"),
        ("{values: 3}", "values must be a list"),
        ("{value: .nan}", "a number must be finite, got nan"),
        ("{values: [1, [.inf]]}", "a number must be finite, got inf"),
        ("{min: 1}", "int_uniform needs max"),
        ("{max: 1.5}", "uniform needs min"),
        ("{min: 2, max: 1}", "min 2 is not below max 1"),
        ("{min: 1, max: 1}", "min 1 is not below max 1"),
        ("{min: a, max: 1}", "min: a number within .* is needed, got 'a'"),
        ("{min: true, max: 3}", "min: a number within .* is needed, got True"),
        ("{min: 0, max: 1.0e+200}", r"max: a number within ±1e\+150 is needed, got 1e\+200"),
        ("{min: 1e-4, max: 1}", r"YAML reads 1e-4 as a text; write 1\.0e-4"),
        ("{min: 0, max: 10, q: 2}", "q needs a distribution, such as distribution: q_uniform"),
        ("{distribution: q_uniform, min: 0, max: 1, q: 0}", "q must be greater than 0, got 0"),
        ("{distribution: q_uniform, min: 0, max: 1, q: -0.1}", "q must be greater than 0"),
        ("{distribution: normal, sigma: 0}", "sigma must be greater than 0"),
        ("{distribution: beta, a: -1}", "a must be greater than 0"),
        ("{distribution: normal, min: 0}", "normal takes mu and sigma, not min"),
        ("{distribution: int_uniform, min: 0.5, max: 3}", "min must be a whole number, got 0.5"),
        ("{distribution: log_uniform_values, min: 0, max: 1}", "min of log_uniform_values must be greater"),
        ("{distribution: inv_log_uniform_values, min: -1, max: 1}", "must be greater than 0"),
        ("{distribution: log_uniform, min: 1, max: 1000}", "takes exponents of e.*log_uniform_values"),
        ("{distribution: log_normal, mu: 500}", "mu and sigma of log_normal are those of the logarithm"),
        ("{distribution: gausian}", "unknown distribution 'gausian'"),
        ("{distribution: log_unifrom, min: 0, max: 1}", "did you mean 'log_uniform'"),
        ("{distribution: [normal]}", "unknown distribution"),
        ("{vaules: [1, 2]}", "'vaules' is not a key of a parameter, did you mean 'values'"),
        ("{values: [1, 2], probabilities: [0.5]}", "2 values need as many probabilities, got 1"),
        ("{values: [1, 2], probabilities: null}", "2 values need as many probabilities, got None"),
        ("{values: [1, 2], probabilities: [0.5, 0.6]}", r"must sum to 1, got 1\.1"),
        ("{values: [1, 2], probabilities: [1.5, -0.5]}", "must not be negative, got -0.5"),
        ("{values: [1, 2], probabilities: [a, b]}", "probabilities: a number within .* is needed, got 'a'"),
        (
            "{distribution: categorical, values: [1, 2], probabilities: [0.5, 0.5]}",
            "categorical takes values, not probabilities",
        ),
        ("{distribution: categorical_w_probabilities, values: [1]}", "needs probabilities"),
        ("{parameters: {y: {value: 1}}, value: 3}", "x: both parameters and value are given"),
        ("{parameters: {}}", "mapping of at least one parameter"),
        ("{parameters: {y: {min: 2, max: 1}}}", "y: min 2 is not below max 1"),
    ],
)
def test_refuses_with_line_and_reason(read, section, reason):
    with pytest.raises(UserError, match=rf"line 5: .*{reason}") as error:
        read(f"method: random\nprogram: p.py\nparameters:\n  ok: {{value: 1}}\n  x: {section}\n")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ['"a b"', "a=b", "9a", "--x", '""', "a/b", "../a", "é"])
def test_refuses_names_that_wandb_refuses(read, name):
    with pytest.raises(UserError, match=r"line 4: .* is not a parameter name"):
        read(f"method: random\nprogram: p.py\nparameters:\n  {name}: {{value: 1}}\n")


def test_nested_parameters_are_flattened_in_the_order_of_names(read):
    parameters = read("""
        method: random
        program: p.py
        parameters:
          b: {value: 1}
          optimizer:
            parameters:
              rate: {min: 0.0, max: 1.0}
              kind: {values: [sgd, adam]}
          a: {parameters: {z: {parameters: {deep: {value: 2}}}}}
    """).parameters
    assert [parameter.path for parameter in parameters] == [
        ("a", "z", "deep"),
        ("b",),
        ("optimizer", "kind"),
        ("optimizer", "rate"),
    ]


@pytest.mark.parametrize(
    ("section", "reason"),
    [
        ("{min: 0.0, max: 1.0}", "x is continuous; method grid needs values"),
        ("{distribution: normal}", "x is continuous"),
        ("{distribution: q_normal}", "x is continuous"),
        ("{distribution: q_log_uniform_values, min: 1, max: 8}", "x is continuous"),
        ("{values: [1, 2], probabilities: [0.5, 0.5]}", "takes no probabilities"),
        ("{distribution: q_uniform, min: 0, max: 1, q: 1.0e-9}", "more than 1000000 values"),
    ],
)
def test_a_grid_refuses_what_it_cannot_step_through(read, section, reason):
    with pytest.raises(UserError, match=rf"line 4: .*{reason}"):
        read(f"method: grid\nprogram: p.py\nparameters:\n  x: {section}\n")


@pytest.mark.parametrize("kind", ["log_uniform", "inv_log_uniform", "q_log_uniform"])
def test_warns_like_wandb_of_bounds_that_are_exponents(read, kind):
    sweep = read(
        f"method: random\nprogram: p.py\nparameters:\n  x: {{distribution: {kind}, min: 0, max: 1}}\n"
    )
    assert len(sweep.warnings) == 1
    assert "line 4" in sweep.warnings[0]
    assert f"{kind}_values" in sweep.warnings[0]
