import fcntl
import json
import shlex
from pathlib import Path

import pytest
from offline_files import age, write_run

from selector.runs import RunSet
from selector.sweeping.state import Status, SweepState, agent_lock, run_id, write_note
from selector.tracking.offline import read_offline

MARKED = {"completion/status": "completed", "completion/epoch": 1}


def entry(index: int, status: Status, reason: str = "") -> dict:
    return {
        "index": index, "id": f"runid{index:03d}", "config": {"lr": index}, "status": status,
        "reason": reason, "exit_status": None, "objective": None,
    }  # fmt: skip


def write_sweep(folder: Path, *entries: dict, planned: int | None = 4, files: tuple[int, ...] = ()) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sweep.yaml").write_text("method: grid\n")
    ledger = {"version": 1, "sweep": "sweepid1", "seed": 0, "planned": planned, "sweep_file": {}}
    (folder / "ledger.json").write_text(json.dumps(ledger | {"runs": entries}))
    for index in files:
        run = f"runid{index:03d}"
        file = folder / "wandb" / f"offline-run-20260101_00000{index}-{run}" / f"run-{run}.wandb"
        done = next((e["status"] == "finished" for e in entries if e["id"] == run), True)
        config = {"lr": index, "definition": {"version": 1}}
        write_run(file, run, config, [{"epoch": 1, "a": 1}], MARKED if done else None, 0 if done else None)
    return folder


def states(found: RunSet) -> dict[str, str]:
    return {run.id: run.state for run in found.runs}


def test_a_finished_sweep(tmp_path: Path):
    write_sweep(tmp_path, entry(0, "finished"), entry(1, "finished"), planned=2, files=(0, 1))
    found = read_offline(tmp_path)
    assert (found.planned, found.finish_command, found.warnings, found.unreadable) == (2, "", (), ())


def test_an_interrupted_sweep_says_how_it_is_finished(tmp_path: Path):
    folder = write_sweep(tmp_path / "my sweep; rm -rf", entry(0, "finished"), files=(0,))
    found = read_offline(folder)
    assert found.planned == 4
    yaml = str(folder / "sweep.yaml")
    assert shlex.split(found.finish_command) == ["selector", "sweep", yaml, "--directory", str(folder)]
    assert found.warnings == (f"3 of the 4 runs planned in {folder} were never started",)


def test_runs_that_the_sweep_stopped_or_saw_fail(tmp_path: Path):
    write_sweep(
        tmp_path,
        entry(0, "stopped", "hyperband at epoch 1"),
        entry(1, "interrupted", "Ctrl-C"),
        entry(2, "failed", "no such \x1b[31mfile"),
        entry(3, "running"),
        files=(0, 1, 3),
    )
    found = read_offline(tmp_path)
    # The files are young, but the ledger saw the process of run 1 end.
    assert states(found) == {"runid000": "stopped", "runid001": "interrupted", "runid003": "running"}
    assert [run.detail for run in found.runs[:2]] == ["hyperband at epoch 1", "Ctrl-C"]
    (gone,) = found.unreadable
    assert gone.run == "runid002"
    assert gone.reason == "failed before it wrote anything: no such  [31mfile"
    assert "selector sweep" in found.finish_command


@pytest.mark.parametrize("inside", ["wandb", "."])
def test_the_folders_of_a_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inside: str):
    folder = write_sweep(tmp_path, entry(0, "stopped", "hyperband"), entry(1, "failed"), files=(0,))
    found = read_offline(folder / inside)
    assert (found.planned, states(found)) == (4, {"runid000": "stopped"})
    assert [gone.run for gone in found.unreadable] == ["runid001"]
    monkeypatch.chdir(folder / "wandb")
    assert read_offline(".").planned == 4


def test_the_folder_of_one_run_is_not_the_sweep(tmp_path: Path):
    folder = write_sweep(tmp_path, entry(0, "stopped", "hyperband"), entry(1, "failed"), files=(0,))
    (run_folder,) = (folder / "wandb").iterdir()
    found = read_offline(run_folder)
    assert (states(found), found.planned) == ({"runid000": "stopped"}, None)
    assert (found.unreadable, found.finish_command, found.warnings) == ((), "", ())


def test_a_tree_of_sweeps(tmp_path: Path):
    write_sweep(tmp_path / "a", entry(0, "finished"), planned=1, files=(0,))
    write_sweep(tmp_path / "b", entry(1, "finished"), planned=3, files=(1,))
    write_sweep(tmp_path / "c", entry(2, "finished"), planned=2, files=(2,))
    found = read_offline(tmp_path)
    assert (found.planned, len(found.runs)) == (6, 3)
    first, second = found.finish_command.split(" && ")
    assert (first.endswith("/b"), second.endswith("/c")) == (True, True)


def test_what_was_planned_is_unknown_where_a_run_is_of_no_sweep(tmp_path: Path):
    write_sweep(tmp_path, entry(0, "finished"), planned=1, files=(0,))
    write_run(tmp_path / "run-other.wandb", "other")
    assert read_offline(tmp_path).planned is None


def test_a_sweep_without_an_end(tmp_path: Path):
    write_sweep(tmp_path, entry(0, "finished"), planned=None, files=(0,))
    found = read_offline(tmp_path)
    assert (found.planned, found.finish_command) == (None, "")
    write_sweep(tmp_path, entry(0, "finished"), entry(1, "interrupted"), planned=None)
    assert "selector sweep" in read_offline(tmp_path).finish_command


def test_a_sweep_of_which_nothing_was_written(tmp_path: Path):
    write_sweep(tmp_path, entry(0, "failed", "exit status 2"))
    found = read_offline(tmp_path)
    assert found.runs == ()
    assert [gone.reason for gone in found.unreadable] == ["failed before it wrote anything: exit status 2"]


@pytest.mark.parametrize("status", ["finished", "stopped"])
def test_a_run_that_was_done_had_files(tmp_path: Path, status: Status):
    write_sweep(tmp_path, entry(0, status))
    (gone,) = read_offline(tmp_path).unreadable
    assert gone.reason == f"{status}, but its files are gone or cannot be read"


def test_a_ledger_that_is_none(tmp_path: Path):
    folder = write_sweep(tmp_path, entry(0, "finished"), planned=1, files=(0,))
    (folder / "ledger.json").write_text("{")
    found = read_offline(folder)
    assert (states(found), found.planned) == ({"runid000": "finished"}, None)
    assert found.warnings == (f"how many runs {folder} planned is not known: its ledger is not readable",)
    (folder / "sweep.yaml").unlink()  # some other program's ledger.json
    assert read_offline(folder).warnings == ()


def test_a_run_that_is_tried_again_is_running(tmp_path: Path):
    folder = write_sweep(tmp_path, entry(0, "running"), files=(0,))
    assert states(read_offline(folder)) == {"runid000": "running"}
    (file,) = folder.glob("wandb/*/run-*.wandb")
    age(file, 700)
    assert states(read_offline(folder)) == {"runid000": "crashed"}


def test_a_sweep_that_is_going_on_is_not_to_be_started(tmp_path: Path):
    folder = write_sweep(tmp_path, entry(0, "finished"), entry(1, "running"), files=(0,))
    agent = agent_lock(folder, "agent000")
    agent.parent.mkdir()
    with agent.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = read_offline(folder)
    assert (found.ended, found.finish_command) == (False, "")
    assert found.warnings == (
        f"2 of the 4 runs planned in {folder} have not begun yet: the sweep is going on",
    )
    assert [gone.reason for gone in found.unreadable] == ["running, but it has written nothing yet"]


def test_a_sweep_that_a_database_keeps(tmp_path: Path):
    state = SweepState(tmp_path, "sweepid1", 0, 3, {})
    write_note(state, "postgresql://user:***@host/name")
    (tmp_path / "sweep.yaml").write_text("method: grid\n")
    run = run_id("sweepid1", 1)
    file = tmp_path / "wandb" / f"offline-run-20260101_000000-{run}" / f"run-{run}.wandb"
    write_run(file, run, {"lr": 1, "definition": {"version": 1}}, [{"epoch": 1, "a": 1}], MARKED, 0)
    found = read_offline(tmp_path)
    assert (states(found), found.planned) == ({run: "finished"}, 3)
    assert found.warnings == (
        f"2 of the 3 runs planned in {tmp_path} have written nothing here; whether they have begun, only"
        " postgresql://user:***@host/name knows",
    )
    assert shlex.split(found.finish_command)[-2:] == ["--storage", "postgresql://user:***@host/name"]
