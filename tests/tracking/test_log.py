"""What W&B gets of a run's record: every row once, by the real client."""

import math
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import wandb
from handmade import run
from offline_files import write_run
from wandb.proto import wandb_internal_pb2 as pb

from selector.errors import UserError
from selector.metrics.spectrum import spectra_of
from selector.milestone import Milestone
from selector.runs import read_source
from selector.tracking import log
from selector.tracking.log import WandbLog, add_metrics, with_chart
from selector.tracking.offline import read_offline
from selector.tracking.offline_file import CutShort, history_row, read_payloads, read_records

MILESTONE = Milestone(
    4,
    {"label_free/rankme": 2.5},
    {
        "spectrum/backbone": (1.0, 0.1, 0.0),
        "spectrum/backbone_ranks": (1, 2, 5),
        "spectrum/projector": (1.0,),
        "spectrum/projector_ranks": (1,),
    },
    {"correct/linear_probe_accuracy": "/w=="},
)
SPECTRA = {"backbone": ((1, 2, 5), (1.0, 0.1, 0.0)), "projector": ((1,), (1.0,))}
ROWS = [Milestone(epoch, {"label_free/rankme": 1.0 + epoch}) for epoch in range(6)]


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    yield
    wandb.teardown()


def offline_run(folder: Path) -> "wandb.Run":
    return wandb.init(
        mode="offline", dir=folder, project="p", id="r1", settings=wandb.Settings(silent=True, console="off")
    )


def raiser(error: Exception) -> Callable[..., None]:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    return fail


def test_a_service_that_ends_while_a_run_begins_is_one_line(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setattr(wandb, "init", raiser(ConnectionResetError("Connection lost")))
    with pytest.raises(UserError, match=r"wandb-core\) has ended \(Connection lost\).*run the same command"):
        log.open_run({}, "r1", [], lambda: None)


@pytest.mark.parametrize("what_fails", ["define_metric", "log"])
def test_the_end_of_wandbs_service_does_not_end_a_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, what_fails: str
):
    calls: list[str] = []

    def gone(*_: Any, **__: Any) -> None:
        calls.append(what_fails)
        raise ConnectionResetError("Connection lost")

    run = offline_run(tmp_path)
    monkeypatch.setattr(run, what_fails, gone)
    opened = WandbLog(run)
    for milestone in ROWS[:3]:
        opened.milestone(milestone)
    opened.end("completed", 2)
    assert (calls, opened.lost) == ([what_fails], "Connection lost")  # it is told nothing more
    assert "W&B gets no more of this run (Connection lost); run.jsonl continues" in capsys.readouterr().err
    with pytest.raises(UserError, match=r"wandb-core\) has ended.*--resume continues the run and sends"):
        opened.finish(0)


def test_a_service_that_is_deaf_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """It closed its connection, so it never hears that it should end: wandb would wait for it forever."""
    run, hung = offline_run(tmp_path), threading.Event()
    with monkeypatch.context() as patched:
        patched.setattr(log, "_GOODBYE_SECONDS", 0.1)
        patched.setattr(wandb, "teardown", lambda: hung.wait(60))
        patched.setattr(run, "finish", raiser(BrokenPipeError("flush error")))
        with pytest.raises(UserError, match=r"wandb-core\) has ended \(flush error\)"):
            WandbLog(run).finish(0)
    hung.set()


def epochs_in(folder: Path) -> list[list[int]]:
    """Epochs of the rows in each W&B folder, oldest first."""
    found = []
    for file in sorted(folder.glob("wandb/offline-run-*/*.wandb")):
        epochs: list[int] = []
        try:
            for record in read_records(file):
                if record.HasField("history"):
                    epochs.append(int(history_row(record.history)["epoch"]))
        except CutShort:
            pass
        found.append(epochs)
    return found


def test_a_point_is_a_rank_and_the_logarithm_of_its_value():
    row = with_chart(MILESTONE)
    assert MILESTONE.row.items() <= row.items()
    chart = row["spectrum/chart"]
    points = [[1, 0, "backbone"], [2, math.log10(0.1), "backbone"], [5, -16, "backbone"], [1, 0, "projector"]]
    assert chart.table.data == points
    assert chart.table.columns == ["rank", "log10 of the share of the largest", "space"]


def test_what_is_logged_is_read_back_and_the_summary_holds_the_chart(tmp_path: Path):
    opened = WandbLog(offline_run(tmp_path))
    opened.define({"version": 1})
    for milestone in (MILESTONE, MILESTONE, replace(MILESTONE, epoch=8)):
        opened.milestone(milestone)
    opened.end("completed", 8, tmp_path / "milestone-0008.ckpt")
    opened.finish(0)
    wandb.teardown()
    (whole,), (plain,) = (read_offline(tmp_path, spectra).runs for spectra in (True, False))
    assert whole.milestones == (MILESTONE, replace(MILESTONE, epoch=8))
    assert [spectra_of(milestone.lists) for milestone in whole.milestones] == [SPECTRA, SPECTRA]
    assert plain.milestones == tuple(Milestone(epoch, {"label_free/rankme": 2.5}) for epoch in (4, 8))
    assert (whole.state, whole.definition) == ("finished", {"version": 1})
    assert whole.checkpoint == str(tmp_path / "milestone-0008.ckpt")
    (file,) = tmp_path.rglob("*.wandb")
    records = [pb.Record.FromString(payload) for payload in read_payloads(file.open("rb"))]
    keys = {update.key or "/".join(update.nested_key) for r in records for update in r.summary.update}
    # W&B's chart asks for `summaryTable` of this very key.
    assert any(key.startswith("spectrum/chart_table") for key in keys)
    assert not any(key.startswith(("spectrum/backbone", "spectrum/projector")) for key in keys)
    assert len(list(tmp_path.rglob("spectrum/chart_table_*.table.json"))) == 2


def process(folder: Path, known: int, until: int, synced: bool = False) -> None:
    """One process of an offline run: the record has rows up to `known`, and training goes on to `until`."""
    opened = WandbLog(offline_run(folder), whole=known >= 0)
    for milestone in ROWS[: until + 1]:
        opened.milestone(milestone)
    opened.finish(0)
    wandb.teardown()
    if synced:
        file = max(folder.glob("wandb/offline-run-*/*.wandb"))
        file.with_name(f"{file.name}.synced").touch()


@pytest.mark.parametrize(
    ("lives", "expected"),
    [
        ([{"until": 2}, {"until": 5}], [[0, 1, 2, 3, 4, 5]]),
        ([{"until": 1}, {"until": 3}, {"until": 5}], [[0, 1, 2, 3, 4, 5]]),
        ([{"until": 2, "synced": True}, {"until": 5}], [[0, 1, 2], [3, 4, 5]]),
        ([{"until": 2, "synced": True}, {"until": 3}, {"until": 5}], [[0, 1, 2], [3, 4, 5]]),
    ],
)
def test_an_offline_run_that_goes_on_is_in_one_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lives: list[dict[str, Any]], expected: list[list[int]]
):
    other = tmp_path / "wandb" / "offline-run-20260101_000000-of-r1"
    write_run(other / "run-of-r1.wandb", "of-r1", rows=[{"epoch": 9}])
    known = -1
    for number, life in enumerate(lives):
        # Folders are named by the second; each of these is of another one.
        monkeypatch.setenv("WANDB_START_DATETIME", f"2026-02-01T00:00:0{number}")
        process(tmp_path, known, **life)
        known = life["until"]
    folders = sorted(tmp_path.glob("wandb/offline-run-*"), key=lambda path: path.stat().st_mtime)
    assert other in folders  # the folder of another run, whose name ends alike
    assert sorted(epochs_in(tmp_path)) == sorted([[9], *expected])


def test_what_was_synced_after_a_kill_is_not_sent_again_and_what_was_lost_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("WANDB_START_DATETIME", "2026-02-01T00:00:00")
    process(tmp_path, -1, 3, synced=True)
    (file,) = tmp_path.glob("wandb/offline-run-*/*.wandb")
    while len(kept := epochs_in(tmp_path)[0]) > 2:
        file.write_bytes(file.read_bytes()[:-50])
    assert kept == [0, 1]
    monkeypatch.setenv("WANDB_START_DATETIME", "2026-02-01T00:00:01")
    process(tmp_path, 3, 4)
    assert sorted(epochs_in(tmp_path)) == [[0, 1], [2, 3, 4]]


def finished(folder: Path) -> tuple[Any, Path]:
    """A complete run of the first edition, and the file that it is in."""
    file = write_run(
        folder / "wandb" / "offline-run-20260101_000000-aa" / "run-aa.wandb",
        "aa",
        config={"method": "simclr", "definition": {"version": 1}},
        rows=[{"epoch": epoch, "label_free/rankme": 3.0 + epoch} for epoch in (0, 5, 10)],
        summary={"completion/status": "completed", "completion/epoch": 10, "checkpoint": "/x/m.ckpt"},
        display_name="my run",
        run_group="g",
        job_type="train",
        sweep_id="s",
        project="mine",
        tags=["t"],
    )
    (run,) = read_source(str(folder)).runs
    assert run.state == "finished"
    return run, file


ADDED = [Milestone(epoch, {"label_free/lidar": 1.0 + epoch}) for epoch in (5, 0)]


def test_what_is_added_takes_nothing_back_wherever_it_ends(tmp_path: Path):
    before, file = finished(tmp_path)
    add_metrics(before, tmp_path / "gone", ADDED, {})
    wandb.teardown()
    (newer,) = [path for path in tmp_path.rglob("*.wandb") if path != file]
    (after,) = read_source(str(tmp_path)).runs
    assert [m.values.get("label_free/lidar") for m in after.milestones] == [1.0, 6.0, None]
    for name in ("state", "name", "group", "job_type", "sweep_id", "tags", "config", "definition"):
        assert getattr(after, name) == getattr(before, name), name
    assert (after.project, after.checkpoint) == ("mine", "/x/m.ckpt")
    whole = newer.read_bytes()
    for end in range(0, len(whole), 61):
        newer.write_bytes(whole[:end])
        (after,) = read_source(str(tmp_path)).runs
        assert after.state == "finished", end
        assert [row.values["label_free/rankme"] for row in after.milestones] == [3.0, 8.0, 13.0]


def test_an_interruption_between_two_rows_takes_nothing_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    before, _ = finished(tmp_path)

    def interrupted(milestone: Milestone) -> dict[str, Any]:
        if milestone.epoch == 5:
            raise KeyboardInterrupt
        return milestone.row

    monkeypatch.setattr(log, "with_chart", interrupted)
    with pytest.raises(KeyboardInterrupt):
        add_metrics(before, tmp_path / "gone", ADDED, {})
    wandb.teardown()
    (after,) = read_source(str(tmp_path)).runs
    assert (after.state, after.milestones[0].values["label_free/lidar"]) == ("finished", 1.0)


def test_a_run_that_cannot_be_opened_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(wandb, "init", raiser(wandb.errors.CommError("no such run\nmore")))
    one = replace(run("aa", milestones=(Milestone(5, {}),)), directory=str(tmp_path / "wandb" / "run"))
    with pytest.raises(UserError, match=r"added to run aa \(no such run\)") as refusal:
        add_metrics(one, tmp_path, [Milestone(5, {"x": 1.0})], {})
    assert "\n" not in str(refusal.value)
