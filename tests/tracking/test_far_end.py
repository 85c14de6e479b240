"""Broken runs in a large sweep, runs that change while they are read, clocks that differ: no wrong figure."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from handmade import RANKME
from loopback import API_KEY, Backend, Fault
from offline_files import write_run

from selector.cli import main
from selector.runs import RunSet
from selector.selection.ranking import rank
from selector.tracking.offline import read_offline

DEFINITION = {"projector_dim": 128, "version": 1}
CONFIG = {"method": "simclr", "dataset": "digits", "backbone": "resnet-9", "backbone_width": 0.25}
COMPLETED = {"completion/status": "completed", "completion/epoch": 10}


def rows(value: float) -> list[dict[str, float]]:
    return [{"epoch": epoch, "label_free/rankme": value + epoch / 100} for epoch in (0, 5, 10)]


def sweep_of(backend: Backend, count: int) -> str:
    sweep = backend.sweep("p", "method: random\nparameters: {lr: {values: [1]}}")
    for number in range(count):
        config = {**CONFIG, "lr": number, "definition": DEFINITION}
        backend.run("p", f"r{number:04}", rows(number % 997), config, COMPLETED, sweep=sweep)
    return f"loopback/p/{sweep.name}"


def test_a_thousand_runs_of_which_fifty_are_broken(backend: Backend, read: Callable[..., RunSet]):
    path = sweep_of(backend, 1000)
    runs = backend.project("p").bucket_by_name
    broken = [f"r{number:04}" for number in range(7, 1000, 20)]
    for number, name in enumerate(broken):
        run = runs[name]
        match number % 5:
            case 0:  # killed before its last milestone
                run.state, run.summary = "crashed", {}
            case 1:  # diverged, and its last figures would be the best of all
                run.summary = {"completion/status": "diverged", "completion/epoch": 10}
                run.write_history(3, [json.dumps({"_step": 3, "epoch": 10, "label_free/rankme": 1e6})])
            case 2:  # logged nothing
                run.lines.clear()
                run.rows.clear()
            case 3:  # not a number at the end
                run.write_history(3, ['{"_step": 3, "epoch": 10, "label_free/rankme": NaN}'])
            case _:  # its history is refused whoever asks
                backend.fail(Fault("error", times=None, status=400, mentions=name))
    found = read(path)
    assert len(broken) == 50
    assert len(found.runs) + len(found.unreadable) == 1000
    ranking = rank(found, RANKME)
    ranked = [one.run.id for group in ranking.groups for one in group.ranking]
    assert sorted({*ranked, *(gone.run for gone in ranking.excluded)}) == sorted(runs)
    assert {gone.run for gone in ranking.excluded} == {*broken}
    expected = sorted(set(runs) - set(broken), key=lambda name: (-(int(name[1:]) % 997), name))
    assert ranked == expected
    assert [one.score for one in ranking.groups[0].ranking][:2] == [996.1, 995.1]


@pytest.mark.parametrize("operation", ["Runs", "RunFullHistory"])
@pytest.mark.parametrize("after", [0, 1])
def test_runs_that_log_while_they_are_read(
    backend: Backend, read: Callable[..., RunSet], operation: str, after: int
):
    """Of each run one state is seen, and never a figure that it did not have."""
    path = sweep_of(backend, 120)
    runs = backend.project("p").bucket_by_name

    def meanwhile() -> None:
        for run in runs.values():
            run.write_history(len(run.rows), ['{"_step": 3, "epoch": 15, "label_free/rankme": -1.0}'])

    backend.store.page_limit = 50
    backend.fail(Fault("call", operation, after=after, action=meanwhile))
    found = read(path)
    assert len(found.runs) + len(found.unreadable) == 120
    for run in found.runs:
        value = int(run.id[1:]) % 997
        logged = {row.epoch: row.values["label_free/rankme"] for row in run.milestones}
        before = {row["epoch"]: row["label_free/rankme"] for row in rows(value)}
        assert logged in (before, before | {15: -1.0})
    again = {row.epoch: row.values["label_free/rankme"] for row in read(path).runs[7].milestones}
    assert again == {0: 7.0, 5: 7.05, 10: 7.1, 15: -1.0}  # nothing half-read was kept


@pytest.mark.parametrize("hours", [-48, -1, 1, 48])
def test_a_file_server_whose_clock_is_wrong(tmp_path: Path, hours: int):
    file = write_run(
        tmp_path / "run-a.wandb", "a", rows=[{"epoch": 1, "label_free/rankme": 2.0}], exit_code=None
    )
    os.utime(file, (time.time() + 3600 * hours,) * 2)
    (run,) = read_offline(tmp_path).runs
    assert run.state == ("crashed" if hours < 0 else "running")  # and either is left out of a choice
    assert ("just now" if hours >= 0 else f"{-60 * hours} min ago") in run.detail


@pytest.mark.parametrize("skew", [-7200.0, -30.0, 7200.0])
def test_machines_whose_clocks_differ(tmp_path: Path, skew: float):
    """A run that goes on where the clock is another one is read as it was, or said to be in doubt."""
    began = 1_000_000.0
    first = [{"epoch": e, "label_free/rankme": float(e), "_timestamp": began + 60 * e} for e in (0, 1)]
    later = [{"epoch": e, "label_free/rankme": float(e), "_timestamp": began + skew + 60 * e} for e in (1, 2)]
    write_run(tmp_path / "1" / "run-a.wandb", "a", rows=first, exit_code=None, started=began)
    write_run(
        tmp_path / "2" / "run-a.wandb",
        "a",
        rows=later,
        summary=COMPLETED | {"completion/epoch": 2},
        started=began + skew + 60,
    )
    found = read_offline(tmp_path)
    for run in found.runs:
        assert [(row.epoch, row.values["label_free/rankme"]) for row in run.milestones] == [
            (0, 0),
            (1, 1),
            (2, 2),
        ]
        assert (run.state == "finished") == (skew > 0)
    assert len(found.runs) + len(found.unreadable) == 1
    assert [gone.reason.isprintable() for gone in found.unreadable] == [True] * len(found.unreadable)


def test_the_key_is_in_no_file_of_a_reader(backend: Backend, read: Callable[..., RunSet], tmp_path: Path):
    path = sweep_of(backend, 3)
    read(path)
    assert main(["report", path, "--output", str(tmp_path / "report.html")]) == 0
    assert main(["export", path, "--output", str(tmp_path / "runs.json")]) == 0
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {"report.html", "runs.json"} <= {file.name for file in files}
    assert not any(API_KEY.encode() in path.read_bytes() for path in files)
