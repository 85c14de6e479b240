"""A process that evaluates milestones while training goes on, for where training has a GPU to itself.

It is plain `python -c`, not multiprocessing, which would import the user's script again, guarded or not.
"""

import json
import os
import pickle
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

_CODE = (
    "import sys; import json; sys.path[:] = json.loads(sys.argv[1]);"
    "from selector.training.background import serve; serve(int(sys.argv[2]))"
)


class WorkerDied(Exception):
    """The process has ended before it answered: killed, or without the memory that it needed."""


class Worker:
    """Calls functions in a process of its own, one at a time; it ends when this process does."""

    def __init__(self) -> None:
        """Start the process; what it imports, it imports while this one goes on."""
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _CODE, json.dumps(sys.path), str(theirs.fileno())],
                env=os.environ | {"CUDA_VISIBLE_DEVICES": ""},  # the GPU is for training
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        self._connection = Connection(ours.detach())

    def start(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Begin a call; `function` is found by its name, and all arguments are copied.

        Raises:
            WorkerDied: The process is gone.
        """
        try:
            self._connection.send_bytes(pickle.dumps((function, arguments), protocol=5))
        except OSError as error:
            raise WorkerDied from error

    def is_ready(self) -> bool:
        """Whether `result` would not have to wait."""
        return self._connection.poll()

    def result(self) -> Any:
        """What the call gives; waits for it.

        Raises:
            WorkerDied: The process has ended.
            RuntimeError: The call failed; the message holds its traceback.
        """
        try:
            value, failure = pickle.loads(self._connection.recv_bytes())
        except (EOFError, OSError) as error:
            raise WorkerDied from error
        if failure:
            raise RuntimeError(failure)
        return value

    def close(self) -> None:
        """End the process, whatever it is doing."""
        self._connection.close()
        self._process.kill()
        self._process.wait()


def serve(descriptor: int) -> None:
    """The process's own part: calls and answers until the other end is closed."""
    # A terminal and a scheduler send them to every process.
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(signum, signal.SIG_IGN)
    connection = Connection(descriptor)
    with suppress(EOFError, OSError):
        while True:
            call = connection.recv_bytes()
            try:
                function, arguments = pickle.loads(call)
                answer = function(*arguments), ""
            except Exception:
                answer = None, traceback.format_exc()
            connection.send_bytes(pickle.dumps(answer, protocol=5))
