"""`selector watch`: sweeps that go on while it looks, on the backend of these tests and in a folder."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from handmade import CONFIG, DEFINITION
from loopback import API_KEY, Backend, Fault, wait_for
from loopback.records import Run, Sweep
from offline_files import write_run

from selector.cli import main
from selector.tracking import connection

pytestmark = pytest.mark.usefixtures("wandb_here")


def log(run: Run, epoch: int, rankme: float | None = None) -> None:
    row = {
        "_step": len(run.lines),
        "epoch": epoch,
        **({"label_free/rankme": rankme} if rankme is not None else {}),
    }
    run.write_history(len(run.lines), [json.dumps(row)])


def start(backend: Backend, sweep: Sweep, name: str) -> Run:
    config = {**CONFIG, "learning_rate": ord(name), "definition": DEFINITION}
    run = backend.run(
        "p", name, [{"epoch": 0, "label_free/rankme": 99.0}], config, sweep=sweep, state="running"
    )
    run.display_name = name
    return run


def finish(run: Run) -> None:
    run.summary, run.state = {"completion/status": "completed", "completion/epoch": 10}, "finished"


@pytest.fixture
def sweep(backend: Backend) -> Sweep:
    sweep = backend.sweep("p", "method: random\nrun_cap: 2\nparameters: {a: {values: [1]}}")
    sweep.state = "RUNNING"
    return sweep


@pytest.fixture
def watch(backend: Backend, sweep: Sweep, capfd: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """`selector watch SWEEP` while these things happen, one before each later look: status, lines, stderr."""

    def watch(*events: Callable[[], object], options: tuple[str, ...] = ("--interval=0.01",)) -> Any:
        for number, event in enumerate(events, start=1):
            backend.fail(Fault("call", "GetSweep", after=number, action=event))
        status = main(["watch", f"loopback/p/{sweep.name}", *options])
        out, err = capfd.readouterr()
        assert API_KEY not in out + err
        lines = [re.sub(r"^\d\d:\d\d:\d\d ", "", line) for line in out.splitlines()]
        return status, lines, err

    return watch


def test_a_sweep_from_its_first_run_to_its_end(backend: Backend, sweep: Sweep, watch: Any):
    runs: dict[str, Run] = {}

    def at(event: str) -> Callable[[], None]:
        def happen() -> None:
            name, what = event.split()
            if what == "starts":
                runs[name] = start(backend, sweep, name)
            elif what == "ends":
                finish(runs[name])
            else:
                epoch, _, rankme = what.partition(":")
                log(runs[name], int(epoch), float(rankme))

        return happen

    status, lines, err = watch(
        *map(at, ["a starts", "a 5:10", "b starts", "b 5:20", "a 10:30", "a ends", "b 10:25", "b ends"])
    )
    assert (status, err) == (0, "")
    assert lines == [
        "0 runs; no milestone yet",
        "a started; no milestone yet",  # the untrained network is none
        "a reached epoch 5: rankme 10.00, rank 1 of 1; a leads with rankme 10.00 at epoch 5",
        "b started; a leads with rankme 10.00 at epoch 5",
        "b reached epoch 5: rankme 20.00, rank 1 of 2; b leads with rankme 20.00 at epoch 5",
        "a reached epoch 10: rankme 30.00, rank 1 of 2; a leads with rankme 30.00 at epoch 10",
        "a finished; a leads with rankme 30.00 at epoch 10",
        "b reached epoch 10: rankme 25.00, rank 2 of 2; a leads with rankme 30.00 at epoch 10",
        "b finished; a leads with rankme 30.00 at epoch 10",
        "ended; chosen: a",
        "2 of 2 runs ranked; 2 planned",
    ]


def test_only_what_changed_is_read_again(backend: Backend, sweep: Sweep, watch: Any):
    both = [start(backend, sweep, name) for name in "ab"]
    for run in both:
        log(run, 5, 10.0)

    def more() -> None:
        log(both[0], 10, 11.0)
        backend.requests.clear()

    status, _, _ = watch(lambda: None, more, lambda: [finish(run) for run in both])
    assert status == 0
    assert backend.requests.count("RunFullHistory") == 3  # a's new row; and both, that ended


def test_a_run_that_ends_badly_and_one_that_is_deleted(backend: Backend, sweep: Sweep, watch: Any):
    good, bad, gone = (start(backend, sweep, name) for name in "abc")
    log(good, 5, 10.0)

    def meanwhile() -> None:
        finish(good)
        bad.summary = {"completion/status": "diverged", "completion/epoch": 3}
        backend.store.delete_run(gone)
        sweep.state = "FINISHED"

    status, lines, _ = watch(meanwhile)
    assert status == 0
    assert lines[1:4] == [
        "a finished; a leads with rankme 10.00 at epoch 5",
        "b diverged (loss became nan or infinite in epoch 3); a leads with rankme 10.00 at epoch 5",
        "c is gone; a leads with rankme 10.00 at epoch 5",
    ]


def test_a_server_that_fails_for_a_while(backend: Backend, sweep: Sweep, watch: Any, monkeypatch: Any):
    run = start(backend, sweep, "a")
    log(run, 5, 10.0)
    sweep.state = "FINISHED"
    backend.fail(Fault("text", "Runs", after=1, times=4, text="7"))
    monkeypatch.setattr(connection, "PAUSES", (0.0,) * 3)
    status, lines, err = watch(lambda: None, lambda: finish(run))
    assert (status, lines[-2]) == (0, "ended; chosen: a")
    assert err.startswith("selector: warning: cannot read loopback/p/")
    assert "looking again in 0.01 s" in err


def test_once(backend: Backend, sweep: Sweep, watch: Any):
    why = "has a milestone with a finite label_free/pretext_score: 0 runs; no milestone yet"
    assert watch(options=("--once",)) == (1, [], f"selector: no run in loopback/p/{sweep.name} {why}\n")
    first, second = (start(backend, sweep, name) for name in "ab")
    sweep.state = first.state = second.state = "failed"
    failed = "pretext_score: 2 of 2 runs: 2 failed\n"  # and none to come
    assert watch(options=("--once",))[2].endswith(failed)
    sweep.state, first.state, second.state = "RUNNING", "running", "running"
    log(first, 5, 10.0)
    log(second, 10, 5.0)
    finish(second)
    status, lines, err = watch(options=("--once",))
    assert (status, err) == (0, "")
    assert [line.replace(",", "").split()[:5] for line in lines if line[:6].strip().isdigit()] == [
        ["1", "a", "running", "5", "10.00"],
        ["2", "b", "finished", "10", "5.000"],
    ]
    assert "2 of 2 runs: 1 finished, 1 running; a leads with rankme 10.00 at epoch 5" in " ".join(lines)


# In a folder, in a process of its own


def offline(folder: Path, name: str, rankme: dict[int, float], ended: bool) -> None:
    config = {**CONFIG, "learning_rate": ord(name), "definition": DEFINITION}
    summary = {"completion/status": "completed", "completion/epoch": max(rankme)} if ended else None
    rows = [{"epoch": epoch, "label_free/rankme": value} for epoch, value in rankme.items()]
    file = folder / f"offline-run-20260101_000000-{name}" / f"run-{name}.wandb"
    write_run(file, name, config, rows, summary, 0 if ended else None)


COMMAND = [sys.executable, "-m", "selector.cli", "watch"]


def test_a_table_on_a_terminal_until_ctrl_c(tmp_path: Path):
    offline(tmp_path, "a", {5: 10.0}, ended=False)
    ours, theirs = pty.openpty()
    command = [*COMMAND, str(tmp_path), "--interval=0.05"]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    shown = b""

    def shows(text: bytes) -> bool:
        nonlocal shown
        os.set_blocking(ours, False)
        try:
            shown += os.read(ours, 100_000)
        except OSError:
            time.sleep(0.02)
        return text in shown

    wait_for(lambda: shows(b"a leads with rankme 10.00"))
    offline(tmp_path, "a", {5: 10.0, 10: 40.0}, ended=False)
    wait_for(lambda: shows(b"a leads with rankme 40.00 at epoch 10"))
    assert b"running" in shown
    process.send_signal(signal.SIGINT)
    wait_for(lambda: shows(b"selector: interrupted"))
    assert process.wait(30) == 130
    assert b"Traceback" not in shown
    assert shown.rindex(b"\x1b[?25h") > shown.rindex(b"\x1b[?25l")  # the cursor is shown again
    os.close(ours)
