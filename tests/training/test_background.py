"""Milestones evaluated by another process while training goes on: the path that a GPU takes, on the CPU."""

import dataclasses
import math
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import small
import torch
from small import Rows
from tiny_training import TINY

from selector.config import TrainConfig, paper_recipe
from selector.training.background import Worker, WorkerDied
from selector.training.data import load_images
from selector.training.milestones import milestones_of
from selector.training.network import Network
from selector.training.pretrain import pretrain
from selector.training.stored import read_checkpoint


def config(**changes: object) -> TrainConfig:
    own = TINY | {"epochs": 3, "probe": "paper", "learning_rate": 0.02}
    return dataclasses.replace(paper_recipe("simclr"), **(own | changes))


def train(asked: TrainConfig, folder: Path, in_background: bool, *callbacks: pl.Callback) -> Rows:
    images, log = load_images(asked), Rows()
    milestones = milestones_of(asked, images, log, folder)
    milestones.in_background = in_background
    pretrain(Network(asked, images), asked, folder, [*callbacks, milestones], log)
    return log


def without_costs(rows: list) -> list:
    return [small.without_costs(row.row) for row in rows]


class Kills(pl.Callback):
    """Ends the process that evaluates, as the kernel does when memory is short."""

    def on_train_epoch_start(self, trainer: pl.Trainer, _: pl.LightningModule) -> None:
        if trainer.current_epoch == 1:
            (milestones,) = (c for c in trainer.callbacks if hasattr(c, "in_background"))
            os.kill(milestones._worker._process.pid, signal.SIGKILL)


class Dies(pl.Callback):
    """The machine goes in the first step after the second milestone, which is being evaluated."""

    def on_train_batch_start(self, trainer: pl.Trainer, *_: object) -> None:
        if trainer.global_step == 6:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def in_this_process(tmp_path_factory: pytest.TempPathFactory) -> Rows:
    return train(config(), tmp_path_factory.mktemp("here"), in_background=False)


@pytest.mark.slow
def test_the_rows_are_the_same_and_in_order(in_this_process: Rows, tmp_path: Path) -> None:
    log = train(config(), tmp_path, in_background=True)
    assert [row.epoch for row in log.rows] == [0, 1, 2, 3]
    assert without_costs(log.rows) == without_costs(in_this_process.rows)
    assert log.ended == [3]
    last = read_checkpoint(tmp_path / "milestone-0003.ckpt")
    assert [row["epoch"] for row in last["milestones"]] == [0, 1, 2, 3]
    assert "unfinished_milestone" not in last
    assert sorted(path.name for path in tmp_path.glob("umap-*")) == [f"umap-000{n}.npz" for n in range(4)]
    for row in log.rows[:-1]:  # training stands still for no longer than the milestone takes
        assert 0 < row.values["cost/probe_seconds"] < row.values["cost/milestone_seconds"]
        assert row.values["cost/waited_seconds"] > 0


@pytest.mark.slow
def test_a_process_that_is_killed_costs_no_milestone(
    in_this_process: Rows, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    log = train(config(), tmp_path, True, Kills())
    assert without_costs(log.rows) == without_costs(in_this_process.rows)
    assert "was killed" in capsys.readouterr().err


@pytest.mark.slow
def test_a_resumed_run_evaluates_the_milestone_that_was_not_finished(
    in_this_process: Rows, tmp_path: Path
) -> None:
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        train(config(), tmp_path, True, Dies())
    kept = read_checkpoint(tmp_path / "milestone-0002.ckpt")
    assert kept["unfinished_milestone"]["epoch"] == 2
    assert [row["epoch"] for row in kept["milestones"]] == [0, 1]
    resumed = train(config(), tmp_path, in_background=False)
    assert without_costs(resumed.rows) == without_costs(in_this_process.rows)


def test_weights_that_are_not_finite_are_logged_at_once(tmp_path: Path) -> None:
    class Breaks(pl.Callback):
        def on_fit_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
            torch.nn.init.constant_(module.projection_head.layers[0].weight, math.nan)

    (row,) = train(config(), tmp_path, True, Breaks()).rows  # the loss is NaN, too
    assert row.epoch == 0
    assert math.isnan(row.values["label_free/rankme"])


class Unreadable:
    """Stands for a tensor on a GPU that the other process does not see."""

    def __reduce__(self) -> Any:
        return (_refuse, ())


def _refuse() -> None:
    raise ValueError("cannot be read here")


def test_arguments_that_the_other_process_cannot_read_are_an_error_here() -> None:
    worker = Worker()
    worker.start(len, Unreadable())
    with pytest.raises(RuntimeError, match=r"cannot be read here|No module named"):
        worker.result()
    worker.start(len, [1, 2])
    assert worker.result() == 2
    worker.close()


def test_an_error_in_the_other_process_is_an_error_here() -> None:
    worker = Worker()
    worker.start(math.sqrt, -1.0)
    with pytest.raises(RuntimeError, match=r"ValueError: .*domain"):
        worker.result()
    worker.start(math.sqrt, 9.0)
    while not worker.is_ready():
        time.sleep(0.01)
    assert worker.result() == 3.0
    worker.close()
    with pytest.raises(WorkerDied):
        worker.start(math.sqrt, 9.0)
