"""SOURCE on the command line: a folder of offline runs, a file of exported ones, or a W&B server."""

import os
import re
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path

from selector.errors import UserError
from selector.runs.run import Run, RunSet
from selector.text import printable

Progress = Callable[[int, int], None]

_URL = re.compile(r"https?://", re.IGNORECASE)
_PART = r"[^/\s.~][^/\s]*"
_PATH = re.compile(rf"{_PART}/{_PART}(?:/{_PART})?")


def read_source(
    source: str,
    *,
    tag: str | None = None,
    group: str | None = None,
    keys: Collection[str] = (),
    spectra: bool = False,
    progress: Progress | None = None,
) -> RunSet:
    """Read runs from a folder, a file of `selector export`, or a path or URL of a W&B sweep or project.

    A path is `entity/project/sweep_id`, or `entity/project` for all runs of a project; a folder of the same
    name comes first. Runs of job type `selection` hold what selectors wrote, and are left out.

    Args:
        source: As the user named it.
        tag: Only runs that carry this tag.
        group: Only runs of this group.
        keys: From a server, histories only of runs that logged one of these keys; empty reads them all.
        spectra: Read the logged spectra too, which are most of a history.
        progress: Called with (runs read, runs in all) while a server is read, or of a folder with files.

    Raises:
        UserError: There are no runs; the text says what was looked for.
    """
    if not source.strip():
        raise UserError("the name of the source is empty: name a folder of runs, or entity/project/sweep_id")
    if is_online(source):
        from selector.runs.wandb_api import read_wandb

        try:
            return read_wandb(source, tag=tag, group=group, keys=keys, spectra=spectra, progress=progress)
        except UserError as error:
            if _URL.match(source):
                raise
            raise type(error)(f"{error} (and there is no folder of that name here)") from None
    if source.endswith(".json"):
        from selector.runs.records import read_records

        return _only(read_records(Path(source)), tag, group)
    from selector.runs.wandb_offline import read_offline

    return _only(read_offline(source, spectra, progress), tag, group)


def is_online(source: str) -> bool:
    """Whether a source names runs on a W&B server."""
    if _URL.match(source):
        return True
    return _PATH.fullmatch(source) is not None and not os.path.exists(source)


def _only(runs: RunSet, tag: str | None, group: str | None) -> RunSet:
    """The runs of a folder that carry a tag and are of a group."""
    if tag is None and group is None:
        return runs

    def wanted(run: Run) -> bool:
        return (tag is None or tag in run.tags) and (group is None or run.group == group)

    kept = tuple(run for run in runs.runs if wanted(run))
    if not kept:
        named = (("group", group), ("tag", tag))
        filters = [f"{what} '{printable(value)}'" for what, value in named if value is not None]
        raise UserError(f"{runs.source} holds no runs of {' and '.join(filters)}: check the spelling")
    return replace(runs, runs=kept, planned=None, finish_command="")
