"""Metrics that came later: milestones of finished runs, evaluated from the checkpoints that they left."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from selector.config import TrainConfig
from selector.errors import UserError
from selector.metrics import METRICS
from selector.metrics.inputs import Probe
from selector.record import RECORD
from selector.runs import NO_IDENTITY, Milestone, Run
from selector.text import printable
from selector.training.data import ImageSplits, load_images
from selector.training.measuring import Measured
from selector.training.milestones import milestones_of
from selector.training.network import Network
from selector.training.run_folder import milestone_checkpoints
from selector.training.run_log import SilentLog
from selector.training.stored import Stored, read_stored

# What decides which images a run has; `batch_size` and `clusters` can be refused for them.
_OF_IMAGES = (
    "dataset", "data_dir", "image_size", "holdout", "train_images", "evaluation_images", "labels",
    "skip_bad_images", "batch_size", "clusters",
)  # fmt: skip
# Parts of a network that the metrics read; a checkpoint of another version may differ elsewhere.
_READ = ("backbone.", "projection_head.", "prediction_head.", "views.")


class Evaluator:
    """Evaluates checkpoints; images that several of them were trained on are read once."""

    def __init__(
        self, data_dir: str | None = None, probe: Probe | None = None, device: torch.device | None = None
    ) -> None:
        """Where the data set is now, another probe, and a device. None means the run's own, and the CPU."""
        self.data_dir, self.probe, self.device = data_dir, probe, device or torch.device("cpu")
        self._images: tuple[Any, ImageSplits] | None = None

    def trained(self, stored: Stored) -> Measured:
        """The milestone that a checkpoint holds."""
        return self._measured(stored.config, stored)

    def untrained(self, config: TrainConfig) -> Measured:
        """Milestone 0, whose weights are drawn from the seed of the configuration."""
        return self._measured(config, None)

    def _measured(self, config: TrainConfig, stored: Stored | None) -> Measured:
        try:
            config = replace(
                config, data_dir=self.data_dir or config.data_dir, probe=self.probe or config.probe
            )
        except ValueError as error:
            raise UserError(str(error)) from error
        images = self._images_of(config)
        network = Network(config, images)
        if stored is not None:
            _load(network, stored)
        milestones = milestones_of(config, images, SilentLog())
        with _threads(config.threads):
            found = milestones.measure(network.to(self.device), 0 if stored is None else stored.epoch)
        values = {k: v for k, v in found.milestone.values.items() if not k.startswith("cost/")}
        return replace(found, milestone=replace(found.milestone, values=values))

    def _images_of(self, config: TrainConfig) -> ImageSplits:
        wanted = {name: getattr(config, name) for name in _OF_IMAGES}
        if self._images is None or self._images[0] != wanted:
            self._images = wanted, load_images(config)
        return self._images[1]


def _load(network: Network, stored: Stored) -> None:
    shown = repr(printable(str(stored.path)))
    try:
        missing = network.load_state_dict(stored.state, strict=False).missing_keys
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


@dataclass(frozen=True)
class Added:
    """What was found for one run.

    Attributes:
        run: The run.
        rows: Epoch → what was missing in its milestone, and is computed now.
        kept: Values that were computed anew and equal those logged.
        changed: Values that were computed anew and differ from those logged.
        without_checkpoint: Epochs that lack metrics and left no checkpoint.
        skipped: Why nothing was computed, or "".
    """

    run: Run
    rows: Mapping[int, Milestone]
    kept: int = 0
    changed: int = 0
    without_checkpoint: tuple[int, ...] = ()
    skipped: str = ""


def missing_metrics(run: Run, evaluator: Evaluator, every: bool = False) -> Added:
    """Evaluate the milestones of a run that lack a metric of the table, and keep what they lack.

    A metric may be missing because it was not known when the run was trained, or because the run could not
    have it, such as an accuracy without labels. The first milestone tells: where it gains nothing, the
    others are left alone. `every` evaluates all milestones, and takes over every value.
    """
    if reason := _cannot(run):
        return Added(run, {}, skipped=reason)
    checkpoints = milestone_checkpoints(folder_of(run))
    if not checkpoints:
        names = [one.name for one in METRICS if any(one.key not in row.values for row in run.milestones)]
        what = f", so it stays without {', '.join(names)}" if names else ""
        return Added(run, {}, skipped=f"it has no checkpoint in {printable(str(folder_of(run)))}{what}")
    config = read_stored(next(iter(checkpoints.values()))).config
    if field := _differing(run.config, asdict(config)):
        return Added(run, {}, skipped=f"the checkpoints in its folder were trained with another {field}")
    rows: dict[int, Milestone] = {}
    kept = changed = 0
    without: list[int] = []
    for known in run.milestones:
        if not every and all(metric.key in known.values for metric in METRICS):
            continue
        if known.epoch == 0:
            found = evaluator.untrained(config)
        elif known.epoch in checkpoints:
            found = evaluator.trained(_stored(checkpoints[known.epoch], known.epoch))
        else:
            without.append(known.epoch)
            continue
        _refuse_other_definition(run, found.definition)
        row = found.milestone
        again = [(value, known.values[key]) for key, value in row.values.items() if key in known.values]
        differing = sum(not _same(*pair) for pair in again)
        kept, changed = kept + len(again) - differing, changed + differing
        lacking = {key: value for key, value in row.row.items() if key == "epoch" or key not in known.row}
        new = row if every else Milestone.of_row(lacking)
        if new == Milestone(known.epoch):
            break
        rows[known.epoch] = new
    return Added(run, rows, kept, changed, tuple(without))


def folder_of(run: Run) -> Path:
    """Where a run's checkpoints are: beside its record, or where it says, or beside its W&B files."""
    if run.directory is not None and (Path(run.directory) / RECORD).exists():
        return Path(run.directory)
    if run.checkpoint is not None and (folder := Path(run.checkpoint).parent).is_dir():
        return folder
    beside = Path(run.directory).parent.parent if run.directory else Path()
    name = re.sub(r"[^\w.-]|^\.+", "_", run.id)  # an id is data, and leads to no other folder
    return beside / "runs" / name


def _cannot(run: Run) -> str:
    if not run.definition:
        return "it is not a run of train.py"
    if run.state not in ("finished", "diverged"):
        return f"it is {run.state}: finish it first"
    if not run.milestones or run.counted_by != "epoch":
        return "it logged no milestone"
    return ""


def _stored(path: Path, epoch: int) -> Stored:
    stored = read_stored(path)
    if stored.epoch != epoch:
        raise UserError(
            f"checkpoint {str(path)!r} is of epoch {stored.epoch}, but its name says {epoch}:"
            " restore its name"
        )
    return stored


def _differing(run: Mapping[str, Any], checkpoint: Mapping[str, Any]) -> str:
    shared = sorted((run.keys() & checkpoint.keys()) - NO_IDENTITY)
    return next((name for name in shared if run[name] != checkpoint[name]), "")


def _refuse_other_definition(run: Run, definition: Mapping[str, Any]) -> None:
    """Added values must be computed like those already there, or unlike values would be compared."""
    for name in sorted(run.definition.keys() & definition.keys()):
        if run.definition[name] != definition[name]:
            raise UserError(
                f"the metrics of run {printable(run.id)} were computed with {name} {run.definition[name]!r},"
                f" now it would be {definition[name]!r}: evaluate its checkpoints by themselves,"
                f" selector evaluate {printable(str(folder_of(run)))}/*.ckpt"
            )


def _same(new: Any, old: Any) -> bool:
    return bool(new == old or (new != new and old != old))


def summary_of(added: Sequence[Added]) -> dict[str, int]:
    """How many runs, milestones and values were added."""
    return {
        "runs": sum(bool(one.rows) for one in added),
        "milestones": sum(len(one.rows) for one in added),
        "values": sum(
            len(row.values) + len(row.lists) + len(row.texts) for one in added for row in one.rows.values()
        ),
    }
