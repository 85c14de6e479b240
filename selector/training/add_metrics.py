"""New metrics for the milestones of finished runs, from the checkpoints that they left."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from selector.errors import UserError
from selector.metrics import METRICS
from selector.record import RECORD
from selector.runs import MACHINE_SETTINGS, Milestone, Run
from selector.text import printable
from selector.training.after_training import Evaluator, epoch_of, stored_milestones
from selector.training.stored import Stored, read_stored

# Where and how a run was carried out, and where its data lies now: no part of what it was.
_NO_IDENTITY = MACHINE_SETTINGS | {"data_dir"}


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
    others are left alone.

    Args:
        run: Trained by train.py.
        evaluator: Evaluates its checkpoints.
        every: Evaluate all milestones, and take over every value.

    Raises:
        UserError: The data set is not there, or a checkpoint is damaged or of another version.
    """
    if reason := _cannot(run):
        return Added(run, {}, skipped=reason)
    checkpoints = {epoch_of(path): path for path in stored_milestones(folder_of(run))}
    if not checkpoints:
        where = printable(str(folder_of(run)))
        return Added(run, {}, skipped=f"it has no checkpoint in {where}")
    config = read_stored(next(iter(checkpoints.values()))).config
    if field := _differing(run.config, asdict(config)):
        return Added(run, {}, skipped=f"the checkpoints in its folder were trained with another {field}")
    rows: dict[int, Milestone] = {}
    kept = changed = 0
    without: list[int] = []
    for milestone in run.milestones:
        if not every and all(metric.key in milestone.values for metric in METRICS):
            continue
        if milestone.epoch > 0 and milestone.epoch not in checkpoints:
            without.append(milestone.epoch)
            continue
        row = (
            evaluator.untrained(config)
            if milestone.epoch == 0
            else evaluator.trained(_checked(read_stored(checkpoints[milestone.epoch]), milestone.epoch))
        )
        _refuse_other_definition(run, evaluator.definition)
        old = milestone.values
        again = [(row.values[key], old[key]) for key in row.values if key in old]
        differing = sum(not _same(*pair) for pair in again)
        kept, changed = kept + len(again) - differing, changed + differing
        new = row if every else _lacking(milestone, row)
        if new == Milestone(milestone.epoch):
            break
        rows[milestone.epoch] = new
    return Added(run, rows, kept, changed, tuple(without))


def _lacking(known: Milestone, found: Milestone) -> Milestone:
    """What was found and is not known."""
    return Milestone(
        known.epoch,
        {key: value for key, value in found.values.items() if key not in known.values},
        {key: value for key, value in found.lists.items() if key not in known.lists},
        {key: value for key, value in found.texts.items() if key not in known.texts},
    )


def folder_of(run: Run) -> Path:
    """Where a run's checkpoints are: beside its record, or where it says, or beside its W&B files."""
    if run.directory is not None and (Path(run.directory) / RECORD).exists():
        return Path(run.directory)
    if run.checkpoint is not None and (folder := Path(run.checkpoint).parent).is_dir():
        return folder
    beside = Path(run.directory).parent.parent if run.directory else Path()
    return (
        beside / "runs" / re.sub(r"[^\w.-]|^\.+", "_", run.id)
    )  # an id is data, and leads to no other folder


def _cannot(run: Run) -> str:
    if not run.definition:
        return "it is not a run of train.py"
    if run.state not in ("finished", "diverged"):
        return f"it is {run.state}: finish it first"
    if not run.milestones or run.counted_by != "epoch":
        return "it logged no milestone"
    return ""


def _checked(stored: Stored, epoch: int) -> Stored:
    if stored.epoch != epoch:
        raise UserError(
            f"checkpoint {str(stored.path)!r} is of epoch {stored.epoch}, but its name says {epoch}:"
            " restore its name"
        )
    return stored


def _differing(run: Mapping[str, Any], checkpoint: Mapping[str, Any]) -> str:
    shared = sorted((run.keys() & checkpoint.keys()) - _NO_IDENTITY)
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
