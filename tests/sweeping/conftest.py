import os
from collections.abc import Callable
from multiprocessing import forkserver
from pathlib import Path
from textwrap import dedent

import pytest

from selector.sweeping.sweep_file import SweepFile, read_sweep_file


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """An empty working directory, with no W&B settings in the environment."""
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith("WANDB_"):
            monkeypatch.delenv(name)
    return tmp_path


@pytest.fixture(autouse=True)
def own_fork_server():
    """multiprocessing keeps one fork server for a process; each test may want another."""
    yield
    forkserver._forkserver._stop()


@pytest.fixture
def sweep_file(folder) -> Callable[[str], Path]:
    """Writes a sweep file and returns its path."""

    def write(text: str, name: str = "sweep.yaml") -> Path:
        path = folder / name
        path.write_text(dedent(text))
        return path

    return write


@pytest.fixture
def read(sweep_file) -> Callable[[str], SweepFile]:
    """Reads a sweep file from its text."""
    return lambda text: read_sweep_file(sweep_file(text))
