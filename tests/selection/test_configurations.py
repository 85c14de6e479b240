from dataclasses import replace

from handmade import run

from selector.selection.comparability import (
    canonical,
    configuration,
    hyperparameters,
    is_finite_number,
    smallest_first,
)


def test_what_says_only_where_a_run_ran_is_no_hyperparameter():
    here = run("a", data_dir="/x", device="cpu", threads=2, output_dir="o", resume=True, keep="all")
    assert hyperparameters(here) == hyperparameters(run("b", learning_rate=here.config["learning_rate"]))
    folder = run("a", dataset="folder", data_dir="/x")
    assert hyperparameters(folder)["data_dir"] == "/x"  # here it says which images


def test_configurations_are_equal_but_for_the_seed():
    one, other = run("a", learning_rate=0.1, seed=1), run("b", learning_rate=0.1, seed=2)
    assert configuration(one) == configuration(other)
    assert configuration(one) != configuration(run("c", learning_rate=0.2, seed=1))


def test_smallest_first_orders_none_numbers_and_text():
    values = ["b", None, 2, 0.5, "a", float("nan"), [1], True]
    runs = [replace(run("a"), config={"x": value}) for value in values]
    ordered = sorted(runs, key=lambda r: smallest_first(r, ["x"]))
    assert [r.config["x"] for r in ordered][:4] == [None, 0.5, True, 2]


def test_canonical_text_does_not_depend_on_how_a_value_was_written():
    assert canonical({"b": 1.0, "a": (1, 2)}) == canonical({"a": [1.0, 2], "b": 1})
    assert canonical(1) != canonical("1")
    assert canonical(True) != canonical(1)


def test_an_integer_beyond_every_float_is_a_value_like_any_other():
    runs = [run("a", n=10**400), run("b", n=2), run("c", n=2.5)]
    assert sorted(runs, key=lambda one: smallest_first(one, ["n"])) == [runs[1], runs[2], runs[0]]
    assert not is_finite_number(10**400)
    assert not is_finite_number(float("nan"))
    assert not is_finite_number(True)
    assert is_finite_number(-1)
