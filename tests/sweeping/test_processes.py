import multiprocessing.forkserver
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from selector.errors import UserError
from selector.sweeping import processes
from selector.sweeping.processes import ForkServer, end_leftover, kill, last_line, start_command

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


STUBBORN = (
    "import os, signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "child = os.fork()\nif child: os.write(1, b'ready %d' % child)\ntime.sleep(60)"
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


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("code", ["import time; print('ready', flush=True); time.sleep(60)", STUBBORN])
def test_ends_a_run_that_was_left_behind(tmp_path, code, known):
    log = tmp_path / "log"
    process = started(code, log)
    end_leftover(log, process.pid if known else None, kill_delay=0.3)
    assert wait(process) == (-signal.SIGKILL if code == STUBBORN else -signal.SIGTERM)


def test_a_run_left_behind_whose_process_nobody_knows_is_not_run_twice(tmp_path, monkeypatch):
    log = tmp_path / "log"
    process = started("import time; print('ready', flush=True); time.sleep(60)", log)
    monkeypatch.setattr(processes, "_leader_writing", lambda log: None)  # as where there is no /proc
    with pytest.raises(UserError, match=r"still running and writes to .*log; end it first \(see"):
        end_leftover(log, None, kill_delay=0.1)
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


# A run that is forked must be what `python program args` would have been.

CODE = "code/program.py"
PROGRAM = """
import atexit, json, os, signal, sys
import sibling
print("to stdout")
print("to stderr", file=sys.stderr)
atexit.register(lambda: print("at exit", sibling.NAME))
print(json.dumps({
    "argv": sys.argv, "name": __name__, "file": os.path.realpath(__file__), "path": sys.path[0],
    "cwd": os.getcwd(), "group": os.getpgid(0) == os.getpid(), "stdin": sys.stdin.read(),
    "environment": dict(sorted(os.environ.items())), "sibling": sibling.__file__,
    "main": sys.modules["__main__"].__file__ is not None,
    "signals": [str(signal.getsignal(s)) for s in (signal.SIGINT, signal.SIGTERM)],
}))
match sys.argv[1]:
    case "end": pass
    case "exit": sys.exit(3)
    case "message": sys.exit("a message")
    case "raise": raise ValueError("it went wrong")
    case "interrupt": raise KeyboardInterrupt
    case "kill": sys.stdout.flush(); os.kill(os.getpid(), 9)
    case "abrupt": sys.stdout.flush(); os._exit(5)
"""


@pytest.fixture
def program(folder) -> Path:
    (folder / "code").mkdir()
    (folder / "code" / "sibling.py").write_text("NAME = 'sibling'")
    path = folder / "code" / "program.py"
    path.write_text(PROGRAM)
    return path


@pytest.fixture
def warm(folder, program, monkeypatch):
    def start(modules=("decimal",), environment=os.environ) -> ForkServer:
        monkeypatch.setattr(processes, "PRELOAD", modules)
        return ForkServer({**environment, "PYTHONPATH": str(folder / "code")}, folder / "warm.log")

    return start


def without_traceback(log: Path) -> list[str]:
    """Lines of a log but those of the frames, which name runpy in one case and not in the other."""
    return sorted(line for line in log.read_text().splitlines() if not line.startswith(("  ", "Traceback")))


ENDINGS = {
    "end": 0,
    "exit": 3,
    "message": 1,
    "raise": 1,
    "interrupt": -signal.SIGINT,
    "kill": -signal.SIGKILL,
    "abrupt": 5,
}


def test_a_forked_run_is_what_python_would_have_run(folder, warm):
    starter = warm()
    assert starter.wait_until_ready(lambda: False)
    environment = {"PATH": os.environ["PATH"], "LC_CTYPE": "C.UTF-8", "ONLY": "this \udcff"}
    for ending, status in ENDINGS.items():
        args = [ending, "--x=ü '", ""]
        cold = start_command([sys.executable, "code/program.py", *args], environment, folder / "cold.log")
        forked = starter.start(CODE, args, environment, folder / "forked.log")
        assert (wait(cold), wait(forked)) == (status, status)
        assert without_traceback(folder / "forked.log") == without_traceback(folder / "cold.log")
    assert "it went wrong" in (folder / "forked.log").read_text()


def test_runs_draw_random_numbers_of_their_own(folder, warm):
    (folder / "code" / "program.py").write_text(
        "import random, uuid, numpy; print(random.random(), uuid.uuid4(), numpy.random.rand())"
    )
    starter = warm(("numpy.random",))
    assert starter.wait_until_ready(lambda: False)
    for name in ("a", "b"):
        assert wait(starter.start(CODE, [], os.environ, folder / name)) == 0
    a, b = ((folder / name).read_text().split() for name in ("a", "b"))
    assert len(a) == 3
    assert not set(a) & set(b)


def test_a_run_leaves_the_temporary_folders_of_the_imports_to_the_next_run(folder, warm):
    (folder / "code" / "stage.py").write_text(
        "import atexit, tempfile; FOLDER = tempfile.TemporaryDirectory(); atexit.register(FOLDER.cleanup)"
    )
    (folder / "code" / "program.py").write_text(
        "import os, stage, tempfile; own = tempfile.TemporaryDirectory()\n"
        "print(own.name); open(os.path.join(stage.FOLDER.name, 'table.json'), 'w')"
    )
    starter = warm(("stage",))
    assert starter.wait_until_ready(lambda: False)
    for name in ("a", "b"):
        assert wait(starter.start(CODE, [], os.environ, folder / name)) == 0
        assert not Path((folder / name).read_text().strip()).exists()  # its own goes with it


def test_a_run_gets_signals_and_no_other_does(folder, warm, monkeypatch):
    (folder / "code" / "program.py").write_text(
        "import sys, time; print('ready', flush=True); time.sleep(float(sys.argv[1]))"
    )
    starter = warm()
    assert starter.wait_until_ready(lambda: False)
    long, short = (starter.start(CODE, [s], os.environ, folder / s) for s in ("60", "0.5"))
    while "ready" not in (folder / "60").read_text():
        time.sleep(0.01)
    assert long.poll() is None
    long.send_signal(signal.SIGTERM)
    assert wait(long) == -signal.SIGTERM
    assert wait(short) == 0
    with monkeypatch.context() as patch:
        patch.setattr(os, "kill", lambda *_: pytest.fail("its process id may be another's by now"))
        long.send_signal(signal.SIGTERM)


def test_imports_that_fail_are_noticed(folder, warm):
    starter = warm(("decimal", "there_is_no_such_module"))
    assert not starter.wait_until_ready(lambda: False)
    assert "there_is_no_such_module" in (folder / "warm.log").read_text()


def test_a_killed_server_does_not_hide_how_its_runs_end(folder, warm):
    (folder / "code" / "program.py").write_text(
        "import sys, time; print('ready', flush=True); time.sleep(60 * len(sys.argv[1:]))"
    )
    starter = warm()
    assert starter.wait_until_ready(lambda: False)
    run = starter.start(CODE, ["long"], os.environ, folder / "log")
    while "ready" not in (folder / "log").read_text():
        time.sleep(0.01)
    os.kill(multiprocessing.forkserver._forkserver._forkserver_pid, signal.SIGKILL)
    while run._process.exitcode is None:  # multiprocessing says that it has ended, as soon as it notices
        time.sleep(0.01)
    assert run.poll() is None
    end_leftover(folder / "log", run.pid)
    assert wait(run) == -signal.SIGKILL
    with pytest.raises(OSError, match="the fork server has ended"):  # then runs are started without it
        starter.start(CODE, [], os.environ, folder / "log2")
