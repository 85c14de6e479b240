"""An interrupted run goes on, bit for bit, with the step after the last one that it saved."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from small import Rows, equal, small_config

from selector.config import TrainConfig
from selector.errors import UserError
from selector.metrics.inputs import MetricSettings
from selector.milestone import Milestone
from selector.training.data import ImageSplits, load_images
from selector.training.measuring import Measured
from selector.training.methods import METHODS
from selector.training.milestones import Milestones
from selector.training.network import Network
from selector.training.pretrain import pretrain, start_from
from selector.training.run_folder import last_checkpoint
from selector.training.run_log import SilentLog
from selector.training.stopping import Stopped, StopSignals
from selector.training.stored import read_checkpoint


class Recorder(pl.Callback):
    """Stands in for milestones, notes the steps, and is where a run gets its signal or dies."""

    def __init__(self, config: TrainConfig, at=None, in_milestone=None, how=signal.SIGTERM) -> None:
        """Before step `at` of an epoch, or in the milestone of an epoch; SIGKILL: the machine is lost."""
        self.config, self.at, self.in_milestone, self.how = config, at, in_milestone, how
        self.steps: list[tuple[int, int]] = []
        self.kept = SilentLog()

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
        self.steps.append((trainer.current_epoch, batch_idx))
        if self.at == (trainer.current_epoch, batch_idx):
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
            self.kept.rows.append(Milestone(epoch, {"loss": loss}))


@pytest.fixture(scope="module")
def images() -> ImageSplits:
    return load_images(small_config())


@pytest.fixture
def signals() -> Iterator[StopSignals]:
    with StopSignals() as taken:
        yield taken


def run(
    config: TrainConfig, images: ImageSplits, folder: Path, signals=None, **interruption: Any
) -> Recorder:
    recorder = Recorder(config, **interruption)
    pretrain(Network(config, images), config, folder, [recorder], recorder.kept, signals)
    return recorder


@pytest.fixture(scope="module")
def whole(images: ImageSplits, tmp_path_factory: pytest.TempPathFactory):
    """A configuration → what its run is without an interruption: its last checkpoint, its rows and steps."""
    done: dict[tuple[str, int], tuple[dict, list, list]] = {}

    def of(config: TrainConfig) -> tuple[dict, list, list]:
        key = config.method, config.batch_size
        if key not in done:
            folder = tmp_path_factory.mktemp("whole")
            recorder = run(config, images, folder)
            last = read_checkpoint(folder / "milestone-0004.ckpt")
            done[key] = last, recorder.kept.rows, recorder.steps
        return done[key]

    return of


DEATH = signal.SIGKILL


@pytest.mark.parametrize(
    ("method", "changes", "interruption", "left", "again"),
    [
        # Inside an epoch, that very step is saved; after its last step, the epoch.
        ("simclr", {}, {"at": (1, 1), "how": signal.SIGTERM}, "last.ckpt", (1, 2)),
        ("moco_v2", {}, {"at": (1, 1), "how": signal.SIGINT}, "last.ckpt", (1, 2)),
        ("simclr", {}, {"at": (2, 2)}, "last.ckpt", (3, 0)),
        # A milestone is interrupted at once, and repeated with the step before it.
        ("simclr", {}, {"in_milestone": 2}, "last.ckpt", (1, 2)),
        ("simclr", {}, {"in_milestone": 4}, "last.ckpt", (3, 2)),
        ("simclr", {"batch_size": 96}, {"in_milestone": 2}, "last.ckpt", (1, 0)),
        ("simclr", {"batch_size": 96}, {"in_milestone": 4}, "last.ckpt", (3, 0)),
        # Where a machine dies, what was saved last counts: a minute ago, or with the last milestone.
        ("simclr", {"checkpoint_minutes": 1e-9}, {"at": (1, 1), "how": DEATH}, "last.ckpt", (1, 1)),
        *((name, {}, {"at": (3, 1), "how": DEATH}, "milestone-0002.ckpt", (2, 0)) for name in METHODS),
    ],
)
def test_no_step_is_left_out_and_the_end_is_the_same(
    method, changes, interruption, left, again, images, whole, tmp_path: Path, signals: StopSignals
) -> None:
    config = small_config(method, **changes)
    last, rows, steps = whole(config)
    with pytest.raises((Stopped, InterruptedError)) as stop:
        run(config, images, tmp_path, signals, **interruption)
    if interruption.get("how") != DEATH:
        assert stop.value.code == 128 + interruption.get("how", signal.SIGTERM)
    assert last_checkpoint(tmp_path).name == left
    signals.received = None
    torch.manual_seed(12345)  # a new process has another random state
    resumed = run(config, images, tmp_path, signals)
    assert resumed.steps == steps[steps.index(again) :]
    assert resumed.kept.rows == rows  # the mean loss of the epoch that was cut, too
    found = read_checkpoint(tmp_path / "milestone-0004.ckpt")
    for part in ("global_step", "state_dict", "optimizer_states", "lr_schedulers", "milestones"):
        assert equal(found[part], last[part]), part
    assert not (tmp_path / "last.ckpt").exists()
    if method == "moco_v2":
        assert found["state_dict"]["criterion.memory_bank.bank"].shape == (150, 8)


def test_a_signal_in_the_last_step_is_too_late_only_after_the_last_milestone(
    images: ImageSplits, tmp_path: Path, signals: StopSignals
) -> None:
    with pytest.raises(Stopped):
        run(small_config(), images, tmp_path, signals, at=(3, 2))
    signals.received = None
    resumed = run(small_config(), images, tmp_path, signals)
    assert (resumed.steps, [row.epoch for row in resumed.kept.rows]) == ([(3, 2)], [2, 4])


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("loops", {"fit_loop": 7}),
        ("optimizer_states", [{"state": 7}]),
        ("state_dict", {"backbone.0.weight": 1}),
        ("state_dict", 7),
        ("milestones", [{"epoch": "two"}]),
    ],
)
def test_a_part_of_another_shape_is_one_line(
    part: str, value: object, images: ImageSplits, tmp_path: Path, signals: StopSignals
) -> None:
    with pytest.raises(Stopped):
        run(small_config(), images, tmp_path, signals, at=(3, 1))
    signals.received = None
    path = last_checkpoint(tmp_path)
    torch.save({**read_checkpoint(path), part: value}, path)
    with pytest.raises(UserError, match=r"cannot go on from|is not a checkpoint") as refusal:
        run(small_config(), images, tmp_path, signals)
    assert "\n" not in str(refusal.value)


class Evaluated(Milestones):
    """Notes which epochs are evaluated, in place of evaluating them."""

    def _measure(self, module, epoch, trained, in_background):
        return self._log(Measured(Milestone(epoch)), trained)


def test_a_run_that_goes_on_inside_its_first_epoch_has_one_untrained_milestone(
    images: ImageSplits, tmp_path: Path, signals: StopSignals
) -> None:
    config, log = small_config(), Rows()
    milestones = Evaluated([], [], MetricSettings(clusters=10), log, every=2)
    stop = Recorder(config, at=(0, 1))
    with pytest.raises(Stopped):
        pretrain(Network(config, images), config, tmp_path, [milestones, stop], log, signals)
    signals.received = None
    pretrain(Network(config, images), config, tmp_path, [milestones], log, signals)
    assert [row.epoch for row in log.rows] == [0, 2, 4]


def test_a_checkpoint_of_another_configuration_is_refused(images: ImageSplits, tmp_path: Path, whole) -> None:
    torch.save(whole(small_config())[0], tmp_path / "milestone-0004.ckpt")
    with pytest.raises(UserError, match=r"trained with temperature 0\.5, this run asks for 0\.2"):
        run(small_config(temperature=0.2), images, tmp_path)


def test_a_run_starts_from_the_weights_of_another_and_not_from_another_encoder(
    images: ImageSplits, tmp_path: Path, whole
) -> None:
    checkpoint = tmp_path / "milestone-0004.ckpt"
    torch.save(whole(small_config())[0], checkpoint)
    weights = whole(small_config())[0]["state_dict"]
    start = Network(small_config(seed=1, projector_dim=4), images)
    start_from(checkpoint, start)
    for name, value in start.backbone.state_dict().items():
        assert torch.equal(value, weights[f"backbone.{name}"]), name
    hidden, output = (layer.weight for layer in start.projection_head.layers if hasattr(layer, "in_features"))
    assert torch.equal(hidden, weights["projection_head.layers.0.weight"])
    assert output.shape == (4, 16)  # keeps its own
    wider = Network(small_config(backbone_width=0.125), images)
    with pytest.raises(UserError, match=r"is resnet-9 of width 0\.0625, this run asks for .*0\.125"):
        start_from(checkpoint, wider)
    with pytest.raises(UserError, match="there is no such file"):
        start_from(tmp_path / "nothing.ckpt", start)
    (tmp_path / "photo.ckpt").write_bytes(b"?")
    with pytest.raises(UserError, match=r"--init-from must name a checkpoint of train\.py"):
        start_from(tmp_path / "photo.ckpt", start)


def test_an_infinite_learning_rate_is_a_result(images: ImageSplits, tmp_path: Path) -> None:
    config = small_config(learning_rate=1e30)
    outcome = pretrain(Network(config, images), config, tmp_path, [])
    assert (outcome.status, outcome.epoch) == ("diverged", 1)  # the first step ruins the weights
    assert "loss became nan" in outcome.detail


@pytest.mark.parametrize("name", ["milestone-0004.partial", "last.partial"])
def test_no_room_for_a_checkpoint(tmp_path: Path, images: ImageSplits, whole, name: str) -> None:
    config = small_config()
    with pytest.raises(InterruptedError):
        run(config, images, tmp_path, at=(2, 1), how=DEATH)
    before = (tmp_path / "milestone-0002.ckpt").read_bytes()
    (tmp_path / name).symlink_to("/dev/full")  # takes every byte and has room for none

    expected = r"cannot write checkpoint '.*ckpt' \(No space left on device\): .* --resume continues the run"
    with pytest.raises(UserError, match=expected) as refusal:
        run(config, images, tmp_path)
    assert "\n" not in str(refusal.value)
    assert (tmp_path / "milestone-0002.ckpt").read_bytes() == before
    for path in tmp_path.glob("*.ckpt"):
        read_checkpoint(path)
    assert not list(tmp_path.glob("*.partial"))  # what could not be finished takes no room

    run(config, images, tmp_path)
    mended = read_checkpoint(tmp_path / "milestone-0004.ckpt")
    assert equal(mended["state_dict"], whole(config)[0]["state_dict"])


def test_a_checkpoint_is_on_disk_before_the_one_that_it_replaces_goes(
    tmp_path: Path, images: ImageSplits, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a power loss a file that was renamed but not flushed, with its folder, is the old one or none."""
    calls: list[str] = []

    def noted(name: str, function):
        def call(*arguments, **options):
            calls.append(name)
            return function(*arguments, **options)

        return call

    monkeypatch.setattr("os.fsync", noted("flush", os.fsync))
    monkeypatch.setattr(Path, "replace", noted("rename", Path.replace))
    monkeypatch.setattr(Path, "unlink", noted("remove", Path.unlink))
    run(small_config(epochs=2), images, tmp_path)
    # Each checkpoint: the file is flushed, renamed, and the folder flushed; only then others are removed.
    written = [call for call in calls if call != "remove"]
    assert written == ["flush", "rename", "flush"] * (len(written) // 3)
    assert len(written) >= 6
    assert "remove" not in calls[:3]
