"""A folder of runs: which files are found, how the files of one run become that run, what is said of it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from offline_files import age, leet_records, run_script, write_run

from selector.errors import UserError
from selector.record import RECORD, Record
from selector.runs import Last, Milestone, RunSet, read_source
from selector.selection.candidates import finished_runs, last_milestone
from selector.tracking.offline import find, read_offline

OURS = {"definition": {"version": 1}}


def states(found: RunSet) -> dict[str, str]:
    return {run.id: run.state for run in found.runs}


def test_the_runs_of_the_client(offline_folder: Path):
    found = read_offline(str(offline_folder))
    assert found.source == str(offline_folder)
    assert states(found) == {
        "complete": "finished",
        "failed": "failed",
        "long": "finished",
        "resumed": "finished",
        "stranger": "finished",
        "swept": "finished",
    }
    assert found.unreadable == ()
    assert found.warnings == (
        "holds runs of 2 projects; --project takes one of p, uncategorized",
        "no epoch is logged, so milestones are numbered by _step: stranger",
    )
    assert (found.planned, found.finish_command) == (None, "")


def test_a_resumed_run(offline_folder: Path, offline_files: dict[str, list[Path]]):
    run = next(run for run in read_offline(offline_folder).runs if run.id == "resumed")
    # The first process logged epochs 0, 1, 2, the second one 2, 3, 4 with 200 added.
    assert [(m.epoch, m.values["label_free/rankme"]) for m in run.milestones] == [
        (0, 0),
        (1, 1),
        (2, 202),
        (3, 203),
        (4, 204),
    ]
    assert run.directory == str(offline_files["resumed"][1].parent)


def test_a_run_of_a_sweep(offline_folder: Path):
    run = next(run for run in read_offline(offline_folder).runs if run.id == "swept")
    assert run.sweep_id == "sweepid1"
    # The sweep's own values win over those of the script.
    assert run.config == {"lr": 0.3, "optimizer": {"momentum": 0.9, "name": "sgd"}}


def test_a_killed_run(killed_file: Path, tmp_path: Path):
    shutil.copy(killed_file, tmp_path)
    (run,) = read_offline(tmp_path).runs
    assert (run.id, run.state) == ("killed", "running")
    age(tmp_path / killed_file.name, 11 * 60)
    (run,) = read_offline(tmp_path).runs
    assert run.state == "crashed"
    logged = [r["history"]["item"]["epoch"] for r in leet_records(killed_file) if r["type"] == "history"]
    assert [milestone.epoch for milestone in run.milestones] == logged


def test_any_folder_above_the_file(offline_folder: Path, offline_files: dict[str, list[Path]]):
    (file,) = offline_files["complete"]
    whole = read_offline(offline_folder)
    assert states(read_offline(offline_folder / "wandb")) == states(whole)
    assert len(read_offline(offline_folder.parent).runs) >= len(whole.runs)
    (alone,) = read_offline(file.parent).runs
    assert (alone.id, alone.config, len(alone.milestones)) == ("complete", whole.runs[0].config, 3)
    (latest,) = read_offline(offline_folder / "wandb" / "latest-run").runs
    assert latest.id == "swept"


def test_one_id_for_two_configurations_in_a_folder(tmp_path: Path):
    write_run(tmp_path / "a" / "run-x.wandb", "x", {"lr": 1}, started=1000)
    write_run(tmp_path / "b" / "run-x.wandb", "x", {"lr": 2}, started=2000)
    write_run(tmp_path / "c" / "run-y.wandb", "y", {"lr": 1})
    found = read_offline(tmp_path)
    assert states(found) == {"y": "finished"}
    (gone,) = found.unreadable
    assert gone.run == "x"
    assert "two configurations share this id: they differ in lr 1 and 2" in gone.reason
    assert "a/run-x.wandb" in gone.reason
    assert "b/run-x.wandb" in gone.reason


def test_a_copied_file_is_read_once(tmp_path: Path, offline_files: dict[str, list[Path]]):
    for name in ("a", "b"):
        shutil.copytree(
            offline_files["stranger"][0].parent, tmp_path / name / offline_files["stranger"][0].parent.name
        )
    found = read_offline(tmp_path)
    assert states(found) == {"stranger": "finished"}
    assert found.warnings[0] == "read the longest of several copies: stranger"


def test_a_damaged_file_takes_its_whole_run_out(tmp_path: Path):
    write_run(tmp_path / "a" / "run-x.wandb", "x", started=1000)
    file = write_run(tmp_path / "b" / "run-x.wandb", "x", started=2000)
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    found = read_offline(tmp_path)
    assert found.runs == ()
    (gone,) = found.unreadable
    assert gone.reason.startswith(f"{file} has a wrong checksum at byte ")


def test_an_empty_first_file_of_a_resumed_run(tmp_path: Path):
    """The first process was killed before W&B wrote anything; the second one did all the work."""
    write_run(tmp_path / "b" / "run-x.wandb", "x", rows=[{"epoch": 1, "a": 1}])
    (tmp_path / "run-x.wandb").write_bytes(b"")
    (tmp_path / "run-z.wandb").write_bytes(b"")
    found = read_offline(tmp_path)
    assert states(found) == {"x": "finished"}
    assert found.warnings == ("left out a second file or folder that holds nothing: x",)
    assert [(gone.run, "is empty" in gone.reason) for gone in found.unreadable] == [("z", True)]


def test_a_complete_run_whose_file_is_cut(tmp_path: Path):
    marked = {"completion/status": "completed", "completion/epoch": 1}
    file = write_run(tmp_path / "run-x.wandb", "x", OURS, [{"epoch": 1, "a": 1}], marked)
    file.write_bytes(file.read_bytes()[:-1])
    found = read_offline(tmp_path)
    assert states(found) == {"x": "finished"}
    assert found.warnings == ("complete, but the file ends too early: x",)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("gone", "there is no folder"),
        ("empty", "holds no run"),
        (".", "holds no run"),
        ("notes.txt", "is a file; name the folder"),
    ],
)
def test_no_runs(tmp_path: Path, name: str, text: str):
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(UserError, match=text):
        read_offline(tmp_path / name)


def touch(file: Path) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"")
    return file


def test_files_at_any_depth_in_the_order_of_paths(tmp_path: Path):
    files = [
        touch(tmp_path / "a" / "wandb" / "offline-run-20260101_000000-one" / "run-one.wandb"),
        touch(tmp_path / "b" / "wandb" / "run-20260101_000000-two" / "run-two.wandb"),
        touch(tmp_path / "moved.wandb"),
    ]
    touch(tmp_path / "run-one.wandb.synced")
    touch(tmp_path / "a" / "journal.log")
    found = find(tmp_path)
    assert sorted(found.files) == files
    assert found.files == find(tmp_path).files
    assert found.sweep_folders == [tmp_path / "a"]
    assert (found.runs, found.warnings) == ({}, [])


def test_each_file_once_whatever_links_to_it(tmp_path: Path):
    real = touch(tmp_path / "wandb" / "offline-run-20260101_000000-one" / "run-one.wandb")
    (tmp_path / "wandb" / "latest-run").symlink_to(real.parent.name)
    (tmp_path / "run-20260101_000000-one").symlink_to(real.parent)
    (tmp_path / "a.wandb").symlink_to(real)
    (real.parent / "loop").symlink_to(tmp_path)
    (tmp_path / "wandb" / "loop").symlink_to(tmp_path)
    assert [file.resolve() for file in find(tmp_path).files] == [real]


def test_what_cannot_be_read_is_reported(tmp_path: Path):
    (tmp_path / "offline-run-20260101_000000-bare" / "files").mkdir(parents=True)
    os.mkfifo(tmp_path / "run-pipe.wandb")
    (tmp_path / "run-broken.wandb").symlink_to(tmp_path / "gone")
    (tmp_path / "folder.wandb").mkdir()
    found = find(tmp_path)
    assert found.runs.keys() == {"bare", "pipe", "broken"}
    assert "holds no .wandb file" in found.runs["bare"].blank[0]
    assert "is not a regular file" in found.runs["pipe"].damaged[0]
    assert "cannot be read: No such file or directory" in found.runs["broken"].damaged[0]


def test_names_cannot_reach_the_terminal(tmp_path: Path):
    os.mkfifo(tmp_path / "run-\x1b[31m\n.wandb")
    (gone,) = find(tmp_path).runs.values()
    assert gone.damaged[0].isprintable()


FOREIGN = """
import wandb

def run(id, **options):
    return wandb.init(project=options.pop("project", "p"), id=id, **options)

for id, values, final in (("a", (1, 2, 3), 9.0), ("b", (1, 4, 5), 5.5)):
    r = run(id, config={"lr": final})
    for epoch, value in enumerate(values, 1):
        r.log({"epoch": epoch, "score": value})
    r.log({"score": final})
    r.finish()

r = run("w1")
for epoch in range(1, 6):
    r.log({"epoch": epoch, "score": float(epoch)})
r.finish()
r = run("w1", resume_from="w1?_step=1")
for epoch in (3, 4):
    r.log({"epoch": epoch, "score": 100.0 + epoch})
r.finish()

r = run("fork", fork_from="w1?_step=2")
r.log({"epoch": 4, "score": 204.0})
r.finish()

r = run("defined", project="other")
r.define_metric("score", summary="max")
for epoch, value in enumerate((3, 9, 1), 1):
    r.log({"epoch": epoch, "score": value})
r.summary["oracle"] = 0.5
r.finish()
"""


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Other people's runs, by W&B's own client."""
    folder = tmp_path_factory.mktemp("foreign")
    run_script(FOREIGN, folder)
    return folder


@pytest.mark.parametrize(
    ("run", "key", "expected"),
    [
        ("a", "score", Last(9.0, 3)),
        ("b", "score", Last(5.5, 3)),
        ("w1", "score", Last(104.0, 4)),
        ("fork", "score", Last(204.0, 4)),
        ("defined", "score", Last(9.0, 3, "max")),
        ("defined", "oracle", Last(0.5, 3, "summary")),
    ],
)
def test_what_other_peoples_runs_achieved(foreign: Path, run: str, key: str, expected: Last):
    (found,) = [one for one in read_offline(foreign).runs if one.id == run]
    assert found.last[key] == expected
    assert found.state == "finished"


def test_rows_that_were_taken_back_are_gone_and_a_fork_has_its_parents(foreign: Path):
    scores = {
        run.id: [(m.epoch, m.values["score"]) for m in run.milestones] for run in read_offline(foreign).runs
    }
    assert scores["w1"] == [(1, 1.0), (2, 2.0), (3, 103.0), (4, 104.0)]
    assert scores["fork"] == [(1, 1.0), (2, 2.0), (3, 103.0), (4, 204.0)]


def test_a_fork_of_a_run_that_is_elsewhere(tmp_path: Path):
    branch = {"run": "gone", "value": 3}
    write_run(tmp_path / "run-x.wandb", "x", rows=[{"epoch": 4, "a": 1.0}], branch_point=branch, forked=True)
    found = read_offline(tmp_path)
    assert [m.epoch for m in found.runs[0].milestones] == [4]
    assert found.warnings == ("forked from a run that is not here, so its first rows are missing: x",)


def test_two_runs_that_are_forks_of_each_other_end(tmp_path: Path):
    for run, parent in (("x", "y"), ("y", "x")):
        row = {"epoch": 4, "a": 1.0}
        write_run(tmp_path / f"run-{run}.wandb", run, rows=[row], branch_point={"run": parent, "value": 0})
    assert states(read_offline(tmp_path)) == {"x": "finished", "y": "finished"}


def recorded(folder: Path, id: str, *epochs: int, config: dict[str, Any] | None = None) -> Record:
    """The record of a run in a folder of runs, without an end."""
    record = Record(folder / "runs" / id, config or {"lr": 0.1}, tags=["t"], sweep_id="s1", project="p")
    record.define({"version": 1})
    for epoch in epochs:
        record.milestone(Milestone(epoch, {"label_free/rankme": 1.0 + epoch}))
    return record


def test_a_run_with_a_record_is_read_from_it_alone(tmp_path: Path):
    record = recorded(tmp_path, "a", 0, 5)
    record.end("completed", 5, checkpoint=record.path.with_name("milestone-0005.ckpt"))
    record.close()
    file = tmp_path / "wandb" / "offline-run-20260101_000000-a" / "run-a.wandb"
    write_run(file, "a", rows=[{"epoch": 9, "label_free/rankme": 7.0}])
    (tmp_path / "wandb" / "offline-run-20260101_000001-a").mkdir()
    file.with_name("run-b.wandb").write_bytes(b"damaged")
    found = read_offline(tmp_path)
    (run,) = found.runs
    assert (run.id, run.name, run.state, run.detail) == ("a", "a", "finished", "")
    assert [(m.epoch, m.values) for m in run.milestones] == [
        (0, {"label_free/rankme": 1.0}),
        (5, {"label_free/rankme": 6.0}),
    ]
    assert (run.config, run.definition, run.counted_by) == ({"lr": 0.1}, {"version": 1}, "epoch")
    assert (run.tags, run.sweep_id, run.project) == (("t",), "s1", "p")
    assert run.checkpoint == str(tmp_path / "runs" / "a" / "milestone-0005.ckpt")
    assert run.directory == str(tmp_path / "runs" / "a")
    assert run.trained_milestones == run.milestones[1:]
    assert ([gone.run for gone in found.unreadable], found.warnings) == (["b"], ())
    for place in (tmp_path / "runs", tmp_path / "runs" / "a", tmp_path / "runs" / "a" / RECORD):
        assert read_source(str(place)).runs == (run,)


@pytest.mark.parametrize(
    ("end", "state", "detail"),
    [
        (("completed", 5), "finished", ""),
        (("diverged", 3, "loss became nan in epoch 3"), "diverged", "loss became nan in epoch 3"),
        (("diverged", 3), "diverged", "loss became nan or infinite in epoch 3"),
        (("stopped", 5, "hyperband"), "stopped", "hyperband"),
        (("interrupted", 5, "SIGTERM"), "interrupted", "SIGTERM, after its milestone 5"),
        (("failed", 5, "no such file"), "failed", "no such file"),
        (None, "crashed", "was killed, or its machine has died: run.jsonl has no end"),
    ],
)
def test_how_a_run_with_a_record_ended(tmp_path: Path, end: Any, state: str, detail: str):
    record = recorded(tmp_path, "a", 0, 5)
    (run,) = read_offline(tmp_path).runs
    assert (run.state, run.detail) == ("running", "has not ended")  # this process holds the record
    if end:
        record.end(*end)
    record.close()
    (run,) = read_offline(tmp_path).runs
    assert (run.state, run.detail) == (state, detail)


def test_a_run_that_was_killed_is_known_at_once(tmp_path: Path):
    script = f"""
from selector.record import Record
from selector.runs import Milestone
record = Record({str(tmp_path / "a")!r}, {{}})
record.milestone(Milestone(1, {{"x": 1.0}}))
print("written", flush=True)
input()
"""
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"written\n"
        assert states(read_offline(tmp_path)) == {"a": "running"}
        with pytest.raises(UserError, match="is being written by another process"):
            Record(tmp_path / "a", {})
        process.kill()
    (run,) = read_offline(tmp_path).runs
    assert (run.state, [m.epoch for m in run.milestones]) == ("crashed", [1])


def test_of_another_machine_the_age_of_the_files_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("platform.node", lambda: "elsewhere")
    record = recorded(tmp_path, "a", 1)
    record.close()
    monkeypatch.undo()
    assert states(read_offline(tmp_path)) == {"a": "running"}
    age(record.path, 11 * 60)
    assert states(read_offline(tmp_path)) == {"a": "crashed"}
    record.path.with_name("last.ckpt").touch()  # a long time between two milestones
    assert states(read_offline(tmp_path)) == {"a": "running"}


def test_a_damaged_record_keeps_what_came_before(tmp_path: Path):
    record = recorded(tmp_path, "a", 0, 5)
    record.end("completed", 5)
    record.close()
    lines = record.path.read_bytes().splitlines(keepends=True)
    record.path.write_bytes(b"".join([*lines[:3], lines[3].replace(b"6.0", b"9.0"), *lines[4:]]))
    (run,) = read_offline(tmp_path).runs
    assert (run.state, [m.epoch for m in run.milestones]) == ("crashed", [0])
    assert "line 4 of" in run.detail
    record.path.write_bytes(b"nothing")
    assert [gone.run for gone in read_offline(tmp_path).unreadable] == ["a"]


def test_two_records_of_one_id(tmp_path: Path):
    record = recorded(tmp_path, "a", 0, 5)
    record.end("completed", 5)
    record.close()
    shutil.copytree(record.path.parent, tmp_path / "backup" / "a")
    found = read_offline(tmp_path)
    assert (states(found), found.warnings) == ({"a": "finished"}, ("read the longest of several copies: a",))
    recorded(tmp_path / "other", "a", 0).close()
    found = read_offline(tmp_path)
    assert found.runs == ()
    assert "two runs share this id" in found.unreadable[0].reason


def test_two_runs_that_logged_nothing_that_is_read_are_not_one(tmp_path: Path):
    for id in "ab":
        write_run(tmp_path / f"run-{id}.wandb", id, {"lr": 1}, rows=[{"epoch": 1, "text": "x"}])
    for id, score in (("c", 1.0), ("d", 2.0), ("e", 2.0)):
        rows = [{"epoch": 1}, {"score": score}]
        write_run(tmp_path / f"run-{id}.wandb", id, {"lr": 2}, rows=rows)
    finished, excluded = finished_runs(read_offline(tmp_path))
    assert [run.id for run in finished] == ["a", "b", "c", "d"]
    assert [(gone.run, gone.category) for gone in excluded] == [("e", "duplicate")]
    row = last_milestone(finished[2], "score")
    assert row is not None
    assert (row.epoch, row.values["score"]) == (1, 1.0)


@pytest.mark.parametrize(
    ("limit", "value", "reason"),
    [("MOST_ROWS", 2, "holds more than 2 rows"), ("MOST_SECONDS", 0.0, "rows in 0 s, the longest")],
)
def test_a_run_that_is_too_long_is_named_and_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, value: float, reason: str
):
    write_run(tmp_path / "run-long.wandb", "long", {}, [{"epoch": epoch, "a": 1} for epoch in range(3)])
    monkeypatch.setattr(f"selector.tracking.offline_file.{limit}", value)
    (gone,) = read_offline(tmp_path).unreadable
    assert gone.run == "long"
    assert reason in gone.reason
