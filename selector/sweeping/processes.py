"""Processes that execute runs: each with a log and an environment of its own, ended with patience.

Importing torch and its kin takes seconds, which a sweep of short runs would pay again and again. Where the
program imports selector.training, its runs are therefore forked from a process that has imported it before:
the fork server of Python's multiprocessing. A forked run becomes what `python program args` would be.
"""

import atexit
import fcntl
import json
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

from selector.errors import UserError
from selector.files import is_locked
from selector.text import printable

PRELOAD = ("selector.training.preload",)
_SERVER = "selector.sweeping.fork_server"

# Seconds between SIGTERM and SIGKILL, as W&B's agent waits (WANDB_AGENT_KILL_DELAY).
KILL_DELAY = 30.0

# What W&B (its goodbye) and nanobind (triton's leaks, in every process that loaded torch) print at the very
# end of a process, after the line that says what went wrong.
_EXIT_NOISE = re.compile(r"wandb:(?! ERROR)|nanobind: | - leaked | - \.\.\. skipped|See https://nanobind")


def start_command(
    command: Sequence[str], environment: Mapping[str, str], log: Path
) -> subprocess.Popen[bytes]:
    """Start a command in a process group of its own, without input, its output appended to `log`.

    As under W&B's agent the group is its own, so that Ctrl-C reaches the run only through the agent.

    Raises:
        OSError: There is no such program, or it may not be executed.
    """
    with closing(_open_log(log)) as output:
        return subprocess.Popen(
            command,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output.fileno(),
            stderr=subprocess.STDOUT,
            process_group=0,
        )


def _open_log(log: Path) -> Connection:
    """A log for a run's output, locked for as long as the run or a process that it started holds it open.

    As a Connection it can be handed to another process, which multiprocessing allows of no file.
    """
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    with suppress(BlockingIOError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return Connection(descriptor, readable=False)


class ForkServer:
    """Starts runs of one Python program from a process that has imported what they need."""

    def __init__(self, environment: Mapping[str, str], log: Path) -> None:
        """Start the server; it takes its time to import.

        Args:
            environment: Of the server; whatever is read at import time, such as OMP_NUM_THREADS, counts.
            log: Where its own output goes.
        """
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload([_SERVER])
        before = dict(os.environ)
        os.environ.update(environment)
        os.environ["SELECTOR_FORK_SERVER"] = json.dumps([str(log), *PRELOAD])
        try:
            forkserver.ensure_running()
        finally:
            os.environ.clear()
            os.environ.update(before)
        self._ready: int | None = None
        self._waiting = threading.Thread(target=self._await, daemon=True)
        self._waiting.start()

    def _await(self) -> None:
        probe = self._context.Process(target=_has_imported)
        with suppress(OSError, EOFError):
            probe.start()
            probe.join()
            self._ready = probe.exitcode

    def wait_until_ready(self, stop: Callable[[], bool]) -> bool:
        """Wait for the imports to be done. False where they failed, or when `stop` says so."""
        while self._waiting.is_alive() and not stop():
            self._waiting.join(0.1)
        return self._ready == 0

    def start(
        self, program: str, args: Sequence[str], environment: Mapping[str, str], log: Path
    ) -> "ForkedRun":
        """Start the program with these arguments.

        Raises:
            OSError: The server is gone.
        """
        with closing(_open_log(log)) as output:
            process = self._context.Process(target=_become, args=(program, args, dict(environment), output))
            try:
                process.start()
            except EOFError as error:
                raise ConnectionResetError("the fork server has ended") from error
        return ForkedRun(process, log)


class ForkedRun:
    """A child of the fork server, used like a subprocess.Popen."""

    def __init__(self, process: Any, log: Path) -> None:
        self.pid: int = process.pid
        self._process = process
        self._log = log
        self._lost = False

    def poll(self) -> int | None:
        """Exit status, negative for a signal, or None while it runs."""
        status: int | None = self._process.exitcode
        # 255 is also what multiprocessing says where the server was killed and nobody will be told how its
        # children end. One that is still going holds its log; at its end it counts as killed, too.
        if status == 255 and is_locked(self._log):
            self._lost = True
            return None
        return -signal.SIGKILL if self._lost else status

    def send_signal(self, sig: int, /) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, sig)


RunProcess = subprocess.Popen[bytes] | ForkedRun


def _has_imported() -> None:
    sys.exit(0 if _SERVER in sys.modules else 1)


def _become(program: str, args: Sequence[str], environment: Mapping[str, str], output: Connection) -> None:
    """What `python program args` does, in a child of the fork server."""
    os.setpgid(0, 0)
    for signum in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(signum, signal.SIG_DFL)
    with open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(output.fileno(), 1)
    os.dup2(output.fileno(), 2)
    output.close()
    os.environ.clear()
    os.environ.update(environment)
    for finalizer in sys.modules[_SERVER].FINALIZERS:
        finalizer.atexit = False
    # From Python 3.13 on, multiprocessing drops the exit handlers of the imports. This one cleans up what the
    # run itself creates, such as its temporary folders.
    atexit.register(weakref.finalize._exitfunc)  # type: ignore[attr-defined]
    if "numpy.random" in sys.modules:
        # Python reseeds `random` after a fork; NumPy's global state would repeat itself in every run.
        sys.modules["numpy.random"].seed()
    path = os.path.abspath(program)
    sys.argv = [program, *args]
    sys.path[0] = os.path.dirname(os.path.realpath(path))
    # runpy.run_path would put the absolute path into sys.argv[0] and take the module away at the end.
    main_module = ModuleType("__main__")
    main_module.__file__ = path
    sys.modules["__main__"] = main_module
    interrupted = False
    try:
        exec(compile(Path(path).read_bytes(), path, "exec", dont_inherit=True), main_module.__dict__)
    except SystemExit:
        raise
    except BaseException as error:
        interrupted = isinstance(error, KeyboardInterrupt)
        own = error.with_traceback(error.__traceback__ and error.__traceback__.tb_next)
        sys.excepthook(type(own), own, own.__traceback__)
        sys.exit(1)
    finally:
        # multiprocessing ends its processes without these before Python 3.14; W&B ends its run in one.
        atexit._run_exitfuncs()
        if interrupted:
            sys.stdout.flush()
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGINT)


def kill(process: RunProcess) -> None:
    """End a process, and what it started in its group, at once."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.send_signal(signal.SIGKILL)


def end_leftover(log: Path, pid: int | None, kill_delay: float = KILL_DELAY) -> None:
    """End a run that an agent left behind when it was killed itself, or it would be executed twice at once.

    Such a run is known by its log, which it keeps locked; that holds even where its process id was reused.

    Args:
        log: Of the run.
        pid: The process that the ledger names, or None where the agent had no time to write it down; it is
            then looked for, which only Linux can tell.
        kill_delay: Seconds that the run has to end by itself.

    Raises:
        UserError: The run is still going and its process is not known, or cannot be ended.
    """
    for signum, patience in ((signal.SIGTERM, kill_delay), (signal.SIGKILL, 2.0)):
        if not is_locked(log):
            return
        pid = pid or _leader_writing(log)
        with suppress(ProcessLookupError, PermissionError):
            if pid is not None and os.getpgid(pid) == pid:
                os.kill(pid, signum) if signum == signal.SIGTERM else os.killpg(pid, signum)
        deadline = time.monotonic() + patience
        while is_locked(log) and time.monotonic() < deadline:
            time.sleep(0.05)
    if is_locked(log):
        known = f"process {pid}" if pid is not None else f"see `fuser {log}`"
        raise UserError(
            f"a run of an earlier call is still running and writes to {log}; end it first ({known})"
        )


def _leader_writing(log: Path) -> int | None:
    """The leader of a process group whose standard output is this log, as /proc shows it."""
    for output in Path("/proc").glob("[0-9]*/fd/1"):
        with suppress(OSError):
            pid = int(output.parts[2])
            if output.samefile(log) and os.getpgid(pid) == pid:
                return pid
    return None


def ending(exit_status: int) -> str:
    """How a process ended, for people."""
    if exit_status >= 0:
        return f"exit status {exit_status}"
    known = -exit_status in set(signal.Signals)  # real-time signals but the first and the last have no name
    name = signal.Signals(-exit_status).name if known else f"signal {-exit_status}"
    return f"killed by {name}{' (out of memory?)' if name == 'SIGKILL' else ''}"


def last_line(log: Path, start: int) -> str:
    """The last thing that a run itself said in its log from byte `start` on, or "".

    Cut to 300 characters, and without what could move a terminal's cursor.
    """
    try:
        with log.open("rb") as file:
            file.seek(max(start, log.stat().st_size - 10_000))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    lines = [line for line in text.splitlines() if line.strip()]
    own = [line for line in lines if not _EXIT_NOISE.match(line)] or lines
    return printable(own[-1].strip())[:300] if own else ""


class Interrupted(UserError):
    """The sweep was told to stop; the same call continues it."""

    def __init__(self, message: str, signum: signal.Signals) -> None:
        super().__init__(message)
        self.exit_status = 128 + signum


class Interruption:
    """Ctrl-C and other stop signals, counted instead of obeyed inside: the runs must end cleanly first.

    Attributes:
        count: How many came.
        signum: The last one.
    """

    _SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)

    def __init__(self) -> None:
        self.count = 0
        self.signum = signal.SIGINT
        self._handlers: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "Interruption":
        # Python lets only the main thread take signals; elsewhere whoever owns them decides.
        if threading.current_thread() is threading.main_thread():
            for signum in self._SIGNALS:
                if signal.getsignal(signum) is not signal.SIG_IGN:  # as nohup does
                    self._handlers[signum] = signal.signal(signum, self._notice)
        return self

    def __exit__(self, *_: object) -> None:
        for signum, handler in self._handlers.items():
            signal.signal(signum, handler)

    def _notice(self, signum: int, _: FrameType | None) -> None:
        self.count += 1
        self.signum = signal.Signals(signum)

    @property
    def signal_for_runs(self) -> signal.Signals:
        """What the runs are sent: Ctrl-C as it is, SIGTERM for any other or a second signal, then SIGKILL."""
        match self.count, self.signum:
            case 1, signal.SIGINT | signal.SIGHUP:
                return self.signum
            case 1 | 2, _:
                return signal.SIGTERM
            case _:
                return signal.SIGKILL
