"""Histories that were read before, kept in files of this machine so that only changed runs are read again."""

import array
import contextlib
import hashlib
import json
import os
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any

from selector.runs.run import Axis, Milestone

# The number is raised when milestones are taken from rows, or stored, in another way.
_FORMAT = (1, sys.byteorder)


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
            head, _, table = self._file(identity).read_bytes().partition(b"\n")
            stored = json.loads(head)
            if stored["signature"] != _written(signature):
                return None
            return Milestones(stored["counted_by"], tuple(_decoded(stored, table)))
        except (OSError, ValueError, KeyError, TypeError, IndexError):
            return None

    def store(self, identity: Sequence[str], signature: Sequence[object], milestones: Milestones) -> None:
        """Keep a run's milestones; where that cannot be done, nothing is kept."""
        if self._folder is None:
            return
        head = {"signature": _written(signature), "counted_by": milestones.counted_by}
        with contextlib.suppress(OSError):
            if not self._folder.is_dir():
                self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            _write_whole(self._file(identity), _encoded(head, milestones.milestones))

    def _file(self, identity: Sequence[str]) -> Path:
        assert self._folder is not None
        name = hashlib.sha256(json.dumps(list(identity)).encode()).hexdigest()
        return self._folder / f"{name}.history"


def _written(signature: Sequence[object]) -> list[object]:
    """A signature as it comes back from JSON."""
    return [list(_FORMAT), *signature]


def _encoded(head: Mapping[str, object], milestones: Sequence[Milestone]) -> bytes:
    """A line of JSON, and the values as a table of float64: a thousand runs have a million of them."""
    keys = sorted(set[str]().union(*(milestone.values for milestone in milestones)))
    row_of = (
        itemgetter(*keys, *keys[:1]) if keys else None
    )  # one key more, for itemgetter(key) makes no tuple
    table = array.array("d")
    missing: list[tuple[int, str]] = []
    for row, milestone in enumerate(milestones):
        values = milestone.values
        if len(values) < len(keys):
            missing += [(row, key) for key in keys if key not in values]
            values = dict.fromkeys(keys, 0.0) | dict(values)
        if row_of is not None:
            table.extend(row_of(values)[:-1])
    shape = {"epochs": [milestone.epoch for milestone in milestones], "keys": keys, "missing": missing}
    return json.dumps({**head, **shape}).encode() + b"\n" + table.tobytes()


def _decoded(head: Mapping[str, Any], table: bytes) -> Iterator[Milestone]:
    values = array.array("d", table)
    epochs, keys = head["epochs"], head["keys"]
    if len(values) != len(epochs) * len(keys):
        raise ValueError("the table was cut short")
    missing: dict[int, list[str]] = {}
    for row, key in head["missing"]:
        missing.setdefault(row, []).append(key)
    for row, epoch in enumerate(epochs):
        numbers = dict(zip(keys, values[row * len(keys) : (row + 1) * len(keys)], strict=True))
        for key in missing.get(row, ()):
            del numbers[key]
        yield Milestone(epoch, numbers)


def _write_whole(file: Path, content: bytes) -> None:
    """Write all of a file or nothing of it, whoever else writes it or reads it meanwhile."""
    temporary = file.with_suffix(f".{os.getpid()}-{threading.get_ident()}")
    try:
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(handle, "wb") as stream:
            stream.write(content)
        os.replace(temporary, file)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
