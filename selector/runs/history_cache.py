"""Histories that were read before, kept in files of this machine so that only changed runs are read again."""

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from selector.runs.run import Axis, Milestone

_FORMAT = 1  # raise it when milestones are taken from rows in another way


@dataclass(frozen=True)
class Milestones:
    """A history as it is kept.

    Attributes:
        counted_by: History key that numbers the milestones.
        milestones: In order.
    """

    counted_by: Axis = "epoch"
    milestones: tuple[Milestone, ...] = ()


def user_cache() -> Path:
    """Folder for the cached histories of this user: below $XDG_CACHE_HOME, else ~/.cache."""
    return (
        Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ssl-sweep-selector" / "histories"
    )


class HistoryCache:
    """One small file a run.

    A file is named by a hash of the run's identity, since names from a server are no file names, and holds
    beside the milestones a signature of what the server said about the run at the time: as soon as it says
    anything else, the file counts for nothing. So does a file that cannot be read.
    """

    def __init__(self, folder: Path | None) -> None:
        """A cache in that folder; None keeps nothing."""
        self._folder = folder

    def load(self, identity: Sequence[str], signature: Sequence[object]) -> Milestones | None:
        """The milestones of a run, if they were stored under that very signature."""
        if self._folder is None:
            return None
        try:
            stored = json.loads(self._file(identity).read_bytes())
            if stored["signature"] != [_FORMAT, *signature]:
                return None
            rows = stored["milestones"]
            return Milestones(stored["counted_by"], tuple(Milestone(epoch, values) for epoch, values in rows))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def store(self, identity: Sequence[str], signature: Sequence[object], milestones: Milestones) -> None:
        """Keep a run's milestones; where that cannot be done, nothing is kept."""
        if self._folder is None:
            return
        content = {
            "signature": [_FORMAT, *signature],
            "counted_by": milestones.counted_by,
            "milestones": [[milestone.epoch, dict(milestone.values)] for milestone in milestones.milestones],
        }
        file = self._file(identity)
        with contextlib.suppress(OSError):
            file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            _write_whole(file, json.dumps(content))

    def _file(self, identity: Sequence[str]) -> Path:
        assert self._folder is not None
        name = hashlib.sha256(json.dumps(list(identity)).encode()).hexdigest()
        return self._folder / name[:2] / f"{name}.json"


def _write_whole(file: Path, text: str) -> None:
    """Write all of a file or nothing of it, whoever else writes it or reads it meanwhile."""
    handle, temporary = tempfile.mkstemp(dir=file.parent, prefix=".new-")
    try:
        with os.fdopen(handle, "w") as stream:
            stream.write(text)
        os.replace(temporary, file)
    except OSError:
        Path(temporary).unlink(missing_ok=True)
        raise
