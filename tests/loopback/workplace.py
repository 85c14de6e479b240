"""A folder from which W&B's commands and programs that use W&B are run, as a user would run them."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .backend import Backend

# The `wandb` command as it is, but for an agent that asks for work every fifth of a second, not of a minute.
_WANDB = """
import wandb.wandb_agent
from wandb.cli.cli import cli
wandb.wandb_agent.Agent.POLL_INTERVAL = 0.2
cli()
"""


@dataclass(frozen=True)
class Workplace:
    """Where things are run.

    Attributes:
        backend: The server that they are sent to.
        folder: Working directory, and WANDB_DIR.
    """

    backend: Backend
    folder: Path

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """Start a Python with these arguments."""
        variables = self.backend.process_environment(self.folder) | environment
        # An agent runs whatever `python` it finds first.
        variables["PYTHONFAULTHANDLER"] = "1"  # see `end`
        variables["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), variables["PATH"]])
        return subprocess.Popen(
            [sys.executable, *arguments],
            cwd=self.folder,
            env=variables,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            process_group=0,
        )

    def wandb(self, *arguments: str, **environment: str) -> str:
        """Run a wandb command to its end and give back what it printed."""
        return self.end(self.start("-c", _WANDB, *arguments, **environment))

    def start_wandb(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        return self.start("-c", _WANDB, *arguments, **environment)

    def end(self, process: subprocess.Popen[str], timeout: float = 120.0, status: int = 0) -> str:
        """Wait for a process, which must end with this status, and return what it printed.

        One that hangs is aborted with all that it started, and each of them prints where it hung.
        """
        try:
            printed, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            command = " ".join(map(str, process.args))  # type: ignore[arg-type]
            raise AssertionError(f"hung for {timeout:g} s: {command}\n{_aborted(process)}") from None
        assert process.returncode == status, printed
        return printed


def _aborted(process: subprocess.Popen[str]) -> str:
    printed = ""
    for signum in (signal.SIGABRT, signal.SIGKILL):
        os.killpg(process.pid, signum)
        try:
            return process.communicate(timeout=10)[0]
        except subprocess.TimeoutExpired as error:
            printed = error.output or printed
    return printed


def wait_for(condition: Callable[[], object], seconds: float = 60.0) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
