"""What this process may use of its machine, and where the program is installed."""

import os
from pathlib import Path


def usable_cores() -> int:
    """CPU cores that it may run on: SLURM, taskset and containers often allow fewer than there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def checkout() -> Path:
    """The folder with train.py and sweeps/: a checkout, or what an installed package carries of one."""
    package = Path(__file__).resolve().parent
    carried = package / "carried"  # see pyproject.toml
    return carried if carried.is_dir() else package.parent


def train_command() -> list[str]:
    """How a shell calls train.py: in a checkout by its name, from an installed package as a module."""
    return ["python", *(["-m", "selector.carried.train"] if checkout().name == "carried" else ["train.py"])]
