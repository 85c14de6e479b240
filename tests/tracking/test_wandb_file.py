import json
import math
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from offline_files import as_log, items, leet_records, record, write_run

from selector.tracking.wandb_file import NothingWritten, Segment, history_row, read_records, read_segment
from selector.tracking.wandb_log import DamagedLog, TruncatedLog

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
    assert segment.name == start.get("display_name", "")
    assert (segment.group, segment.job_type) == (start.get("run_group", ""), start.get("job_type", ""))
    (end,) = [record["exit"] for record in records if record["type"] == "exit"]
    assert segment.exit_code == end["exit_code"]
    assert segment.cut == ""
    assert 0 < segment.started <= segment.last_logged


def test_values_as_they_were_logged(offline_files: dict[str, list[Path]]):
    segment = read_segment(offline_files["complete"][0])
    assert segment.config["optimizer"] == {"name": "sgd", "betas": [1, 2]}
    assert (segment.config["nothing"], segment.config["flag"], segment.config["seed"]) == (None, True, 3)
    assert segment.summary == {
        "completion/status": "completed", "completion/epoch": 10, "checkpoint": "/checkpoints/last.ckpt",
    }  # fmt: skip
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
    assert (segment.name, segment.sweep_id) == ("later", "s")


def test_a_marker_can_be_taken_back(tmp_path: Path):
    marked = {"summary": {"update": items({"completion/status": "completed", "other": 1})}}
    taken_back = {"summary": {"remove": [{"key": "completion/status"}]}}
    run = {"run": {"run_id": "x"}}
    assert read_segment(write(tmp_path, run, marked)).summary == {"completion/status": "completed"}
    assert read_segment(write(tmp_path, run, marked, taken_back)).summary == {}


def test_a_row_without_a_step_of_its_own(tmp_path: Path):
    row = {"history": {"item": items({"loss": 1}), "step": {"num": 4}}}
    file = write(tmp_path, {"run": {"run_id": "x"}}, row)
    assert [m.epoch for m in read_segment(file).history.milestones()] == [4]


@pytest.mark.parametrize(
    ("numbers", "text"),
    [([1, 2, 4], "lacks record 3: number 4"), ([1, 2, 2], "lacks record 3: number 2"), ([2], "record 1")],
)
def test_a_gap_in_the_record_numbers(tmp_path: Path, numbers: list[int], text: str):
    file = tmp_path / "run-x.wandb"
    file.write_bytes(as_log(record(number, run={"run_id": "x"}) for number in numbers))
    with pytest.raises(DamagedLog, match=text):
        read_segment(file)


def test_two_runs_in_one_file(tmp_path: Path):
    file = write(tmp_path, {"run": {"run_id": "x"}}, {"run": {"run_id": "y"}})
    with pytest.raises(DamagedLog, match="names two runs, 'x' and 'y'"):
        read_segment(file)


def test_a_sound_chunk_that_holds_no_record(tmp_path: Path):
    file = tmp_path / "run-x.wandb"
    file.write_bytes(as_log([record(1, run={"run_id": "x"}), b"\x0a\xff"]))
    with pytest.raises(DamagedLog, match="has an unreadable record 2"):
        read_segment(file)


def test_a_value_nested_without_end(tmp_path: Path):
    deep = {"key": "deep", "value_json": "[" * 100_000}
    file = write(tmp_path, {"run": {"run_id": "x", "config": {"update": [deep]}}})
    with pytest.raises(DamagedLog, match="nested too deeply"):
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


def test_the_end_of_a_killed_run(killed_file: Path):
    segment = read_segment(killed_file)
    assert segment.exit_code is None
    assert segment.summary == {}
    epochs = [m.epoch for m in segment.history.milestones()]
    assert epochs == list(range(len(epochs)))
    assert len(epochs) >= 5
    assert all(m.values["label_free/rankme"] == m.epoch for m in segment.history.milestones())


TEXT = st.text(max_size=8)
VALUE = st.sampled_from(["1", "NaN", "-Infinity", "1e999", "{", "", "null", "1" * 5000])
ITEM = st.fixed_dictionaries(
    {"value_json": st.one_of(VALUE, TEXT)},
    optional={"key": TEXT, "nested_key": st.lists(TEXT, max_size=3)},
)  # fmt: skip
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
    except (DamagedLog, TruncatedLog):
        assert payloads


def test_a_file_that_is_gone(tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        read_segment(tmp_path / "run-x.wandb")


def test_written_is_the_time_of_the_file(tmp_path: Path):
    file = write_run(tmp_path / "run-x.wandb", "x")
    os.utime(file, (5.0, 7.0))
    assert read_segment(file).written == 7.0


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
        with pytest.raises(DamagedLog, match="holds values nested too deeply"):
            read_segment(write(tmp_path, *kinds))


def test_a_config_nested_deeply_is_read(tmp_path: Path):
    config = [
        *items({"a": nested(100), "wide": [[]] * 200}),
        {"nested_key": ["b"] * 51, "value_json": json.dumps(nested(50))},
    ]
    found = read_segment(write(tmp_path, {"run": {"run_id": "x", "config": {"update": config}}})).config
    assert (found["a"], len(found["wide"])) == (nested(100), 200)
