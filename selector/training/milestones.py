"""Milestones: a Lightning callback that evaluates an encoder without labels while it trains."""

# ruff: noqa: ARG002 - Lightning gives its hooks more than this has use for.

import sys
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from selector.config import TrainConfig, own_values
from selector.files import write_whole
from selector.metrics.inputs import Inputs, MetricSettings
from selector.metrics.metric import chosen
from selector.metrics.pooled import FINGERPRINT, Fingerprint
from selector.milestone import STEPS, Milestone
from selector.record import Status
from selector.tracking.umap_files import write_umap
from selector.training.autoaugment import autoaugmented
from selector.training.background import Worker, WorkerDied
from selector.training.checkpoints import is_milestone
from selector.training.data import ImageSplits, batches, clusters_of
from selector.training.embed import Loader
from selector.training.encoder import Encoder
from selector.training.measuring import VIEWS_GIVEN, Clock, Measured, Measuring, measured, with_values
from selector.training.pretext import PretextImages, drawn_order
from selector.training.progress import TrainingProgress
from selector.training.views import TrainingViews

_PIECE = 64 * 32 * 32  # pixels; 512 such images at once take half as long again


class MilestoneLog(Protocol):
    """Where milestones go: a `Record`, a W&B run, or anything with these methods."""

    def define(self, definition: Mapping[str, Any]) -> None:
        """Store how the metrics are computed."""

    def milestone(self, milestone: Milestone) -> None:
        """Store one milestone."""

    def end(self, status: Status, epoch: int) -> None:
        """Store that training came to its end ("completed"): a run without this may have been cut off."""


class Milestones(pl.Callback):
    """Logs label-free metrics of the embeddings before training, every `every` epochs and at the end.

    The last state of a training is a milestone whatever ended it: its epochs or steps, its time, early
    stopping, or an interruption. The numbers of a milestone are in `trainer.callback_metrics` of all
    processes, where ModelCheckpoint and EarlyStopping can monitor them, unless they come in the background.

    Serves any LightningModule: give it batches of images as the encoder wants them, and say where the encoder
    and the projection head are. Labels are optional; without them only label-free metrics are logged.
    Training does not notice: modes, gradients and random states are left as they were.

    Example:
        Milestones(train_loader, test_loader, MetricSettings(clusters=10), Record("runs/mine", config))
    """

    def __init__(
        self,
        train: Iterable[Any],
        evaluation: Iterable[Any],
        settings: MetricSettings,
        log: MilestoneLog,
        *,
        every: int = 20,
        every_steps: int | None = None,
        image_key: str | Callable[[Any], Any] | None = None,
        encoder: Encoder | None = None,
        augmented: Callable[[int], Iterable[Any]] | None = None,
        views: Callable[[pl.LightningModule], Iterable[Tensor]] | None = None,
        view_source: str = VIEWS_GIVEN,
        pretext: PretextImages | None = None,
        loss: str = "train/loss",
        folder: Path | None = None,
        progress: TrainingProgress | None = None,
        in_background: bool = False,
        resumable: bool = False,
        described: Mapping[str, Any] | None = None,
    ) -> None:
        """Set up the callback.

        Args:
            train: Batches of training images in a fixed order: RankMe reads their projections, probes their
                representations. A batch is a tensor, or (images, labels, …).
            evaluation: Batches of evaluation images in a fixed order: all other metrics.
            settings: How the metrics are computed; `settings.clusters` is k1.
            log: Where the rows go.
            every: Epochs between milestones.
            every_steps: Steps between milestones instead, for data without epochs; milestones are then
                numbered by steps, under the key "trainer/global_step".
            image_key: Where batches that are mappings hold their images, or a function of a batch; see
                `embed.Loader`.
            encoder: Where the encoder and the projection head are; None: `Encoder()`.
            augmented: Epoch of the probe → augmented training batches, for the paper's linear probe.
            views: The module → batches (B, q, C, H, W), for LiDAR and alignment: q ≥ 2 views of each of B
                training images from the training augmentations, as the encoder wants them. Called while
                torch's random states are kept, so it may seed them, to give the same views every time.
            view_source: What the views are, in a few words; runs that differ here are not compared by them.
            pretext: The images that the pretext criteria ask about, as uint8: the encoder must take uint8 and
                floats in [0, 1], and normalise them itself. None measures none of these criteria.
            loss: Name under which the module logs its loss, for the row's `train/loss`.
            folder: Where to leave each milestone's UMAP points, for pictures; None leaves none.
            progress: Shows how far the milestone has got; None shows nothing.
            in_background: Whether training goes on while another process computes the metrics of what was
                embedded: for where training has a GPU to itself. Rows come in the same order, later.
            described: What else to store besides the definition of the metrics, such as {"pixel_range": [0,
                4095]}.
            resumable: Whether an interrupted training will be resumed; then its last state is no milestone.

        Raises:
            UserError: Batches that can be read only once.
        """
        self.measuring = Measuring(
            Loader(train, image_key, "the loader of training images"),
            Loader(evaluation, image_key, "the loader of evaluation images"),
            settings,
            encoder or Encoder(),
            augmented,
            views,
            view_source,
            pretext,
        )
        self.milestone_log = log  # Lightning gives every callback a `log` of its own
        self.every, self.every_steps, self.loss = every, every_steps, loss
        self.folder, self.progress = folder, progress
        self.in_background, self.resumable = in_background, resumable
        self.described = {**(described or {}), **({"counted_by": STEPS} if every_steps else {})}
        self._last_step: int | None = None  # of the last milestone
        self._worker: Worker | None = None
        self._pending: _Pending | None = None
        self._unfinished: dict[str, Any] | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Milestone 0: the untrained network; or, when a run is resumed, the one that was not finished."""
        if self.in_background and trainer.is_global_zero:
            self._worker = Worker()
        if self._unfinished is not None:
            trained = dict(self._unfinished)
            self._at(trainer, pl_module, trained.pop("epoch"), trained)
        elif trainer.global_step == 0:
            self._at(trainer, pl_module, 0, {})

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        """Log the milestone that has been evaluated meanwhile; and the one of this step, if it is one."""
        if self._pending is not None and self._worker is not None and self._worker.is_ready():
            self._finish()
        step = trainer.global_step
        if self.every_steps is not None and step % self.every_steps == 0 and step != self._last_step:
            self._at(trainer, pl_module, step, self._loss(trainer))

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The milestone of this epoch, if it is one."""
        epoch = trainer.current_epoch + 1
        if self.every_steps is None and is_milestone(epoch, self.every, trainer.max_epochs or epoch):
            self._at(trainer, pl_module, epoch, self._loss(trainer))

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The run is complete, whatever ended it: its last state is a milestone."""
        self._finish()
        self._at_last(trainer, pl_module)
        if trainer.is_global_zero:
            self.milestone_log.end("completed", trainer.current_epoch)

    def _at_last(self, trainer: pl.Trainer, module: nn.Module) -> None:
        if trainer.global_step != self._last_step:
            number = trainer.current_epoch if self.every_steps is None else trainer.global_step
            self._at(trainer, module, number, self._loss(trainer), is_last=True)

    def _loss(self, trainer: pl.Trainer) -> dict[str, float]:
        loss = trainer.callback_metrics.get(self.loss)
        return {} if loss is None else {"train/loss": float(loss)}

    def on_save_checkpoint(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        checkpoint: dict[str, Any],
    ) -> None:
        """A checkpoint holds all milestones up to its step, or says which one is still to be evaluated."""
        if self._pending is not None and trainer.global_step > self._pending.step:
            self._finish()
        if self._pending is not None:
            unfinished = {"epoch": self._pending.epoch, **self._pending.trained}
            checkpoint["unfinished_milestone"] = unfinished

    def on_load_checkpoint(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        checkpoint: dict[str, Any],
    ) -> None:
        """Its weights are those of a milestone that another process had not finished."""
        self._unfinished = checkpoint.get("unfinished_milestone")

    def on_exception(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        exception: BaseException,
    ) -> None:
        """What was measured before a training failed is logged, and where nothing resumes it its last state.

        A second Ctrl-C does not wait for that.
        """
        if isinstance(exception, Exception):
            self._finish()
        elif isinstance(exception, KeyboardInterrupt) and not self.resumable and trainer.world_size == 1:
            self._finish()
            self._at_last(trainer, pl_module)
        self._close()

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Let go of the process that evaluates."""
        self._close()

    def _close(self) -> None:
        if self._worker is not None:
            self._worker.close()
        self._worker = None

    def evaluate(self, module: nn.Module, epoch: int) -> Milestone:
        """Measure a network now, log how it was computed, and return the milestone."""
        found = self.measure(module, epoch)
        self._define(found)
        return found.milestone

    def measure(self, module: nn.Module, epoch: int) -> Measured:
        """The same, but nothing is logged."""
        found = self.measuring.measure(module, epoch)
        return replace(found, definition=self._whole(found.definition))

    def _at(
        self,
        trainer: pl.Trainer,
        module: pl.LightningModule,
        epoch: int,
        trained: Mapping[str, Any],
        is_last: bool = False,
    ) -> None:
        """`trained`: what training itself says of the epoch, for the row."""
        self._last_step = trainer.global_step
        values: Mapping[str, float] = {}
        if trainer.is_global_zero:
            self._finish()
            goes_on = not is_last and epoch != trainer.max_epochs
            values = self._measure(module, epoch, trained, in_background=goes_on)
        else:
            self.measuring.streamed(module)
        values = trainer.strategy.broadcast(values)  # the others wait for the one that evaluates
        trainer.callback_metrics.update({key: torch.tensor(value) for key, value in values.items()})

    def _measure(
        self, module: nn.Module, epoch: int, trained: Mapping[str, Any], in_background: bool
    ) -> Mapping[str, float]:
        """Do what needs the network, and the rest here or in the background; gives what is known by then."""
        tell = None if self.progress is None else partial(self.progress.milestone_step, epoch)
        clock = Clock(tell)
        inputs = self.measuring.inputs(module, clock)
        if inputs is None:
            return self._log(self.measuring.nothing_finite(epoch), trained)
        pending = _Pending(epoch, self._last_step or 0, inputs, trained, clock.seconds())
        if self._worker is None or not in_background:
            return self._store(pending, measured(epoch, inputs, pending.spent, tell), {})
        self._pending = pending
        with suppress(WorkerDied):  # `_finish` will find out
            self._worker.start(measured, epoch, inputs, pending.spent)
        return {}

    def _finish(self) -> None:
        """Log the milestone that is evaluated in the background, if there is one; waits for it."""
        pending, self._pending = self._pending, None
        if pending is None:
            return
        start = time.perf_counter()
        try:
            assert self._worker is not None
            found: Measured = self._worker.result()
        except WorkerDied:
            print("the process that evaluates milestones was killed: continuing without it", file=sys.stderr)
            self._close()
            found = measured(pending.epoch, pending.inputs, pending.spent)
        waited = sum(pending.spent.values()) + time.perf_counter() - start
        self._store(pending, found, {"cost/waited_seconds": waited})

    def _store(
        self, pending: "_Pending", found: Measured, waited: Mapping[str, float]
    ) -> Mapping[str, float]:
        """The milestone, its definition, and what stands beside the checkpoints."""
        self._define(found)
        if self.folder is not None and found.points is not None:
            write_umap(self.folder, pending.epoch, found.points, pending.inputs.backbone)
        asked = pending.inputs.questions
        if self.folder is not None and asked is not None and asked.hogs is not None:
            write_whole(self.folder / FINGERPRINT, Fingerprint.of(asked.train, asked.held_out).content())
        return self._log(found, {**waited, **pending.trained})

    def _define(self, found: Measured) -> None:
        if found.definition:
            self.milestone_log.define(self._whole(found.definition))

    def _whole(self, definition: Mapping[str, Any]) -> Mapping[str, Any]:
        return {**definition, **self.described} if definition else {}

    def _log(self, found: Measured, values: Mapping[str, float]) -> Mapping[str, float]:
        milestone = with_values(found.milestone, values)
        if self.every_steps is not None:
            milestone = replace(milestone, axis=STEPS)
        self.milestone_log.milestone(milestone)
        if self.progress is not None:
            self.progress.milestone(milestone)
        return milestone.values


@dataclass(frozen=True, eq=False)
class _Pending:
    """A milestone that is being evaluated: all that needed the network, and the seconds which that took."""

    epoch: int
    step: int
    inputs: Inputs
    trained: Mapping[str, Any]
    spent: Mapping[str, float]


def milestones_of(
    config: TrainConfig,
    images: ImageSplits,
    log: MilestoneLog,
    folder: Path | None = None,
    progress: TrainingProgress | None = None,
) -> Milestones:
    """The callback for a run of train.py, whose UMAP points go into `folder`."""
    settings = MetricSettings(
        clusters=clusters_of(config, images),
        umap_seeds=config.umap_seeds,
        entropy_bin_width=config.entropy_bin_width,
        rankme_images=config.rankme_images,
        probe=config.probe,
        umap_engine=config.umap_engine,
        metrics=_metrics_of(config),
    )
    # RankMe reads the first images: in a folder sorted by class these would all be of one class.
    shuffled = images.train.take(drawn_order(len(images.train)))
    return Milestones(
        batches(shuffled),
        batches(images.evaluation),
        settings,
        log,
        every=config.milestone_every,
        encoder=Encoder(
            backbone=_represented,
            predictor="prediction_head" if "predictor_hidden" in own_values(config) else None,
        ),
        augmented=lambda probe_epoch: batches(autoaugmented(shuffled, config.seed, probe_epoch)),
        views=TrainingViews(config, shuffled) if config.lidar_images and settings.reads("views") else None,
        view_source=TrainingViews.source,
        pretext=(
            PretextImages.of_loaders(shuffled.pixels, images.evaluation.pixels, not config.rotation_degrees)
            if settings.asks or settings.reads("views")
            else None
        ),
        folder=folder,
        progress=progress,
        in_background=config.device != "cpu" and torch.cuda.is_available(),
        resumable=True,
        # What became black and white, where the images are not of 8 bits.
        described={} if images.pixel_range == (0, 255) else {"pixel_range": list(images.pixel_range)},
    )


def _metrics_of(config: TrainConfig) -> tuple[str, ...]:
    """What is to be computed; () is all."""
    if config.lidar_images != 0:
        return config.chosen_metrics
    return tuple(one.metric.name for one in chosen(config.chosen_metrics) if one.family != "views")


def _represented(network: Any, pixels: Tensor) -> Tensor:
    """The backbone of train.py's network; on CPUs in pieces whose activations stay in a core's cache."""
    few = max(1, _PIECE // pixels[0, 0].numel())
    parts = torch.split(pixels, few) if pixels.device.type == "cpu" else (pixels,)
    return torch.cat([network.backbone(network.views.normalize(part)) for part in parts])
