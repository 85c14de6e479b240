import fcntl
import json
import shlex
from hashlib import sha256
from pathlib import Path

import pytest
from offline_files import age, write_run

from selector.runs import RunSet
from selector.selection.candidates import finished_runs
from selector.sweeping.state import VERSION, Status, SweepState, agent_lock, run_id, write_note
from selector.tracking.offline import read_offline

MARKED = {"completion/status": "completed", "completion/epoch": 1}


def names(folder: Path) -> list[str]:
    """Ids of the first runs of the sweep in a folder."""
    return [run_id(sweep_id(folder), index) for index in range(4)]


def sweep_id(folder: Path) -> str:
    return sha256(str(folder).encode()).hexdigest()[:8]


def write_sweep(
    folder: Path, *ends: tuple[Status, str], planned: int | None = 4, files: tuple[int, ...] = ()
) -> Path:
    """A sweep folder: its ledger with how each run ended and why, and W&B files of some of them."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sweep.yaml").write_text("method: grid\n")
    header = {"version": VERSION, "sweep": sweep_id(folder), "seed": 0, "planned": planned, "sweep_file": {}}
    trials = [header]
    for status, reason in ends:
        end = {} if status == "running" else {"end": {"status": status, "reason": reason}}
        trials.append({"agent": "aaaaaaaa", "machine": "here", "config": {"lr": 1}, **end})
    lines = [json.dumps({"op_code": 4, "user_attrs": trial}) + "\n" for trial in trials]
    (folder / "journal.log").write_text("".join(lines))
    for index in files:
        done = ends[index][0] == "finished"
        write_file(folder, names(folder)[index], done)
    return folder


def write_file(folder: Path, run: str, done: bool = True) -> Path:
    file = folder / "wandb" / f"offline-run-20260101_000000-{run}" / f"run-{run}.wandb"
    config = {"run": run, "definition": {"version": 1}}
    return write_run(file, run, config, [{"epoch": 1, "a": 1}], MARKED if done else None, 0 if done else None)


DONE: tuple[Status, str] = ("finished", "")
STOPPED: tuple[Status, str] = ("stopped", "hyperband at epoch 1")


def states(found: RunSet) -> dict[str, str]:
    return {run.id: run.state for run in found.runs}


def test_a_finished_sweep(tmp_path: Path):
    write_sweep(tmp_path, DONE, DONE, planned=2, files=(0, 1))
    found = read_offline(tmp_path)
    assert (found.planned, found.finish_command, found.warnings, found.unreadable) == (2, "", (), ())


def test_an_interrupted_sweep_says_how_it_is_finished(tmp_path: Path):
    folder = write_sweep(tmp_path / "my sweep; rm -rf", DONE, files=(0,))
    found = read_offline(folder)
    assert found.planned == 4
    yaml = str(folder / "sweep.yaml")
    assert shlex.split(found.finish_command) == ["selector", "sweep", yaml, "--directory", str(folder)]
    assert found.warnings == (f"3 of the 4 runs planned in {folder} were never started",)


def test_runs_that_the_sweep_stopped_or_saw_fail(tmp_path: Path):
    ends: list[tuple[Status, str]] = [
        STOPPED,
        ("interrupted", "Ctrl-C"),
        ("failed", "no such \x1b[31mfile"),
        ("running", ""),
    ]
    write_sweep(tmp_path, *ends, files=(0, 1, 3))
    a, b, c, d = names(tmp_path)
    found = read_offline(tmp_path)
    # The files are young, but the ledger saw the process of the second run end.
    assert states(found) == {a: "stopped", b: "interrupted", d: "running"}
    assert {run.id: run.detail for run in found.runs if run.id != d} == {a: STOPPED[1], b: "Ctrl-C"}
    (gone,) = found.unreadable
    assert (gone.run, gone.reason) == (c, "failed before it wrote anything: no such  [31mfile")
    assert "selector sweep" in found.finish_command
    age(write_file(tmp_path, d, done=False), 700)  # its agent may be gone, too
    assert states(read_offline(tmp_path))[d] == "crashed"


@pytest.mark.parametrize("inside", ["wandb", "."])
def test_the_folders_of_a_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inside: str):
    folder = write_sweep(tmp_path, STOPPED, ("failed", ""), files=(0,))
    stopped, failed, *_ = names(folder)
    found = read_offline(folder / inside)
    assert (found.planned, states(found)) == (4, {stopped: "stopped"})
    assert [gone.run for gone in found.unreadable] == [failed]
    monkeypatch.chdir(folder / "wandb")
    assert read_offline(".").planned == 4


def test_the_folder_of_one_run_is_not_the_sweep(tmp_path: Path):
    folder = write_sweep(tmp_path, STOPPED, ("failed", ""), files=(0,))
    (run_folder,) = (folder / "wandb").iterdir()
    found = read_offline(run_folder)
    assert (states(found), found.planned) == ({names(folder)[0]: "stopped"}, None)
    assert (found.unreadable, found.finish_command, found.warnings) == ((), "", ())


def test_a_tree_of_sweeps(tmp_path: Path):
    for name, planned in (("a", 1), ("b", 3), ("c", 2)):
        write_sweep(tmp_path / name, DONE, planned=planned, files=(0,))
    found = read_offline(tmp_path)
    assert (found.planned, len(found.runs)) == (6, 3)
    first, second = found.finish_command.split(" && ")
    assert (first.endswith("/b"), second.endswith("/c")) == (True, True)


def test_what_was_planned_is_unknown_where_a_run_is_of_no_sweep(tmp_path: Path):
    write_sweep(tmp_path, DONE, planned=1, files=(0,))
    write_run(tmp_path / "run-other.wandb", "other")
    assert read_offline(tmp_path).planned is None


def test_a_sweep_without_an_end(tmp_path: Path):
    write_sweep(tmp_path, DONE, planned=None, files=(0,))
    found = read_offline(tmp_path)
    assert (found.planned, found.finish_command) == (None, "")
    write_sweep(tmp_path, DONE, ("interrupted", ""), planned=None)
    assert "selector sweep" in read_offline(tmp_path).finish_command


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (("failed", "exit status 2"), "failed before it wrote anything: exit status 2"),
        (("interrupted", "stopped by SIGINT"), "interrupted before it wrote anything: stopped by SIGINT"),
        (("running", ""), "was killed, or its machine has died, before it wrote anything"),
        (("finished", ""), "finished, but its files are gone or cannot be read"),
        (("stopped", ""), "stopped, but its files are gone or cannot be read"),
    ],
)
def test_a_run_without_files(tmp_path: Path, end: tuple[Status, str], reason: str):
    write_sweep(tmp_path, end)
    found = read_offline(tmp_path)
    assert (found.runs, [gone.reason for gone in found.unreadable]) == ((), [reason])


@pytest.mark.parametrize("folder_made", [False, True])
def test_a_running_run_without_files_is_running(tmp_path: Path, folder_made: bool):
    folder = write_sweep(tmp_path, ("running", ""), planned=1)
    if folder_made:  # by W&B's client, which has written no row
        (folder / "wandb" / f"offline-run-20260101_000000-{names(folder)[0]}").mkdir(parents=True)
    agent = agent_lock(folder, "aaaaaaaa")
    agent.parent.mkdir()
    with agent.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = read_offline(folder)
    (run,) = found.runs
    assert (run.state, run.detail, run.config) == ("running", "has written nothing yet", {"lr": 1})
    assert (found.unreadable, found.ended, found.finish_command) == ((), False, "")
    (gone,) = finished_runs(found)[1]
    assert (gone.category, gone.reason) == ("running", "running: has written nothing yet")


def test_a_ledger_that_is_none(tmp_path: Path):
    folder = write_sweep(tmp_path, DONE, planned=1, files=(0,))
    (folder / "journal.log").write_text("{\n")
    found = read_offline(folder)
    assert (states(found), found.planned) == ({names(folder)[0]: "finished"}, None)
    assert found.warnings == (f"how many runs {folder} planned is not known: its ledger is not readable",)
    (folder / "sweep.yaml").unlink()  # some other program's journal.log
    assert read_offline(folder).warnings == ()


def test_a_sweep_that_is_going_on_is_not_to_be_started(tmp_path: Path):
    folder = write_sweep(tmp_path, DONE, ("running", ""), files=(0,))
    agent = agent_lock(folder, "agent000")
    agent.parent.mkdir()
    with agent.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = read_offline(folder)
    assert (found.ended, found.finish_command) == (False, "")
    assert found.warnings == (
        f"2 of the 4 runs planned in {folder} have not begun yet: the sweep is going on",
    )


def test_a_sweep_that_a_database_keeps(tmp_path: Path):
    write_note(SweepState(tmp_path, "sweepid1", 0, 3, {}), "postgresql://user:***@host/name")
    (tmp_path / "sweep.yaml").write_text("method: grid\n")
    run = run_id("sweepid1", 1)
    write_file(tmp_path, run)
    found = read_offline(tmp_path)
    assert (states(found), found.planned) == ({run: "finished"}, 3)
    assert found.warnings == (
        f"2 of the 3 runs planned in {tmp_path} have written nothing here; whether they have begun, only"
        " postgresql://user:***@host/name knows",
    )
    assert shlex.split(found.finish_command)[-2:] == ["--storage", "postgresql://user:***@host/name"]
