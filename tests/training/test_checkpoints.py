"""A run that is told to stop, or just dies, goes on with the step after the last one that it saved."""

import dataclasses
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from tiny_training import OWN, TINY

from selector.config import Method, TrainConfig, paper_recipe
from selector.metrics.inputs import MetricSettings
from selector.milestone import Milestone
from selector.training.data import ImageSplits, load_images
from selector.training.milestones import Milestones
from selector.training.network import Network
from selector.training.pretrain import SilentLog, pretrain, read_checkpoint
from selector.training.run_folder import last_checkpoint
from selector.training.stopping import Stopped, StopSignals


def small_config(method: Method = "simclr", **changes: object) -> TrainConfig:
    small = {"evaluation_images": 40, "epochs": 4, "milestone_every": 2}
    return dataclasses.replace(paper_recipe(method), **(TINY | small | OWN[method] | changes))


class Recorder(pl.Callback):
    """What a milestone sees, and where the run gets its signal or dies."""

    def __init__(
        self,
        log: SilentLog,
        config: TrainConfig,
        signal_at: tuple[int, int] | None = None,
        in_milestone: int | None = None,
        how: signal.Signals = signal.SIGTERM,
    ) -> None:
        self.milestone_log, self.config, self.signal_at, self.how = log, config, signal_at, how
        self.in_milestone = in_milestone
        self.steps: list[tuple[int, int]] = []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
        self.steps.append((trainer.current_epoch, batch_idx))
        if self.signal_at == (trainer.current_epoch, batch_idx):
            if self.how == signal.SIGKILL:
                raise InterruptedError("the machine is gone")
            os.kill(os.getpid(), self.how)

    def on_train_epoch_end(self, trainer, pl_module) -> None:
        epoch = trainer.current_epoch + 1
        if epoch % self.config.milestone_every == 0:
            if self.in_milestone == epoch:
                os.kill(os.getpid(), self.how)
                raise AssertionError("an evaluation is interrupted at once")
            loss = trainer.callback_metrics["train/loss"].item()
            self.milestone_log.rows.append(Milestone(epoch, {"loss": loss}))


@pytest.fixture(scope="module")
def images() -> ImageSplits:
    return load_images(small_config())


@pytest.fixture
def signals() -> Iterator[StopSignals]:
    with StopSignals() as taken:
        yield taken


def run(config: TrainConfig, images: ImageSplits, folder: Path, signals=None, **interruption: Any):
    log = SilentLog()
    recorder = Recorder(log, config, **interruption)
    method = Network(config, images)
    pretrain(method, config, folder, [recorder], log=log, signals=signals)
    return log.rows, recorder.steps


def assert_same_end(whole: Path, cut: Path) -> None:
    first, second = (read_checkpoint(folder / "milestone-0004.ckpt") for folder in (whole, cut))
    for part in ("state_dict", "optimizer_states", "lr_schedulers", "milestones"):
        assert equal(first[part], second[part]), part
    assert not (cut / "last.ckpt").exists()


@pytest.mark.parametrize("method", ["simclr", "moco_v2"])
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_inside_an_epoch_saves_that_very_step(
    method: Network, how: signal.Signals, images: ImageSplits, tmp_path: Path, signals: StopSignals
) -> None:
    config = small_config(method)
    rows, steps = run(config, images, tmp_path / "whole")
    with pytest.raises(Stopped) as stop:
        run(config, images, tmp_path / "cut", signals, signal_at=(1, 1), how=how)
    assert stop.value.code == 128 + how
    assert last_checkpoint(tmp_path / "cut").name == "last.ckpt"
    signals.received = None
    torch.manual_seed(12345)  # a new process has another random state
    rest, resumed = run(config, images, tmp_path / "cut", signals)
    assert resumed == steps[steps.index((1, 1)) + 1 :]  # no step twice, none left out
    assert rest == rows  # the mean loss of the epoch that was cut, too
    assert_same_end(tmp_path / "whole", tmp_path / "cut")


def test_a_signal_at_the_end_of_an_epoch_saves_the_epoch(
    images: ImageSplits, tmp_path: Path, signals: StopSignals
) -> None:
    config = small_config()
    rows, steps = run(config, images, tmp_path / "whole")
    with pytest.raises(Stopped):
        run(config, images, tmp_path / "cut", signals, signal_at=(2, 2))
    signals.received = None
    rest, resumed = run(config, images, tmp_path / "cut", signals)
    assert resumed == steps[steps.index((3, 0)) :]
    assert rest == rows
    assert_same_end(tmp_path / "whole", tmp_path / "cut")


@pytest.mark.parametrize("batch_size", [32, 96])
@pytest.mark.parametrize("milestone", [2, 4])
def test_a_signal_in_a_milestone_is_obeyed_at_once_and_the_milestone_repeated(
    milestone: int, batch_size: int, images: ImageSplits, tmp_path: Path, signals: StopSignals
) -> None:
    config = small_config(batch_size=batch_size)
    rows, steps = run(config, images, tmp_path / "whole")
    with pytest.raises(Stopped):
        run(config, images, tmp_path / "cut", signals, in_milestone=milestone)
    signals.received = None
    rest, resumed = run(config, images, tmp_path / "cut", signals)
    assert resumed == steps[steps.index((milestone - 1, 96 // batch_size - 1)) :]  # its last step again
    assert rest == rows
    assert_same_end(tmp_path / "whole", tmp_path / "cut")


def test_a_signal_in_the_last_step_is_too_late_only_after_the_last_milestone(
    images: ImageSplits, tmp_path: Path, signals: StopSignals
) -> None:
    config = small_config()
    with pytest.raises(Stopped):
        run(config, images, tmp_path, signals, signal_at=(3, 2))
    signals.received = None
    rest, resumed = run(config, images, tmp_path, signals)
    assert (resumed, [row.epoch for row in rest]) == ([(3, 2)], [2, 4])


def test_a_machine_that_dies_repeats_what_came_after_the_last_minute(
    images: ImageSplits, tmp_path: Path
) -> None:
    config = small_config(checkpoint_minutes=1e-9)  # every step
    rows, steps = run(config, images, tmp_path / "whole")
    with pytest.raises(InterruptedError):
        run(config, images, tmp_path / "cut", signal_at=(1, 1), how=signal.SIGKILL)
    rest, resumed = run(config, images, tmp_path / "cut")
    assert resumed == steps[steps.index((1, 1)) :]
    assert rest == rows
    assert_same_end(tmp_path / "whole", tmp_path / "cut")


class Evaluated(Milestones):
    """Notes which epochs are evaluated, in place of evaluating them."""

    def evaluate(self, module, epoch):
        return Milestone(epoch)


def test_a_run_that_goes_on_inside_its_first_epoch_has_one_untrained_milestone(
    images: ImageSplits, tmp_path: Path, signals: StopSignals
) -> None:
    config = small_config()
    rows: list[int] = []
    log = SilentLog()
    log.milestone = lambda row: rows.append(row.epoch)
    milestones = Evaluated([], [], MetricSettings(clusters=10), log, every=2)
    stop = Recorder(SilentLog(), config, signal_at=(0, 1))
    with pytest.raises(Stopped):
        pretrain(Network(config, images), config, tmp_path, [milestones, stop], log, signals)
    signals.received = None
    pretrain(Network(config, images), config, tmp_path, [milestones], log, signals)
    assert rows == [0, 2, 4]


def equal(a: object, b: object) -> bool:
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(equal, a, b))
    return a == b
