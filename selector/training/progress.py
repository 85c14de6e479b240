"""How far a run is: a bar on a terminal, one line per milestone in a log."""

# ruff: noqa: ARG002 - Lightning gives its hooks more than a display has use for.

import sys
import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, TextIO

import pytorch_lightning as pl
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from selector.milestone import Milestone
from selector.text import counted

_SHOWN = ("label_free/rankme", "labelled/linear_probe_accuracy")
# What leaves out or shrinks the steps of a milestone that take these parts of its time.
_CHEAPER = {
    "--probe none": ("cost/probe_seconds",),
    "--umap-seeds 0": ("cost/umap_seconds", "cost/clusters_seconds"),
    "fewer --evaluation-images and --rankme-images": ("cost/embeddings_seconds",),
    "--lidar-images 0": ("cost/training_views_seconds",),
}
_WORTH_NAMING = 0.2  # of a milestone's time


class TrainingProgress(pl.Callback):
    """Shows epochs, images per second and the time left, and the current step of a milestone."""

    def __init__(self, batch_size: int, stream: TextIO | None = None, every: int | None = None) -> None:
        """`batch_size` counts all processes; without `every` (epochs per milestone), no end is estimated."""
        self.batch_size, self.stream, self.every = batch_size, stream or sys.stderr, every
        self._costs: Mapping[str, float] = {}  # of the last milestone
        self._is_warm = False  # the first milestone of a process also loads what the others have
        self._epochs = 0  # trained by this process
        self.bar: Progress | None = None
        self._steps, self._images = 0, 0  # by this process; images of whole epochs
        self._seconds = self._epoch_start = 0.0

    @property
    def images_a_second(self) -> float:
        """Training alone, milestones not counted; 0 before the first epoch is done."""
        return self._images / self._seconds if self._seconds else 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw the bar, on a terminal. A run that goes on within an epoch does not start that epoch."""
        self._epoch_start = time.perf_counter()
        if self.bar is None and trainer.is_global_zero and self.stream.isatty():
            self.bar = Progress(
                TextColumn("training"), BarColumn(), MofNCompleteColumn(), TextColumn("epochs"),
                TimeRemainingColumn(), TextColumn("{task.fields[note]}"),
                console=_console(self.stream), transient=True,
            )  # fmt: skip
            self.task = self.bar.add_task(
                "", total=trainer.max_epochs, completed=trainer.current_epoch, note=""
            )
            self.bar.start()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The clock of this epoch."""
        self._epoch_start = time.perf_counter()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Parts of an epoch."""
        self._steps += 1
        if self.bar is not None:
            batches = max(1, int(trainer.num_training_batches))
            self.bar.update(self.task, completed=trainer.current_epoch + (batch_idx + 1) / batches)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Add up the time; this callback stands before those that evaluate and save."""
        self._images = self.batch_size * self._steps
        self._seconds += time.perf_counter() - self._epoch_start
        self._epochs += 1
        self._note()
        self._last = (trainer.current_epoch + 1, trainer.max_epochs or -1)
        if self._epochs == 1:
            self._estimate()

    def milestone_step(self, epoch: int, step: str) -> None:
        """What an epoch's milestone is doing now, such as "UMAP"."""
        self._note(f"milestone {epoch}: {step}")

    def milestone(self, milestone: Milestone) -> None:
        """A milestone is done."""
        self._note()
        values = milestone.values
        figures = [f"{key.split('/')[1]} {values[key]:.4g}" for key in _SHOWN if key in values]
        first = not self._costs
        self._costs = {key: value for key, value in values.items() if key.startswith("cost/")}
        seconds = values.get("cost/milestone_seconds")
        if seconds is not None:
            figures.append(f"{seconds:.1f} s")
        speed = f", {self.images_a_second:.0f} images/s" if self._seconds else ""
        self._say(f"milestone {milestone.epoch}: {', '.join(figures)}{speed}")
        if self._epochs and not self._is_warm:
            self._is_warm = not first
            self._estimate()

    def _estimate(self) -> None:
        """When training will end, from an epoch and a milestone; and what would make it cheaper."""
        each = self._costs.get("cost/waited_seconds", self._costs.get("cost/milestone_seconds"))
        (epoch, epochs), every = self._last, self.every
        if each is None or every is None or epochs <= epoch:
            return
        training = (epochs - epoch) * self._seconds / self._epochs
        milestones = -(-epochs // every) - epoch // every
        whole = training + milestones * each
        step = {hint: sum(self._costs.get(key, 0.0) for key in keys) for hint, keys in _CHEAPER.items()}
        hints = [f"--milestone-every {2 * every}"] if 2 * every < epochs else []
        hints += [
            f"{hint} (saves up to {s:.1f} s of each)" for hint, s in step.items() if s > _WORTH_NAMING * each
        ]
        at_most = "" if self._is_warm else "at most "
        self._say(
            f"{at_most}about {timedelta(seconds=round(whole))} left: {counted(epochs - epoch, 'epoch')} of"
            f" {self._seconds / self._epochs:.1f} s and {counted(milestones, 'milestone')} of {each:.1f} s;"
            f" milestones take {milestones * each / whole:.0%} of it"
            + f"; cheaper: {', '.join(hints)}"
            * bool(hints)
        )

    def _say(self, line: str) -> None:
        if self.bar is not None:
            self.bar.console.print(line, markup=False, highlight=False)
        else:
            print(line, file=self.stream, flush=True)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take the bar away."""
        self._stop()

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Take the bar away, so that what is said of the exception stands alone."""
        self._stop()

    def _note(self, note: str | None = None) -> None:
        if self.bar is not None:
            speed = f"{self.images_a_second:.0f} images/s" if self._seconds else ""
            self.bar.update(self.task, note=note or speed)

    def _stop(self) -> None:
        if self.bar is not None:
            self.bar.stop()
            self.bar = None


def _console(stream: TextIO) -> Console:
    console = Console(file=stream)
    console.width = min(100, console.width)
    return console
