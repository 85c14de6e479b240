import json
import os
import subprocess
import sys
from dataclasses import replace
from math import inf, nan

import pytest

from selector.errors import UserError
from selector.sweeping.ledger import (
    Ledger,
    LedgerRun,
    agent_of,
    ledger_path,
    new_sweep_id,
    only_agent,
    read_ledger,
    run_id,
    write_ledger,
    write_safely,
)

RUN = LedgerRun(0, "aaaaaaaa", {"x": 0.1, "g": {"y": [1, None]}}, "running", 1.5, coordinates={"x": 0.3})
LEDGER = Ledger("swp01234", 3, 5, {"method": "random"}, (RUN,))


def test_comes_back_as_it_was_written(tmp_path):
    write_ledger(tmp_path, LEDGER)
    assert read_ledger(tmp_path) == LEDGER
    assert [path.name for path in tmp_path.iterdir()] == ["ledger.json"]


def test_no_ledger_is_none(tmp_path):
    assert read_ledger(tmp_path) is None


def test_with_run_adds_and_replaces_in_the_order_of_indices():
    later = replace(RUN, index=2, id="cccccccc")
    ledger = LEDGER.with_run(later).with_run(replace(RUN, index=1, id="bbbbbbbb"))
    assert [run.index for run in ledger.runs] == [0, 1, 2]
    ledger = ledger.with_run(replace(later, status="finished"))
    assert [run.status for run in ledger.runs] == ["running", "running", "finished"]


@pytest.mark.parametrize(
    ("status", "done"),
    [("finished", True), ("stopped", True), ("running", False), ("failed", False), ("interrupted", False)],
)
def test_what_is_over_for_good(status, done):
    assert replace(RUN, status=status).done is done


def test_run_ids_are_stable_distinct_and_of_the_form_that_wandb_uses():
    ids = [run_id("swp01234", index) for index in range(2000)]
    assert len(set(ids)) == 2000
    assert all(len(i) == 8 and i.isalnum() and i == i.lower() and i.isascii() for i in [*ids, new_sweep_id()])
    assert run_id("swp01234", 7) == ids[7]
    assert run_id("other000", 7) != ids[7]
    # Written down: a sweep begun with an older version of selector must find its runs again.
    assert run_id("swp01234", 0) == "o2ekw0m0"
    assert new_sweep_id() != new_sweep_id()


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    write_safely(tmp_path / "f", b"old")

    def broken(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(OSError, match="No space left"):
        write_safely(tmp_path / "f", b"new")
    assert (tmp_path / "f").read_bytes() == b"old"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "is no ledger"),
        ("{", "is no ledger"),
        ("[]", "is no ledger"),
        ("{}", "is no ledger"),
        ('{"version": 1, "runs": [{"index": 0}]}', "is no ledger"),
        ('{"version": 1, "runs": 3, "sweep": "x"}', "is no ledger"),
        ('{"version": 2, "runs": []}', "another version"),
        ("[" * 100_000, "is no ledger"),
    ],
)
def test_refuses_what_is_no_ledger(tmp_path, content, reason):
    ledger_path(tmp_path).write_text(content)
    with pytest.raises(UserError, match=reason):
        read_ledger(tmp_path)


def test_a_named_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(ledger_path(tmp_path))
    with pytest.raises(UserError, match="not a regular file"):
        read_ledger(tmp_path)


@pytest.mark.parametrize(
    "changed",
    [
        {"index": "0"}, {"index": True}, {"index": -1}, {"config": []}, {"status": "finishd"},
        {"started": "now"}, {"ended": []}, {"exit_status": "1"}, {"reason": None}, {"objective": "0.5"},
        {"coordinates": 3}, {"pid": "1; rm"}, {"objective": nan}, {"config": {"x": [inf]}},
    ],
)  # fmt: skip
def test_refuses_values_that_were_never_written(tmp_path, changed):
    write_ledger(tmp_path, LEDGER)
    content = json.loads(ledger_path(tmp_path).read_text())
    content["runs"][0] |= changed
    ledger_path(tmp_path).write_text(json.dumps(content))
    with pytest.raises(UserError, match="is no ledger of a sweep"):
        read_ledger(tmp_path)


@pytest.mark.parametrize("changed", [
    {"seed": "0"}, {"planned": "5"}, {"planned": 5.0}, {"planned": -1}, {"planned": 0}, {"sweep_file": []},
    {"sweep_file": {"x": nan}},
])  # fmt: skip
def test_refuses_a_plan_that_was_never_written(tmp_path, changed):
    write_ledger(tmp_path, LEDGER)
    content = json.loads(ledger_path(tmp_path).read_text()) | changed
    ledger_path(tmp_path).write_text(json.dumps(content))
    with pytest.raises(UserError, match="is no ledger of a sweep"):
        read_ledger(tmp_path)


def test_refuses_two_runs_of_one_index(tmp_path):
    write_ledger(tmp_path, replace(LEDGER, runs=(RUN, replace(RUN, id="bbbbbbbb"))))
    with pytest.raises(UserError, match="is no ledger of a sweep"):
        read_ledger(tmp_path)


@pytest.mark.parametrize("name", ["../../x", "AAAAAAAA", "a/b", "", "aaaaaaaaa", 5])
def test_refuses_ids_that_could_be_paths(tmp_path, name):
    write_ledger(tmp_path, LEDGER)
    content = json.loads(ledger_path(tmp_path).read_text())
    content["runs"][0]["id"] = name
    ledger_path(tmp_path).write_text(json.dumps(content))
    with pytest.raises(UserError, match="where an id of 8 letters and digits belongs"):
        read_ledger(tmp_path)


def test_two_agents_cannot_have_the_same_folder(tmp_path):
    other = (
        "import sys; from pathlib import Path; from selector.sweeping.ledger import only_agent\n"
        "with only_agent(Path(sys.argv[1])):\n  print('locked', flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", other, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdin is not None
    process.stdout.readline()
    expected = rf"in use by another selector sweep \(process {process.pid}\)"
    with pytest.raises(UserError, match=expected) as error, only_agent(tmp_path):
        pass
    assert "\n" not in str(error.value)
    process.kill()  # the system lets go of the lock
    process.wait()
    process.stdin.close()
    process.stdout.close()
    with only_agent(tmp_path):
        pass


def test_a_sweep_that_is_over_has_no_agent_whoever_has_its_number_now(tmp_path):
    with only_agent(tmp_path):
        assert agent_of(tmp_path) == os.getpid()
    assert agent_of(tmp_path) is None
    (tmp_path / "lock").write_text(str(os.getpid()))  # what an agent that was killed leaves behind
    assert agent_of(tmp_path) is None
