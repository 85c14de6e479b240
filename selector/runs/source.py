"""SOURCE on the command line: a folder of offline runs, or runs on a W&B server."""

import os
import re

from selector.runs.run import RunSet

_URL = re.compile(r"https?://", re.IGNORECASE)
_SWEEP_PATH = re.compile(r"[^/\s.~][^/\s]*/[^/\s.][^/\s]*/[^/\s.][^/\s]*")


def read_source(source: str) -> RunSet:
    """Read runs from a folder, from `entity/project/sweep_id`, or from the URL of a W&B sweep or project.

    A folder that exists comes before a sweep of the same name.

    Raises:
        UserError: There are no runs; the text says what was looked for.
    """
    if is_online(source):
        from selector.runs.wandb_api import read_wandb

        return read_wandb(source)
    from selector.runs.wandb_offline import read_offline

    return read_offline(source)


def is_online(source: str) -> bool:
    """Whether a source names runs on a W&B server."""
    if _URL.match(source):
        return True
    return _SWEEP_PATH.fullmatch(source) is not None and not os.path.exists(source)
