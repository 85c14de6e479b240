"""Read from files that the real wandb wrote."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from selector.record import Record
from selector.runs import Milestone
from selector.sweeping.objective import files_of, read_objective

WRITER = """
import json, sys, time, wandb
lives = json.loads(sys.stdin.read())
seen = set()
for run_id, rows, summary in lives:
    if run_id in seen:
        time.sleep(1.1)  # the folders of two lives differ in the second that they began
    seen.add(run_id)
    settings = wandb.Settings(console="off", x_disable_stats=True, run_id=run_id)
    with wandb.init(settings=settings) as run:
        for row in rows:
            run.log(json.loads(row))
        run.summary.update(summary)
"""

ROWS = [
    '{"epoch": 0, "m": 5}',
    '{"epoch": 1, "other": 1}',
    '{"epoch": 1, "m": NaN}',
    '{"epoch": 2, "m": 3.5}',
]
NO_METRIC = ['{"m": true}', '{"m": "text"}', '{"nest": {"in": 7}}']
LIVES = [
    ("aaaaaaaa", ROWS + NO_METRIC, {}),
    ("bbbbbbbb", ['{"epoch": 0, "m": 1}', '{"epoch": 1, "m": Infinity}'], {}),
    ("dddddddd", ['{"x": 1}'], {"m": 0.25}),
    ("aaaaaaaa", ['{"epoch": 2, "m": 2.5}', '{"epoch": 3, "m": 1.5}'], {}),  # resumed at epoch 2
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A sweep folder with runs of the real wandb."""
    directory = tmp_path_factory.mktemp("sweep")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    environment |= {"WANDB_MODE": "offline", "WANDB_DIR": str(directory), "WANDB_SILENT": "true"}
    command = [sys.executable, "-c", WRITER]
    subprocess.run(command, input=json.dumps(LIVES), text=True, env=environment, check=True)
    return directory


def test_values_of_all_lives_where_the_later_counts(folder):
    history = read_objective(folder, "aaaaaaaa", "m")
    assert history.values == (5.0, 2.5, 1.5)
    assert (history.final, history.reason) == (1.5, "")


def test_a_last_value_that_is_not_finite_is_no_result(folder):
    history = read_objective(folder, "bbbbbbbb", "m")
    assert history.values == (1.0,)
    assert history.final is None
    assert history.reason == "the last value of 'm' is inf"


@pytest.mark.parametrize(
    ("rows", "end", "expected"),
    [
        ([5.0, None, float("nan"), 3.5], "completed", ((5.0, 3.5), 3.5, "")),
        ([1.0, float("inf")], "completed", ((1.0,), None, "the last value of 'm' is inf")),
        ([1.0, 2.0], "diverged", ((1.0, 2.0), None, "loss became nan in epoch 2")),
        ([None], None, ((), None, "logged no value of 'm'")),
    ],
)
def test_a_runs_own_record_comes_first(tmp_path, rows, end, expected):
    record = Record(tmp_path / "runs" / "aaaaaaaa", {"a": 1})
    for epoch, value in enumerate(rows):
        record.milestone(Milestone(epoch, {"other": 1.0} if value is None else {"m": value}))
    if end:
        record.end(end, len(rows), "loss became nan in epoch 2" if end == "diverged" else "")
    history = read_objective(tmp_path, "aaaaaaaa", "m")
    assert (history.values, history.final, history.reason) == expected


def test_the_summary_stands_in_for_a_history_without_the_metric(folder):
    assert read_objective(folder, "dddddddd", "m").final == 0.25


def test_a_file_that_is_still_being_written_is_read_up_to_its_last_whole_row(folder, tmp_path):
    (source, _) = files_of(folder, "aaaaaaaa")
    content = source.read_bytes()
    target = tmp_path / "wandb" / source.parent.name / source.name
    target.parent.mkdir(parents=True)
    seen = set()
    for size in range(0, len(content) + 1, 40):
        target.write_bytes(content[:size])
        seen.add(read_objective(tmp_path, "aaaaaaaa", "m").values)
    assert seen == {(), (5.0,), (5.0, 3.5)}
