import os
import signal
import sys
import time
from pathlib import Path

import pytest

from selector.errors import UserError
from selector.sweeping.run_process import end_leftover, kill, last_line, start_command

PRINT = (
    "import sys, os; print('out'); print('err', file=sys.stderr);"
    "print(os.getpgid(0) == os.getpid(), sys.stdin.read())"
)


def wait(process) -> int:
    while (status := process.poll()) is None:
        time.sleep(0.01)
    return status


def python(code: str, log, environment=None):
    return start_command(
        [sys.executable, "-c", code], os.environ if environment is None else environment, log
    )


def started(code: str, log):
    """A process that has printed "ready" on its way into `code`'s end."""
    process = python(code, log)
    while b"ready" not in log.read_bytes():
        time.sleep(0.01)
    return process


@pytest.fixture
def typed_input():
    """Something to read on this process' own standard input."""
    reading, writing = os.pipe()
    os.write(writing, b"typed")
    os.close(writing)
    saved = os.dup(0)
    os.dup2(reading, 0)
    yield
    os.dup2(saved, 0)
    os.close(saved)
    os.close(reading)


def test_output_is_appended_input_is_empty_and_the_group_is_its_own(tmp_path, typed_input):
    log = tmp_path / "log"
    log.write_text("before\n")
    assert wait(python(PRINT, log)) == 0
    assert sorted(log.read_text().split("\n")) == ["", "True ", "before", "err", "out"]


def test_the_environment_is_the_one_given(tmp_path):
    assert (
        wait(python("import os; assert set(os.environ) <= {'A', 'LC_CTYPE'}", tmp_path / "log", {"A": "1"}))
        == 0
    )


@pytest.mark.parametrize(
    ("code", "status"), [("raise SystemExit(7)", 7), ("import os; os.kill(os.getpid(), 9)", -9)]
)
def test_exit_status(tmp_path, code, status):
    assert wait(python(code, tmp_path / "log")) == status


def test_a_command_that_does_not_exist(tmp_path):
    with pytest.raises(OSError, match="No such file"):
        start_command(["/no/such/program"], {}, tmp_path / "log")


STUBBORN = (
    "import os, signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "child = os.fork()\nprint('ready', child, flush=True)\ntime.sleep(60)"
)


def test_kill_ends_the_whole_group(tmp_path):
    log = tmp_path / "log"
    process = started(STUBBORN, log)
    kill(process)
    assert wait(process) == -signal.SIGKILL
    time.sleep(0.2)
    assert _gone(int(log.read_text().split()[1]))


def _gone(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z"  # Z: not yet reaped


def test_nothing_to_end_where_the_run_has_ended(tmp_path):
    end_leftover(tmp_path / "none", 1)
    log = tmp_path / "log"
    wait(python("pass", log))
    end_leftover(log, os.getpid())  # the id was reused, by this very process


@pytest.mark.parametrize("code", ["import time; print('ready', flush=True); time.sleep(60)", STUBBORN])
def test_ends_a_run_that_was_left_behind(tmp_path, code):
    log = tmp_path / "log"
    process = started(code, log)
    end_leftover(log, process.pid, kill_delay=0.3)
    assert wait(process) == (-signal.SIGKILL if code == STUBBORN else -signal.SIGTERM)


def test_a_run_left_behind_whose_process_nobody_knows_is_not_run_twice(tmp_path):
    log = tmp_path / "log"
    process = started("import time; print('ready', flush=True); time.sleep(60)", log)
    with pytest.raises(UserError, match=r"still going and writes .*log; end it first"):
        end_leftover(log, None)
    with pytest.raises(UserError, match="process 999999999"):
        end_leftover(log, 999999999, kill_delay=0.1)
    kill(process)
    wait(process)


@pytest.mark.parametrize(
    ("content", "start", "expected"),
    [
        (b"", 0, ""),
        (b"a\nlast \n\n  \n", 0, "last"),
        (b"earlier run\n", 12, ""),
        (b"earlier run\nnow", 12, "now"),
        (b"\xff\xfe broken", 0, "\ufffd\ufffd broken"),
        (b"x" * 20_000 + b"\nend", 0, "end"),
        (b"y" * 20_000, 0, "y" * 300),
        (b"\x1b[2Jcleared", 0, " [2Jcleared"),
        (b"ValueError: why\nwandb: \nwandb: Find logs at: x\n", 0, "ValueError: why"),
        (b"x\nwandb: ERROR no disk\nwandb: Find logs at: x\n", 0, "wandb: ERROR no disk"),
        (b"wandb: only this", 0, "wandb: only this"),
        (
            b"train.py: no data\nnanobind: leaked 4 instances!\n - leaked instance 0x7f\n - ... skipped\n"
            b"nanobind: this is likely\nSee https://nanobind.readthedocs.io/x",
            0,
            "train.py: no data",
        ),
    ],
)
def test_last_line_of_a_log(tmp_path, content, start, expected):
    (tmp_path / "log").write_bytes(content)
    assert last_line(tmp_path / "log", start) == expected
    assert last_line(tmp_path / "none", 0) == ""
