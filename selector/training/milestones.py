"""Milestones: a Lightning callback that evaluates an encoder without labels while it trains."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pytorch_lightning as pl
from torch import Tensor

from selector.config import TrainConfig
from selector.evaluation.embeddings import Embeddings, Space, ViewEmbeddings
from selector.evaluation.metrics import LABEL_FREE_PREFIX
from selector.evaluation.milestone import LabelFreeMetrics, MetricSettings, Row, evaluate, to_row
from selector.evaluation.spectrum import Spectrum
from selector.training.autoaugment import autoaugment, draw
from selector.training.checkpoints import is_milestone
from selector.training.data import Images, ImageSplits, clusters_of
from selector.training.embed import Batch, embed, embed_views
from selector.training.milestone_views import TrainingViews
from selector.training.progress import TrainingProgress
from selector.training.streamed import KEPT_ROWS, streamed_spectra
from selector.training.umap_file import write_umap

_BATCH = 512  # images embedded at once; in evaluation mode the size changes no figure


class MilestoneLog(Protocol):
    """Where milestones go: a W&B run, or anything with these methods."""

    def define(self, definition: Mapping[str, Any]) -> None:
        """Store how the metrics are computed."""

    def milestone(self, row: Mapping[str, Any]) -> None:
        """Store one row: numbers, and lists of numbers under `spectrum/`."""

    def completed(self, epoch: int) -> None:
        """Store that training came to its end: a run without this may have been cut off."""


@dataclass(frozen=True)
class Encoder:
    """How to get vectors out of a LightningModule.

    Attributes:
        backbone: Attribute with the encoder, or a function (module, images) → (B, D).
        projector: Attribute with the projection head that reads the encoder's vectors, or a function
            (module, vectors) → (B, D').
        predictor: Attribute with the prediction head that reads the projector's vectors, or a function
            (module, vectors) → (B, D''); None where the method has none.
    """

    backbone: str | Callable[[Any, Tensor], Tensor] = "backbone"
    projector: str | Callable[[Any, Tensor], Tensor] = "projection_head"
    predictor: str | Callable[[Any, Tensor], Tensor] | None = None

    def __call__(self, module: pl.LightningModule, images: Tensor) -> dict[Space, Tensor]:
        """All spaces of a batch, flattened to (B, D)."""
        vectors = self._apply(self.backbone, module, images).flatten(1)
        projected = self._apply(self.projector, module, vectors).flatten(1)
        spaces: dict[Space, Tensor] = {"backbone": vectors, "projector": projected}
        if self.predictor is not None:
            spaces["predictor"] = self._apply(self.predictor, module, projected).flatten(1)
        return spaces

    @staticmethod
    def _apply(part: str | Callable[[Any, Tensor], Tensor], module: Any, x: Tensor) -> Tensor:
        result: Tensor = getattr(module, part)(x) if isinstance(part, str) else part(module, x)
        return result


class Milestones(pl.Callback):
    """Logs label-free metrics of the embeddings before training, every `every` epochs and after the last one.

    Serves any LightningModule: give it batches of images as the encoder wants them, and say where the encoder
    and the projection head are. Labels are optional; without them only label-free metrics are logged.
    Training does not notice: modes, gradients and random states are left as they were.

    Example:
        Milestones(train_loader, test_loader, MetricSettings(clusters=10), WandbLog(run))
    """

    def __init__(
        self,
        train: Iterable[Any],
        evaluation: Iterable[Any],
        settings: MetricSettings,
        log: MilestoneLog,
        *,
        every: int = 20,
        encoder: Encoder = Encoder(),
        augmented: Callable[[int], Iterable[Any]] | None = None,
        views: Callable[[pl.LightningModule], Iterable[Tensor]] | None = None,
        view_source: str = "views given to Milestones",
        loss: str = "train/loss",
        folder: Path | None = None,
        progress: TrainingProgress | None = None,
    ) -> None:
        """Set up the callback.

        Args:
            train: Batches of training images in a fixed order: RankMe reads their projections, probes their
                representations. A batch is a tensor, or (images, labels, …).
            evaluation: Batches of evaluation images in a fixed order: all other metrics.
            settings: How the metrics are computed; `settings.clusters` is k1.
            log: Where the rows go.
            every: Epochs between milestones.
            encoder: Where the encoder and the projection head are.
            augmented: Epoch of the probe → augmented training batches, for the paper's linear probe.
            views: The module → batches (B, q, C, H, W), for LiDAR and alignment: q ≥ 2 views of each of B
                training images from the training augmentations, as the encoder wants them. Called while
                torch's random states are kept, so it may seed them, to give the same views every time.
            view_source: What the views are, in a few words; runs that differ here are not compared by them.
            loss: Name under which the module logs its loss, for the row's `train/loss`.
            folder: Where to leave each milestone's UMAP points, for pictures; None leaves none.
            progress: What shows people how far the milestone is; None shows nothing.
        """
        self.train, self.evaluation, self.settings = train, evaluation, settings
        self.milestone_log = log  # Lightning gives every callback a `log` of its own
        self.every, self.encoder, self.augmented, self.loss = every, encoder, augmented, loss
        self.views, self.view_source = views, view_source
        self.folder, self.progress = folder, progress

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Milestone 0: the untrained network (not again when a run is resumed)."""
        if trainer.global_step == 0:
            self._at(trainer, pl_module, 0)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The milestone of this epoch, if it is one."""
        epoch = trainer.current_epoch + 1
        if is_milestone(epoch, self.every, trainer.max_epochs or epoch):
            self._at(trainer, pl_module, epoch)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """The run is complete, whether its epochs are done or another callback was content earlier."""
        if trainer.is_global_zero:
            self.milestone_log.completed(trainer.current_epoch)

    def _at(self, trainer: pl.Trainer, module: pl.LightningModule, epoch: int) -> None:
        if trainer.is_global_zero:
            row = self.row(module, epoch)
            loss = trainer.callback_metrics.get(self.loss)
            row |= {} if loss is None or epoch == 0 else {"train/loss": float(loss)}
            self.milestone_log.milestone(row)
            if self.progress is not None:
                self.progress.milestone(row)
        else:
            self._streamed(module)
        trainer.strategy.barrier("milestone")  # the other processes wait for the one that evaluates

    def row(self, module: pl.LightningModule, epoch: int) -> Row:
        """Embed, evaluate, and give the history row of one milestone."""
        clock = _Clock(epoch, self.progress)
        clock.at("embeddings")
        test = self._embed(module, self.evaluation, "test", {"backbone": None})["backbone"]
        limit = min(self.settings.rankme_images, KEPT_ROWS)
        streamed = self._streamed(module)
        probed = test.labels is not None and self.settings.probe != "none"
        wanted: dict[Space, int | None] = {"projector": limit}
        if self.encoder.predictor is not None:
            wanted["predictor"] = limit
        if probed:
            wanted["backbone"] = None
        train = self._embed(module, self.train, "train", wanted)
        views = self._views(module)
        found = [
            embeddings.vectors for embeddings in (test, *train.values(), views) if embeddings is not None
        ]
        if streamed is None or not all(np.isfinite(vectors).all() for vectors in found):
            return _nothing_finite(epoch)
        result = evaluate(
            epoch,
            backbone=test,
            projector=train["projector"],
            train_backbone=train.get("backbone"),
            augmented=None
            if self.augmented is None
            else lambda probe_epoch: self._augmented(module, probe_epoch),
            views=views,
            predictor=train.get("predictor"),
            streamed=streamed,
            settings=self.settings,
            at=clock.at,
        )
        self.milestone_log.define(asdict(result.definition))
        if self.folder is not None and result.points is not None:
            write_umap(self.folder, epoch, result.points, test)
        return to_row(result) | clock.costs(probed)

    def _streamed(self, module: pl.LightningModule) -> Mapping[Space, Spectrum] | None:
        """Where RankMe is to read more images than are kept: its spectra, with the help of all processes."""
        if self.settings.rankme_images <= KEPT_ROWS:
            return {}
        spaces: list[Space] = ["projector"]
        if self.encoder.predictor is not None:
            spaces.append("predictor")
        encode = partial(self.encoder, module)
        return streamed_spectra(module, encode, self.train, spaces, self.settings.rankme_images)

    def _augmented(self, module: pl.LightningModule, probe_epoch: int) -> Embeddings:
        assert self.augmented is not None
        return self._embed(module, self.augmented(probe_epoch), "train", {"backbone": None})["backbone"]

    def _views(self, module: pl.LightningModule) -> ViewEmbeddings | None:
        if self.views is None:
            return None
        make = self.views

        def views() -> Iterator[Tensor]:
            yield from make(module)  # once it is iterated: by then the random state is kept

        return embed_views(module, lambda x: self.encoder(module, x), views(), self.view_source)

    def _embed(
        self, module: pl.LightningModule, batches: Iterable[Any], split: str, limits: dict[Space, int | None]
    ) -> dict[Space, Embeddings]:
        return embed(module, lambda x: self.encoder(module, x), batches, split, limits)


class _Clock:
    """How long the steps of a milestone take, and where it is now."""

    def __init__(self, epoch: int, progress: TrainingProgress | None) -> None:
        self.epoch, self.progress = epoch, progress
        self.steps: list[tuple[str, float]] = []

    def at(self, step: str) -> None:
        """The next step begins."""
        self.steps.append((step, time.perf_counter()))
        if self.progress is not None:
            self.progress.milestone_step(self.epoch, step)

    def costs(self, probed: bool) -> dict[str, float]:
        """Seconds of the whole milestone, and of its probe: what labels cost."""
        times = [*(start for _, start in self.steps), time.perf_counter()]
        seconds = {name: times[i + 1] - times[i] for i, (name, _) in enumerate(self.steps)}
        probe = {"cost/probe_seconds": seconds["linear probe"]} if probed else {}
        return {"cost/milestone_seconds": times[-1] - times[0]} | probe


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
    )
    # RankMe reads the first images: in a folder sorted by class these would all be of one class.
    shuffled = images.train.take(np.random.default_rng(0).permutation(len(images.train)))
    return Milestones(
        Batches(shuffled),
        Batches(images.evaluation),
        settings,
        log,
        every=config.milestone_every,
        encoder=Encoder(
            backbone=lambda method, pixels: method.backbone(method.views.normalize(pixels)),
            predictor="prediction_head" if config.method == "simsiam" else None,
        ),
        augmented=lambda probe_epoch: Batches(autoaugmented(shuffled, config.seed, probe_epoch)),
        views=TrainingViews(config, shuffled) if config.lidar_images else None,
        view_source=TrainingViews.source,
        folder=folder,
        progress=progress,
    )


@dataclass(frozen=True)
class Batches:
    """Batches of images in their order, as often as they are asked for."""

    images: Images

    def __iter__(self) -> Iterator[Batch]:
        for start in range(0, len(self.images), _BATCH):
            part = slice(start, start + _BATCH)
            labels = self.images.labels
            yield self.images.pixels[part], None if labels is None else labels[part]


def autoaugmented(images: Images, seed: int, epoch: int) -> Images:
    """Each image under AutoAugment's CIFAR-10 policy (Cubuk et al. 2018), as the paper's probe trains on."""
    drawn = draw(len(images), int(np.random.SeedSequence([seed, epoch, 1]).generate_state(1, np.uint64)[0]))
    return replace(images, pixels=autoaugment(images.pixels, drawn))


def _nothing_finite(epoch: int) -> Row:
    """The row of an encoder whose weights have diverged: NaN, which is never chosen."""
    return {"epoch": epoch} | {f"{LABEL_FREE_PREFIX}{f.name}": float("nan") for f in fields(LabelFreeMetrics)}
