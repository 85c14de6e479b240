"""One run: a method, trained by Lightning's Trainer, evaluated and saved at every milestone."""

import logging
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytorch_lightning as pl
import torch

from selector.config import TrainConfig
from selector.errors import UserError
from selector.training.data import ImageSplits
from selector.training.method import Method
from selector.training.run_folder import checkpoint_path, last_checkpoint, refuse_other_configuration


class Diverged(Exception):
    """The loss or the embeddings are NaN or infinite: a result of the configuration, not a fault."""

    def __init__(self, what: str, epoch: int) -> None:
        """`epoch` counts from 1, the epoch in which it happened."""
        super().__init__(f"{what} in epoch {epoch}")
        self.epoch = epoch


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        status: "completed" or "diverged".
        epoch: The last epoch, or the one that diverged.
        detail: One line.
    """

    status: Literal["completed", "diverged"]
    epoch: int
    detail: str


def build_method(config: TrainConfig, images: ImageSplits) -> Method:
    """The network and loss of `config.method`, with weights drawn from its seed."""
    match config.method:
        case "simclr":
            from selector.training.simclr import SimCLR

            return SimCLR(config, images)
        case "simsiam":
            from selector.training.simsiam import SimSiam

            return SimSiam(config, images)
        case "moco_v2":
            from selector.training.moco_v2 import MoCoV2

            return MoCoV2(config, images)


def is_milestone(epoch: int, every: int, epochs: int) -> bool:
    """Whether a run of `epochs` is evaluated after `epoch`: at 0, every `every`, and at the end."""
    return epoch % every == 0 or epoch == epochs


class RefuseNonFiniteLoss(pl.Callback):
    """Ends the run when an epoch's mean loss is NaN or infinite."""

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Read the mean once an epoch: a look at every step would wait for the GPU each time."""
        loss = trainer.callback_metrics.get("train/loss")
        if loss is not None and not torch.isfinite(loss):
            raise Diverged(f"loss became {loss.item()}", pl_module.current_epoch + 1)


class Checkpoints(pl.Callback):
    """Saves the whole state of the run at every milestone, so that it can go on bit for bit."""

    def __init__(self, folder: Path, config: TrainConfig) -> None:
        """`config.keep` says whether older milestones stay."""
        self.folder, self.config = folder, config

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write, flush to disk, rename: a reader sees a whole checkpoint or none."""
        epoch = pl_module.current_epoch + 1
        if not is_milestone(epoch, self.config.milestone_every, self.config.epochs):
            return
        path = checkpoint_path(self.folder, epoch)
        partial = path.with_suffix(".partial")
        self.folder.mkdir(parents=True, exist_ok=True)
        trainer.save_checkpoint(partial)
        if not trainer.is_global_zero:
            return
        with partial.open("rb") as written:
            os.fsync(written.fileno())
        partial.replace(path)
        if self.config.keep == "last":
            for older in self.folder.glob("milestone-*.ckpt"):
                if older != path:
                    older.unlink()


def pretrain(
    method: Method, config: TrainConfig, folder: Path, callbacks: Sequence[pl.Callback], progress: bool
) -> Outcome:
    """Train to the last epoch, from the last checkpoint in `folder` if there is one.

    Args:
        method: The network and its loss.
        config: What was asked for.
        folder: Where checkpoints go.
        callbacks: Milestones and the like, run before the checkpoint of the same epoch.
        progress: Whether to draw a progress bar.

    Raises:
        UserError: The checkpoint belongs to another configuration or cannot be read.
    """
    # Lightning's remarks on its own use of torch, and its advertisements, say nothing about the run.
    warnings.filterwarnings("ignore", message=".*LeafSpec.*")
    for chatter in ("pytorch_lightning.utilities.rank_zero", "pytorch_lightning.trainer"):
        logging.getLogger(chatter).setLevel(logging.WARNING)
    checkpoint = last_checkpoint(folder)
    if checkpoint is not None:
        refuse_other_configuration(config, read_checkpoint(checkpoint))
    precision: Any = {"32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}[config.precision]
    trainer = pl.Trainer(
        max_epochs=config.epochs,
        accelerator="gpu" if config.device == "cuda" else config.device,
        devices=1,
        precision=precision,
        callbacks=[RefuseNonFiniteLoss(), *callbacks, Checkpoints(folder, config)],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=progress,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    try:
        trainer.fit(method, ckpt_path=checkpoint, weights_only=True)
    except Diverged as result:
        return Outcome("diverged", result.epoch, str(result))
    return Outcome("completed", trainer.current_epoch, "")


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint as tensors and plain values; nothing in it is executed.

    Raises:
        UserError: It cannot be read.
    """
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises whatever its unpickler or zip reader meets
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"checkpoint {str(path)!r} cannot be read ({reason}): remove it to start from the one before"
        ) from error
    return content
