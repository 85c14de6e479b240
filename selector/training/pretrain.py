"""One run: a method, trained by Lightning's Trainer, evaluated and saved at every milestone."""

import atexit
import logging
import signal
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins.environments import LightningEnvironment, TorchElasticEnvironment
from pytorch_lightning.strategies import DDPStrategy

from selector.config import TrainConfig
from selector.errors import UserError
from selector.text import first_line, printable
from selector.training.checkpoints import LastCheckpoint, MilestoneCheckpoints
from selector.training.network import Network
from selector.training.processes import PATIENCE, processes_of
from selector.training.run_folder import last_checkpoint, refuse_other_configuration
from selector.training.run_log import RunLog, SilentLog
from selector.training.stopping import StopSignals
from selector.training.stored import read_checkpoint


class Diverged(Exception):
    """The loss or the embeddings are NaN or infinite: a result of the configuration, not a fault."""

    def __init__(self, what: str, epoch: int) -> None:
        """`epoch` counts from 1, the epoch in which it happened."""
        super().__init__(f"{what} in epoch {epoch}")
        self.epoch = epoch


@dataclass(frozen=True)
class Outcome:
    """How a run ended; `epoch` is the last one, or the one that diverged, and `detail` one line."""

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


def pretrain(
    network: Network,
    config: TrainConfig,
    folder: Path,
    callbacks: Sequence[pl.Callback],
    log: RunLog | SilentLog | None = None,
    signals: StopSignals | None = None,
) -> Outcome:
    """Train to the last epoch, from the last checkpoint in `folder` if there is one.

    `callbacks`, such as milestones and progress, run before the checkpoint of the same epoch. The milestones
    in `log` are kept in checkpoints, too.

    Raises:
        UserError: The checkpoint belongs to another configuration or cannot be read.
        Stopped: `signals` said so; a checkpoint is written.
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
    except BaseException as error:
        if trainer.strategy.launcher is not None:
            # The other processes wait for this one in vain. At exit: Lightning ends this one with them.
            atexit.register(trainer.strategy.launcher.kill, signal.SIGKILL)
        known = isinstance(error, UserError) or not isinstance(error, Exception)
        if checkpoint is None or last.began or known:
            raise
        # Lightning and torch trust what they load, and fail anywhere.
        raise UserError(
            f"cannot go on from checkpoint {printable(str(checkpoint))!r} ({first_line(error)}): if it is"
            " damaged, remove it to start from the one before"
        ) from error
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
    """Give a network the weights of a checkpoint: its encoder's, and those of heads of the same shape."""
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
