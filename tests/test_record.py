"""A run's record: what was written is read back, and nothing that a disk or a kill does makes it untrue."""

import json
import os
import zlib
from math import inf
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from selector.errors import UserError
from selector.record import RECORD, End, Record, read_record
from selector.runs import Milestone

FIRST = Milestone(0, {"label_free/rankme": 1 / 3, "train/loss": 2.0})
SECOND = Milestone(
    5,
    {"label_free/rankme": 41.5},
    lists={"spectrum/backbone": (1.0, 0.25), "bootstrap/rankme": (41.0, 42.0)},
    texts={"correct/linear_probe_accuracy": "/w=="},
)


def written(folder: Path) -> Path:
    """A whole record of six lines."""
    record = Record(folder, {"learning_rate": 0.1, "seed": 0}, tags=["a"], group="g", sweep_id="s1")
    record.define({"version": 1})
    record.milestone(FIRST)
    record.milestone(SECOND)
    record.end("completed", 5, checkpoint=folder / "milestone-0005.ckpt")
    return record.path  # `end` has let go of it


def test_what_is_written_is_read_back(tmp_path):
    path = written(tmp_path / "mine")
    content = read_record(path)
    header = content.header
    assert (header.id, header.config) == ("mine", {"learning_rate": 0.1, "seed": 0})
    assert (header.tags, header.group, header.sweep_id, header.name) == (("a",), "g", "s1", "")
    assert "numpy" in header.versions
    assert content.definition == {"version": 1}
    assert content.milestones == (FIRST, SECOND)
    assert content.end == End("completed", 5, "", str(tmp_path / "mine" / "milestone-0005.ckpt"))
    assert content.damage == ""
    assert read_record(path.parent) == content
    assert Record(path.parent).content == content


def test_each_line_is_json_with_a_checksum_of_the_rest(tmp_path):
    for line in written(tmp_path).read_bytes().splitlines():
        rest = b"{" + line.split(b",", 1)[1]
        assert int(json.loads(line)["crc32"], 16) == zlib.crc32(rest)


NUMBERS = st.floats(allow_nan=False) | st.just(inf) | st.just(-inf)


@settings(max_examples=30, deadline=None)
@given(
    values=st.dictionaries(st.text(), NUMBERS),
    lists=st.dictionaries(st.text(), st.lists(NUMBERS).map(tuple)),
    texts=st.dictionaries(st.text(), st.text()),
)
def test_any_milestone_comes_back(tmp_path_factory, values, lists, texts):
    record = Record(tmp_path_factory.mktemp("run"), {})
    values = {key: value if abs(value) <= 1e150 else inf for key, value in values.items()}
    milestone = Milestone(3, values, lists, texts)
    record.milestone(milestone)
    assert read_record(record.path).milestones == record.content.milestones == (milestone,)
    assert read_record(record.path, lists=False).milestones == (Milestone(3, values, {}, texts),)


def test_an_epoch_counts_once_and_the_later_value_wins(tmp_path):
    record = Record(tmp_path, {})
    for epoch, values in ((10, {"a": 1.0}), (5, {"a": 2.0, "b": 3.0}), (5, {"a": 4.0, "c": 5.0})):
        record.milestone(Milestone(epoch, values))
    expected = (Milestone(5, {"a": 4.0, "b": 3.0, "c": 5.0}), Milestone(10, {"a": 1.0}))
    assert read_record(record.path).milestones == record.content.milestones == expected


def test_a_run_that_goes_on_has_not_ended(tmp_path):
    Record(tmp_path, {"seed": 1, "device": "cpu"}).end("interrupted", 3, "SIGTERM")
    started = read_record(tmp_path).header.started
    again = Record(tmp_path, {"seed": 1, "device": "cuda"})
    assert again.content.end is None
    assert again.content.header.started == started
    again.end("completed", 9)
    assert read_record(tmp_path).end == End("completed", 9)


def test_metrics_that_come_later_are_added_to_a_run_that_has_ended(tmp_path):
    path = written(tmp_path)
    Record(tmp_path).milestone(Milestone(5, {"label_free/lidar": 7.0}))
    content = read_record(path)
    assert content.milestones[1].values == {"label_free/rankme": 41.5, "label_free/lidar": 7.0}
    assert content.milestones[1].lists == SECOND.lists
    assert content.end is not None
    assert content.end.status == "completed"


@pytest.mark.parametrize(
    ("act", "says"),
    [
        (lambda folder: Record(folder, {"seed": 1}), "with seed 0, this one asks for 1: use another folder"),
        (lambda folder: Record(folder).define({"version": 2}), "with version 1, now it would be 2"),
        (lambda folder: Record(folder / "none"), "No such file"),
        (lambda folder: read_record(folder / "none"), "No such file"),
    ],
)
def test_what_does_not_belong_together_is_refused(tmp_path, act, says):
    written(tmp_path)
    with pytest.raises(UserError, match=says):
        act(tmp_path)


@pytest.mark.parametrize("epoch", [-1, 1.5, 2**60])
def test_an_epoch_that_is_no_whole_number_is_refused(tmp_path, epoch):
    with pytest.raises(ValueError, match="whole number from 0 on"):
        Record(tmp_path, {}).milestone(Milestone(epoch, {}))


def lines_of(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def test_a_file_that_is_cut_anywhere_keeps_its_whole_lines(tmp_path):
    path = written(tmp_path)
    whole = path.read_bytes()
    header = len(lines_of(path)[0])
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        if size < header:
            with pytest.raises(UserError, match=r"does not say which run|holds nothing"):
                read_record(path)
            continue
        content = read_record(path)
        lines = whole[:size].count(b"\n")
        assert content.milestones == (FIRST, SECOND)[: max(0, lines - 2)]
        assert content.end is None
        assert ("is cut short" in content.damage) == (whole[size - 1 : size] != b"\n")


def test_a_byte_that_changed_takes_its_line_and_what_follows(tmp_path):
    path = written(tmp_path)
    whole = path.read_bytes()
    sound = read_record(path)
    header = len(lines_of(path)[0])
    for position in range(len(whole)):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        if position < header:
            with pytest.raises(UserError):
                read_record(path)
            continue
        content = read_record(path)
        assert content.damage
        assert content.end is None
        assert content.milestones == sound.milestones[: max(0, whole[:position].count(b"\n") - 2)]


def test_a_run_goes_on_after_a_kill_in_the_middle_of_a_line(tmp_path):
    path = written(tmp_path)
    path.write_bytes(b"".join(lines_of(path)[:3]) + lines_of(path)[3][:50])
    record = Record(tmp_path, {"learning_rate": 0.1, "seed": 0})
    assert record.content.milestones == (FIRST,)
    record.milestone(SECOND)
    content = read_record(path)
    assert (content.milestones, content.damage) == ((FIRST, SECOND), "")
    assert [file.name for file in tmp_path.iterdir()] == [RECORD]


def test_a_run_goes_on_before_a_damaged_line_and_keeps_what_followed(tmp_path):
    path = written(tmp_path)
    lines = lines_of(path)
    damaged = b"".join([*lines[:3], lines[3].replace(b"41.5", b"91.5"), *lines[4:]])
    path.write_bytes(damaged)
    assert Record(tmp_path, {"seed": 0}).content.milestones == (FIRST,)
    assert read_record(path).damage == ""
    assert (tmp_path / "run.damaged").read_bytes() == damaged


def sealed(body: str) -> bytes:
    """A line with a right checksum, whatever it says."""
    return b'{"crc32":"%08x",%s\n' % (zlib.crc32(body.encode()), body[1:].encode())


@pytest.mark.parametrize(
    "body",
    [
        '{"milestone":{"epoch":-1,"values":{}}}',
        '{"milestone":{"epoch":true,"values":{}}}',
        '{"milestone":{"epoch":1.0,"values":{}}}',
        '{"milestone":{"epoch":1,"values":[]}}',
        '{"milestone":{"epoch":1,"values":{"a":true}}}',
        '{"milestone":{"epoch":1,"values":{"a":"b"}}}',
        '{"milestone":{"epoch":1,"values":{"a":{}}}}',
        '{"milestone":{"epoch":1,"values":{"a":1' + "0" * 400 + "}}}",
        '{"milestone":{"epoch":1,"values":{},"texts":{"a":1}}}',
        '{"milestone":{"epoch":1,"values":{},"lists":{"a":["b"]}}}',
        '{"milestone":{}}',
        '{"milestone":7}',
        '{"definition":[]}',
        '{"definition":' + '{"a":' * 200 + "1" + "}" * 200 + "}",
        '{"definition":' + "[" * 100_000,
        '{"end":{"status":"done","epoch":1}}',
        '{"end":{"status":"completed","epoch":"1"}}',
        '{"header":{"format":1,"id":"","config":{},"tags":[]}}',
        '{"header":{"format":1,"id":7,"config":{},"tags":[]}}',
        '{"header":{"format":1,"id":"a","config":{},"tags":[],"started":"now"}}',
        '{"header":{"format":1,"id":"a","config":{},"tags":[],"else":1}}',
    ],
)
def test_what_no_run_writes_is_damage(tmp_path, body):
    path = written(tmp_path)
    with path.open("ab") as file:
        file.write(sealed(body))
    assert "line 6 of" in read_record(path).damage
    path.write_bytes(sealed(body))
    with pytest.raises(UserError, match="not the record of a run"):
        read_record(path)


def test_a_later_format_is_refused_and_a_later_event_passed_over(tmp_path):
    path = written(tmp_path)
    with path.open("ab") as file:
        file.write(sealed('{"weather":{}}'))
    assert read_record(path).damage == ""
    path.write_bytes(sealed('{"header":{"format":2}}'))
    with pytest.raises(UserError, match="written by another version"):
        read_record(path)


def test_a_full_disk_is_one_line_and_takes_nothing(tmp_path, monkeypatch):
    path = written(tmp_path)
    before = path.read_bytes()
    record = Record(tmp_path)
    half = {"room": 20}

    def write(file: int, data: memoryview) -> int:
        taken, half["room"] = half["room"], 0
        if not taken:
            raise OSError(28, "No space left on device")
        return real(file, data[:taken])

    real = os.write
    monkeypatch.setattr(os, "write", write)
    with pytest.raises(
        UserError, match=r"cannot write '.*run.jsonl' \(No space left on device\): .* --resume"
    ):
        record.milestone(Milestone(9, {}))
    monkeypatch.undo()
    assert path.read_bytes() == before
    record.milestone(Milestone(9, {}))
    assert read_record(path).milestones[-1] == Milestone(9, {})


def test_a_line_is_on_the_disk_when_the_call_returns(tmp_path, monkeypatch):
    calls: list[str] = []
    for name in ("write", "fsync"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *a, name=name, real=real: (calls.append(name), real(*a))[1])
    record = Record(tmp_path / "run", {})
    assert calls == ["fsync", "write", "fsync"]  # the name of the new file, and the line
    record.milestone(FIRST)
    assert calls[3:] == ["write", "fsync"]


def test_a_named_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / RECORD)
    for act in (read_record, lambda folder: Record(folder)):
        with pytest.raises(UserError, match="not a regular file"):
            act(tmp_path)
