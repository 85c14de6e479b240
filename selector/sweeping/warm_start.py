"""Starting runs from a process that has already imported torch and its kin.

Importing them takes 10 to 16 seconds, which a sweep of short runs would pay again and again. Python's own
multiprocessing forkserver would do the same, but it takes over the agent's own environment (thread counts
have to be set before the imports, and the agent's must stay as it is) and imports the agent's main module in
every child.
"""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from selector.sweeping.run_process import RunProcess

PRELOAD = ("selector.training.preload",)

# What `python program` does before anything else: the program's own folder is the first to import from.
_SERVER = (
    "import sys; sys.path[0] = sys.argv[1];"
    "from selector.sweeping.fork_server import main; main(int(sys.argv[2]), sys.argv[3:])"
)


class WarmStarter:
    """The agent's end of a fork server."""

    def __init__(
        self, program: str, modules: Sequence[str], environment: Mapping[str, str], log: Path
    ) -> None:
        """Start a server; it takes its time to import the modules.

        Args:
            program: Python program that will be run.
            modules: What to import beforehand.
            environment: Of the server; whatever is read at import time, such as OMP_NUM_THREADS, counts.
            log: Where its own output goes.
        """
        self._program = program
        ours, theirs = socket.socketpair()
        folder = os.path.dirname(os.path.realpath(program))
        with log.open("wb") as output, theirs:
            self._server = subprocess.Popen(
                [sys.executable, "-c", _SERVER, folder, str(theirs.fileno()), *modules],
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=[theirs.fileno()],
                process_group=0,
            )
        self._connection = ours
        self._stream = ours.makefile("rw")

    def wait_until_ready(self, stop: Callable[[], bool]) -> bool:
        """Wait for the imports to be done. False where they failed, or when `stop` says so."""
        while not stop():
            if select.select([self._connection], [], [], 0.1)[0]:
                return bool(self._stream.readline())
        return False

    def start(self, args: Sequence[str], environment: Mapping[str, str], log: Path) -> RunProcess:
        """Start the program with these arguments.

        Raises:
            ConnectionError: The server is gone.
        """
        request = {
            "program": self._program,
            "args": list(args),
            "environment": dict(environment),
            "log": os.path.abspath(log),
        }
        return _WarmProcess(self, self.ask({"start": request})["pid"])

    def ask(self, message: dict[str, Any]) -> Any:
        """Send one message and wait for the answer.

        Raises:
            ConnectionError: The server is gone.
        """
        self._stream.write(json.dumps(message) + "\n")
        self._stream.flush()
        answer = self._stream.readline()
        if not answer:
            raise ConnectionResetError("the fork server has ended")
        return json.loads(answer)

    def close(self) -> None:
        """Let the server end; its children go on."""
        with suppress(OSError):
            self._stream.close()
        self._connection.close()
        try:
            self._server.wait(timeout=0.5)
        except subprocess.TimeoutExpired:  # it has nothing to lose
            self._server.kill()
            self._server.wait()


class _WarmProcess:
    """A child of the fork server, used like a subprocess.Popen."""

    def __init__(self, starter: WarmStarter, pid: int) -> None:
        self.pid = pid
        self._starter = starter
        self._exit: int | None = None

    def poll(self) -> int | None:
        """Exit status, negative for a signal, or None while it runs."""
        if self._exit is None:
            try:
                self._exit = self._starter.ask({"poll": self.pid})["exit"]
            except (OSError, ValueError):
                self._exit = self._without_server()
        return self._exit

    def send_signal(self, sig: int, /) -> None:
        """Send it a signal, unless it has ended."""
        # The server keeps an ended child's process id until it was asked for, so it cannot have been reused.
        if self._exit is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, sig)

    def _without_server(self) -> int | None:
        """When somebody killed the server, nobody is told how its children end; they count as killed too."""
        if not _is_running(self.pid):
            return -signal.SIGKILL
        time.sleep(0.05)
        return None


def _is_running(pid: int) -> bool:
    """Whether a process that is no child of this one still runs; an ended one that nobody reaps does not."""
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except ProcessLookupError:
        return False
    except OSError:  # there is no /proc
        return True
    return state != "Z"
