from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from selector.tracking.history import History
from selector.tracking.segments import ConflictingSegments, join_segments, without_copies
from selector.tracking.wandb_file import Segment

NOW = 1_000_000.0
OURS = {"definition": {"version": 1}}
COMPLETED = {"completion/status": "completed", "completion/epoch": 2}


def segment(
    *epochs: int, started: float = 1000.0, key: str = "epoch", value: float = 1.0, **fields: Any
) -> Segment:
    history = History()
    for epoch in epochs:
        history.add({key: epoch, "label_free/rankme": value})
    last_logged = started + len(epochs)
    file = Segment(Path(f"/runs/{started}/run-x.wandb"), written=NOW - 3600, run_id="x", started=started)
    file = replace(file, history=history, last_logged=last_logged, records=len(epochs) + 1)
    return replace(file, **fields)


def state(*segments: Segment, **options: Any) -> tuple[str, str]:
    run = join_segments(segments, NOW, **options)
    return run.state, run.detail


def test_a_complete_run():
    run = join_segments(
        [segment(0, 2, config={"lr": 1, **OURS}, summary=COMPLETED, exit_code=0, name="n")], NOW
    )
    assert (run.id, run.name, run.state, run.detail) == ("x", "n", "finished", "")
    assert (run.config, run.definition) == ({"lr": 1}, {"version": 1})
    assert [m.epoch for m in run.milestones] == [0, 2]
    assert run.directory == "/runs/1000.0"


def test_a_run_without_a_name_is_called_by_its_id():
    assert join_segments([segment(exit_code=0)], NOW).name == "x"


def test_a_checkpoint_that_is_no_path_is_none():
    assert join_segments([segment(summary={"checkpoint": 3})], NOW).checkpoint is None
    assert join_segments([segment(summary={"checkpoint": "/a"})], NOW).checkpoint == "/a"


def test_exit_code_zero_is_no_completion_of_our_own_script():
    assert state(segment(1, config={"lr": 1}, exit_code=0)) == ("finished", "")
    assert state(segment(1, config=OURS, exit_code=0))[0] == "crashed"
    assert state(segment(1, config=OURS, exit_code=1)) == ("failed", "exit code 1")


def test_the_marker_comes_before_the_exit_code():
    assert state(segment(2, config=OURS, summary=COMPLETED, exit_code=1)) == ("finished", "")
    diverged = {"completion/status": "diverged", "completion/epoch": 7}
    assert state(segment(2, summary=diverged, exit_code=0)) == (
        "diverged",
        "loss became nan or infinite in epoch 7",
    )


def test_without_an_end_the_age_of_the_file_decides():
    """10 minutes, as `wandb leet` has it: still running at 6 minutes, crashed at 11."""
    six, eleven = NOW - 6 * 60, NOW - 11 * 60
    assert state(segment(1, written=six)) == ("running", "has not ended; its file was last written 6 min ago")
    assert state(segment(1, written=eleven))[0] == "crashed"
    assert "last written 11 min ago" in state(segment(1, written=eleven))[1]
    assert state(segment(1, written=six), ended=True)[0] == "crashed"
    assert state(segment(1, cut="ends inside a record at byte 9"))[1].endswith(
        "; its file ends inside a record at byte 9"
    )


def test_a_run_that_the_sweep_stopped():
    assert state(segment(1, exit_code=255), stopped="hyperband at epoch 1") == (
        "stopped",
        "hyperband at epoch 1",
    )
    assert state(segment(1), stopped="") == ("stopped", "")
    assert state(segment(2, summary=COMPLETED), stopped="too late")[0] == "finished"
    assert state(segment(2, summary={"completion/status": "diverged"}), stopped="too late")[0] == "diverged"


def test_a_marker_without_the_last_milestone_is_not_believed():
    """W&B holds a row back until the next one begins: a kill can lose it although the marker came later."""
    found, detail = state(segment(0, 1, summary=COMPLETED))
    assert (found, detail) == ("crashed", "was killed before the milestone of its last epoch, 2, was written")
    assert state(segment(summary=COMPLETED))[0] == "crashed"
    assert state(segment(2, summary={"completion/status": "completed"}))[0] == "crashed"
    assert state(segment(0, 2, summary=COMPLETED))[0] == "finished"
    assert state(segment(0, 1, summary=COMPLETED, exit_code=0))[0] == "finished"  # a whole file lost no row


def test_segments_are_merged_by_epoch_and_the_later_one_wins():
    first = segment(0, 1, 2, value=1.0, started=1000, name="first", group="g", sweep_id="s", config={"lr": 1})
    second = segment(2, 3, value=2.0, started=2000, exit_code=0, name="second", config={"lr": 1})
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


def test_a_config_that_the_other_process_did_not_log_is_no_difference():
    first, second = (
        segment(1, started=1000, config={"a": 1}),
        segment(2, started=2000, config={"b": float("nan")}),
    )
    third = segment(3, started=3000, config={"b": float("nan")})
    assert join_segments([first, second, third], NOW).config.keys() == {"a", "b"}


def test_two_processes_at_the_same_time():
    # The first logs its rows at 1001, 1002, 1003.
    first = segment(1, 2, 3, started=1000)
    with pytest.raises(ConflictingSegments, match="two processes logged under this id at the same time"):
        join_segments([first, segment(4, started=1002.5)], NOW)
    join_segments([first, segment(4, started=1003.5)], NOW)


def test_steps_that_begin_again_cannot_be_merged():
    first = segment(0, 1, started=1000, key="_step")
    with pytest.raises(ConflictingSegments, match="counts its steps from 0 again"):
        join_segments([first, segment(0, started=2000, key="_step")], NOW)
    assert len(join_segments([first, segment(2, started=2000, key="_step")], NOW).milestones) == 3


def test_of_copies_the_longest_is_read():
    short = segment(0, started=1000, path=Path("/backup/run-x.wandb"))
    long, later = segment(0, 1, 2, started=1000, exit_code=0), segment(3, started=2000)
    assert without_copies([later, short, long, short]) == [long, later]
    assert state(short, long) == ("finished", "")
    unknown = [replace(segment(started=0), path=Path(name)) for name in "ab"]
    assert len(without_copies(unknown)) == 2
