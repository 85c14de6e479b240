import math

import pytest
from hypothesis import given, strategies as st

from selector.runs import Last, Milestone
from selector.tracking.history import History


def gathered(*rows: dict[str, object]) -> History:
    return History(list(rows))


def test_rows_of_one_epoch_are_one_milestone():
    # Lightning logs what it trained and what it validated in rows of their own.
    history = gathered(
        {"epoch": 1.0, "loss": 0.5, "trainer/global_step": 9.0, "_step": 0.0},
        {"epoch": 0, "loss": 2},
        {"epoch": 1, "accuracy": 0.7, "loss": 0.4},
    )
    assert history.axis == "epoch"
    assert history.milestones() == (
        Milestone(0, {"loss": 2.0}),
        Milestone(1, {"loss": 0.4, "trainer/global_step": 9.0, "accuracy": 0.7}),
    )


def test_only_numbers_are_kept_as_they_came():
    (milestone,) = gathered(
        {
            "epoch": 3,
            "nan": math.nan,
            "minus": -math.inf,
            "integer": 7,
            "huge": 10**400,
            "lowest": -(10**400),
            "text": "5",
            "flag": True,
            "nothing": None,
            "list": [1.0],
            "_runtime": 2.5,
            "nested": {"a": {"b": 1.5}, "_hidden": 2.0, "text": "x"},
        }
    ).milestones()
    assert math.isnan(milestone.values["nan"])
    others = {key: value for key, value in milestone.values.items() if key != "nan"}
    assert others == {
        "minus": -math.inf,
        "integer": 7.0,
        "huge": math.inf,
        "lowest": -math.inf,
        "nested.a.b": 1.5,
        "nested._hidden": 2.0,
    }
    assert all(type(value) is float for value in milestone.values.values())


@pytest.mark.parametrize("epoch", [1e300, 10**300, 2.0**53 + 2])
def test_epochs_beyond_what_floats_count_number_no_milestone(epoch):
    history = gathered({"epoch": 2**53, "x": 1.0}, {"epoch": epoch, "x": 2.0})
    assert history.milestones() == (Milestone(2**53, {"x": 1.0}),)


def test_a_run_without_epochs_is_counted_by_steps():
    by_lightning = gathered({"trainer/global_step": 49, "loss": 1.0, "_step": 0}, {"_step": 1, "loss": 2.0})
    assert by_lightning.axis == "trainer/global_step"
    assert by_lightning.milestones() == (Milestone(49, {"loss": 1.0}),)
    by_wandb = gathered({"loss": 1.0, "_step": 0}, {"_step": 7, "loss": 2.0})
    assert by_wandb.axis == "_step"
    assert by_wandb.milestones() == (Milestone(0, {"loss": 1.0}), Milestone(7, {"loss": 2.0}))


@pytest.mark.parametrize("epoch", [0.5, -1, math.nan, math.inf, "1", True, None, [1], {}])
def test_what_is_no_epoch(epoch: object):
    history = gathered({"epoch": epoch, "_step": 3, "loss": 1.0})
    assert (history.axis, [m.epoch for m in history.milestones()]) == ("_step", [3])


def test_after_a_resume_the_later_value_wins():
    history = gathered({"epoch": 1, "a": 1.0, "b": 1.0}, {"epoch": 2, "a": 2.0})
    later = gathered({"epoch": 2, "a": 20.0}, {"epoch": 3, "a": 30.0}, {"epoch": 1, "a": 10.0})
    history.extend(later)
    assert history.milestones() == (
        Milestone(1, {"a": 10.0, "b": 1.0}),
        Milestone(2, {"a": 20.0}),
        Milestone(3, {"a": 30.0}),
    )


ROWS = st.lists(
    st.dictionaries(st.sampled_from(["epoch", "trainer/global_step", "_step", "a", "b"]), st.integers(0, 3)),
    max_size=6,
)


@given(ROWS, ROWS)
def test_one_process_or_two_make_no_difference(
    first: list[dict[str, object]], second: list[dict[str, object]]
):
    resumed = gathered(*first)
    resumed.extend(gathered(*second))
    assert resumed.milestones() == gathered(*first, *second).milestones()


def test_the_table_behind_a_chart_of_spectra_is_no_metric():
    history = gathered(  # as offline files and as W&B's server have it
        {"epoch": 1, "spectrum/chart_table.nrows": 64.0, "label_free/rankme": 2.0},
        {"epoch": 2, "spectrum/chart_table": {"nrows": 64, "_type": "table-file"}, "other/x": 2},
    )
    assert [dict(milestone.values) for milestone in history.milestones()] == [
        {"label_free/rankme": 2.0},
        {"other/x": 2.0},
    ]


def last(*rows: dict[str, object], summary: dict[str, object] | None = None) -> dict[str, Last]:
    """Of rows that W&B numbered."""
    return gathered(*({"_step": step, **row} for step, row in enumerate(rows))).last(summary or {})


@pytest.mark.parametrize(
    ("rows", "key", "expected"),
    [
        # A last value after the epochs, as a final test.
        ([{"epoch": 1, "score": 4.0}, {"epoch": 2, "score": 3}, {"score": 9.0}], "score", Last(9.0, 2)),
        # The epoch and the metric in calls of their own.
        ([{"epoch": 1}, {"score": 4.0}, {"epoch": 2}, {"score": 3.0}], "score", Last(3.0, 2)),
        # A second fit within one run counts its epochs from the start.
        ([{"epoch": 1, "a": 1.0}, {"epoch": 2, "a": 2.0}, {"epoch": 1, "a": 5.0}], "a", Last(5.0, 1)),
        # A second Lightning Trainer, whose `test` logs at epoch 0.
        ([{"epoch": 4, "val": 1.0}, {"epoch": 0, "test_acc": 0.75}], "test_acc", Last(0.75, 0)),
        # Fractions of epochs end none of them.
        ([{"epoch": 1, "a": 1.0}, {"epoch": 1.5, "a": 2.0}], "a", Last(2.0, 1)),
        # What is logged now and then.
        ([{"epoch": 1, "val": 1.0, "a": 1.0}, {"epoch": 2, "a": 2.0}], "val", Last(1.0, 1)),
        ([{"loss": 1.0}, {"loss": 2.0}, {"other": 1.0}], "loss", Last(2.0, 1)),
        ([{"epoch": 1, "nested": {"b": 2}}], "nested.b", Last(2.0, 1)),
    ],
)
def test_the_last_value_of_a_key_is_that_of_the_last_row_that_holds_it(rows, key, expected):
    assert last(*rows)[key] == expected


@pytest.mark.parametrize(
    ("summary", "key", "expected"),
    [
        ({"acc": {"max": 9}}, "acc", Last(9.0, 2, "max")),  # define_metric("acc", summary="max")
        ({"acc": {"max": 9}}, "acc.max", Last(9.0, 2, "summary")),
        ({"acc": {"max": 9, "mean": 4.0}}, "acc", Last(1.0, 2)),  # neither of the two was meant
        ({"acc": {"max": 9, "mean": 4.0}}, "acc.mean", Last(4.0, 2, "summary")),
        ({"best": 0.5}, "best", Last(0.5, 2, "summary")),
        ({"acc": 7.0}, "acc", Last(1.0, 2)),  # the row counts where both are there
        ({"acc": {"last": 7.0}}, "acc", Last(1.0, 2)),
    ],
)
def test_what_only_the_summary_says_is_read_there(summary, key, expected):
    assert last({"epoch": 1, "acc": 9.0}, {"epoch": 2, "acc": 1.0}, summary=summary)[key] == expected


def test_rows_after_a_rewind_take_the_place_of_those_before():
    history = gathered(*({"_step": e - 1, "epoch": e, "score": float(e)} for e in range(1, 6)))
    history.extend(gathered({"_step": 2, "epoch": 3, "score": 103.0}), after=1.0)
    assert [(m.epoch, m.values["score"]) for m in history.milestones()] == [(1, 1.0), (2, 2.0), (3, 103.0)]
    assert history.last({})["score"] == Last(103.0, 3)
