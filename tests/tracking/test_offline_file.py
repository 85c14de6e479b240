"""One offline file: what W&B's own client wrote, what it could have written, and what damage makes of it."""

import json
import math
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor
from hypothesis import given, settings, strategies as st
from offline_files import FILE_HEADER, as_log, items, leet_records, record
from wandb.proto import wandb_internal_pb2

from selector.tracking.offline_file import (
    BLOCK,
    MESSAGES,
    CutShort,
    DamagedFile,
    NothingWritten,
    Segment,
    history_row,
    read_payloads,
    read_records,
    read_segment,
)

FILES = [("complete", 0), ("long", 0), ("stranger", 0), ("resumed", 0), ("resumed", 1), ("failed", 0)]


def without_specials(value: Any) -> Any:
    """NaN and infinity as `wandb leet inspect` writes them."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


@pytest.mark.parametrize(("run", "part"), FILES)
def test_same_rows_as_wandb(offline_files: dict[str, list[Path]], run: str, part: int):
    file = offline_files[run][part]
    ours = [history_row(record.history) for record in read_records(file) if record.HasField("history")]
    theirs = [record["history"]["item"] for record in leet_records(file) if record["type"] == "history"]
    assert [{key: without_specials(value) for key, value in row.items()} for row in ours] == theirs
    assert len(ours) > 0


@pytest.mark.parametrize(("run", "part"), FILES)
def test_same_run_as_wandb(offline_files: dict[str, list[Path]], run: str, part: int):
    segment = read_segment(offline_files[run][part])
    records = leet_records(offline_files[run][part])
    assert segment.records == len(records)
    (start, *_) = theirs = [record["run"] for record in records if record["type"] == "run"]
    config: dict[str, Any] = {}
    for update in [run["config"] for run in theirs] + [r["config"] for r in records if r["type"] == "config"]:
        config |= update["update"]
    assert {key: segment.config[key] for key in config if key != "_wandb"} == {
        key: value for key, value in config.items() if key != "_wandb"
    }
    assert segment.run_id == start["run_id"] == run
    for ours, name in (("name", "display_name"), ("group", "run_group"), ("job_type", "job_type")):
        assert segment.names.get(ours, "") == start.get(name, "")
    (end,) = [record["exit"] for record in records if record["type"] == "exit"]
    assert segment.exit_code == end["exit_code"]
    assert segment.cut == ""
    assert 0 < segment.started <= segment.last_logged


def test_values_as_they_were_logged(offline_files: dict[str, list[Path]]):
    segment = read_segment(offline_files["complete"][0])
    assert segment.config["optimizer"] == {"name": "sgd", "betas": [1, 2]}
    assert (segment.config["nothing"], segment.config["flag"], segment.config["seed"]) == (None, True, 3)
    assert segment.summary == {
        "completion/status": "completed",
        "completion/epoch": 10,
        "checkpoint": "/checkpoints/last.ckpt",
    }
    first, *_, last = segment.history.milestones()
    assert first.values["label_free/rankme"] == 10 / 3
    assert math.isnan(first.values["label_free/entropy"])
    assert first.values["train/loss"] == -math.inf
    assert (last.values["nested.a.b"], last.values["big"]) == (10.0, 1e30)
    assert "text" not in last.values


def write(folder: Path, *kinds: dict[str, Any]) -> Path:
    file = folder / "run-x.wandb"
    file.write_bytes(as_log(record(number, **kind) for number, kind in enumerate(kinds, start=1)))
    return file


def test_later_updates_of_the_config(tmp_path: Path):
    nested = [
        {"nested_key": ["optimizer", "lr"], "value_json": "0.1"},
        {"nested_key": ["new", "x"], "value_json": "1"},
    ]
    first = items({"optimizer": {"lr": 1, "name": "a", "c": 1}, "gone": 1, "b": 2})
    removed = [{"key": "gone"}, {"nested_key": ["optimizer", "c"]}, {"nested_key": ["b", "not", "there"]}]
    file = write(
        tmp_path,
        {"run": {"run_id": "x", "config": {"update": first}}},
        {"config": {"update": nested}},
        {"config": {"update": items({"b": 3}), "remove": removed}},
        {"run": {"run_id": "x", "display_name": "later", "sweep_id": "s"}},
    )
    segment = read_segment(file)
    assert segment.config == {"optimizer": {"lr": 0.1, "name": "a"}, "new": {"x": 1}, "b": 3}
    assert segment.names == {"name": "later", "sweep_id": "s"}


@pytest.mark.parametrize(
    ("numbers", "text"),
    [([1, 2, 4], "lacks record 3: number 4"), ([1, 2, 2], "lacks record 3: number 2"), ([2], "record 1")],
)
def test_a_gap_in_the_record_numbers(tmp_path: Path, numbers: list[int], text: str):
    file = tmp_path / "run-x.wandb"
    file.write_bytes(as_log(record(number, run={"run_id": "x"}) for number in numbers))
    with pytest.raises(DamagedFile, match=text):
        read_segment(file)


def test_two_runs_in_one_file(tmp_path: Path):
    file = write(tmp_path, {"run": {"run_id": "x"}}, {"run": {"run_id": "y"}})
    with pytest.raises(DamagedFile, match="names two runs, 'x' and 'y'"):
        read_segment(file)


def test_a_sound_chunk_that_holds_no_record(tmp_path: Path):
    file = tmp_path / "run-x.wandb"
    file.write_bytes(as_log([record(1, run={"run_id": "x"}), b"\x0a\xff"]))
    with pytest.raises(DamagedFile, match="has an unreadable record 2"):
        read_segment(file)


def test_a_value_nested_without_end(tmp_path: Path):
    deep = {"key": "deep", "value_json": "[" * 100_000}
    file = write(tmp_path, {"run": {"run_id": "x", "config": {"update": [deep]}}})
    with pytest.raises(DamagedFile, match="nested too deeply"):
        read_segment(file)


@pytest.mark.parametrize(
    ("log", "text"),
    [
        (b"", "is empty: the run was killed"),
        (as_log([]), "holds only a header: the run was killed"),
        (as_log([record(1, header={})]), "ends before it names its run"),
        (as_log([record(1, run={"run_id": "x"})])[:-1], "ends inside a record at byte"),
    ],
)
def test_nothing_written(tmp_path: Path, log: bytes, text: str):
    file = tmp_path / "run-x.wandb"
    file.write_bytes(log)
    with pytest.raises(NothingWritten, match=text):
        read_segment(file)


TEXT = st.text(max_size=8)
VALUE = st.sampled_from(["1", "NaN", "-Infinity", "1e999", "{", "", "null", "1" * 5000])
ITEM = st.fixed_dictionaries(
    {"value_json": st.one_of(VALUE, TEXT)}, optional={"key": TEXT, "nested_key": st.lists(TEXT, max_size=3)}
)
UPDATE = st.fixed_dictionaries(
    {}, optional={"update": st.lists(ITEM, max_size=3), "remove": st.lists(ITEM, max_size=2)}
)
KIND = st.one_of(
    st.builds(
        lambda i, n: {"history": {"item": i, "step": {"num": n}}},
        st.lists(ITEM, max_size=4),
        st.integers(-9, 9),
    ),
    st.builds(lambda u: {"config": u}, UPDATE),
    st.builds(lambda u: {"summary": u}, UPDATE),
    st.builds(lambda u, t: {"run": {"run_id": "x", "config": u, "display_name": t}}, UPDATE, TEXT),
    st.builds(lambda c: {"exit": {"exit_code": c}}, st.integers(-(2**31), 2**31 - 1)),
)


@given(st.lists(KIND, max_size=6))
@settings(max_examples=200, deadline=None)
def test_any_record_that_wandb_could_write(
    tmp_path_factory: pytest.TempPathFactory, kinds: list[dict[str, Any]]
):
    file = write(tmp_path_factory.getbasetemp(), {"run": {"run_id": "x"}}, *kinds)
    segment = read_segment(file)
    assert isinstance(segment, Segment)
    json.dumps(segment.config)
    for milestone in segment.history.milestones():
        assert all(type(value) is float for value in milestone.values.values())


@given(st.lists(st.binary(max_size=60), max_size=5))
@settings(max_examples=200, deadline=None)
def test_any_bytes_as_records(tmp_path_factory: pytest.TempPathFactory, payloads: list[bytes]):
    file = tmp_path_factory.getbasetemp() / "run-x.wandb"
    file.write_bytes(as_log([record(1, run={"run_id": "x"}), *payloads]))
    try:
        assert read_segment(file).records == 1 + len(payloads)
    except (DamagedFile, CutShort):
        assert payloads


def nested(levels: int) -> Any:
    value: Any = []
    for _ in range(levels - 1):
        value = {"x": value} if levels % 2 else [value]
    return value


@pytest.mark.parametrize(
    "config",
    [
        items({"a": nested(600)}),
        items({"a": nested(601)}),
        items({"a": nested(101)}),
        [{"nested_key": ["a"] * 600, "value_json": "1"}],
        [{"nested_key": ["a"] * 60, "value_json": json.dumps(nested(60))}],
    ],
)
def test_a_config_nested_too_deeply_is_damaged(tmp_path: Path, config: list[dict[str, Any]]):
    for kinds in (
        [{"run": {"run_id": "x", "config": {"update": config}}}],
        [{"run": {"run_id": "x"}}, {"config": {"update": config}}],
    ):
        with pytest.raises(DamagedFile, match="holds values nested too deeply"):
            read_segment(write(tmp_path, *kinds))


# Lengths around the end of the first block: it holds a file header of 7 bytes and chunk headers of 7 bytes.
EDGE = BLOCK - 14


def read(log: bytes) -> list[bytes]:
    return list(read_payloads(BytesIO(log)))


def read_until_error(log: bytes) -> tuple[list[bytes], Exception | None]:
    found: list[bytes] = []
    try:
        found.extend(read_payloads(BytesIO(log)))
    except (DamagedFile, CutShort) as error:
        return found, error
    return found, None


def test_a_record_written_out_by_hand():
    # The CRC-32 of kind and payload is what this prints first: printf '\x01abc' | gzip -n | tail -c8 | xxd
    assert read(FILE_HEADER + bytes.fromhex("a9209d53 0300 01") + b"abc") == [b"abc"]


@pytest.mark.parametrize("run", ["complete", "long", "stranger", "failed"])
def test_the_layout_is_that_of_the_client(offline_files: dict[str, list[Path]], run: str):
    real = offline_files[run][0].read_bytes()
    assert as_log(read(real)) == real  # the tests' own writer and the reader, both against W&B's writer


@pytest.mark.parametrize("length", [0, 1, EDGE - 8, EDGE - 7, EDGE - 6, EDGE - 1, EDGE, EDGE + 1, 3 * BLOCK])
def test_records_over_block_ends(length: int):
    payloads = [b"a" * length, b"b", b"", b"c" * length]
    assert read(as_log(payloads)) == payloads


@pytest.mark.parametrize(
    ("log", "error", "text"),
    [
        (b"", CutShort, "is empty"),
        (FILE_HEADER[:5], CutShort, "ends inside the file header at byte 5"),
        (b"not a log", DamagedFile, "is not a .wandb file"),
        (b"\0" * 100, DamagedFile, "is not a .wandb file"),
        (FILE_HEADER[:-1] + b"\x01", DamagedFile, "has format version 1, only version 0 is known"),
        (as_log([b"abc"])[:-1], CutShort, "ends inside a record at byte 16"),
        (as_log([b"abc"]) + b"\x01", CutShort, "ends inside a record at byte 18"),
        (as_log([b"abc"])[:-1] + b"d", DamagedFile, "has a wrong checksum at byte 7"),
        (as_log([b"abc"]) + bytes(20), CutShort, "has only zero bytes from byte 17 on"),
        (as_log([b"abc"]) + bytes(3 * BLOCK), CutShort, "has only zero bytes from byte 17 on"),
        (as_log([b"abc"]) + bytes(7) + b"x", DamagedFile, "has zero bytes inside it at byte 17"),
        (as_log([b"abc"]) + bytes(3 * BLOCK) + b"x", DamagedFile, "has zero bytes inside it at byte 17"),
        (as_log([b"a" * (BLOCK - 20)])[:-1] + b"b" * 30, DamagedFile, "has a wrong checksum at byte 7"),
        (FILE_HEADER + b"abcd\xff\xff\x01" + bytes(BLOCK), DamagedFile, "has a wrong checksum at byte 7"),
        (as_log([b"a" * 2 * BLOCK])[:BLOCK], CutShort, f"ends inside a record at byte {BLOCK}"),
    ],
)
def test_damage_by_name(log: bytes, error: type[Exception], text: str):
    with pytest.raises(error, match=text):
        read(log)


def test_parts_without_their_first_or_last():
    # A record that fills the rest of the first block, the second block and 14 bytes of the third.
    log = as_log([b"a" * (BLOCK - 14 + BLOCK - 7 + 14), b"b"])
    first, third = log[:BLOCK], log[2 * BLOCK :]
    assert len(third) == 7 + 14 + 7 + 1
    with pytest.raises(DamagedFile, match="lacks a part of a record at byte 7"):
        read(FILE_HEADER + third)
    with pytest.raises(DamagedFile, match=f"lacks a part of a record at byte {BLOCK}"):
        read(first + as_log([b"b"])[7:])
    lost_middle, after = read(first + third)  # the record's own content shows it: see test_damaged_files
    assert (len(lost_middle), after) == (BLOCK - 14 + 14, b"b")


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_whatever_survives_damage_was_written(data: st.DataObject):
    """Cut, overwritten, zeroed, repeated or left out: what is read before the error is a prefix."""
    lengths = data.draw(st.lists(st.integers(0, BLOCK), min_size=1, max_size=6))
    payloads = [i.to_bytes(2, "big") + bytes([i % 251 + 1]) * length for i, length in enumerate(lengths)]
    log = as_log(payloads)
    start = data.draw(st.integers(7, len(log)))
    end = data.draw(st.integers(start, min(len(log), start + 40000)))
    change = data.draw(st.sampled_from(["cut", "flip", "zero", "repeat", "drop"]))
    middle = log[start:end]
    damaged = {
        "cut": log[:start],
        "flip": log[:start] + bytes(byte ^ 0x55 for byte in middle) + log[end:],
        "zero": log[:start] + bytes(len(middle)) + log[end:],
        "repeat": log[:end] + middle + log[end:],
        "drop": log[:start] + log[end:],
    }[change]
    found, error = read_until_error(damaged)
    if change in ("cut", "flip", "zero"):
        assert found == payloads[: len(found)]
        assert error or found == payloads or change == "cut"  # a cut between two records cannot be seen here
    else:  # whole records can be repeated or lost unseen here: the numbering of the records shows those
        assert all(payload in payloads for payload in found)


# Our names for W&B's messages, where one of ours stands for several of theirs.
THEIRS = {"Item": ("HistoryItem", "SummaryItem", "ConfigItem"), "Timestamp": ()}
TYPES = {
    FieldDescriptor.TYPE_INT64: "int64",
    FieldDescriptor.TYPE_INT32: "int32",
    FieldDescriptor.TYPE_STRING: "string",
    FieldDescriptor.TYPE_DOUBLE: "double",
}


@pytest.mark.parametrize("message", MESSAGES)
def test_every_field_is_the_one_of_wandb(message: str):
    theirs = THEIRS.get(message, (message,))
    for descriptor in [getattr(wandb_internal_pb2, name).DESCRIPTOR for name in theirs]:
        for name, (number, kind) in MESSAGES[message].items():
            field = descriptor.fields_by_name[name]
            assert (field.number, field.is_repeated) == (number, kind.startswith("["))
            inner = kind.strip("[]")
            if field.type != FieldDescriptor.TYPE_MESSAGE:
                assert TYPES[field.type] == inner
            elif inner == "bytes":
                assert field.message_type.name == "SummaryRecord"
            else:
                assert field.message_type.name in (inner, *THEIRS.get(inner, ()), "Timestamp")
