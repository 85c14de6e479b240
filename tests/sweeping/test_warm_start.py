"""A run that is forked from a warm process must be what `python program args` would have been."""

import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from selector.sweeping.run_process import end_leftover, start_command
from selector.sweeping.warm_start import WarmStarter

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
def warm(folder, program):
    starters = []

    def start(modules=("decimal",), environment=os.environ) -> WarmStarter:
        starters.append(WarmStarter("code/program.py", modules, environment, folder / "warm.log"))
        return starters[-1]

    yield start
    for starter in starters:
        starter.close()


def wait(process) -> int:
    deadline = time.monotonic() + 20
    while (status := process.poll()) is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return status


def without_traceback(log: Path) -> list[str]:
    """Lines of a log but those of the frames, which name runpy in one case and not in the other."""
    return sorted(line for line in log.read_text().splitlines() if not line.startswith(("  ", "Traceback")))


ENDINGS = {
    "end": 0, "exit": 3, "message": 1, "raise": 1, "interrupt": -signal.SIGINT, "kill": -signal.SIGKILL,
    "abrupt": 5,
}  # fmt: skip


def test_a_forked_run_is_what_python_would_have_run(folder, warm):
    starter = warm()
    assert starter.wait_until_ready(lambda: False)
    environment = {"PATH": os.environ["PATH"], "LC_CTYPE": "C.UTF-8", "ONLY": "this \udcff"}
    for ending, status in ENDINGS.items():
        args = [ending, "--x=ü '", ""]
        cold = start_command([sys.executable, "code/program.py", *args], environment, folder / "cold.log")
        forked = starter.start(args, environment, folder / "forked.log")
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
        assert wait(starter.start([], os.environ, folder / name)) == 0
    a, b = ((folder / name).read_text().split() for name in ("a", "b"))
    assert len(a) == 3
    assert not set(a) & set(b)


def test_modules_are_imported_once_with_the_servers_environment(folder, warm):
    (folder / "code" / "slow.py").write_text("import os; PID = os.getpid(); VALUE = os.environ['AT_IMPORT']")
    (folder / "code" / "program.py").write_text("import slow; print(slow.PID, slow.VALUE)")
    starter = warm(("slow",), {**os.environ, "AT_IMPORT": "early"})
    assert starter.wait_until_ready(lambda: False)
    for name in ("a", "b"):
        wait(starter.start([], {**os.environ, "AT_IMPORT": "late"}, folder / name))
    assert (folder / "a").read_text() == (folder / "b").read_text()
    assert (folder / "a").read_text().endswith(" early\n")


def test_a_run_gets_signals_and_no_other_does(folder, warm, monkeypatch):
    (folder / "code" / "program.py").write_text(
        "import sys, time; print('ready', flush=True); time.sleep(float(sys.argv[1]))"
    )
    starter = warm()
    assert starter.wait_until_ready(lambda: False)
    long, short = (starter.start([s], os.environ, folder / s) for s in ("60", "0.5"))
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


def test_waiting_for_imports_can_be_given_up(folder, warm):
    (folder / "code" / "slow.py").write_text("import time; time.sleep(60)")
    starter = warm(("slow",))
    before = time.monotonic()
    assert not starter.wait_until_ready(lambda: time.monotonic() > before + 0.3)
    starter.close()
    assert time.monotonic() < before + 20


def test_a_killed_server_does_not_hide_how_its_runs_end(folder, warm):
    (folder / "code" / "program.py").write_text("import time; print('ready', flush=True); time.sleep(60)")
    starter = warm()
    assert starter.wait_until_ready(lambda: False)
    run = starter.start([], os.environ, folder / "log")
    while "ready" not in (folder / "log").read_text():
        time.sleep(0.01)
    os.kill(starter._server.pid, signal.SIGKILL)
    assert run.poll() is None
    with pytest.raises(OSError, match=r".*"):
        starter.start([], os.environ, folder / "log2")
    end_leftover(folder / "log", run.pid)
    assert _ends(run)


def _ends(run) -> bool:
    """Whether a run without a parent is seen to end; where nobody reaps orphans it stays for ever."""
    deadline = time.monotonic() + 2
    while time.monotonic() < deadline:
        if run.poll() == -signal.SIGKILL:
            return True
    stat = Path(f"/proc/{run.pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z"


def test_close_lets_runs_go_on(folder, warm):
    (folder / "code" / "program.py").write_text("import time; time.sleep(0.5); print('done')")
    starter = warm()
    assert starter.wait_until_ready(lambda: False)
    starter.start([], os.environ, folder / "log")
    starter.close()
    deadline = time.monotonic() + 20
    while "done" not in (folder / "log").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_reports_are_json_whatever_the_program_prints(folder, warm):
    (folder / "code" / "noisy.py").write_text(
        "print('{\"pid\": 1}'); import sys; print('x', file=sys.stderr)"
    )
    starter = warm(("noisy",))
    assert starter.wait_until_ready(lambda: False)
    assert wait(starter.start(["end"], os.environ, folder / "log")) == 0
    line = next(line for line in (folder / "log").read_text().splitlines() if line.startswith("{"))
    assert json.loads(line)["argv"] == ["code/program.py", "end"]
