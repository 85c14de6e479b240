"""One .wandb file, as W&B's client writes it offline: the only place that knows its format.

The outer layer is LevelDB's log (https://github.com/google/leveldb/blob/main/doc/log_format.md) with two
differences, checked against files of the clients 0.16 to 0.31: the file begins with a header of 7 bytes, and
the checksum of a chunk is the plain CRC-32 of zlib over kind and payload, unmasked. Each payload is a
protocol buffer of wandb/proto/wandb_internal.proto, of which MESSAGES is the part that a selection needs.
W&B's own wandb_internal_pb2 cannot be imported without the whole of wandb, which takes a second, and decodes
every system metric on the way; the tests compare the two, field by field.
"""

import json
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO
from zlib import crc32

from selector.milestone import LARGE_PREFIXES
from selector.record import DEEPEST, nested_too_deeply
from selector.tracking import completion
from selector.tracking.history import MOST_ROWS, MOST_SECONDS, History

BLOCK = 32 * 1024
FORMAT_VERSION = 0
FILE_HEADER = b":W&B" + struct.pack("<HB", 0xBEE1, FORMAT_VERSION)
CHUNK_HEADER = struct.Struct("<IHB")  # CRC-32 of kind and payload, length of the payload, kind
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4

# Message → field → (number, type); a type in brackets is repeated, a capitalised one is a message.
# Summaries stay bytes until somebody wants them: they repeat every history row.
MESSAGES: dict[str, dict[str, tuple[int, str]]] = {
    "Record": {
        "num": (1, "int64"),
        "history": (2, "HistoryRecord"),
        "summary": (3, "bytes"),
        "config": (5, "ConfigRecord"),
        "run": (17, "RunRecord"),
        "exit": (18, "RunExitRecord"),
    },
    "HistoryRecord": {"item": (1, "[Item]"), "step": (2, "HistoryStep")},
    "HistoryStep": {"num": (1, "int64")},
    "SummaryRecord": {"update": (1, "[Item]"), "remove": (2, "[Item]")},
    "ConfigRecord": {"update": (1, "[Item]"), "remove": (2, "[Item]")},
    "Item": {"key": (1, "string"), "nested_key": (2, "[string]"), "value_json": (16, "string")},
    "RunRecord": {
        "run_id": (1, "string"),
        "project": (3, "string"),
        "config": (4, "ConfigRecord"),
        "run_group": (6, "string"),
        "job_type": (7, "string"),
        "display_name": (8, "string"),
        "tags": (10, "[string]"),
        "sweep_id": (12, "string"),
        "start_time": (17, "Timestamp"),
        "branch_point": (23, "BranchPoint"),
    },
    "Timestamp": {"seconds": (1, "int64"), "nanos": (2, "int32")},
    "BranchPoint": {"run": (1, "string"), "value": (2, "double")},
    "RunExitRecord": {"exit_code": (1, "int32")},
}


class DamagedFile(Exception):
    """A file cannot be trusted, or is too long to be read; the text follows its name: "has … at byte 7"."""


class CutShort(Exception):
    """A file ends too early, as after a kill; what came before is sound. The text as in DamagedFile."""


class NothingWritten(Exception):
    """A file ends before it says which run it belongs to; the text as in DamagedFile."""


@dataclass
class Segment:
    """What one process logged; a run that was resumed has several. Times are seconds since 1970."""

    path: Path
    written: float  # when the file was last changed
    run_id: str = ""
    names: dict[str, Any] = field(default_factory=dict)  # other fields of `Identity`, where the file has them
    started: float = 0.0  # when the process called wandb.init, 0 where the file does not say
    last_logged: float = 0.0  # time of the last row, 0 without one
    branch: tuple[str, float] | None = None  # run and step of it that this one goes on from: rewind or fork
    config: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)  # of our own runs what train.py wrote there
    history: History = field(default_factory=History)
    exit_code: int | None = None  # None where the process has not ended or was killed
    records: int = 0
    cut: str = ""  # how the file ends too early, if it does


def read_segment(path: Path, spectra: bool = False) -> Segment:
    """Read a whole file, every checksum and record number checked; `spectra`: lists and texts too.

    Raises:
        OSError: The file cannot be read.
        NothingWritten: It is empty, or ends before the record of the run.
        DamagedFile: Something in it is not as a W&B client wrote it, or it holds more than is read of a run.
    """
    segment = Segment(path, written=path.stat().st_mtime)
    try:
        try:
            began = time.monotonic()
            for record in read_records(path):
                _apply(record, segment, spectra)
                if len(segment.history.rows) > MOST_ROWS:
                    raise DamagedFile(f"holds more than {MOST_ROWS} rows, the most that are read per run")
                if time.monotonic() - began > MOST_SECONDS:
                    rows = len(segment.history.rows)
                    raise DamagedFile(
                        f"gave {rows} rows in {MOST_SECONDS:g} s, the longest that a run is read"
                    )
        except CutShort as error:
            segment.cut = str(error)
        segment.summary = {key: decoded(text) for key, text in segment.summary.items()}
    except RecursionError as error:
        raise DamagedFile("holds values nested too deeply") from error
    if not segment.run_id:
        how = segment.cut or ("ends before it names its run" if segment.records else "holds only a header")
        raise NothingWritten(f"{how}: the run was killed before W&B's first write, or has only just begun")
    return segment


def read_records(path: Path) -> Iterator[Any]:
    """The records of a file in order: messages of type `Record`.

    Raises:
        DamagedFile: A checksum, a record or the numbering of the records is wrong.
        CutShort: After the last whole record of a file that ends too early.
    """
    record_of, decode_error = _decoder("Record")
    with path.open("rb") as file:
        for number, payload in enumerate(read_payloads(file), start=1):
            try:
                record = record_of(payload)
            except decode_error as error:
                raise DamagedFile(f"has an unreadable record {number}") from error
            if record.num != number:  # W&B's clients count from 1, without a gap
                raise DamagedFile(f"lacks record {number}: number {record.num} is in its place")
            yield record


def read_payloads(file: BinaryIO) -> Iterator[bytes]:
    """The payload of each record, in order, every checksum checked.

    Raises:
        DamagedFile: At the first byte that a W&B client would not have written there.
        CutShort: After the last whole record, where the file ends inside another or in zero bytes.
    """
    _check_file_header(file.read(len(FILE_HEADER)))
    block, start, position = FILE_HEADER + file.read(BLOCK - len(FILE_HEADER)), 0, len(FILE_HEADER)
    parts: list[bytes] = []  # of a record that spans several blocks
    while True:
        while position + CHUNK_HEADER.size <= len(block):
            checksum, length, kind = CHUNK_HEADER.unpack_from(block, position)
            if checksum == length == kind == 0:
                _check_zeros(block[position:], file, start + position)
            begin, end = position + CHUNK_HEADER.size, position + CHUNK_HEADER.size + length
            if end > len(block) and len(block) < BLOCK:
                raise CutShort(f"ends inside a record at byte {start + len(block)}")
            if end > len(block) or crc32(block[begin - 1 : end]) != checksum:
                raise DamagedFile(f"has a wrong checksum at byte {start + position}")
            if kind not in (FULL, FIRST, MIDDLE, LAST) or (kind in (MIDDLE, LAST)) != bool(parts):
                raise DamagedFile(f"lacks a part of a record at byte {start + position}")
            parts.append(block[begin:end])
            if kind in (FULL, LAST):
                yield parts[0] if kind == FULL else b"".join(parts)
                parts = []
            position = end
        if len(block) < BLOCK:
            break
        if any(block[position:]):  # too short for a chunk, so the client fills it with zeros
            raise DamagedFile(f"has bytes between two blocks at byte {start + position}")
        block, start, position = file.read(BLOCK), start + BLOCK, 0
    if parts or position < len(block):
        raise CutShort(f"ends inside a record at byte {start + len(block)}")


def history_row(history: Any, spectra: bool = True) -> dict[str, Any]:
    """A HistoryRecord as W&B key → value; the parts of a nested key are joined by dots, as W&B does.

    Without `spectra` the lists and texts of our own milestones are left out: they take most of the time.
    """
    row = {}
    for item in history.item:
        nested = item.nested_key
        key = nested[0] if len(nested) == 1 else _key(item)
        try:
            row[key] = float(item.value_json)  # nearly always; NaN and Infinity too
        except ValueError:
            if spectra or not key.startswith(LARGE_PREFIXES):
                row[key] = decoded(item.value_json)
    if "_step" not in row and history.HasField("step"):
        row["_step"] = history.step.num
    return row


def decoded(text: str) -> Any:
    """The value of a JSON text; a text that is none is taken as it stands, as W&B does."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _check_file_header(header: bytes) -> None:
    """Raise unless the file begins as a .wandb file of the known version does."""
    if header == FILE_HEADER:
        return
    if FILE_HEADER.startswith(header):
        raise CutShort(f"ends inside the file header at byte {len(header)}" if header else "is empty")
    if header[:-1] == FILE_HEADER[:-1]:
        raise DamagedFile(f"has format version {header[-1]}, only version {FORMAT_VERSION} is known")
    raise DamagedFile("is not a .wandb file: it does not begin with W&B's header")


def _check_zeros(rest_of_block: bytes, file: BinaryIO, offset: int) -> None:
    """Raise for zero bytes where a chunk was due: a lost tail if nothing follows, else damage."""
    if any(rest_of_block):
        raise DamagedFile(f"has zero bytes inside it at byte {offset}")
    while block := file.read(BLOCK):
        if any(block):
            raise DamagedFile(f"has zero bytes inside it at byte {offset}")
    raise CutShort(f"has only zero bytes from byte {offset} on")


def _apply(record: Any, segment: Segment, spectra: bool) -> None:
    """Take one record into the segment; of most kinds of record nothing is wanted."""
    segment.records += 1
    if record.HasField("history"):
        row = history_row(record.history, spectra)
        if isinstance(when := row.get("_timestamp"), float):
            segment.last_logged = max(when, segment.last_logged)
        segment.history.rows.append(row)
    elif record.summary:
        _update_summary(record.summary, segment)
    elif record.HasField("config"):
        _update_config(record.config, segment.config)
    elif record.HasField("run"):
        _update_run(record.run, segment)
    elif record.HasField("exit"):
        segment.exit_code = record.exit.exit_code


def _update_summary(payload: bytes, segment: Segment) -> None:
    ours = "definition" in segment.config
    # Of our own runs the rows say it all, but for what train.py writes at the end.
    if ours and not any(key in payload for key in (b"completion/", b"checkpoint", b"versions")):
        return
    summary_of, decode_error = _decoder("SummaryRecord")
    try:
        record = summary_of(payload)
    except decode_error as error:
        raise DamagedFile("has an unreadable summary record") from error
    for item in record.update:
        if (key := _key(item)) in completion.OF_OURS or not ours:
            segment.summary[key] = item.value_json
    for item in record.remove:
        segment.summary.pop(_key(item), None)


def _update_config(record: Any, config: dict[str, Any]) -> None:
    for item in record.update:
        *folders, last = item.nested_key or [item.key]
        inside = config
        for folder in folders:
            if not isinstance(inside.get(folder), dict):
                inside[folder] = {}
            inside = inside[folder]
        value = decoded(item.value_json)
        if len(folders) > DEEPEST or nested_too_deeply(value, DEEPEST - len(folders)):
            raise DamagedFile("holds values nested too deeply")
        inside[last] = value
    for item in record.remove:
        *folders, last = item.nested_key or [item.key]
        place: Any = config
        for folder in folders:
            place = place.get(folder) if isinstance(place, dict) else None
        if isinstance(place, dict):
            place.pop(last, None)


def _update_run(record: Any, segment: Segment) -> None:
    if segment.run_id and record.run_id != segment.run_id:
        raise DamagedFile(f"names two runs, {segment.run_id!r} and {record.run_id!r}")
    segment.run_id = record.run_id
    names = {
        "name": record.display_name,
        "group": record.run_group,
        "job_type": record.job_type,
        "sweep_id": record.sweep_id,
        "project": record.project,
        "tags": tuple(record.tags),
    }
    segment.names |= {name: given for name, given in names.items() if given}
    segment.started = record.start_time.seconds + record.start_time.nanos / 1e9 or segment.started
    if record.HasField("branch_point"):
        segment.branch = record.branch_point.run, record.branch_point.value
    _update_config(record.config, segment.config)


def _key(item: Any) -> str:
    return item.key or ".".join(item.nested_key)


@cache
def _decoder(message: str) -> tuple[Callable[[bytes], Any], type[Exception]]:
    """What decodes a message of MESSAGES, and what it raises.

    It is imported here because, where all runs have records, importing protobuf would take a tenth of the
    time of reading them.
    """
    from google.protobuf import (  # type: ignore[import-untyped]
        descriptor_pb2,
        descriptor_pool,
        message_factory,
    )
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    field_type, package = descriptor_pb2.FieldDescriptorProto, "selector.tracking"
    file = descriptor_pb2.FileDescriptorProto(name=f"{package}.proto", package=package, syntax="proto3")
    for name, fields in MESSAGES.items():
        declared = file.message_type.add(name=name)
        for field_name, (number, type_name) in fields.items():
            inner = type_name.strip("[]")
            declared.field.add(
                name=field_name,
                number=number,
                label=field_type.LABEL_OPTIONAL if inner == type_name else field_type.LABEL_REPEATED,
                type=field_type.TYPE_MESSAGE
                if inner in MESSAGES
                else field_type.Type.Value(f"TYPE_{inner.upper()}"),
                type_name=f".{package}.{inner}" if inner in MESSAGES else None,
            )
    pool = descriptor_pool.DescriptorPool()  # one of our own: nothing of wandb's is touched
    pool.Add(file)
    kind = message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{message}"))
    return kind.FromString, DecodeError
