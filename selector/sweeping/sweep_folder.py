"""The folder of a sweep: opened for the first time or again, and what lies where in it."""

import os
import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from selector.errors import UserError
from selector.sweeping.ledger import Ledger, new_sweep_id, read_ledger, write_ledger, write_safely
from selector.sweeping.located_yaml import shown
from selector.sweeping.search import flag_values, grid_size
from selector.sweeping.sweep_file import SweepFile

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def log_path(directory: Path, run: str) -> Path:
    """Where a run's output goes."""
    return directory / "logs" / f"{run}.log"


def config_path(directory: Path, sweep: str, run: str, suffix: str) -> Path:
    """Where a run's configuration is handed over, as W&B's agent names it."""
    return directory / "wandb" / f"sweep-{sweep}" / f"config-{run}.{suffix}"


def finish_command(sweep_file: str, directory: Path) -> str:
    """The shell command that continues a sweep."""
    return shlex.join(["selector", "sweep", sweep_file, "--directory", str(directory)])


def open_sweep(directory: Path, sweep: SweepFile, count: int | None, seed: int | None) -> Ledger:
    """The ledger of a new or a continued sweep, written down; the folder exists and is locked.

    Args:
        directory: The sweep folder.
        sweep: The sweep file.
        count: Runs that the sweep is to have in all; None keeps what was said before.
        seed: Of the search; None keeps what was said before, 0 at first.

    Raises:
        UserError: The folder belongs to another sweep, or to something else.
    """
    ledger = read_ledger(directory)
    if ledger is None:
        if (directory / "wandb").exists():
            raise UserError(f"{directory} holds W&B runs but no sweep of selector; use another --directory")
        ledger = Ledger(new_sweep_id(), 0 if seed is None else seed, None, sweep.yaml.data)
        write_safely(directory / "sweep.yaml", sweep.yaml.content)
    else:
        _refuse_another_sweep(directory, ledger, sweep, seed)
    ledger = replace(ledger, planned=planned_runs(sweep, ledger.planned if count is None else count))
    write_ledger(directory, ledger)  # first: a wandb folder without a ledger is taken for somebody else's
    (directory / "logs").mkdir(exist_ok=True)
    config_path(directory, ledger.sweep, "", "").parent.mkdir(parents=True, exist_ok=True)
    return ledger


def planned_runs(sweep: SweepFile, count: int | None) -> int | None:
    """Number of runs: the least of count, run_cap and the size of a grid; None for no end."""
    limits = [limit for limit in (count, sweep.run_cap) if limit is not None]
    if sweep.method == "grid":
        limits.append(grid_size(sweep.parameters))
    return min(limits, default=None)


def _refuse_another_sweep(directory: Path, ledger: Ledger, sweep: SweepFile, seed: int | None) -> None:
    if difference := first_difference(ledger.sweep_file, sweep.yaml.data, ""):
        raise UserError(
            f"{directory} holds another sweep: {difference}; use another --directory for {sweep.yaml.source}"
        )
    if seed is not None and seed != ledger.seed:
        raise UserError(
            f"{directory} holds a sweep with seed {ledger.seed}, got --seed {seed}; use another --directory"
        )


def first_difference(before: Any, now: Any, path: str) -> str:
    """The first place where two sweep files differ, in one line; "" where they ask for the same."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in sorted(before.keys() | now.keys()):
            inner = f"{path}.{key}" if path else key
            if key not in now:
                return f"{inner} was {shown(before[key])} and is gone"
            if key not in before:
                return f"{inner} is new: {shown(now[key])}"
            if found := first_difference(before[key], now[key], inner):
                return found
        return ""
    # 1, 1.0 and true are equal to Python, but not to a training script.
    same = before == now and repr(before) == repr(now)
    return "" if same else f"{path} was {shown(before)}, now {shown(now)}"


def write_config(path: Path, config: Mapping[str, Any]) -> None:
    """Write a run's configuration as W&B's agent does, for $WANDB_SWEEP_PARAM_PATH."""
    content = yaml.safe_dump(
        flag_values(config), default_flow_style=False, allow_unicode=True, sort_keys=False
    )
    path.write_text(f"wandb_version: 1\n\n{content}", encoding="utf-8")


def run_environment(
    directory: Path, sweep: SweepFile, sweep_id: str, run: str, jobs: int, inherited: Mapping[str, str]
) -> dict[str, str]:
    """Environment of a run: that of a `wandb agent`, offline, in the sweep folder.

    Args:
        directory: The sweep folder.
        sweep: The sweep file.
        sweep_id: Of the sweep.
        run: Id of the run.
        jobs: Runs at the same time, which divide the cores among themselves.
        inherited: Environment of the agent.
    """
    environment = dict(inherited)
    environment.pop("WANDB_SERVICE", None)  # as W&B's agent does: the run starts a service of its own
    for name, value in (("WANDB_PROJECT", sweep.project), ("WANDB_ENTITY", sweep.entity)):
        if value is not None:
            environment.setdefault(name, value)
    environment |= {
        "WANDB_MODE": "offline",
        "WANDB_DIR": str(directory),
        "WANDB_SWEEP_ID": sweep_id,
        "WANDB_RUN_ID": run,
        "WANDB_SWEEP_PARAM_PATH": str(config_path(directory, sweep_id, run, "yaml")),
        # W&B writes its file every 15 s; hyperband must see rows sooner, and a kill must not lose them.
        "WANDB__TRANSACTION_LOG_FLUSH_INTERVAL": "1",
    }
    if jobs > 1:
        # Threads of several runs on the same cores wait for each other: up to ten times slower.
        share = str(max(1, _cores() // jobs))
        for name in _THREADS:
            environment.setdefault(name, share)
    return environment


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
