"""`selector evaluate` on a run of the real train.py, and on what is left of runs in bad shape."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import wandb
from handmade import write_sweep
from tiny_training import flags

import train
from selector.cli import main
from selector.record import RECORD, Record, read_record
from selector.runs import Milestone, Run, read_source

ENTROPY, KNN = "label_free/entropy", "labelled/knn_accuracy"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory):
    """A run of two epochs with a checkpoint each, as it was logged."""
    folder = tmp_path_factory.mktemp("trained")
    before = dict(os.environ)
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        del os.environ[name]
    os.environ.update({"WANDB_MODE": "offline", "WANDB_SILENT": "true", "WANDB_DIR": str(folder)})
    assert train.main(flags(keep="all", learning_rate=0.1, umap_seeds=2)) == 0
    wandb.teardown()
    os.environ.clear()
    os.environ.update(before)
    (run,) = read_source(str(folder), spectra=True).runs
    return run


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("WANDB_CONSOLE", "off")
    yield
    wandb.teardown()


def copied(folder: Path, run: Run, drop=(), checkpoints=True, **changes) -> Path:
    """The run as an older version would have left it: without some values, its checkpoints beside it."""
    rows = tuple(
        Milestone(row.epoch, {key: value for key, value in row.values.items() if key not in drop})
        for row in run.milestones
    )
    checkpoint = folder / "runs" / run.id / "milestone-0002.ckpt"
    if checkpoints:
        source = Path(run.checkpoint).parent
        shutil.copytree(source, checkpoint.parent, ignore=shutil.ignore_patterns(RECORD))
    return write_sweep(folder, replace(run, milestones=rows, checkpoint=str(checkpoint), **changes))


def call(capsys, *arguments):
    try:
        status = main(["evaluate", *map(str, arguments)])
    except SystemExit as stop:
        status = stop.code
    wandb.teardown()
    output = capsys.readouterr()
    return status, output.out, output.err


def only(folder):
    source = read_source(str(folder), spectra=True)
    assert not source.unreadable
    (run,) = source.runs
    return run


def test_what_is_missing_is_added_and_equals_what_training_logged(capsys, tmp_path, trained):
    folder = copied(tmp_path, trained, drop=(ENTROPY, KNN, "noise/entropy"))
    status, out, _ = call(capsys, folder)
    assert status == 0
    assert "entropy, knn_accuracy" in " ".join(out.split())
    assert "Of the values already logged" in out
    assert "0 did not" in out
    run = only(folder)
    assert [row.epoch for row in run.milestones] == [0, 1, 2]
    for ours, logged in zip(run.milestones, trained.milestones, strict=True):
        for key in (ENTROPY, KNN, "noise/entropy"):
            assert ours.values[key] == logged.values[key], (ours.epoch, key)  # to the last bit
    # The run is what it was: complete, of the same configuration, with the same definition.
    assert (run.state, run.checkpoint, run.definition) == (
        "finished",
        str(run.checkpoint),
        trained.definition,
    )
    assert run.config == trained.config

    # Now nothing is missing, and the files stay as they are.
    files = sorted(folder.rglob("*.wandb"))
    _, out, _ = call(capsys, folder)
    assert "nothing is missing" in out
    assert sorted(folder.rglob("*.wandb")) == files
    assert len(files) == 2


def test_what_is_missing_is_added_to_the_record_and_to_wandb(capsys, tmp_path, trained):
    """A run of this edition, whose version did not know two metrics."""
    place = tmp_path / "runs" / trained.id
    shutil.copytree(Path(trained.checkpoint).parent, place)
    lacking = (ENTROPY.encode(), KNN.encode())
    old = [line for line in (place / RECORD).read_bytes().splitlines() if b'"milestone"' in line]
    (place / RECORD).unlink()
    record = Record(place, trained.config)
    record.define(trained.definition)
    for line in old:
        row = json.loads(line)["milestone"]
        values = {key: value for key, value in row["values"].items() if key.encode() not in lacking}
        record.milestone(Milestone(row["epoch"], values))
    record.end("completed", 2, checkpoint=place / "milestone-0002.ckpt")
    status, out, _ = call(capsys, tmp_path)
    assert (status, "entropy, knn_accuracy" in " ".join(out.split())) == (0, True)
    content = read_record(place)
    assert (content.end.status, content.damage) == ("completed", "")
    for ours, logged in zip(content.milestones, trained.milestones, strict=True):
        assert (ours.values[ENTROPY], ours.values[KNN]) == (logged.values[ENTROPY], logged.values[KNN])
    assert not list(tmp_path.rglob("*.wandb"))  # W&B had not been told of this run
    assert "nothing is missing" in call(capsys, tmp_path)[1]


def test_where_only_the_last_checkpoint_is_left_the_others_are_named(capsys, tmp_path, trained):
    folder = copied(tmp_path, trained, drop=(KNN,))
    (folder / "runs" / trained.id / "milestone-0001.ckpt").unlink()
    status, out, _ = call(capsys, folder, "--dry-run")
    assert status == 0
    assert "no checkpoint is left for epoch 1; train.py --keep all" in " ".join(out.split())
    assert "0, 2" in out


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"state": "failed"}, "it is failed: finish it first"),
        ({"definition": {}}, "it is not a run of train.py"),
        ({"checkpoints": False}, ", so it stays without knn_accuracy"),
        (
            {"config": {"learning_rate": 0.3}},
            "the checkpoints in its folder were trained with another learning_rate",
        ),
    ],
)
def test_a_run_that_cannot_be_evaluated_says_why(capsys, tmp_path, trained, changes, said):
    changes = dict(changes)
    if "config" in changes:
        changes["config"] = {**trained.config, **changes["config"]}
    folder = copied(tmp_path, trained, drop=(KNN,), **changes)
    status, out, _ = call(capsys, folder)
    assert status == 0
    assert said in " ".join(out.split())
    assert len(list(folder.rglob("*.wandb"))) == 1


def test_metrics_that_would_be_computed_otherwise_are_not_mixed_in(capsys, tmp_path, trained):
    folder = copied(tmp_path, trained, drop=(KNN,), definition={**trained.definition, "version": 0})
    status, _, err = call(capsys, folder)
    assert (status, err.count("\n")) == (1, 1)
    assert "computed with version 0, now it would be" in err


def test_a_renamed_checkpoint_is_not_taken_for_another_epoch(capsys, tmp_path, trained):
    folder = copied(tmp_path, trained, drop=(KNN,))
    where = folder / "runs" / trained.id
    shutil.copy(where / "milestone-0002.ckpt", where / "milestone-0001.ckpt")
    status, _, err = call(capsys, folder)
    assert (status, err.count("\n")) == (1, 1)
    assert "is of epoch 2, but its name says 1" in err


def test_checkpoints_by_themselves(capsys, trained):
    checkpoints = sorted(Path(trained.checkpoint).parent.glob("*.ckpt"))
    status, out, err = call(capsys, *checkpoints, "--json")
    assert (status, err) == (0, "")
    found = json.loads(out)["checkpoints"]
    assert [one["epoch"] for one in found] == [1, 2]
    for one, logged in zip(found, trained.milestones[1:], strict=True):
        assert one["values"][ENTROPY] == logged.values[ENTROPY]
    assert found[0]["definition"]["evaluation_images"] == 60
    status, out, _ = call(capsys, checkpoints[0], "--probe", "none")
    assert (status, "entropy" in out, "linear_probe_accuracy" in out) == (0, True, False)


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        ([], 2, "SOURCE is missing"),
        (["a.ckpt", "folder"], 2, "either checkpoints or one SOURCE"),
        (["one", "two"], 2, "name one SOURCE"),
        (["a.ckpt", "--run", "x"], 2, "--run chooses among the runs of a SOURCE"),
        (["folder", "--probe", "fast"], 2, "--probe works only with checkpoints"),
        (["gone.ckpt"], 1, "there is no checkpoint 'gone.ckpt'"),
        (["gone"], 1, "there is no folder gone"),
    ],
)
def test_wrong_usage_is_one_line(capsys, arguments, status, said):
    got, out, err = call(capsys, *arguments)
    assert (got, out, err.count("\n")) == (status, "", 1)
    assert said in err


def test_a_run_on_a_server_is_resumed(capsys, tmp_path, trained, backend, wandb_here):
    """With the real client, against the backend of the tests."""
    from selector.tracking.api import read_wandb

    with wandb.init(
        project="p", id="served", config={**trained.config, "definition": trained.definition}
    ) as run:
        for row in trained.milestones:
            run.log({"epoch": row.epoch} | {k: v for k, v in row.values.items() if k != KNN and "." not in k})
        run.summary.update(
            {"completion/status": "completed", "completion/epoch": 2, "checkpoint": trained.checkpoint}
        )
    wandb.teardown()
    status, out, _ = call(capsys, "loopback/p")
    assert (status, "knn_accuracy" in out) == (0, True)
    (run,) = read_wandb("loopback/p").runs
    assert run.state == "finished"
    for ours, logged in zip(run.milestones, trained.milestones, strict=True):
        assert ours.values[KNN] == logged.values[KNN]
        assert ours.values[ENTROPY] == logged.values[ENTROPY]


def test_a_checkpoint_lacks_what_this_versions_network_has(capsys, tmp_path, trained):
    content = torch.load(trained.checkpoint, weights_only=True)
    del content["state_dict"]["projection_head.layers.0.weight"]
    torch.save(content, tmp_path / "older.ckpt")
    status, _, err = call(capsys, tmp_path / "older.ckpt")
    assert (status, err.count("\n")) == (1, 1)
    assert "written by another version: it lacks projection_head.layers.0.weight" in err
    content["state_dict"]["projection_head.layers.0.weight"] = torch.zeros(3, 3)
    torch.save(content, tmp_path / "other.ckpt")
    status, _, err = call(capsys, tmp_path / "other.ckpt")
    assert (status, err.count("\n")) == (1, 1)
    assert "does not fit its own configuration: size mismatch for projection_head.layers.0.weight" in err
