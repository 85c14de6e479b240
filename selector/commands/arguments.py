"""Arguments that several subcommands share: sources of runs, and how to choose among them.

Runs and metrics are imported by the functions that handle them: help starts without numpy.
"""

import re
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from selector.errors import UsageError, UserError
from selector.ranges import Shown
from selector.text import nearest, printable

if TYPE_CHECKING:
    from rich.console import Console

    from selector.metrics import LabelFreeMetric
    from selector.reports.opinions import Opinions
    from selector.runs import Run, RunSet
    from selector.selection.candidates import MilestoneChoice
    from selector.selection.ranking import Ranking

Name = Annotated[str, Shown("NAME")]
Names = Annotated[tuple[str, ...], Shown("NAME")]
File = Annotated[Path, Shown("FILE")]
Sources = Annotated[
    tuple[str, ...],
    Shown(
        "SOURCE",
        "A folder of runs, a file of `selector export`, entity/project/sweep_id, entity/project, or the URL"
        " of a W&B sweep or project. Several are read as one sweep.",
        positional=True,
    ),
]
Tag = Annotated[str | None, Shown("TAG", "Only runs that carry this W&B tag.")]
Group = Annotated[str | None, Shown("GROUP", "Only runs of this W&B group.")]
Project = Annotated[str | None, Shown("PROJECT", "Only runs of this W&B project, when SOURCE is a folder.")]
Sweep = Annotated[str | None, Shown("ID", "Only runs of this sweep, when SOURCE is a folder.")]
Quiet = Annotated[bool, Shown(help="Show no progress; warnings are still shown.")]
MetricName = Annotated[
    str,
    Shown(
        "NAME",
        "A label-free metric (`selector metrics` lists them), or any key that the runs logged; such a"
        " key needs --direction, and only you know whether it used labels. Where most runs lack"
        " pretext_score, the consensus is used instead, and rankme where they lack a part of that.",
    ),
]
Epoch = Annotated[str, Shown("last|EPOCH", "The epoch to compare at, or last: each run's last milestone.")]
Way = Annotated[
    Literal["max", "min"] | None,
    Shown(help="Which way is better; None uses the metric's own direction for the runs' method."),
]
Mixed = Annotated[
    bool, Shown(help="Rank all runs together, even those the metric may not compare, at your own risk.")
]
By = Annotated[
    Literal["configuration", "run"],
    Shown(
        help="What to rank: each configuration by the mean over its seeds, to pick its best seed, or each run"
        " by itself."
    ),
]
SeedKey = Annotated[str, Shown("NAME", "The hyperparameter that holds the seed.")]
Device = Annotated[Literal["auto", "cpu", "cuda"], Shown(help="Where to compute the embeddings.")]
Json = Annotated[bool, Shown(help="Print one JSON object.")]


@dataclass(frozen=True)
class Runs:
    """Which runs a command reads."""

    sources: Sources
    tag: Tag = None
    group: Group = None
    quiet: Quiet = False
    project: Project = None
    sweep: Sweep = None

    @property
    def source(self) -> str:
        """The one source of a command that can have only one.

        Raises:
            UserError: There are several.
        """
        if len(self.sources) > 1:
            raise UserError(f"this command reads one SOURCE, got {len(self.sources)}: run it once for each")
        return self.sources[0]

    def read(self, keys: Collection[str] = (), spectra: bool = False) -> "RunSet":
        """All their runs; unless quiet, a terminal shows how far the reading has got.

        Args:
            keys: From a server, only runs that logged one of these keys; empty reads them all.
            spectra: Read the logged lists, too.
        """
        from selector.reports.progress import READING_SECONDS, progress
        from selector.runs import read_source

        with progress(self.quiet, "runs", READING_SECONDS) as show:
            bar = partial(show, "reading runs")
            return merged(
                [
                    read_source(
                        source,
                        tag=self.tag,
                        group=self.group,
                        keys=keys,
                        spectra=spectra,
                        progress=bar,
                        project=self.project,
                        sweep=self.sweep,
                    )
                    for source in self.sources
                ]
            )


@dataclass(frozen=True)
class Comparison:
    """How a command compares runs."""

    milestone: Epoch = "last"
    direction: Way = None
    allow_mixed: Mixed = False
    seed_key: SeedKey = "seed"

    @property
    def epoch(self) -> "MilestoneChoice":
        """What --milestone names.

        Raises:
            UsageError: Neither last nor an epoch.
        """
        if self.milestone == "last":
            return "last"
        if not re.fullmatch(r"-?\d{1,9}", self.milestone, re.ASCII):
            raise UsageError(f"--milestone must be last or an epoch, got '{self.milestone}'")
        return int(self.milestone)


@dataclass(frozen=True)
class Choice(Comparison):
    """How a command chooses among runs."""

    metric: MetricName = "pretext_score"
    by: By = "configuration"

    def rank(self, runs: Runs) -> tuple["RunSet", "Ranking"]:
        """Reads the runs and ranks them; the runs come back prepared for the metric.

        Logged lists are read, too: some metrics have their noise in them.
        """
        from selector.commands.encoders import fingerprints_in
        from selector.commands.named import keys_of
        from selector.selection.preparation import prepared
        from selector.selection.ranking import rank

        metric, epoch = self.named_metric, self.epoch
        found = runs.read(keys_of(metric), spectra=True)
        prints = fingerprints_in(runs.sources)
        found, (metric,) = prepared(found, [metric], epoch, self.allow_mixed, fingerprint_of=prints)
        return found, rank(found, metric, epoch, self.allow_mixed, self.direction, self.by, self.seed_key)

    def opinions(self, runs: "RunSet", ranking: "Ranking") -> list["Opinions"]:
        """What other metrics say of the pick of each group, of runs that `rank` gave back."""
        from selector.reports.opinions import opinions_of

        seed_key = self.seed_key if self.by == "configuration" else ""
        return [
            opinions_of(runs, group, ranking.metric, ranking.milestone, seed_key) for group in ranking.groups
        ]

    @property
    def named_metric(self) -> "LabelFreeMetric":
        """What --metric names."""
        from selector.commands.named import named_label_free

        return named_label_free(self.metric, self.direction)

    def options(self, runs: Runs) -> tuple[str, ...]:
        """The words that make another command choose as this one does, beside its source and its metric."""
        given = {
            "milestone": self.milestone,
            "direction": self.direction,
            "tag": runs.tag,
            "group": runs.group,
            "project": runs.project,
            "sweep": runs.sweep,
            "by": self.by,
            "seed-key": self.seed_key,
        }
        usual = (None, "last", "configuration", "seed")
        options = [f"--{name}={value}" for name, value in given.items() if value not in usual]
        return (*options, *(["--allow-mixed"] if self.allow_mixed else []))


def merged(sets: Sequence["RunSet"]) -> "RunSet":
    """Several sources as one; a run that two of them hold would count twice, and is refused.

    Raises:
        UserError: Names the run and its sources.
    """
    from selector.runs import RunSet

    if len(sets) == 1:
        return sets[0]
    home: dict[str, RunSet] = {}
    for one in sets:
        for run in one.runs:
            if (other := home.setdefault(run.id, one)) is not one:
                raise UserError(
                    f"run {run.id} is in both {other.source} and {one.source}: name only one of them"
                )
    planned = [one.planned for one in sets if one.planned is not None]
    return RunSet(
        source=" and ".join(one.source for one in sets),
        runs=tuple(sorted((run for one in sets for run in one.runs), key=lambda run: run.id)),
        unreadable=tuple(gone for one in sets for gone in one.unreadable),
        planned=sum(planned) if len(planned) == len(sets) else None,
        finish_command="; ".join(one.finish_command for one in sets if one.finish_command),
        warnings=tuple(dict.fromkeys(warning for one in sets for warning in one.warnings)),
        ended=all(one.ended for one in sets),
    )


def runs_named(ids: Sequence[str], runs: "RunSet") -> "list[Run]":
    """The runs of these ids, each once.

    Raises:
        UserError: One of the ids has no run.
    """
    found = {run.id: run for run in runs.runs}
    for id in ids:
        if id not in found:
            raise UserError(f"{runs.source} holds no run '{id}'{nearest(id, found)}")
    return [found[id] for id in dict.fromkeys(ids)]


def show(json: bool, content: Mapping[str, Any], draw: Callable[["Console"], None]) -> int:
    """Prints a result as one JSON object, or draws it on the terminal; the exit status."""
    if json:
        from selector.reports.objects import as_json

        print(as_json(content))
    else:
        from selector.reports.tables import open_console

        draw(open_console())
    return 0


def warn(warnings: Sequence[str]) -> None:
    """One line each on stderr."""
    for warning in warnings:
        print(f"selector: warning: {printable(warning)}", file=sys.stderr)
