"""Processes that execute runs: started with a log of their own, ended with patience."""

import fcntl
import os
import re
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from selector.errors import UserError
from selector.text import printable

# Seconds between SIGTERM and SIGKILL, as W&B's agent waits (WANDB_AGENT_KILL_DELAY).
KILL_DELAY = 30.0

# What W&B (its goodbye) and nanobind (triton's leaks, in every process that loaded torch) print at the very
# end of a process, after the line that says what went wrong.
_EXIT_NOISE = re.compile(r"wandb:(?! ERROR)|nanobind: | - leaked | - \.\.\. skipped|See https://nanobind")


class RunProcess(Protocol):
    """A process that executes a run: a subprocess.Popen, or a child of the fork server."""

    pid: int

    def poll(self) -> int | None:
        """Exit status, negative for a signal, or None while it runs."""

    def send_signal(self, sig: int, /) -> None:
        """Send it a signal, unless it has ended."""


def start_command(command: Sequence[str], environment: Mapping[str, str], log: Path) -> RunProcess:
    """Start a command in a process group of its own, without input, its output appended to `log`.

    As under W&B's agent the group is its own, so that Ctrl-C reaches the run only through the agent.

    Raises:
        OSError: There is no such program, or it may not be executed.
    """
    with open_log(log) as output:
        return subprocess.Popen(
            command,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            process_group=0,
        )


def open_log(log: Path) -> "_Log":
    """A log for a run's output, locked for as long as the run or a process that it started holds it open."""
    return _Log(log)


class _Log:
    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        with suppress(BlockingIOError):
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def __enter__(self) -> int:
        return self._descriptor

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)


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
        pid: The process that the ledger names, or None where the agent had no time to write it down.
        kill_delay: Seconds that the run has to end by itself.

    Raises:
        UserError: The run is still going and its process is not known, or cannot be ended.
    """
    for signum, patience in ((signal.SIGTERM, kill_delay), (signal.SIGKILL, 2.0)):
        if not _locked(log):
            return
        with suppress(ProcessLookupError, PermissionError):
            if pid is not None and os.getpgid(pid) == pid:
                os.kill(pid, signum) if signum == signal.SIGTERM else os.killpg(pid, signum)
        deadline = time.monotonic() + (patience if pid is not None else 0)
        while _locked(log) and time.monotonic() < deadline:
            time.sleep(0.05)
    if _locked(log):
        known = f"process {pid}" if pid is not None else f"see `fuser {log}`"
        raise UserError(f"a run of an earlier call is still going and writes {log}; end it first ({known})")


def _locked(log: Path) -> bool:
    try:
        descriptor = os.open(log, os.O_WRONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return False
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)


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
