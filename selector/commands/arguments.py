"""What several subcommands take: a source of runs, names of metrics, an epoch."""

import re
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Annotated

import tyro

from selector.argument_forms import fail
from selector.errors import UserError
from selector.metrics.metrics import (
    LABEL_FREE_PREFIX,
    LABELLED_PREFIX,
    METRICS,
    Direction,
    LabelFreeMetric,
    LabelledMetric,
    declared_label_free,
    declared_labelled,
    label_free_metric,
    labelled_metric,
)
from selector.runs import RunSet
from selector.selection.candidates import MilestoneChoice
from selector.selection.consensus import CONSENSUS
from selector.text import printable

Source = Annotated[str, tyro.conf.arg(metavar="SOURCE")]
Name = Annotated[str, tyro.conf.arg(metavar="NAME")]
Names = Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME …")]
Epoch = Annotated[str, tyro.conf.arg(metavar="last|EPOCH")]
Tag = Annotated[str | None, tyro.conf.arg(metavar="TAG")]
Group = Annotated[str | None, tyro.conf.arg(metavar="GROUP")]
File = Annotated[Path, tyro.conf.arg(metavar="FILE")]


def read_runs(
    source: str,
    *,
    tag: str | None = None,
    group: str | None = None,
    keys: Collection[str] = (),
    spectra: bool = False,
    quiet: bool = False,
) -> RunSet:
    """What SOURCE holds, as `read_source` says; unless quiet, a terminal shows how far it has got."""
    from selector.reports.reading_bar import ReadingBar
    from selector.runs import read_source

    with ReadingBar() as bar:
        shown = None if quiet else bar
        return read_source(source, tag=tag, group=group, keys=keys, spectra=spectra, progress=shown)


def named_label_free(name: str, direction: Direction | None, prog: str) -> LabelFreeMetric:
    """A metric of the table, the consensus, or a key of other people's runs with the direction they gave."""
    if _is_consensus(name):
        return CONSENSUS
    try:
        return label_free_metric(name)
    except UserError as error:
        if name.startswith(LABELLED_PREFIX) or name in {m.name for m in METRICS}:
            fail(
                prog,
                f"'{name}' reads labels, and choosing must not: `selector metrics` lists what may be used",
            )
        if name.startswith(LABEL_FREE_PREFIX) or direction is None:
            fail(prog, f"{error}; a key of your own runs needs --direction max or min")
        return declared_label_free(name, direction)


def named_score(name: str, direction: Direction | None, prog: str) -> LabelFreeMetric:
    """As `named_label_free`, but a score that a run keeps whatever other runs there are."""
    _refuse_consensus(name, prog)
    return named_label_free(name, direction, prog)


def _refuse_consensus(name: str, prog: str) -> None:
    if _is_consensus(name):
        parts = ", ".join(key.removeprefix(LABEL_FREE_PREFIX) for key in CONSENSUS.parts)
        fail(
            prog,
            "the consensus is a place among the runs at hand, and no score that a run keeps: name rankme,"
            f" or one of its parts, {parts}",
        )


def _is_consensus(name: str) -> bool:
    return name in (CONSENSUS.name, CONSENSUS.key)


def keys_of(metric: LabelFreeMetric) -> list[str]:
    """The history keys that a choice by the metric reads."""
    return [*metric.parts, label_free_metric("rankme").key] if metric.parts else [metric.key]


def named_labelled(name: str, direction: Direction, prog: str) -> LabelledMetric:
    """A metric of the table, or a key of other people's runs by which they judge."""
    try:
        return labelled_metric(name)
    except UserError as error:
        if name.startswith((LABELLED_PREFIX, LABEL_FREE_PREFIX)):
            fail(prog, str(error))
        return declared_labelled(name, direction)


def named_metric(name: str, prog: str) -> LabelFreeMetric | LabelledMetric:
    """A metric of the table, or a key of other people's runs; which way is better does not matter."""
    _refuse_consensus(name, prog)
    known = {known.name: known for known in METRICS} | {known.key: known for known in METRICS}
    return known.get(name) or declared_label_free(name, "max")


def held_metrics(runs: RunSet) -> list[LabelFreeMetric]:
    """Metrics of the table that some run logged, the consensus first where the runs were prepared for it."""
    keys = {key for run in runs.runs for row in run.milestones for key in row.values}
    known = [CONSENSUS, *(metric for metric in METRICS if isinstance(metric, LabelFreeMetric))]
    held = [metric for metric in known if metric.key in keys]
    if not held:
        raise UserError(
            f"the {len(runs.runs)} runs in {runs.source} logged none of our label-free metrics:"
            " name their own keys with --metric KEY --direction max or min"
        )
    return held


def choosing_options(
    milestone: MilestoneChoice,
    direction: Direction | None,
    allow_mixed: bool,
    tag: str | None,
    group: str | None,
) -> tuple[str, ...]:
    """The words that make another command choose as this one did, beside its source and its metric."""
    given = {"milestone": milestone, "direction": direction, "tag": tag, "group": group}
    options = [f"--{name}={value}" for name, value in given.items() if value not in (None, "last")]
    return (*options, *(["--allow-mixed"] if allow_mixed else []))


def milestone_choice(text: str, prog: str) -> MilestoneChoice:
    """What --milestone names."""
    if text == "last":
        return "last"
    if not re.fullmatch(r"-?\d{1,9}", text, re.ASCII):
        fail(prog, f"--milestone wants last or an epoch, got '{text}'")
    return int(text)


def warn(warnings: Sequence[str]) -> None:
    """One line each on stderr."""
    for warning in warnings:
        print(f"selector: warning: {printable(warning)}", file=sys.stderr)
