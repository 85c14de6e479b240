"""The ledger of a sweep: what was asked for, which runs there are, and how each of them ended.

DIR/ledger.json is replaced as a whole (write, fsync, rename) before and after every run, so that it is never
half a ledger, whatever stops the sweep.
"""

import fcntl
import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal, TextIO, TypeVar, get_args

from selector.errors import UserError
from selector.files import is_regular

# "stopped": ended early on purpose (hyperband). "interrupted": to be run again under the same id.
Status = Literal["running", "finished", "failed", "stopped", "interrupted"]

_VERSION = 1
_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"
_ID = re.compile(r"[a-z0-9]{8}")
_Entry = TypeVar("_Entry", "LedgerRun", "Ledger")


@dataclass(frozen=True)
class LedgerRun:
    """One run of a sweep.

    Attributes:
        index: Position in the sweep, from 0; the index-th configuration of the search.
        id: W&B run id: 8 characters, made from the sweep's id and the index.
        config: Hyperparameter → value; nested ones are dictionaries.
        status: See `Status`.
        started: When the run was last started (seconds since 1970).
        ended: When it ended, or None while it runs.
        exit_status: Of its process, negative for a signal; None while it runs or where nobody saw its end.
        reason: One line on why it is not "finished", or "".
        objective: The sweep's metric, or None where the run did not log it or is not over.
        coordinates: Where bayes found the configuration in its search space; empty for grid and random.
        pid: Process that runs or ran it, or None.
    """

    index: int
    id: str
    config: Mapping[str, Any]
    status: Status
    started: float
    ended: float | None = None
    exit_status: int | None = None
    reason: str = ""
    objective: float | None = None
    coordinates: Mapping[str, float] | None = None
    pid: int | None = None

    @property
    def done(self) -> bool:
        """Whether the run is over for good; a failed or interrupted one is tried again."""
        return self.status in ("finished", "stopped")


@dataclass(frozen=True)
class Ledger:
    """The state of a sweep.

    Attributes:
        sweep: W&B sweep id: 8 characters.
        seed: Of the search.
        planned: Number of runs that the sweep is to have, or None for no end.
        sweep_file: Content of the sweep file.
        runs: Ordered by index.
    """

    sweep: str
    seed: int
    planned: int | None
    sweep_file: Mapping[str, Any]
    runs: tuple[LedgerRun, ...] = ()

    def with_run(self, run: LedgerRun) -> "Ledger":
        """The ledger with one run added or replaced."""
        others = [other for other in self.runs if other.index != run.index]
        return replace(self, runs=tuple(sorted([*others, run], key=lambda run: run.index)))


def run_id(sweep: str, index: int) -> str:
    """The id of a sweep's index-th run, the same in every life of the sweep."""
    return _base36(int.from_bytes(sha256(f"{sweep}/{index}".encode()).digest()))


def new_sweep_id() -> str:
    """A random id: two sweeps of the same file must not meet when both are synced to W&B."""
    return _base36(int.from_bytes(os.urandom(16)))


def _base36(number: int) -> str:
    return "".join(_ALPHABET[number // 36**position % 36] for position in range(8))


def ledger_path(directory: Path) -> Path:
    """Where the ledger of a sweep folder lies."""
    return directory / "ledger.json"


def write_ledger(directory: Path, ledger: Ledger) -> None:
    """Replace the ledger; after a power loss either the old or the new one is there."""
    text = json.dumps({"version": _VERSION, **asdict(ledger)}, indent=1, allow_nan=False)
    write_safely(ledger_path(directory), text.encode())


def write_safely(path: Path, content: bytes) -> None:
    """Write a file so that it is there as a whole or not at all."""
    temporary = path.with_name(f"{path.name}.new")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def read_ledger(directory: Path) -> Ledger | None:
    """The ledger of a sweep folder, or None where no sweep was started.

    Raises:
        UserError: The file is there but is no ledger.
    """
    path = ledger_path(directory)
    try:
        if not is_regular(path):
            raise UserError(f"{path} is not a regular file, and so no ledger; use another --directory")
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise UserError(f"{path} is no ledger of a sweep; use another --directory") from None
    try:
        json.dumps(content, allow_nan=False)  # Python reads NaN, and `write_ledger` could not write it again
        if content.pop("version") != _VERSION:
            raise UserError(f"{path} was written by another version of selector; use another --directory")
        runs = tuple(_sound(LedgerRun(**run), _OF_A_RUN) for run in content.pop("runs"))
        ledger = _sound(Ledger(**content, runs=runs), _OF_A_LEDGER)
    except (TypeError, KeyError, AttributeError, ValueError, RecursionError):
        raise UserError(f"{path} is no ledger of a sweep; use another --directory") from None
    # Ids become file names.
    for name in (ledger.sweep, *(run.id for run in ledger.runs)):
        if not isinstance(name, str) or not _ID.fullmatch(name):
            raise UserError(f"{path} holds {name!r} where an id of 8 letters and digits belongs")
    return ledger


_NUMBER, _WHOLE = (int, float), (int,)
_NONE = type(None)
_OF_A_RUN: Mapping[str, tuple[type, ...]] = {
    "index": _WHOLE, "config": (dict,), "status": (str,), "started": _NUMBER, "ended": (*_NUMBER, _NONE),
    "exit_status": (*_WHOLE, _NONE), "reason": (str,), "objective": (*_NUMBER, _NONE),
    "coordinates": (dict, _NONE), "pid": (*_WHOLE, _NONE),
}  # fmt: skip
_OF_A_LEDGER: Mapping[str, tuple[type, ...]] = {
    "seed": _WHOLE, "planned": (*_WHOLE, _NONE), "sweep_file": (dict,),
}  # fmt: skip


def _sound(entry: _Entry, kinds: Mapping[str, tuple[type, ...]]) -> _Entry:
    """An entry whose fields are of the kinds that they were written with; TypeError for any other."""
    for name, kind in kinds.items():
        value = getattr(entry, name)
        if type(value) not in kind:  # a truth value is a number to isinstance
            raise TypeError(f"{name} is {value!r}")
    if isinstance(entry, LedgerRun) and (entry.index < 0 or entry.status not in get_args(Status)):
        raise TypeError("an index or a status that was never written")
    if isinstance(entry, Ledger):
        if entry.planned is not None and entry.planned < 1:
            raise TypeError(f"planned is {entry.planned}")
        if len({run.index for run in entry.runs}) < len(entry.runs):  # they would be counted twice
            raise TypeError("two runs of one index")
    return entry


def agent_of(directory: Path) -> int | None:
    """Process that runs the sweep of a folder on this machine, or None; its lock is only looked at."""
    try:
        with (directory / "lock").open() as file:
            process = int(file.read(20))
            os.kill(process, 0)
            with suppress(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                return None  # nobody holds it: the agent was killed, and its number belongs to another now
    except (OSError, ValueError, OverflowError):
        return None
    return process


def _lock(file: TextIO) -> None:
    """Take the lock, past somebody who only looks at it for a moment."""
    for _ in range(10):
        with suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        time.sleep(0.02)
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextmanager
def only_agent(directory: Path) -> Iterator[None]:
    """Hold the sweep folder's lock; the system lets go of it however this process ends.

    Raises:
        UserError: Another process runs this sweep.
    """
    with (directory / "lock").open("a+") as file:
        try:
            _lock(file)
        except BlockingIOError:
            file.seek(0)
            other = file.read(20).strip()
            raise UserError(
                f"{directory} is in use by another selector sweep"
                f"{f' (process {other})' if other.isdigit() else ''}; wait for it or use another --directory"
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)  # another process may have this number one day
