import os
import shlex
import threading

import pytest

from selector.errors import UserError
from selector.sweeping.ledger import read_ledger
from selector.sweeping.sweep_file import read_sweep_file
from selector.sweeping.sweep_folder import finish_command, first_difference, open_sweep, planned_runs

GRID = "program: p.py\nmethod: grid\nparameters: {x: {values: [1, 2, 3]}}\n"
RANDOM = "program: p.py\nmethod: random\nparameters: {x: {values: [1, 2, 3]}}\n"


@pytest.mark.parametrize(
    ("text", "count", "planned"),
    [
        (GRID, None, 3),
        (GRID, 2, 2),
        (GRID, 9, 3),
        (GRID + "run_cap: 1", 2, 1),
        (RANDOM, None, None),
        (RANDOM, 4, 4),
        (RANDOM + "run_cap: 6", None, 6),
        (RANDOM + "run_cap: 6", 4, 4),
        (RANDOM + "run_cap: 6", 9, 6),
    ],
)
def test_number_of_runs_is_the_least_of_all_limits(read, text, count, planned):
    assert planned_runs(read(text), count) == planned


def test_a_new_sweep_is_written_down(read, tmp_path):
    sweep = read("# a comment\n" + RANDOM)
    ledger = open_sweep(tmp_path, sweep, 4, 7)
    assert read_ledger(tmp_path) == ledger
    assert (ledger.seed, ledger.planned, ledger.runs) == (7, 4, ())
    assert (tmp_path / "sweep.yaml").read_text() == "# a comment\n" + RANDOM
    assert (tmp_path / "wandb" / f"sweep-{ledger.sweep}").is_dir()


def test_a_source_that_can_be_read_only_once(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=(RANDOM,), daemon=True)
    writer.start()
    sweep = read_sweep_file(pipe)
    writer.join()
    pipe.unlink()
    open_sweep(tmp_path, sweep, 4, 7)
    assert (tmp_path / "sweep.yaml").read_text() == RANDOM


def test_an_opened_sweep_keeps_id_seed_and_count(read, tmp_path):
    first = open_sweep(tmp_path, read(RANDOM), 4, 7)
    assert open_sweep(tmp_path, read("# another comment\n" + RANDOM), None, None) == first
    assert open_sweep(tmp_path, read(RANDOM), 6, 7).planned == 6
    assert open_sweep(tmp_path, read(RANDOM), None, None).planned == 6


def test_refuses_another_sweep_and_says_what_differs(read, tmp_path):
    open_sweep(tmp_path, read(RANDOM), None, None)
    with pytest.raises(UserError, match=r"another sweep: parameters.x.values was \[1, 2, 3\], now \[1, 2\]"):
        open_sweep(tmp_path, read(RANDOM.replace(", 3", "")), None, None)
    with pytest.raises(UserError, match="seed 0, got --seed 1"):
        open_sweep(tmp_path, read(RANDOM), None, 1)


def test_refuses_a_folder_with_runs_of_something_else(read, tmp_path):
    (tmp_path / "wandb").mkdir()
    with pytest.raises(UserError, match="holds W&B runs but no sweep"):
        open_sweep(tmp_path, read(RANDOM), None, None)
    assert not (tmp_path / "ledger.json").exists()


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


def test_the_command_to_continue_can_be_pasted_into_a_shell(tmp_path):
    folder = tmp_path / "my runs; rm -rf x"
    words = shlex.split(finish_command("sweeps/my sweep.yaml", folder))
    assert words == ["selector", "sweep", "sweeps/my sweep.yaml", "--directory", str(folder)]
