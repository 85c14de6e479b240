"""Rows that are added to runs that are done, by the real client."""

from dataclasses import replace

import pytest
import wandb
from handmade import run
from offline_files import write_run

from selector.errors import UserError
from selector.runs import Milestone, read_source
from selector.training import wandb_append
from selector.training.wandb_append import append_rows


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    for name in ("WANDB_MODE", "WANDB_DIR", "WANDB_PROJECT", "WANDB_RUN_ID"):
        monkeypatch.delenv(name, raising=False)
    yield
    wandb.teardown()


def test_a_diverged_run_stays_diverged_and_keeps_its_place(tmp_path):
    file = tmp_path / "wandb" / "offline-run-20260101_000000-aa" / "run-aa.wandb"
    write_run(
        file, "aa", config={"method": "simclr", "definition": {"version": 1}},
        rows=[{"epoch": 0, "label_free/rankme": 3.0}, {"epoch": 5, "label_free/rankme": 2.0}],
        summary={"completion/status": "diverged", "completion/epoch": 7, "checkpoint": "/x/m.ckpt"},
        display_name="my run", run_group="g", job_type="train", sweep_id="s", project="mine", tags=["t"],
    )  # fmt: skip
    (before,) = read_source(str(tmp_path)).runs
    append_rows(before, [Milestone(5, {"label_free/lidar": 4.0}), Milestone(0, {"label_free/lidar": 6.0})])
    wandb.teardown()
    (after,) = read_source(str(tmp_path)).runs
    assert [m.values["label_free/lidar"] for m in after.milestones] == [6.0, 4.0]
    assert (after.state, after.detail) == ("diverged", "loss became nan or infinite in epoch 7")
    for name in ("name", "group", "job_type", "sweep_id", "tags", "config", "definition", "checkpoint"):
        assert getattr(after, name) == getattr(before, name), name
    (newer,) = [path for path in tmp_path.rglob("*.wandb") if path != file]
    assert newer.parent.parent == file.parent.parent
    assert b"mine" in newer.read_bytes()  # the project, for `wandb sync`


def finished(tmp_path):
    """A complete run, and the file that it is in."""
    file = tmp_path / "wandb" / "offline-run-20260101_000000-aa" / "run-aa.wandb"
    write_run(
        file, "aa", config={"method": "simclr", "definition": {"version": 1}},
        rows=[{"epoch": epoch, "label_free/rankme": 3.0 + epoch} for epoch in (0, 5, 10)],
        summary={"completion/status": "completed", "completion/epoch": 10},
    )  # fmt: skip
    (run,) = read_source(str(tmp_path)).runs
    assert run.state == "finished"
    return run, file


ADDED = [Milestone(epoch, {"label_free/lidar": 1.0 + epoch}) for epoch in (0, 5, 10)]


def test_wherever_what_is_added_ends_the_run_stays_complete(tmp_path):
    before, file = finished(tmp_path)
    append_rows(before, ADDED)
    wandb.teardown()
    (newer,) = [path for path in tmp_path.rglob("*.wandb") if path != file]
    whole = newer.read_bytes()
    added = set()
    for end in range(0, len(whole), 61):
        newer.write_bytes(whole[:end])
        (after,) = read_source(str(tmp_path)).runs
        assert after.state == "finished", end
        assert [row.values["label_free/rankme"] for row in after.milestones] == [3.0, 8.0, 13.0]
        added.add(sum("label_free/lidar" in row.values for row in after.milestones))
    assert added >= {0, 1, 2, 3}


def test_an_interruption_between_two_rows_takes_nothing_back(tmp_path, monkeypatch):
    before, _ = finished(tmp_path)

    def interrupted(milestone):
        if milestone.epoch == 5:
            raise KeyboardInterrupt
        return milestone.row

    monkeypatch.setattr(wandb_append, "with_chart", interrupted)
    with pytest.raises(KeyboardInterrupt):
        append_rows(before, ADDED)
    wandb.teardown()
    (after,) = read_source(str(tmp_path)).runs
    assert after.state == "finished"
    assert after.milestones[0].values["label_free/lidar"] == 1.0


def test_a_file_that_is_not_whole_is_said(tmp_path, monkeypatch):
    before, file = finished(tmp_path)
    finish = wandb.Run.finish

    def cut(run, exit_code):
        finish(run, exit_code)
        wandb.teardown()  # as a full disk would leave it
        (newer,) = [path for path in tmp_path.rglob("*.wandb") if path != file]
        newer.write_bytes(newer.read_bytes()[:-20])

    monkeypatch.setattr(wandb.Run, "finish", cut)
    with pytest.raises(UserError, match=r"is not whole .* the same command adds what is missing"):
        append_rows(before, ADDED)


def test_a_run_that_cannot_be_opened_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(wandb, "init", refuse)
    one = replace(run("aa", milestones=(Milestone(5, {}),)), directory=str(tmp_path / "wandb" / "run"))
    with pytest.raises(UserError, match="run aa cannot be added to: no such run") as refusal:
        append_rows(one, [Milestone(5, {"x": 1.0})])
    assert "\n" not in str(refusal.value)


def test_a_setting_that_wandb_does_not_take_is_one_line(tmp_path, monkeypatch):
    before, _ = finished(tmp_path)
    wandb.teardown()
    monkeypatch.setenv("WANDB_INIT_TIMEOUT", "abc")
    with pytest.raises(UserError, match=r"does not take a setting \(init_timeout: "):
        append_rows(before, ADDED)


def refuse(**settings):
    raise wandb.errors.CommError("no such run\nmore")
