"""run.jsonl: what one run did, written down by the run itself, one line per event.

    {"crc32":"4ad1…","header":{"format":1,"id":"simclr-3f","config":{…},"versions":"…","started":1793…}}
    {"crc32":"09c2…","definition":{"version":1,…}}
    {"crc32":"e81b…","milestone":{"epoch":5,"values":{"label_free/rankme":41.2,…},"lists":{…}}}
    {"crc32":"77f0…","end":{"status":"completed","epoch":30,"detail":"","checkpoint":"milestone-0030.ckpt"}}

Each line is JSON. Its first member is the CRC-32 of the line without that member. JSON has no infinities, so
numbers that are not finite are the texts "nan", "inf" and "-inf".
"""

import fcntl
import json
import os
import platform
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args
from zlib import crc32

from selector.errors import UserError
from selector.files import flush_folder, is_regular
from selector.milestone import LARGEST_POSITION, Milestone, as_written, for_json
from selector.runs import NO_IDENTITY, Identity
from selector.text import printable

RECORD = "run.jsonl"
FORMAT = 1

# "stopped": ended early on purpose. "interrupted": told to stop, and to be continued.
Status = Literal["completed", "diverged", "stopped", "interrupted", "failed"]

_PREFIX = b'{"crc32":"'
_BODY = len(_PREFIX) + 8 + len(b'",')
_LISTS = b',"lists":{'  # the last member of a milestone; no number and no text can hold it
DEEPEST = 100  # levels of settings; the limit keeps any walk through a config finite
_LONGEST = 64 * 1024 * 1024  # bytes of a line; the largest milestone is some hundred thousand
_decode = json.JSONDecoder().raw_decode  # what json.loads does besides takes as long as many a line
# What the figures of a run are computed with.
_PACKAGES = (
    *("ssl-sweep-selector", "torch", "torchvision", "pytorch-lightning", "lightly"),
    *("numpy", "scipy", "scikit-learn", "numba", "wandb"),
)


@dataclass(frozen=True, kw_only=True)
class Header(Identity):
    """Which run it is, and the machine that it was last started on, or ""."""

    host: str = ""


@dataclass(frozen=True)
class End:
    """How a run ended."""

    status: Status
    epoch: int  # the last one that was trained, or the one in which the run diverged
    detail: str = ""  # one line on why the run is not complete
    checkpoint: str | None = None  # the last one


@dataclass(frozen=True)
class RecordContent:
    """What a record says."""

    header: Header
    definition: Mapping[str, Any]  # how the metrics are computed, or {} where the run does not say
    milestones: tuple[Milestone, ...]  # by epoch, one for each; of a value that was written twice the later
    end: End | None = None  # None while the run goes on, or where it was killed
    damage: str = ""  # why lines at the end were left out, on one line


def read_record(path: str | Path, lists: bool = True) -> RecordContent:
    """Read a record up to its end, or up to the first line that is cut or damaged.

    Args:
        path: The file, or the folder that holds it.
        lists: Also read the lists of the milestones, which are most of a file.

    Raises:
        UserError: It cannot be read, is of another version, or does not say which run it is.
    """
    reader = _read(_file(path), lists)
    return reader.content()


class Record:
    """Writes the record of a run.

        record = Record("runs/mine", {"learning_rate": 0.1})
        record.milestone(Milestone(5, {"label_free/rankme": 41.2}))
        record.end("completed", 5)

    Each call appends one line and returns when the line is on the disk. A folder that holds a record of the
    same configuration is continued: what it says so far is in `content`.

    Attributes:
        path: The file.
    """

    def __init__(
        self,
        folder: str | Path,
        config: Mapping[str, Any] | None = None,
        *,
        id: str = "",
        **identity: Any,
    ) -> None:
        """Begin a record, or continue the one that is there.

        Args:
            folder: The run's own folder; it is made where there is none.
            config: What was asked for. None adds to the record of a run that has ended.
            id: Of the run; "" takes the folder's name.
            **identity: What is known of name, group, job_type, sweep_id, project (texts) and tags (a list
                of texts): see `Run`.

        Raises:
            UserError: The folder cannot be written to, or holds the record of another configuration or one
                that another process is writing.
        """
        self._file: int | None = None
        self.path = Path(folder) / RECORD
        there = self.path.exists() and self.path.stat().st_size > 0
        self._reader = _read(self.path, lists=True) if there or config is None else _Reader(self.path)
        self._open()
        if self._reader.damage:
            self._cut_damage()
        if config is None:
            return
        header = Header(
            **identity,
            id=id or Path(folder).resolve().name,
            config=plain(config),
            versions=versions(),
            host=platform.node(),
            started=time.time(),
        )
        if self._reader.header is not None:
            self._refuse_other_run(self._reader.header, header)
            header = replace(header, started=self._reader.header.started)
        self._append("header", {"format": FORMAT, **asdict(header)})

    @property
    def content(self) -> RecordContent:
        """What the record says so far."""
        return self._reader.content()

    def define(self, definition: Mapping[str, Any]) -> None:
        """Store how the metrics are computed; runs that differ here are never compared.

        Raises:
            UserError: Earlier milestones of this run were computed in another way.
        """
        given = plain(definition)
        for name, before in self._reader.definition.items():
            if name in given and given[name] != before:
                raise UserError(
                    f"the metrics of {printable(str(self.path))} were computed with {name} {before!r}, now it"
                    f" would be {given[name]!r}: start a new run, in another folder"
                )
        if not given.items() <= self._reader.definition.items():
            self._append("definition", given)

    def milestone(self, milestone: Milestone) -> None:
        """One milestone. Values of an epoch that is there already are added to it, and replace equal keys.

        Raises:
            UserError: It cannot be written, as on a full disk.
            ValueError: The epoch is not a whole number from 0 on.
        """
        epoch = int(milestone.epoch)
        if epoch != milestone.epoch or not 0 <= epoch <= LARGEST_POSITION:
            raise ValueError(f"the epoch of a milestone is a whole number from 0 on, not {milestone.epoch}")
        row: dict[str, Any] = {
            "epoch": epoch,
            "values": {key: for_json(value) for key, value in milestone.values.items()},
        }
        if milestone.texts:
            row["texts"] = dict(milestone.texts)
        if milestone.lists:
            row["lists"] = {key: list(map(for_json, values)) for key, values in milestone.lists.items()}
        self._append("milestone", row)

    def end(self, status: Status, epoch: int, detail: str = "", checkpoint: str | Path | None = None) -> None:
        """How the run ended; a checkpoint in the run's own folder is noted by its name alone.

        Raises:
            UserError: It cannot be written, as on a full disk.
        """
        place = Path(checkpoint) if checkpoint is not None else None
        if place is not None:
            own = place.resolve().parent == self.path.parent.resolve()
            place = Path(place.name) if own else place.resolve()
        self._append("end", asdict(End(status, epoch, detail, str(place) if place else None)))
        self.close()

    def close(self) -> None:
        """Let go of the file, as `end` does; the next line takes it again."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def __del__(self) -> None:
        self.close()

    def _append(self, event: str, content: Mapping[str, Any]) -> None:
        """One line, on the disk as a whole or not at all."""
        body = json.dumps({event: content}, separators=(",", ":"), allow_nan=False)
        line = _sealed(body.encode())
        with self._writing():
            _write_whole(self._open(), line)
        self._reader.take(line)

    def _open(self) -> int:
        """The open file, locked: who reads the record sees that the run goes on."""
        if self._file is None:
            with self._writing():
                self.path.parent.mkdir(parents=True, exist_ok=True)
                new = not self.path.exists()
                self._file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
                if new:
                    flush_folder(self.path.parent)
            if not _lock(self._file):
                self.close()
                raise UserError(
                    f"{printable(str(self.path))} is being written by another process, or by an earlier"
                    " Record of this one: wait until it ends, or use another folder"
                )
        return self._file

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise UserError(
                f"cannot write {printable(str(self.path))!r} ({error.strerror}): what was saved before is"
                " whole; make room, and the same command with --resume continues the run"
            ) from error

    def _refuse_other_run(self, there: Header, header: Header) -> None:
        for name in sorted((there.config.keys() & header.config.keys()) - NO_IDENTITY):
            before, now = there.config[name], header.config[name]
            if before != now:
                raise UserError(
                    f"{printable(str(self.path))} is of a run with {name} {printable(repr(before))}, this one"
                    f" asks for {printable(repr(now))}: use another folder, or the same configuration"
                )

    def _cut_damage(self) -> None:
        """Go on after the last sound line. What follows it is kept aside, unless a kill cut it short."""
        try:
            if not self._reader.cut:
                self.path.with_suffix(".damaged").write_bytes(self.path.read_bytes())
            os.truncate(self.path, self._reader.sound)
        except OSError as error:
            raise UserError(f"cannot repair {printable(str(self.path))!r}: {error.strerror}") from error
        self._reader.damage = ""


class _Reader:
    """Puts together what the lines of a record say."""

    def __init__(self, path: Path, lists: bool = True) -> None:
        self.path, self.lists = path, lists
        self.header: Header | None = None
        self.definition: dict[str, Any] = {}
        self.rows: dict[int, Milestone] = {}
        self.end: End | None = None
        self.damage, self.cut, self.sound = "", False, 0

    def content(self) -> RecordContent:
        if self.header is None:
            raise UserError(f"{printable(str(self.path))} does not say which run it is")
        rows = tuple(self.rows[epoch] for epoch in sorted(self.rows))
        return RecordContent(self.header, dict(self.definition), rows, self.end, self.damage)

    def take(self, line: bytes) -> None:
        """Take in one line, newline included.

        Raises:
            ValueError: It is not as `Record` writes it; so are the other errors that it may raise.
        """
        body = b"{" + line[_BODY:-1]
        if line != _sealed(body):
            raise ValueError("not a line of a record, or with a wrong checksum")
        if not self.lists and (start := body.find(_LISTS)) > 0 and body.startswith(b'{"milestone"'):
            body = body[:start] + b"}}"
        text = body.decode()
        content, end = _decode(text)
        if end != len(text):
            raise ValueError("more than one event in a line")
        [(event, given)] = content.items()
        match event:
            case "milestone":
                self._take_milestone(given)
            case "header":
                self._take_header(given)
            case "definition":
                self.definition |= settings("definition", content)
            case "end":
                self.end = _end(given, self.path.parent)
        self.sound += len(line)

    def _take_header(self, given: dict[str, Any]) -> None:
        if given.pop("format") != FORMAT:
            raise UserError(
                f"{printable(str(self.path))} was written by another version: read it with that version"
            )
        header = Header(**{**given, "config": settings("config", given), "tags": tuple(given["tags"])})
        names = [value for name, value in vars(header).items() if name not in ("config", "tags", "started")]
        if not header.id or not all(isinstance(text, str) for text in (*names, *header.tags)):
            raise ValueError("a header without names")
        if type(header.started) not in (int, float, type(None)):
            raise ValueError("a start that is not a time")
        if self.header is not None:  # a later process of the same run
            both = joined_versions([self.header.versions, header.versions])
            header = replace(self.header, versions=both)
        self.header, self.end = header, None

    def _take_milestone(self, row: dict[str, Any]) -> None:
        new = as_written(row["epoch"], row["values"], row.get("lists"), row.get("texts"))
        if (before := self.rows.get(new.epoch)) is not None:
            new = Milestone(
                new.epoch,
                {**before.values, **new.values},
                {**before.lists, **new.lists},
                {**before.texts, **new.texts},
            )
        self.rows[new.epoch] = new


def _read(path: Path, lists: bool) -> _Reader:
    shown = printable(str(path))
    reader = _Reader(path, lists)
    try:
        if not is_regular(path):
            raise UserError(f"{shown} is not a regular file, and so no record of a run")
        with path.open("rb") as file:
            for number, line in enumerate(iter(lambda: file.readline(_LONGEST), b""), start=1):
                try:
                    reader.take(line)
                except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
                    reader.cut = not line.endswith(b"\n") and len(line) < _LONGEST
                    how = "is cut short" if reader.cut else "is damaged: what follows is left out"
                    reader.damage = f"line {number} of {shown} {how}"
                    break
    except OSError as error:
        raise UserError(f"cannot read {shown}: {error.strerror}") from error
    if reader.header is None and not reader.cut:
        raise UserError(f"{shown} is not the record of a run: {reader.damage or 'it holds nothing'}")
    return reader


def _file(path: str | Path) -> Path:
    return Path(path) / RECORD if Path(path).is_dir() else Path(path)


def _sealed(body: bytes) -> bytes:
    """The line of an event: its JSON, with the checksum as the first member."""
    return b'%s%08x",%s\n' % (_PREFIX, crc32(body), body[1:])


def _write_whole(file: int, line: bytes) -> None:
    """Write and flush; where there is no room for all of it, take back the part that was written."""
    before = os.fstat(file).st_size
    rest = memoryview(line)
    try:
        while rest:
            rest = rest[os.write(file, rest) :]
        os.fsync(file)
    except OSError:
        with suppress(OSError):
            os.ftruncate(file, before)
        raise


def _lock(file: int) -> bool:
    """Whether the file could be locked, past somebody who only looks at its lock for a moment."""
    for _ in range(10):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.02)
        except OSError:
            return True  # a file system without locks
        else:
            return True
    return False


def _end(given: dict[str, Any], folder: Path) -> End:
    end = End(**given)
    if end.status not in get_args(Status) or type(end.epoch) is not int or not isinstance(end.detail, str):
        raise ValueError("an end that was never written")
    if end.checkpoint is None:
        return end
    return replace(end, checkpoint=str(folder / end.checkpoint))  # an absolute path stays as it is


def settings(name: str, content: Mapping[str, Any]) -> dict[str, Any]:
    """The settings stored under `name`, as a run writes them.

    Raises:
        ValueError: They are not settings, or are nested too deeply.
    """
    given = content[name]
    if not isinstance(given, dict):
        raise ValueError(f"{name} is {given!r}")
    if nested_too_deeply(given, DEEPEST + 1):  # the mapping itself is one
        raise ValueError(f"{name} holds values nested too deeply")
    return given


def nested_too_deeply(value: object, levels: int = DEEPEST) -> bool:
    """Whether lists and mappings of JSON stand within one another on more than so many levels."""
    if not isinstance(value, dict | list):
        return False
    inside = value.values() if isinstance(value, dict) else value
    return levels <= 0 or any(nested_too_deeply(inner, levels - 1) for inner in inside)


def plain(value: Any) -> Any:
    """Settings as values of JSON."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return for_json(value)
        case Mapping():
            return {str(name): plain(inner) for name, inner in value.items()}
        case list() | tuple():
            return [plain(inner) for inner in value]
    return str(value)


def versions() -> str:
    """Names and versions on one line, such as "ssl-sweep-selector 0.1.0, torch 2.15.0, …, Python 3.11.7"."""
    from importlib.metadata import PackageNotFoundError, version

    named = []
    for package in _PACKAGES:
        with suppress(PackageNotFoundError):
            named.append(f"{package} {version(package)}")
    return ", ".join([*named, f"Python {platform.python_version()}"])


def joined_versions(texts: Iterable[object]) -> str:
    """What a run's processes were, where they were not all the same software."""
    parts = [part for text in texts if isinstance(text, str) for part in text.split("; then ")]
    return "; then ".join(dict.fromkeys(part for part in parts if part))
