import os
import sys
import threading

import pytest

from selector.errors import UserError
from selector.sweeping.state import Agent, read_sweep
from selector.sweeping.storage import Ledger, first_difference, open_ledger
from selector.sweeping.sweep_file import read_sweep_file

RANDOM = "program: p.py\nmethod: random\nparameters: {x: {values: [1, 2, 3]}}\n"
ME, YOU = Agent("aaaaaaaa", "here"), Agent("bbbbbbbb", "there")


def opened(directory, planned=4) -> Ledger:
    return Ledger(directory, None, 3, planned, {"method": "random", "metric": {"goal": "maximize"}})


def test_what_is_written_is_what_every_other_process_reads_with_optuna_or_without(tmp_path):
    ledger, other = opened(tmp_path), opened(tmp_path)
    run = ledger.begin(ME)
    run = ledger.note(run, config={"x": {"y": [1, None]}}, coordinates={"x": 0.25}, pid=7)
    ledger.report(run, [1.0, 2.0])
    assert ledger.end(run, "stopped", "hyperband", -15, 2.0).done
    failed = ledger.end(ledger.begin(ME), "failed", "why", 1, None)
    assert ledger.begin(YOU, failed).attempt == 1
    ledger.plan(None)
    assert other.refresh() == ledger.state == read_sweep(tmp_path)
    first, second = ledger.state.runs
    assert (first.values, first.pid, first.objective, first.coordinates) == ((1.0, 2.0), 7, 2.0, {"x": 0.25})
    assert (second.status, second.failures, second.agent) == ("running", 1, YOU)
    assert ledger.state.planned is None


def test_only_one_process_takes_up_a_run(tmp_path):
    ledger, other = opened(tmp_path), opened(tmp_path)
    run = ledger.begin(ME)
    found = other.refresh().runs[0]
    assert other.begin(YOU, found).agent == YOU
    assert ledger.begin(ME, found) is None  # it looked before the other had taken it
    # What the first agent still writes about the run does not count.
    ledger.end(run, "finished", "", 0, 1.0)
    assert (ledger.state.runs[0].status, ledger.state.runs[0].agent) == ("running", YOU)


def test_a_run_that_two_took_when_one_was_left_is_given_back(tmp_path):
    ledger, other = opened(tmp_path, planned=1), opened(tmp_path, planned=1)
    ledger.note(ledger.begin(ME), config={"x": 1})
    assert other.begin(YOU) is None
    assert [run.agent for run in other.state.runs] == [ME]


@pytest.mark.parametrize("keep", [1, 30])
def test_a_line_that_a_kill_cut_short_is_taken_away(tmp_path, keep):
    ledger = opened(tmp_path)
    run = ledger.begin(ME)
    with (tmp_path / "journal.log").open("ab") as file:
        file.write(b'{"op_code":8,"worker_id":"0123456789","trial'[:keep])
    ledger.end(run, "finished", "", 0, 1.0)
    assert opened(tmp_path).state.runs[0].status == "finished"
    assert read_sweep(tmp_path) == ledger.state


def test_a_damaged_journal_and_a_database_that_is_not_there_are_one_line(tmp_path, monkeypatch):
    opened(tmp_path)
    with (tmp_path / "journal.log").open("ab") as file:
        file.write(b"damage\nmore\n")
    with pytest.raises(UserError, match=r"journal.log is not the ledger of a sweep") as damaged:
        opened(tmp_path)
    with pytest.raises(UserError, match=r"cannot use the storage sqlite:////no/such/place: ") as missing:
        Ledger(tmp_path, "sqlite:////no/such/place", 0, None, {})
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(UserError, match=r"psycopg.*: for PostgreSQL, pip install") as driver:
        Ledger(tmp_path, "postgresql+psycopg://127.0.0.1:1/x", 0, None, {})
    assert "\n" not in f"{damaged.value}{missing.value}{driver.value}"


# Opening


def open_sweep(directory, sweep, count=None, seed=None, storage=None) -> Ledger:
    return open_ledger(directory, sweep, count, seed, storage)


def test_a_source_that_can_be_read_only_once(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=(RANDOM,), daemon=True)
    writer.start()
    sweep = read_sweep_file(pipe)
    writer.join()
    open_sweep(tmp_path, sweep, 4, 7)
    assert (tmp_path / "sweep.yaml").read_text() == RANDOM


def test_an_opened_sweep_keeps_id_seed_and_count(read, tmp_path):
    first = open_sweep(tmp_path, read(RANDOM), 4, 7).state
    assert (first.seed, first.planned, first.runs) == (7, 4, ())
    assert open_sweep(tmp_path, read("# a comment\n" + RANDOM)).state == first
    assert open_sweep(tmp_path, read(RANDOM), 6, 7).state.planned == 6
    assert open_sweep(tmp_path, read(RANDOM)).state.planned == 6


def test_refuses_another_sweep_and_says_what_differs(read, tmp_path):
    open_sweep(tmp_path, read(RANDOM))
    with pytest.raises(UserError, match=r"another sweep: parameters.x.values was \[1, 2, 3\], now \[1, 2\]"):
        open_sweep(tmp_path, read(RANDOM.replace(", 3", "")))
    with pytest.raises(UserError, match="seed 0, got --seed 1"):
        open_sweep(tmp_path, read(RANDOM), None, 1)


def test_refuses_a_folder_with_something_else(read, tmp_path):
    (tmp_path / "wandb").mkdir()
    with pytest.raises(UserError, match="holds W&B runs but no sweep"):
        open_sweep(tmp_path, read(RANDOM))
    assert [path.name for path in tmp_path.iterdir() if path.name != "sweep.yaml"] == ["wandb"]


def test_a_folder_and_a_database_belong_together(read, tmp_path):
    here, there, other = (tmp_path / name for name in ("here", "there", "other"))
    for folder in (here, there, other):
        folder.mkdir()
    database = f"sqlite:///{tmp_path}/one.db"
    open_sweep(here, read(RANDOM))
    with pytest.raises(
        UserError, match=r"here holds a sweep that its journal.log keeps; leave out --storage"
    ):
        open_sweep(here, read(RANDOM), storage=database)
    open_sweep(there, read(RANDOM), storage=database)
    assert read_sweep(there).storage == database
    with pytest.raises(UserError, match=r"there holds a sweep that sqlite:.* keeps; name it with --storage"):
        open_sweep(there, read(RANDOM))
    with pytest.raises(UserError, match=r"there holds another sweep than sqlite:.*two.db"):
        open_sweep(there, read(RANDOM), storage=database.replace("one", "two"))


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        ({"a": 1, "b": {"c": [1]}}, {"b": {"c": [1]}, "a": 1}, ""),
        ({"a": 1}, {}, "a was 1 and is gone"),
        ({}, {"a": 1}, "a is new: 1"),
        ({"a": {"b": 1}}, {"a": {"b": 2}}, "a.b was 1, now 2"),
        ({"a": 1}, {"a": 1.0}, "a was 1, now 1.0"),
        ({"a": 1}, {"a": True}, "a was 1, now True"),
        ({"a": [1]}, {"a": [1.0]}, "a was [1], now [1.0]"),
        ({"a": {"b": 1}}, {"a": 1}, "a was {'b': 1}, now 1"),
    ],
)
def test_first_difference(before, now, expected):
    assert first_difference(before, now, "") == expected


@pytest.mark.parametrize("url", ["photos", "postgres//host/name", "mongodb://user:secret@host/name"])
def test_a_url_of_no_database_is_refused_before_anything_is_tried(tmp_path, url):
    with pytest.raises(UserError, match="must be the URL of a database, such as postgresql://") as refused:
        Ledger(tmp_path, url, 3, 4, {"method": "random"})
    assert "secret" not in str(refused.value)
