"""One .wandb file: what one process wrote about one run."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from selector.metrics.milestone import LARGE_PREFIXES
from selector.runs import DEEPEST, nested_too_deeply
from selector.tracking import completion
from selector.tracking.history import History
from selector.tracking.wandb_log import DamagedLog, TruncatedLog, read_payloads
from selector.tracking.wandb_records import Record, SummaryRecord

_SUMMARY_KEYS = (completion.STATUS, completion.EPOCH, completion.CHECKPOINT, completion.VERSIONS)


class NothingWritten(Exception):
    """The file ends before it says which run it belongs to; the text as in DamagedLog."""


@dataclass
class Segment:
    """What one process logged; a run that was resumed has several.

    Attributes:
        path: The file.
        written: When the file was last changed (seconds since 1970).
        run_id: W&B's run id.
        name: Display name, or "".
        group: Group, or "".
        job_type: Job type, or "".
        sweep_id: W&B's sweep id, or "".
        tags: W&B's tags.
        started: When the process called wandb.init (seconds since 1970), 0 where the file does not say.
        last_logged: Time of the last row (seconds since 1970), 0 without one.
        config: As logged, later updates applied.
        summary: Completion marker, checkpoint and versions, as far as logged.
        history: The rows.
        exit_code: Of the process, or None where it has not ended or was killed.
        records: How many the file holds.
        cut: "" for a whole file, else how it ends too early.
    """

    path: Path
    written: float
    run_id: str = ""
    name: str = ""
    group: str = ""
    job_type: str = ""
    sweep_id: str = ""
    tags: tuple[str, ...] = ()
    started: float = 0.0
    last_logged: float = 0.0
    config: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    history: History = field(default_factory=History)
    exit_code: int | None = None
    records: int = 0
    cut: str = ""


def read_segment(path: Path, spectra: bool = False) -> Segment:
    """Read a whole file, every checksum and record number checked; `spectra`: logged spectra too.

    Raises:
        OSError: The file cannot be read.
        NothingWritten: It is empty, or ends before the record of the run.
        DamagedLog: Something in it is not as a W&B client wrote it.
    """
    segment = Segment(path, written=path.stat().st_mtime, history=History(spectra))
    try:
        for record in read_records(path):
            _apply(record, segment, spectra)
    except TruncatedLog as error:
        segment.cut = str(error)
    except RecursionError as error:
        raise DamagedLog("holds values nested too deeply") from error
    if not segment.run_id:
        how = segment.cut or ("ends before it names its run" if segment.records else "holds only a header")
        raise NothingWritten(f"{how}: the run was killed before W&B's first write, or has only just begun")
    return segment


def read_records(path: Path) -> Iterator[Any]:
    """The records of a file in order: messages of type `wandb_records.Record`.

    Raises:
        DamagedLog: A checksum, a record or the numbering of the records is wrong.
        TruncatedLog: After the last whole record of a file that ends too early.
    """
    with path.open("rb") as file:
        for number, payload in enumerate(read_payloads(file), start=1):
            try:
                record = Record.FromString(payload)
            except DecodeError as error:
                raise DamagedLog(f"has an unreadable record {number}") from error
            if record.num != number:  # W&B's clients count from 1, without a gap
                raise DamagedLog(f"lacks record {number}: number {record.num} stands in its place")
            yield record


def history_row(history: Any, spectra: bool = True) -> dict[str, Any]:
    """A HistoryRecord as W&B key → value; the parts of a nested key are joined by dots, as W&B does.

    Without `spectra` the lists and texts of milestones are left out: decoding takes most of the time.
    """
    row = {}
    for item in history.item:
        nested = item.nested_key
        key = nested[0] if len(nested) == 1 else _key(item)
        try:
            row[key] = float(item.value_json)  # nearly always; NaN and Infinity too
        except ValueError:
            if spectra or not key.startswith(LARGE_PREFIXES):
                row[key] = _decode(item.value_json)
    if "_step" not in row and history.HasField("step"):
        row["_step"] = history.step.num
    return row


def _apply(record: Any, segment: Segment, spectra: bool) -> None:
    """Take one record into the segment; of most kinds of record nothing is wanted."""
    segment.records += 1
    if record.HasField("history"):
        row = history_row(record.history, spectra)
        if isinstance(when := row.get("_timestamp"), float):
            segment.last_logged = max(when, segment.last_logged)
        segment.history.add(row)
    elif record.summary:
        _update_summary(record.summary, segment.summary)
    elif record.HasField("config"):
        _update_config(record.config, segment.config)
    elif record.HasField("run"):
        _update_run(record.run, segment)
    elif record.HasField("exit"):
        segment.exit_code = record.exit.exit_code


def _update_summary(payload: bytes, summary: dict[str, Any]) -> None:
    # Nearly every summary record repeats a history row: look inside only where a wanted key may be.
    if not any(key in payload for key in (b"completion/", b"checkpoint", b"versions")):
        return
    try:
        record = SummaryRecord.FromString(payload)
    except DecodeError as error:
        raise DamagedLog("has an unreadable summary record") from error
    for item in record.update:
        if (key := _key(item)) in _SUMMARY_KEYS:
            summary[key] = _decode_shallow(item.value_json)
    for item in record.remove:
        summary.pop(_key(item), None)


def _update_config(record: Any, config: dict[str, Any]) -> None:
    for item in record.update:
        *folders, last = item.nested_key or [item.key]
        inside = config
        for folder in folders:
            if not isinstance(inside.get(folder), dict):
                inside[folder] = {}
            inside = inside[folder]
        inside[last] = _decode_shallow(item.value_json, len(folders))
    for item in record.remove:
        *folders, last = item.nested_key or [item.key]
        place: Any = config
        for folder in folders:
            place = place.get(folder) if isinstance(place, dict) else None
        if isinstance(place, dict):
            place.pop(last, None)


def _update_run(record: Any, segment: Segment) -> None:
    if segment.run_id and record.run_id != segment.run_id:
        raise DamagedLog(f"names two runs, {segment.run_id!r} and {record.run_id!r}")
    segment.run_id = record.run_id
    segment.name = record.display_name or segment.name
    segment.group = record.run_group or segment.group
    segment.job_type = record.job_type or segment.job_type
    segment.sweep_id = record.sweep_id or segment.sweep_id
    segment.tags = tuple(record.tags) or segment.tags
    segment.started = record.start_time.seconds + record.start_time.nanos / 1e9 or segment.started
    _update_config(record.config, segment.config)


def _key(item: Any) -> str:
    return item.key or ".".join(item.nested_key)


def _decode(text: str) -> Any:
    """The value of a JSON text; a text that is none is taken as it stands, as W&B does."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _decode_shallow(text: str, folders: int = 0) -> Any:
    """The same of a value that stands within so many folders, and is kept with all that is in it.

    Raises:
        DamagedLog: It is nested too deeply.
    """
    value = _decode(text)
    if folders > DEEPEST or nested_too_deeply(value, DEEPEST - folders):
        raise DamagedLog("holds values nested too deeply")
    return value
