import json
import os
from dataclasses import replace
from math import nan

import pytest

from selector.errors import UserError
from selector.sweeping.state import Agent, SweepState, new_id, read_sweep, run_id, state_of

HEADER = {"version": 2, "sweep": "swp01234", "seed": 3, "planned": 5, "sweep_file": {"method": "random"}}
MINE = {"agent": "aaaaaaaa", "machine": "here", "config": {"x": 0.1, "g": {"y": [1, None]}}}


def lines(*trials: dict) -> str:
    return "".join(json.dumps({"op_code": 4, "user_attrs": trial}) + "\n" for trial in trials)


def ended(status: str, **more) -> dict:
    return MINE | {"end": {"status": status, "reason": "", "exit_status": 0, "objective": None} | more}


def again(index: int, attempt: int, **more) -> dict:
    return MINE | {"again": index, "attempt": attempt} | more


def state(*trials: dict, planned: int = 5) -> SweepState:
    found = state_of(None, {}, [(trial, {}) for trial in (HEADER | {"planned": planned}, *trials)])
    assert found is not None
    return found


def test_run_ids_are_stable_distinct_and_of_the_form_that_wandb_uses():
    ids = [run_id("swp01234", index) for index in range(2000)]
    assert len(set(ids)) == 2000
    assert all(len(i) == 8 and i.isalnum() and i == i.lower() and i.isascii() for i in [*ids, new_id()])
    # Written down: a sweep begun with an older version of selector must find its runs again.
    assert run_id("swp01234", 0) == "o2ekw0m0"
    assert run_id("other000", 7) != ids[7]


def test_the_order_of_trials_settles_who_carries_out_what():
    trials = [
        MINE,  # run 0
        ended("failed"),  # run 1
        again(1, 1, agent="bbbbbbbb"),  # its repetition, and one that comes too late
        again(1, 1, agent="cccccccc"),
        MINE,  # run 2
        again(0, 1, agent="dddddddd", end={"status": "interrupted"}),
        again(0, 2, agent="eeeeeeee"),
    ]
    runs = state(*trials).runs
    assert [(run.index, run.attempt, run.number, run.failures) for run in runs] == [
        (0, 2, 7, 0),
        (1, 1, 3, 1),
        (2, 0, 5, 0),
    ]
    assert [run.agent for run in runs][1] == Agent("bbbbbbbb", "here")


def test_of_two_headers_the_first_counts():
    assert state(HEADER | {"sweep": "other000"}, MINE).id == "swp01234"


def test_one_run_too_many_is_none():
    surplus = {name: MINE[name] for name in ("agent", "machine")} | {"end": {"status": "interrupted"}}
    assert len(state(MINE, surplus, planned=1).runs) == 1
    assert len(state(surplus, MINE, planned=2).runs) == 2  # interrupted before it was drawn, to be run


@pytest.mark.parametrize(
    ("status", "done"),
    [("finished", True), ("stopped", True), ("running", False), ("failed", False), ("interrupted", False)],
)
def test_what_is_over_for_good(status, done):
    (run,) = state(ended(status)).runs
    assert (run.done, state(ended(status), planned=1).complete) == (done, done)


@pytest.mark.parametrize(("goal", "best"), [("maximize", 2), ("minimize", 0)])
def test_the_best_run(goal, best):
    scored = state(*(ended("finished", objective=value) for value in (1.0, 2.0, 3.0)), ended("failed"))
    assert scored.best.index == 0  # W&B minimises where nothing is said
    runs = (*scored.runs[:2], replace(scored.runs[2], status="failed"))
    file = {"metric": {"name": "m", "goal": goal}}
    assert replace(scored, runs=runs, sweep_file=file).best.index == min(best, 1)


def test_reads_a_journal_up_to_its_last_whole_line(tmp_path):
    journal = tmp_path / "journal.log"
    text = (
        '{"op_code": 0, "study_name": "x"}\n'
        + lines(HEADER, MINE)
        + '{"op_code": 2, "user_attr": {"planned": 7}}\n'
        + '{"op_code": 7, "trial_id": 1, "step": 1, "intermediate_value": 2.5}\n'
        + '{"op_code": 7, "trial_id": 1, "step": 0, "intermediate_value": 1.5}\n'
        + '{"op_code": 8, "trial_id": 1, "user_attr": {"pid": 99}}\n'
    )
    journal.write_text(text + '{"op_code": 8, "trial_id": 1, "user_')
    found = read_sweep(tmp_path)
    (run,) = found.runs
    assert (found.id, found.seed, found.planned) == ("swp01234", 3, 7)
    assert (run.id, run.values, run.pid, run.config) == ("o2ekw0m0", (1.5, 2.5), 99, MINE["config"])
    assert found.finish_command == f"selector sweep {tmp_path}/sweep.yaml --directory {tmp_path}"
    journal.write_text('{"op_code": 0, "study_name": "x"}\n')  # its agent has not come further
    assert read_sweep(tmp_path) is None


@pytest.mark.parametrize(
    ("name", "content"),
    [
        *(("journal.log", text + "\n") for text in ("{", "[]", "{}", "\0", "[" * 100_000)),
        ("journal.log", lines(MINE)),
        *(
            ("journal.log", lines(HEADER | change, MINE))
            for change in ({"sweep": "../../x"}, {"seed": "0"}, {"planned": nan}, {"sweep_file": []})
        ),
        *(
            ("journal.log", lines(HEADER, MINE | change))
            for change in ({"pid": "1; rm"}, {"config": 3}, {"end": {"status": "x"}}, {"again": 7})
        ),
        ("journal.log", lines(HEADER) + '{"op_code": 8, "trial_id": 9, "user_attr": {}}\n'),
        *(("storage.json", text) for text in ("", "{", "[]", '{"version": 2}')),
    ],
)
def test_refuses_what_is_no_ledger(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match="is not the ledger") as error:
        read_sweep(tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "content"),
    [("journal.log", lines(HEADER | {"version": 3})), ("storage.json", json.dumps(HEADER | {"version": 3}))],
)
def test_a_sweep_of_another_version_is_named(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=r"another version of selector \(its format is 3, this one's 2\)"):
        read_sweep(tmp_path)


def test_no_ledger_is_none_and_a_named_pipe_is_not_waited_for(tmp_path):
    assert read_sweep(tmp_path) is None
    os.mkfifo(tmp_path / "journal.log")
    with pytest.raises(UserError, match="not a regular file"):
        read_sweep(tmp_path)
