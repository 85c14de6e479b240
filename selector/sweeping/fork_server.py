"""A process that has imported what costs seconds, and forks itself into runs (see warm_start.py).

It talks with its agent over a socket, one JSON object a line: {"start": …} forks and answers {"pid": …},
{"poll": pid} answers {"exit": status or null}. It ends when the agent does. A child becomes what
`python program args` would be: arguments, environment, working directory, sys.path, output and exit status.
"""

import gc
import importlib
import json
import os
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

from selector.sweeping.run_process import open_log


def main(descriptor: int, modules: Sequence[str]) -> None:
    """Import, serve, and in a child run the program; the child leaves through Python's ordinary exit."""
    for module in modules:
        importlib.import_module(module)
    gc.collect()
    gc.freeze()  # a later collection in a child would otherwise copy every page that it only looks at
    request = _serve(socket.socket(fileno=descriptor))
    if request is not None:
        _become(request)


def _serve(connection: socket.socket) -> dict[str, Any] | None:
    """Answer until the agent is gone: None. In a forked child: the request to carry out."""
    with connection, connection.makefile("rw") as stream:
        _answer(stream, {"ready": True})
        for line in stream:
            match json.loads(line):
                case {"start": dict(request)}:
                    pid = _fork(Path(request["log"]))
                    if pid == 0:
                        return request
                    _answer(stream, {"pid": pid})
                case {"poll": int(pid)}:
                    _answer(stream, {"exit": _exit_status(pid)})
    return None


def _fork(log: Path) -> int:
    """A child in a process group of its own, its output in `log`, without input: its id; in the child, 0."""
    sys.stdout.flush()
    sys.stderr.flush()
    with open_log(log) as output:  # before the fork, so that whoever knows the child finds its log locked
        pid = os.fork()
        _own_group(pid)
        if pid == 0:
            with open(os.devnull) as nothing:
                os.dup2(nothing.fileno(), 0)
            os.dup2(output, 1)
            os.dup2(output, 2)
    return pid


def _answer(stream: Any, message: dict[str, Any]) -> None:
    stream.write(json.dumps(message) + "\n")
    stream.flush()


def _own_group(pid: int) -> None:
    with suppress(OSError):
        os.setpgid(pid, 0)  # parent and child both do it: whoever comes first, the group is there from now on


def _exit_status(pid: int) -> int | None:
    ended, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if ended else None


def _become(request: dict[str, Any]) -> None:
    os.environ.clear()
    os.environ.update(request["environment"])
    if "numpy.random" in sys.modules:
        # Python reseeds `random` after a fork; NumPy's global state would repeat itself in every run.
        sys.modules["numpy.random"].seed()
    program = os.path.abspath(request["program"])
    sys.argv = [request["program"], *request["args"]]
    sys.path[0] = os.path.dirname(os.path.realpath(program))
    # runpy.run_path would put the absolute path into sys.argv[0] and take the module away at the end.
    main_module = ModuleType("__main__")
    main_module.__file__ = program
    sys.modules["__main__"] = main_module
    exec(compile(Path(program).read_bytes(), program, "exec", dont_inherit=True), main_module.__dict__)
