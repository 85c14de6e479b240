"""One run: a method, trained by Lightning's Trainer, evaluated and saved at every milestone."""

import atexit
import logging
import signal
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins.environments import LightningEnvironment, TorchElasticEnvironment
from pytorch_lightning.strategies import DDPStrategy

from selector.config import TrainConfig
from selector.errors import UserError
from selector.milestone import Milestone
from selector.record import Status
from selector.text import first_line
from selector.training.checkpoints import CheckpointLog, LastCheckpoint, MilestoneCheckpoints
from selector.training.network import Network
from selector.training.processes import PATIENCE, processes_of
from selector.training.run_folder import last_checkpoint, refuse_other_configuration
from selector.training.stopping import StopSignals
from selector.training.stored import refuse_damaged
from selector.training.torch_file import load_plain

# What a run cannot go on without.
_PARTS = {"train_config", "epoch", "global_step", "state_dict", "loops", "optimizer_states"}


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


class RefuseNonFiniteLoss(pl.Callback):
    """Ends the run when an epoch's mean loss is NaN or infinite."""

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Read the mean once per epoch: a look at every step would wait for the GPU each time."""
        loss = trainer.callback_metrics.get("train/loss")
        if loss is not None and not torch.isfinite(loss):
            raise Diverged(f"loss became {loss.item()}", pl_module.current_epoch + 1)


class SilentLog:
    """A log for a run, or for one of several processes of a run, that reports nothing."""

    def __init__(self) -> None:
        self.rows: list[Milestone] = []

    def define(self, definition: Mapping[str, Any]) -> None:
        """Nothing."""

    def milestone(self, milestone: Milestone) -> None:
        """Nothing."""

    def end(self, status: Status, epoch: int) -> None:
        """Nothing."""

    def restore(self, rows: list[Milestone]) -> None:
        """Only keeps them for the next checkpoint."""
        self.rows = list(rows)

    def keep(self, path: Path, epoch: int) -> None:
        """Nothing."""


def pretrain(
    network: Network,
    config: TrainConfig,
    folder: Path,
    callbacks: Sequence[pl.Callback],
    log: CheckpointLog | None = None,
    signals: StopSignals | None = None,
) -> Outcome:
    """Train to the last epoch, from the last checkpoint in `folder` if there is one.

    Args:
        network: The encoder, its heads and its loss.
        config: What was asked for.
        folder: Where checkpoints go.
        callbacks: Milestones, progress and the like, run before the checkpoint of the same epoch.
        log: Where the milestones go; they are kept in checkpoints, too.
        signals: Requests to stop the run; None uses none.

    Raises:
        UserError: The checkpoint belongs to another configuration or cannot be read.
        Stopped: The run was told to stop; a checkpoint is written.
    """
    silence_lightning()
    checkpoint = last_checkpoint(folder)
    if checkpoint is not None:
        refuse_other_configuration(config, read_checkpoint(checkpoint))
    signals = signals or StopSignals()
    last = LastCheckpoint(folder, config, signals)
    milestones = MilestoneCheckpoints(folder, config, signals, log or SilentLog())
    trainer = _trainer(config, [RefuseNonFiniteLoss(), last, *callbacks, milestones])
    try:
        trainer.fit(network, ckpt_path=checkpoint, weights_only=True)
    except Diverged as result:
        return Outcome("diverged", result.epoch, str(result))
    except BaseException:
        if trainer.strategy.launcher is not None:
            # The other processes wait for this one in vain. At exit: Lightning ends this one with them.
            atexit.register(trainer.strategy.launcher.kill, signal.SIGKILL)
        raise
    return Outcome("completed", trainer.current_epoch, "")


def _trainer(config: TrainConfig, callbacks: list[pl.Callback]) -> pl.Trainer:
    precision: Any = {"32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}[config.precision]
    processes = processes_of(config)
    strategy: Any = "auto"
    if processes.world > 1:
        environment = TorchElasticEnvironment() if processes.by_torchrun else LightningEnvironment()
        # DDP would broadcast the data set, which is a buffer, at every step; the other buffers are equal.
        strategy = DDPStrategy(cluster_environment=environment, broadcast_buffers=False, timeout=PATIENCE)
    return pl.Trainer(
        max_epochs=config.epochs,
        accelerator="gpu" if config.device == "cuda" else config.device,
        devices=config.devices,
        num_nodes=processes.nodes,
        strategy=strategy,
        precision=precision,
        callbacks=callbacks,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )


def silence_lightning() -> None:
    """Lightning's remarks on its own use of torch, and its advertisements, say nothing about the run."""
    warnings.filterwarnings("ignore", message=".*LeafSpec.*")
    warnings.filterwarnings("ignore", message="`broadcast_buffers` is deprecated")  # its new name is in 2.15
    # It cannot know that the order of the images goes on where it was.
    warnings.filterwarnings("ignore", message="You're resuming from a checkpoint that ended before the epoch")
    for chatter in ("utilities.rank_zero", "trainer", "trainer.connectors.signal_connector"):
        logging.getLogger(f"pytorch_lightning.{chatter}").setLevel(logging.WARNING)
    logging.getLogger("lightning_fabric.utilities.distributed").setLevel(logging.WARNING)


def start_from(path: Path, network: Network) -> None:
    """Give a network the weights of a checkpoint: its encoder's, and those of heads of the same shape.

    Raises:
        UserError: There is no such checkpoint, or its encoder is another one.
    """
    if not path.is_file():
        raise UserError(f"--init-from {str(path)!r}: there is no such file; name a checkpoint of train.py")
    content = read_checkpoint(path, "--init-from must name a checkpoint of train.py")
    own = {name: tensor.shape for name, tensor in network.named_parameters()}
    own |= {name: tensor.shape for name, tensor in network.named_buffers() if name.startswith("backbone.")}
    state = content["state_dict"]
    fitting = {name for name, shape in own.items() if name in state and state[name].shape == shape}
    if missing := sorted(name for name in own if name.startswith("backbone.") and name not in fitting):
        asked, stored = network.train_config, content["train_config"]
        raise UserError(
            f"--init-from {str(path)!r}: its encoder is {stored.get('backbone')} of width"
            f" {stored.get('backbone_width')}, this run asks for {asked.backbone} of width"
            f" {asked.backbone_width} ({missing[0]} differs)"
        )
    network.load_state_dict({name: state[name] for name in fitting}, strict=False)


def read_checkpoint(path: Path, advice: str = "remove it to start from the one before") -> dict[str, Any]:
    """A checkpoint as tensors and plain values; nothing in it is executed.

    Raises:
        UserError: It cannot be read, or a part of it is not what train.py writes.
    """
    try:
        content: dict[str, Any] = load_plain(path)
    except Exception as error:
        reason = first_line(error)
        raise UserError(f"checkpoint {str(path)!r} cannot be read ({reason}): {advice}") from error
    if not isinstance(content, dict) or not content.keys() >= _PARTS:
        raise UserError(f"{str(path)!r} is not a checkpoint of train.py: {advice}")
    refuse_damaged(content, path)
    return content
