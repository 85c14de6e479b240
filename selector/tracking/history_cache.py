"""Histories that were read before, kept on this machine so that only changed runs are read again."""

import array
import contextlib
import hashlib
import json
import os
import sqlite3
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from struct import Struct
from typing import Any

from selector.runs import Axis, Milestone

# The number is raised when milestones are taken from rows, or stored, in another way.
_FORMAT = (3, sys.byteorder)
_TABLE = "CREATE TABLE IF NOT EXISTS histories (run TEXT PRIMARY KEY, head TEXT, numbers BLOB)"
_CHECKSUM_BYTES = hashlib.sha256().digest_size
_LOCKED_SECONDS = 2.0  # another selector may be writing


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
    """One SQLite file a project.

    A file is named by a hash, since names from a server are no file names. It holds beside the milestones of
    a run a signature of what the server said about the run at the time: as soon as it says anything else,
    they count for nothing. So does a row that is not as it was written, since SQLite has no checksums, and
    a file that cannot be read; one that is no database is made anew. A file a run would do without SQLite,
    and takes longer to open a thousand times than all else.
    """

    def __init__(self, folder: Path | None) -> None:
        """A cache in that folder; None keeps nothing."""
        self._folder = folder
        self._open: dict[tuple[str, ...], sqlite3.Connection] = {}

    def load(self, identity: Sequence[str], signature: Sequence[object]) -> Milestones | None:
        """The milestones of a run, if they were stored under that very signature."""
        try:
            if (database := self._database(identity, create=False)) is None:
                return None
            found = database.execute("SELECT head, numbers FROM histories WHERE run = ?", identity[-1:])
            if (row := found.fetchone()) is None:
                return None
            checksum, table = row[1][:_CHECKSUM_BYTES], row[1][_CHECKSUM_BYTES:]
            if checksum != _checksum(identity, row[0], table):
                return None
            head = json.loads(row[0])
            if head["signature"] != _written(signature):
                return None
            return Milestones(head["counted_by"], tuple(_decoded(head, table)))
        except (OSError, sqlite3.Error, ValueError, KeyError, TypeError, IndexError):
            return None

    def store(self, identity: Sequence[str], signature: Sequence[object], milestones: Milestones) -> None:
        """Keep a run's milestones, from `close` on; where that cannot be done, nothing is kept."""
        head = {"signature": _written(signature), "counted_by": milestones.counted_by}
        text, table = _encoded(head, milestones.milestones)
        row = (identity[-1], text, _checksum(identity, text, table) + table)
        try:
            self._insert(identity, row)
        except sqlite3.OperationalError:
            return  # locked, or no room
        except (OSError, sqlite3.DatabaseError, UnicodeDecodeError):  # the last where SQLite quotes damage
            self._discard(identity)
            with contextlib.suppress(OSError, sqlite3.Error):
                self._insert(identity, row)

    def close(self) -> None:
        """Write down what was stored."""
        for database in self._open.values():
            with contextlib.suppress(sqlite3.Error):
                database.commit()
            database.close()
        self._open.clear()

    def _insert(self, identity: Sequence[str], row: tuple[str, str, bytes]) -> None:
        if (database := self._database(identity, create=True)) is not None:
            database.execute("INSERT OR REPLACE INTO histories VALUES (?, ?, ?)", row)

    def _database(self, identity: Sequence[str], create: bool) -> sqlite3.Connection | None:
        """The open file of a run's project, or None where there is none."""
        project = tuple(identity[:-1])
        if project in self._open or self._folder is None:
            return self._open.get(project)
        file = self._folder / _name(project)
        if not file.exists():
            if not create:
                return None
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o600))
        database = sqlite3.connect(file, timeout=_LOCKED_SECONDS)
        self._open[project] = database
        database.execute("PRAGMA synchronous = OFF")  # what a power loss takes is read again
        database.execute(_TABLE)
        return database

    def _discard(self, identity: Sequence[str]) -> None:
        """Take away a file that is no database."""
        project = tuple(identity[:-1])
        if (database := self._open.pop(project, None)) is not None:
            database.close()
        if self._folder is not None:
            with contextlib.suppress(OSError):
                (self._folder / _name(project)).unlink(missing_ok=True)


def _name(project: Sequence[str]) -> str:
    return f"{hashlib.sha256(json.dumps(project).encode()).hexdigest()}.sqlite"


def _checksum(identity: Sequence[str], head: str, table: bytes) -> bytes:
    """Of all that is kept of a run, and of whose it is."""
    return hashlib.sha256(json.dumps([*identity, head]).encode() + table).digest()


def _written(signature: Sequence[object]) -> list[object]:
    """A signature as it comes back from JSON."""
    return [list(_FORMAT), *signature]


def _encoded(head: Mapping[str, object], milestones: Sequence[Milestone]) -> tuple[str, bytes]:
    """Some JSON, and the values as a table of float64: a thousand runs have a million of them."""
    keys = sorted(set[str]().union(*(milestone.values for milestone in milestones)))
    row_of = itemgetter(*keys) if len(keys) > 1 else lambda values: tuple(map(values.get, keys))
    pack = Struct(f"{len(keys)}d").pack
    table = []
    missing: list[tuple[int, str]] = []
    for row, milestone in enumerate(milestones):
        values = milestone.values
        if len(values) < len(keys):
            missing += [(row, key) for key in keys if key not in values]
            values = dict.fromkeys(keys, 0.0) | dict(values)
        table.append(pack(*row_of(values)))
    shape = {"epochs": [milestone.epoch for milestone in milestones], "keys": keys, "missing": missing}
    return json.dumps({**head, **shape}), b"".join(table)


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
