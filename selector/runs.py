"""Run, RunSet: what a sweep left behind, wherever it is read from."""

import os
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from selector.errors import UserError
from selector.milestone import Milestone as Milestone  # a part of this model, too
from selector.text import printable

# Fields of a run's config that say where and how it was carried out: no hyperparameter, whatever they hold.
MACHINE_SETTINGS = frozenset(
    {"checkpoint_minutes", "compile", "device", "devices", "threads", "output_dir", "resume", "keep"}
)

# What may differ between a run and its continuation: those, and where its data lies now.
NO_IDENTITY = MACHINE_SETTINGS | {"data_dir"}

Axis = Literal["epoch", "trainer/global_step", "_step"]
State = Literal["finished", "diverged", "running", "interrupted", "crashed", "failed", "stopped"]

# Job type of the run that `selector rank --write-back` writes its tables to: no training run, never read.
SELECTION_JOB = "selection"


@dataclass(frozen=True)
class Last:
    """What a run of somebody else's script achieved by one key.

    Attributes:
        value: In the row with the largest `_step` that holds the key.
        epoch: That this row was logged in.
        source: "" for that row; "summary" where no row holds the key and W&B's summary does; or the statistic
            ("max", "min", "mean", "best", "first") that the run's `define_metric` asks for instead.
    """

    value: float
    epoch: int
    source: str = ""


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Which run it is.

    Attributes:
        id: W&B's run id, unique within a source.
        config: What was asked for, hyperparameter → value.
        name: Display name. Data, never a path and never markup.
        group: W&B group, or "".
        job_type: W&B job type, or "".
        sweep_id: Sweep that it belongs to, or "".
        project: W&B project, or "".
        tags: Any words.
        versions: Versions of Python and of the packages that made it; several if it was continued with
            others. "" for other people's runs.
        started: When it was first started (seconds since 1970), or None where that is not known.
    """

    id: str
    config: Mapping[str, Any]
    name: str = ""
    group: str = ""
    job_type: str = ""
    sweep_id: str = ""
    project: str = ""
    tags: tuple[str, ...] = ()
    versions: str = ""
    started: float | None = None


@dataclass(frozen=True, kw_only=True)
class Run(Identity):
    """One training run.

    Attributes:
        state: "finished" only with a completion marker of train.py, or, for runs of other people's
            scripts, with W&B's own exit record and exit code 0. "diverged": NaN or inf loss.
            "stopped": ended early on purpose (hyperband). "interrupted": told to stop, and to be continued.
        definition: How the metrics were computed, as train.py stored it; empty for other people's runs.
        milestones: In the order of epochs, one per epoch.
        detail: One line on why the state is not "finished" ("loss became nan in epoch 3"), or "".
        checkpoint: Where the last checkpoint was written, or None.
        directory: Folder that the run was read from, or None where it came from a server.
        counted_by: History key that numbers the milestones: "epoch", or in other people's runs without
            one Lightning's "trainer/global_step" or W&B's own "_step".
        last: Of other people's runs, whose rows are of many kinds: key → what the run achieved. Empty for
            runs of train.py, whose last milestone says it.
    """

    state: State
    definition: Mapping[str, Any]
    milestones: tuple[Milestone, ...]
    detail: str = ""
    checkpoint: str | None = None
    directory: str | None = None
    counted_by: Axis = "epoch"
    last: Mapping[str, Last] = field(default_factory=dict)

    @property
    def unit(self) -> str:
        """What its milestones count: epoch, or step."""
        return "epoch" if self.counted_by == "epoch" else "step"

    @property
    def trained_milestones(self) -> tuple[Milestone, ...]:
        """All but the untrained network: an untrained network can have the highest rank of all.

        Other people's scripts count steps and epochs from 0, so among theirs the first is a trained one.
        """
        of_others = self.last or (self.counted_by != "epoch" and not self.definition)
        return tuple(m for m in self.milestones if m.epoch > 0 or of_others)


@dataclass(frozen=True)
class Unreadable:
    """A run, or what looks like one, that could not be read or must not be trusted.

    Attributes:
        run: Run id where it is known, else the file's name.
        reason: One line.
    """

    run: str
    reason: str


@dataclass(frozen=True)
class RunSet:
    """Everything that a source holds.

    Attributes:
        source: As the user named it.
        runs: Readable runs, ordered by id.
        unreadable: What was left out by the reader, and why.
        planned: How many runs the sweep asked for, or None where that is not known.
        finish_command: Shell command that runs what is missing, or "".
        warnings: One line each.
        ended: Whether nothing of it is running and nothing more is about to start: as it is, it stays.
    """

    source: str
    runs: tuple[Run, ...]
    unreadable: tuple[Unreadable, ...] = ()
    planned: int | None = None
    finish_command: str = ""
    warnings: tuple[str, ...] = field(default_factory=tuple)
    ended: bool = True


Progress = Callable[[int, int], None]

_URL = re.compile(r"https?://", re.IGNORECASE)
_PART = r"[^/\s.~][^/\s]*"
_PROJECT = rf"{_PART}(?: +{_PART})*"  # its name may hold spaces
_PATH = re.compile(rf"{_PART}/{_PROJECT}(?:/(?:sweeps/|groups/|runs/)?{_PART})?/?")
_OF_ENTITY = re.compile(rf"{_PROJECT}/{_PART}/?")
_SWEEP_ID = re.compile(r"[a-z0-9]{4,}/?")


def read_source(
    source: str,
    *,
    tag: str | None = None,
    group: str | None = None,
    keys: Collection[str] = (),
    spectra: bool = False,
    progress: Progress | None = None,
    known: dict[str, Any] | None = None,
    project: str | None = None,
    sweep: str | None = None,
) -> RunSet:
    """Read runs from a folder, a file of `selector export`, or a path or URL of a W&B sweep or project.

    A path is `entity/project/sweep_id`, or `entity/project` for all runs of a project; a folder of the same
    name comes first. With WANDB_ENTITY and WANDB_PROJECT set, a sweep may be `project/sweep_id` or its id.
    Runs of job type `selection` hold what selectors wrote, and are left out.

    Args:
        source: As the user named it.
        tag: Only runs that carry this tag.
        group: Only runs of this group.
        keys: From a server, histories only of runs that logged one of these keys; empty reads them all.
        spectra: Read the lists and texts of milestones too, which are most of a history.
        progress: Called with (runs read, runs in all) while a server is read, or of a folder with files.
        known: Filled with what a server said, so that the next call reads only what has changed.
        project: Of a folder, only runs of this W&B project.
        sweep: Of a folder, only runs of this sweep.

    Raises:
        UserError: There are no runs, the text says what was looked for; or a server is asked for what only
            folders know.
    """
    if not source.strip():
        raise UserError("the name of the source is empty: name a folder of runs, or entity/project/sweep_id")
    if is_online(source):
        if project is not None or sweep is not None:
            raise UserError(
                f"--project and --sweep choose among the runs of a folder, and {printable(source)} is none:"
                " name what you want as entity/project or entity/project/sweep_id"
            )
        from selector.tracking.api import read_wandb

        try:
            return read_wandb(
                source, tag=tag, group=group, keys=keys, spectra=spectra, progress=progress, known=known
            )
        except UserError as error:
            if _URL.match(source):
                raise
            raise type(error)(f"{error} (and there is no folder of that name here)") from None
    filters = {"project": project, "sweep": sweep, "tag": tag, "group": group}
    only = {name: value for name, value in filters.items() if value is not None}

    def wanted(run: Run) -> bool:
        has = {"project": [run.project], "sweep": [run.sweep_id], "tag": run.tags, "group": [run.group]}
        return all(value in has[name] for name, value in only.items())

    if source.endswith(".json"):
        from selector.export_file import read_records

        found = read_records(Path(source))
    else:
        from selector.record import RECORD
        from selector.tracking.offline import read_offline

        if os.path.basename(source) == RECORD:
            source = os.path.dirname(source) or "."
        found = read_offline(source, spectra, progress, keys, wanted)
    if not only:
        return found
    if not (kept := tuple(filter(wanted, found.runs))):
        named = " and ".join(f"{name} '{printable(value)}'" for name, value in only.items())
        raise UserError(f"{found.source} holds no runs of {named}: check the spelling")
    return replace(found, runs=kept, planned=None, finish_command="")


def is_online(source: str) -> bool:
    """Whether a source names runs on a W&B server."""
    if _URL.match(source):
        return True
    if os.path.exists(source):
        return False
    forms = [_PATH]
    forms += [_SWEEP_ID] if "WANDB_PROJECT" in os.environ else []
    forms += [_OF_ENTITY] if "WANDB_ENTITY" in os.environ else []
    return any(form.fullmatch(source.strip()) for form in forms)
