"""How the files of one run become that run."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from selector.tracking.history import History
from selector.tracking.offline_file import Segment
from selector.tracking.segments import ConflictingSegments, join_segments, without_copies

OURS = {"definition": {"version": 1}}
NOW = 1_000_000.0
COMPLETED = {"completion/status": "completed", "completion/epoch": 2}


def segment(
    *epochs: int, started: float = 1000.0, key: str = "epoch", value: float = 1.0, **fields: Any
) -> Segment:
    """What a process logged, one row a second, into a file that was last written an hour ago."""
    file = Segment(Path(f"/runs/{started}/run-x.wandb"), written=NOW - 3600, run_id="x", started=started)
    history = History([{key: epoch, "label_free/rankme": value} for epoch in epochs])
    last_logged = started + len(epochs)
    return replace(file, history=history, last_logged=last_logged, records=len(epochs) + 1, **fields)


def state(*segments: Segment, **options: Any) -> tuple[str, str]:
    run = join_segments(segments, NOW, **options)
    return run.state, run.detail


KILLED = "was killed before the milestone of its last epoch, 2, was written"
IN_DOUBT = "was killed while it wrote that it was complete"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        # Exit code 0 is no completion of our own script.
        (segment(1, config={"lr": 1}, exit_code=0), ("finished", "")),
        (
            segment(1, config=OURS, exit_code=0),
            ("crashed", "ended before its last milestone, with exit code 0 (interrupted?)"),
        ),
        (segment(1, config=OURS, exit_code=1), ("failed", "exit code 1")),
        (segment(1, config={}, exit_code=255), ("failed", "exit code 255 (as after Ctrl-C)")),
        # A definition that is no mapping is a hyperparameter of somebody else.
        (segment(1, config={"definition": "high"}, exit_code=0), ("finished", "")),
        # The marker comes before the exit code.
        (segment(2, config=OURS, summary=COMPLETED, exit_code=1), ("finished", "")),
        (
            segment(2, summary={"completion/status": "diverged", "completion/epoch": 7}, exit_code=0),
            ("diverged", "loss became nan or infinite in epoch 7"),
        ),
        (
            segment(2, summary={"completion/status": "diverged"}, exit_code=0),
            ("diverged", "loss became nan or infinite"),
        ),
        (segment(2, summary={"completion/status": ["completed"]}, exit_code=3), ("failed", "exit code 3")),
        # W&B holds a row back until the next begins: a kill can lose it though the marker came later.
        (segment(0, 1, summary=COMPLETED), ("crashed", KILLED)),
        (segment(summary=COMPLETED), ("crashed", KILLED)),
        (segment(2, summary={"completion/status": "completed"}), ("crashed", IN_DOUBT)),
        (segment(0, 2, summary=COMPLETED), ("finished", "")),
        (segment(0, 1, summary=COMPLETED, exit_code=0), ("finished", "")),  # a whole file lost no row
    ],
)
def test_how_a_run_ended(given: Segment, expected: tuple[str, str]):
    assert state(given) == expected


def test_without_an_end_the_age_of_the_file_decides():
    """10 minutes, as `wandb leet` has it: still running at 6 minutes, crashed at 11."""
    six, eleven = NOW - 6 * 60, NOW - 11 * 60
    killed = "was killed: no exit record, its file was last written"
    assert state(segment(1, written=six)) == ("running", "has not ended; its file was last written 6 min ago")
    assert state(segment(1, written=NOW))[1] == "has not ended; its file was last written just now"
    assert state(segment(1, written=eleven)) == ("crashed", f"{killed} 11 min ago")
    assert state(segment(1, written=six), ended=True) == ("crashed", f"{killed} 6 min ago")
    assert state(segment(1, cut="ends inside a record at byte 9"))[1].endswith(
        "; its file ends inside a record at byte 9"
    )


def test_segments_are_merged_by_epoch_and_the_later_one_wins():
    first = segment(0, 1, 2, value=1.0, started=1000, config={"lr": 1})
    second = segment(2, 3, value=2.0, started=2000, exit_code=0, config={"lr": 1})
    first.names = {"name": "first", "group": "g", "sweep_id": "s"}
    second.names = {"name": "second"}
    for order in ([first, second], [second, first]):
        run = join_segments(order, NOW)
        assert [(m.epoch, m.values["label_free/rankme"]) for m in run.milestones] == [
            (0, 1),
            (1, 1),
            (2, 2),
            (3, 2),
        ]
        assert (run.state, run.name, run.group, run.sweep_id) == ("finished", "second", "g", "s")
        assert run.directory == "/runs/2000"


def test_resuming_a_complete_run_takes_nothing_back():
    done = segment(2, started=1000, config=OURS, summary=COMPLETED, exit_code=0)
    assert state(done, segment(started=2000, config=OURS, exit_code=0))[0] == "finished"
    assert state(done, segment(3, started=2000, config=OURS, exit_code=0))[0] == "crashed"


@pytest.mark.parametrize("name", ["resume", "device", "threads", "output_dir", "_wandb"])
def test_a_resume_may_happen_elsewhere(name: str):
    first = segment(1, started=1000, config={"lr": 1, name: 1})
    assert state(first, segment(2, started=2000, config={"lr": 1, name: 2}, exit_code=0))[0] == "finished"


@pytest.mark.parametrize(
    ("first", "second", "text"),
    [
        ({"lr": 0.1}, {"lr": 0.5}, "two configurations share this id: they differ in lr 0.1 and 0.5"),
        ({"a": {"b": 1}}, {"a": {"b": 2}}, "differ in a"),
        ({"a": "x" * 100}, {"a": "y"}, "differ in a$"),
        ({"definition": {"version": 1}}, {"definition": {"version": 2}}, "differ in definition"),
        ({"a": float("nan")}, {"a": 1}, "differ in a NaN and 1"),
        ({"a": "\x1b[31m\n"}, {"a": "b"}, r"differ in a [^\n\x1b]* and"),
    ],
)
def test_one_id_for_two_configurations(first: dict[str, Any], second: dict[str, Any], text: str):
    with pytest.raises(ConflictingSegments, match=text):
        join_segments([segment(1, started=1000, config=first), segment(2, started=2000, config=second)], NOW)


def test_two_processes_at_the_same_time():
    # The first logs its rows at 1001, 1002, 1003.
    first = segment(1, 2, 3, started=1000)
    with pytest.raises(ConflictingSegments, match="two processes logged under this id at the same time"):
        join_segments([first, segment(4, started=1002.5)], NOW)
    join_segments([first, segment(4, started=1003.5)], NOW)


def test_of_copies_the_longest_is_read():
    short = segment(0, started=1000, path=Path("/backup/run-x.wandb"))
    long, later = segment(0, 1, 2, started=1000, exit_code=0), segment(3, started=2000)
    assert without_copies([later, short, long, short]) == [long, later]
    assert state(short, long) == ("finished", "")
    unknown = [replace(segment(started=0), path=Path(name)) for name in "ab"]
    assert len(without_copies(unknown)) == 2
