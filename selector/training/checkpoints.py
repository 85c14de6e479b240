"""Checkpoints: the whole state of a run on disk, so that it goes on bit for bit after any interruption.

`milestone-NNNN.ckpt` holds the state after a milestone was logged. `last.ckpt`, if it is there, is later than
those: it is written every few minutes, when the run is told to stop, and one step before a milestone, so that
a run that dies while it is evaluated repeats this step and the evaluation. The next milestone removes it.
"""

import io
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl
import torch

from selector.config import TrainConfig
from selector.errors import UserError
from selector.files import write_whole
from selector.milestone import Milestone
from selector.training.run_folder import LAST, checkpoint_path
from selector.training.stopping import StopSignals

if TYPE_CHECKING:
    from selector.training.run_log import RunLog, SilentLog


def is_milestone(epoch: int, every: int, epochs: int) -> bool:
    """Whether a run of `epochs` is evaluated after `epoch`: at 0, every `every`, and at the end."""
    return epoch % every == 0 or epoch == epochs


class LastCheckpoint(pl.Callback):
    """Writes `last.ckpt`, and, when told to, stops the run where that is safe; goes before the milestones.

    It acts in the first process alone. That one holds the whole state, the others the same, and none of them
    needs to agree on when to save: see `write_checkpoint`.
    """

    def __init__(self, folder: Path, config: TrainConfig, signals: StopSignals) -> None:
        """`config.checkpoint_minutes` says how often.

        `began` says whether the training has, so that the checkpoint it goes on from was sound.
        """
        self.folder, self.config, self.signals = folder, config, signals
        self.began = False
        self._saved_at = time.monotonic()

    def on_train_start(self, trainer: pl.Trainer, _: pl.LightningModule) -> None:
        """Take the signals back from Lightning; what follows is the untrained network's milestone."""
        self.began = True
        self.signals.install()
        self.signals.follows = not trainer.is_global_zero
        self.signals.release()

    def on_train_batch_end(self, trainer: pl.Trainer, *what: Any) -> None:
        """Save inside an epoch."""
        *_, batch_idx = what
        left = int(trainer.num_training_batches) - 1 - batch_idx
        if trainer.is_global_zero and left > 0:
            self._save(trainer, before_milestone=left == 1 and self._is_milestone(trainer.current_epoch + 1))

    def on_train_epoch_end(self, trainer: pl.Trainer, _: pl.LightningModule) -> None:
        """Save between epochs; what follows may be a milestone, which may be interrupted."""
        epoch = trainer.current_epoch + 1
        if trainer.is_global_zero and not self._is_milestone(epoch):
            single = trainer.num_training_batches == 1
            self._save(trainer, before_milestone=single and self._is_milestone(epoch + 1))
        self.signals.release()

    def _save(self, trainer: pl.Trainer, before_milestone: bool) -> None:
        if before_milestone or self.signals.received is not None or self._due():
            write_checkpoint(trainer, self.folder / LAST)
            self._saved_at = time.monotonic()
        self.signals.obey()

    def _due(self) -> bool:
        minutes = self.config.checkpoint_minutes
        return minutes is not None and time.monotonic() - self._saved_at >= 60 * minutes

    def _is_milestone(self, epoch: int) -> bool:
        return is_milestone(epoch, self.config.milestone_every, self.config.epochs)


class MilestoneCheckpoints(pl.Callback):
    """Saves the run at every milestone; goes after what logs it."""

    def __init__(
        self, folder: Path, config: TrainConfig, signals: StopSignals, log: "RunLog | SilentLog"
    ) -> None:
        """`config.keep` says whether older milestones stay."""
        self.folder, self.config, self.signals, self.milestone_log = folder, config, signals, log

    def on_train_start(self, *_: Any) -> None:
        """From here on signals wait for the end of a step."""
        self.signals.holding = True

    def on_train_epoch_end(self, trainer: pl.Trainer, _: pl.LightningModule) -> None:
        """Save the milestone that has just been logged."""
        self.signals.holding = True
        epoch = trainer.current_epoch + 1
        if trainer.is_global_zero and is_milestone(epoch, self.config.milestone_every, self.config.epochs):
            path = checkpoint_path(self.folder, epoch)
            write_checkpoint(trainer, path)
            (self.folder / LAST).unlink(missing_ok=True)
            if self.config.keep == "last":
                for older in self.folder.glob("milestone-*.ckpt"):
                    if older != path:
                        older.unlink()
            self.milestone_log.keep(path, epoch)

    def on_train_end(self, *_: Any) -> None:
        """The run is complete: a signal that came too late stops nothing."""
        self.signals.received, self.signals.holding = None, False

    def on_save_checkpoint(self, *what: Any) -> None:
        """The milestones go along, for W&B may not have received all of them when a machine dies."""
        *_, checkpoint = what
        checkpoint["milestones"] = [milestone.row for milestone in self.milestone_log.rows]

    def on_load_checkpoint(self, *what: Any) -> None:
        """The log takes over the milestones that were lost on the way."""
        *_, checkpoint = what
        self.milestone_log.restore(list(map(Milestone.of_row, checkpoint.get("milestones", []))))


def write_checkpoint(trainer: pl.Trainer, path: Path) -> None:
    """A reader sees a whole checkpoint or none.

    Trainer.save_checkpoint would wait for the other processes. None of them has to be asked: parameters,
    optimiser, BatchNorm statistics and queue are the same in all of them.
    """
    content = trainer._checkpoint_connector.dump_checkpoint(weights_only=False)
    buffer = io.BytesIO()
    torch.save(content, buffer)  # straight to a file, "no space left" would be an error without a reason
    try:
        write_whole(path, buffer.getbuffer())
    except OSError as error:
        raise UserError(
            f"cannot write checkpoint {str(path)!r} ({error.strerror or error}): what was saved before is"
            " whole; make room, and the same command with --resume continues the run"
        ) from error
