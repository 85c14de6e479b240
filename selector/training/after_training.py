"""Milestones of runs that are done, evaluated from their checkpoints as they were while the run trained."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from selector.config import TrainConfig
from selector.errors import UserError
from selector.metrics.inputs import Probe
from selector.milestone import Milestone
from selector.record import Status
from selector.text import printable
from selector.training.data import ImageSplits, load_images
from selector.training.milestones import milestones_of
from selector.training.network import Network
from selector.training.stored import CHECKPOINT_NAME, Stored

# What decides which images a run has; `batch_size` and `clusters` can be refused for them.
_OF_IMAGES = (
    "dataset", "data_dir", "image_size", "holdout", "train_images", "evaluation_images", "labels",
    "skip_bad_images", "batch_size", "clusters",
)  # fmt: skip
# Parts of a network that the metrics read; a checkpoint of another version may differ elsewhere.
_READ = ("backbone.", "projection_head.", "prediction_head.", "views.")


class Evaluator:
    """Evaluates checkpoints; images that several of them were trained on are read once.

    Attributes:
        definition: How the metrics of the last milestone were computed.
    """

    def __init__(
        self, data_dir: str | None = None, probe: Probe | None = None, device: torch.device | None = None
    ) -> None:
        """Set up.

        Args:
            data_dir: Where the data set is now; None where it was.
            probe: Linear probe to train; None uses the run's own.
            device: Where to embed; None is the CPU.
        """
        self.data_dir, self.probe = data_dir, probe
        self.device = device or torch.device("cpu")
        self.definition: Mapping[str, Any] = {}
        self._images: tuple[Any, ImageSplits] | None = None

    def trained(self, stored: Stored) -> Milestone:
        """The milestone that a checkpoint holds.

        Raises:
            UserError: The data set is not there, or the weights do not fit this version's network.
        """
        config, images = self._prepared(stored.config)
        method = Network(config, images)
        _load(method, stored)
        return self._evaluated(method, config, images, stored.epoch)

    def untrained(self, config: TrainConfig) -> Milestone:
        """Milestone 0, whose weights are drawn from the seed of the configuration.

        Raises:
            UserError: The data set is not there.
        """
        config, images = self._prepared(config)
        return self._evaluated(Network(config, images), config, images, 0)

    def _evaluated(self, method: Network, config: TrainConfig, images: ImageSplits, epoch: int) -> Milestone:
        log = _Definition()
        with _threads(config.threads):
            found = milestones_of(config, images, log).evaluate(method.to(self.device), epoch)
        self.definition = log.definition
        values = {key: value for key, value in found.values.items() if not key.startswith("cost/")}
        return replace(found, values=values)

    def _prepared(self, config: TrainConfig) -> tuple[TrainConfig, ImageSplits]:
        """The configuration, with what has changed since, and its images."""
        try:
            config = replace(
                config, data_dir=self.data_dir or config.data_dir, probe=self.probe or config.probe
            )
        except ValueError as error:
            raise UserError(str(error)) from error
        wanted = {name: getattr(config, name) for name in _OF_IMAGES}
        if self._images is None or self._images[0] != wanted:
            self._images = wanted, load_images(config)
        return config, self._images[1]


def stored_milestones(folder: Path) -> list[Path]:
    """The checkpoints of milestones in a run's folder, by epoch."""
    if not folder.is_dir():
        return []
    found = [(int(m[1]), path) for path in folder.iterdir() if (m := CHECKPOINT_NAME.fullmatch(path.name))]
    return [path for _, path in sorted(found)]


def epoch_of(path: Path) -> int:
    """The epoch in the name of a milestone's checkpoint."""
    match = CHECKPOINT_NAME.fullmatch(path.name)
    assert match is not None
    return int(match[1])


class _Definition:
    """A log of milestones that keeps how they were computed."""

    def __init__(self) -> None:
        self.definition: Mapping[str, Any] = {}

    def define(self, definition: Mapping[str, Any]) -> None:
        self.definition = definition

    def milestone(self, milestone: Milestone) -> None:
        """Does nothing: rows are returned."""

    def end(self, status: Status, epoch: int) -> None:
        """Does nothing: the run ended long ago."""


def _load(method: Network, stored: Stored) -> None:
    shown = repr(printable(str(stored.path)))
    try:
        missing = method.load_state_dict(stored.state, strict=False).missing_keys
    except RuntimeError as error:  # tensors of other shapes
        reason = (str(error).strip().splitlines() or [""])[-1].strip()
        raise UserError(f"checkpoint {shown} does not fit its own configuration: {reason}") from error
    if lacking := [name for name in missing if name.startswith(_READ)]:
        raise UserError(
            f"checkpoint {shown} was written by another version: it lacks {lacking[0]}"
            + (f" and {len(lacking) - 1} more" if len(lacking) > 1 else "")
        )


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    """As many threads as the run had, since sums depend on them in the last digit."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
