"""The chosen run as something to use: its hyperparameters, the command that repeats it, its checkpoint."""

import re
import shlex
from dataclasses import fields, replace
from math import isfinite, nan
from pathlib import Path
from typing import Any

from selector.config import TrainConfig
from selector.errors import UserError
from selector.machine import train_command
from selector.metrics import LabelFreeMetric, label_free_metric
from selector.reports.objects import opinions_object, plain
from selector.reports.opinions import Opinions
from selector.runs import Run
from selector.selection.baselines import recipe_of
from selector.selection.ranking import RankedGroup
from selector.selection.verdicts import SCORES
from selector.text import counted, printable

# Where one run was to be written, and how it was started: a repetition decides that anew.
_NOT_REPEATED = {"output_dir", "resume"}
_SAFE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def repeated(run: Run) -> dict[str, Any]:
    """The hyperparameters that make the run again: of train.py's runs the fields of TrainConfig."""
    if not run.definition:
        return dict(run.config)
    names = [field.name for field in fields(TrainConfig) if field.name not in _NOT_REPEATED]
    return {name: run.config[name] for name in names if name in run.config}


def command_line(run: Run) -> str:
    """The shell command that repeats a run of train.py; what the method's recipe already says is left out."""
    recipe = recipe_of(run)
    if not run.definition or not recipe:
        return ""
    flags = [
        f"--{name.replace('_', '-')}={value}"
        for name, value in repeated(run).items()
        if name in ("method", "dataset") or value != recipe[name]
    ]
    return shlex.join([*train_command(), *flags])


def find_checkpoint(run: Run) -> Path | None:
    """The last checkpoint: where the run said, or in the sweep folder that the run was read from.

    A sweep folder may have been moved since: DIR/runs/<run id>/ is looked for beside the run's own files.
    """
    if run.checkpoint is None:
        return None
    logged = Path(run.checkpoint)
    if _is_file(logged) or run.directory is None or not _SAFE_ID.fullmatch(run.id):
        return logged
    for folder in Path(run.directory).resolve().parents:
        moved = folder / "runs" / run.id / logged.name
        if _is_file(moved):
            return moved
    return logged


def at_best_milestone(group: RankedGroup, metric: LabelFreeMetric) -> RankedGroup:
    """The group, its winner with the checkpoint of the milestone that the metric places highest.

    Of equal milestones the later one counts.

    A score that the other runs have a part in, such as the consensus, compares no milestones of one run: the
    first of SCORES that the run logged takes its place.

    Raises:
        UserError: Fewer than two milestones left checkpoints and have a score.
    """
    run, direction = group.chosen, group.direction
    if metric.parts:
        logged = [label_free_metric(name) for name in SCORES]
        rows = run.trained_milestones
        metric = next((one for one in logged if any(one.key in row.values for row in rows)), metric)
        direction = "max"
    sign, last = (1 if direction == "max" else -1), find_checkpoint(run)
    found = []
    for row in run.trained_milestones:
        value = row.values.get(metric.key, nan)
        place = last and last.with_name(f"milestone-{row.epoch:04d}.ckpt")
        if isfinite(value) and place is not None and _is_file(place):
            found.append((sign * value, row.epoch, place))
    if len(found) < 2:
        raise UserError(
            f"--checkpoint any: run {printable(run.id)} kept {len(found)} checkpoints of milestones with a"
            f" {metric.name}, but a choice needs two: train with --keep all, or use --checkpoint last"
        )
    first, *others = group.ranking
    first = replace(first, run=replace(run, checkpoint=str(max(found)[2])))
    return replace(group, ranking=(first, *others))


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name too long for any file
        return False


def best_object(group: RankedGroup, metric: LabelFreeMetric, opinions: Opinions) -> dict[str, Any]:
    """What `best --json` prints for one group."""
    run, checkpoint = group.chosen, find_checkpoint(group.chosen)
    return {
        "group": group.group,
        "run": run,
        "name": run.name,
        "metric": metric.name,
        "direction": group.direction,
        "score": group.ranking[0].score,
        "tied": [ranked.run for ranked in group.tie_set] if len(group.tie_set) > 1 else [],
        "hyperparameters": repeated(run),
        "command": command_line(run) or None,
        "checkpoint": str(checkpoint) if checkpoint else None,
        "checkpoint_exists": checkpoint is not None and _is_file(checkpoint),
        "versions": run.versions,
        "second_opinions": opinions_object(opinions),
    }


def best_yaml(group: RankedGroup, metric: LabelFreeMetric, opinions: Opinions) -> str:
    """A group's winner: its hyperparameters as YAML, with what they are in comments above."""
    better = "highest" if group.direction == "max" else "lowest"
    run, ties, command = group.chosen, len(group.tie_set) - 1, command_line(group.chosen)
    several = any(len(one.runs) > 1 for one in group.ranking)  # seeds
    lines = [
        *(opinions.lines() if opinions.others else ()),
        f"run {run.id} ({run.name}): {better} {metric.name}, {group.ranking[0].score:.6g},"
        f" of {counted(len(group.ranking), 'configuration' if several else 'run')}"
        + (f"; tied with {ties} more" if ties else ""),
        f"repeat it: {command}" if command else "not a run of train.py: no command repeats it",
        f"checkpoint: {checkpoint_line(run)}",
        *([f"made by: {run.versions}"] if run.versions else []),
    ]
    return "".join(f"# {printable(line)}\n" for line in lines) + _yaml(repeated(run))


def checkpoint_line(run: Run) -> str:
    """Where the checkpoint is, in words."""
    checkpoint = find_checkpoint(run)
    if checkpoint is None:
        return "none was logged"
    return str(checkpoint) + ("" if _is_file(checkpoint) else " (not found on this machine)")


def _yaml(hyperparameters: Any) -> str:
    """In any script, unless there is a character in it that a terminal might obey: then all are escapes."""
    import yaml  # here: `rank` does without

    content = plain(hyperparameters)
    text: str = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    if text.replace("\n", "").isprintable():
        return text
    escapes: str = yaml.safe_dump(content, sort_keys=False, allow_unicode=False)
    return escapes
