import os
import shutil
from pathlib import Path

import pytest
from offline_files import age, leet_records, write_run

from selector.errors import UserError
from selector.runs import RunSet
from selector.tracking.wandb_offline import read_offline

OURS = {"definition": {"version": 1}}


def states(found: RunSet) -> dict[str, str]:
    return {run.id: run.state for run in found.runs}


def test_the_runs_of_the_client(offline_folder: Path):
    found = read_offline(str(offline_folder))
    assert found.source == str(offline_folder)
    assert states(found) == {
        "complete": "finished", "failed": "failed", "long": "finished", "resumed": "finished",
        "stranger": "finished", "swept": "finished",
    }  # fmt: skip
    assert found.unreadable == ()
    assert found.warnings == (
        "merged by epoch what several processes logged, each after a resume: resumed",
        "no epoch is logged, so milestones are numbered by _step: stranger",
    )
    assert (found.planned, found.finish_command) == (None, "")


def test_a_run_of_train_py(offline_folder: Path):
    run = read_offline(offline_folder).runs[0]
    assert (run.id, run.name, run.group, run.job_type) == ("complete", "näme [red]\x1b[31m", "g", "train")
    assert run.config == {
        "method": "simclr", "learning_rate": 0.5, "optimizer": {"name": "sgd", "betas": [1, 2]},
        "nothing": None, "flag": True, "seed": 3,
    }  # fmt: skip
    assert run.definition == {"version": 1, "projector_dim": 128}
    assert [milestone.epoch for milestone in run.milestones] == [0, 5, 10]
    assert run.checkpoint == "/checkpoints/last.ckpt"
    assert run.counted_by == "epoch"


def test_a_resumed_run(offline_folder: Path, offline_files: dict[str, list[Path]]):
    run = next(run for run in read_offline(offline_folder).runs if run.id == "resumed")
    # The first process logged epochs 0, 1, 2, the second one 2, 3, 4 with 200 added.
    assert [(m.epoch, m.values["label_free/rankme"]) for m in run.milestones] == [
        (0, 0), (1, 1), (2, 202), (3, 203), (4, 204),
    ]  # fmt: skip
    assert run.directory == str(offline_files["resumed"][1].parent)


def test_rows_without_an_epoch(offline_folder: Path):
    run = next(run for run in read_offline(offline_folder).runs if run.id == "stranger")
    assert run.counted_by == "_step"
    assert [(m.epoch, m.values) for m in run.milestones] == [
        (0, {"loss": 1.0}), (1, {"loss": 0.5}), (2, {"loss": 1 / 3}),
    ]  # fmt: skip
    assert run.trained_milestones == run.milestones  # W&B's first step is no untrained network


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


def test_one_id_for_two_configurations(tmp_path: Path):
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


def test_a_folder_without_a_file_beside_a_sound_run_is_not_a_second_run(tmp_path: Path):
    """The first process was killed before W&B made a file."""
    write_run(tmp_path / "offline-run-20260101_000001-x" / "run-x.wandb", "x", rows=[{"epoch": 1, "a": 1}])
    (tmp_path / "offline-run-20260101_000000-x").mkdir()
    found = read_offline(tmp_path)
    assert (states(found), found.unreadable) == ({"x": "finished"}, ())
    assert found.warnings == ("left out a second file or folder that holds nothing: x",)


def test_a_run_is_unreadable_once_however_many_files_are_damaged(tmp_path: Path):
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "run-x.wandb").write_text("not a log")
    (gone,) = read_offline(tmp_path).unreadable
    assert gone.run == "x"
    assert gone.reason.count("run-x.wandb") == 2


def test_a_file_under_another_name(tmp_path: Path):
    write_run(tmp_path / "backup.wandb", "x")
    (tmp_path / "notes.wandb").write_text("not a log")
    found = read_offline(tmp_path)
    assert states(found) == {"x": "finished"}
    assert [gone.run for gone in found.unreadable] == ["notes.wandb"]


def test_a_complete_run_whose_file_is_cut(tmp_path: Path):
    marked = {"completion/status": "completed", "completion/epoch": 1}
    file = write_run(tmp_path / "run-x.wandb", "x", OURS, [{"epoch": 1, "a": 1}], marked)
    file.write_bytes(file.read_bytes()[:-1])
    found = read_offline(tmp_path)
    assert states(found) == {"x": "finished"}
    assert found.warnings == ("complete, but the file ends too early: x",)


def test_long_lists_of_runs_are_shortened(tmp_path: Path):
    for index in range(7):
        write_run(tmp_path / f"run-r{index}.wandb", f"r{index}", rows=[{"trainer/global_step": 9, "a": 1}])
    expected = (
        "no epoch is logged, so milestones are numbered by trainer/global_step: r0, r1, r2, r3, r4 and 2 more"
    )
    assert read_offline(tmp_path).warnings == (expected,)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("gone", "there is no folder"),
        ("empty", "holds no W&B run"),
        (".", "holds no W&B run"),
        ("notes.txt", "is a file; name the folder"),
    ],
)
def test_no_runs(tmp_path: Path, name: str, text: str):
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(UserError, match=text):
        read_offline(tmp_path / name)


def test_the_message_holds_no_terminal_codes():
    with pytest.raises(UserError) as raised:
        read_offline("/gone\x1b[31m\n")
    assert str(raised.value).isprintable()


@pytest.mark.skipif(not os.path.exists("/proc/self/mem"), reason="needs Linux")
def test_a_file_that_fails_while_it_is_read(tmp_path: Path):
    (tmp_path / "run-x.wandb").symlink_to("/proc/self/mem")  # no byte 0 in it can be read, not even by root
    (gone,) = read_offline(tmp_path).unreadable
    assert (gone.run, "cannot be read: Input/output error" in gone.reason) == ("x", True)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read(tmp_path: Path):
    file = write_run(tmp_path / "run-x.wandb", "x")
    file.chmod(0)
    (gone,) = read_offline(tmp_path).unreadable
    assert "cannot be read: Permission denied" in gone.reason
    closed = tmp_path / "closed"
    closed.mkdir(mode=0)
    assert "could not be looked into" in read_offline(tmp_path).warnings[0]
    with pytest.raises(UserError, match="could not be looked into"):
        read_offline(closed)
