"""Starts the runs of a sweep with the configuration, environment and command line of a `wandb agent`."""

import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from selector.machine import checkout, usable_cores
from selector.sweeping.command import build_command
from selector.sweeping.processes import ForkServer, RunProcess, start_command
from selector.sweeping.state import SweepRun
from selector.sweeping.sweep_file import SweepFile
from selector.sweeping.train_fields import imported_modules

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def log_path(directory: Path, run: str) -> Path:
    """Where a run's output goes."""
    return directory / "logs" / f"{run}.log"


class Launcher:
    """Starts the runs of one sweep in one folder; see `start`."""

    def __init__(self, sweep: SweepFile, directory: Path, sweep_id: str, jobs: int) -> None:
        self._sweep = sweep
        self._directory = directory
        self._sweep_id = sweep_id
        self._jobs = jobs
        self._server: ForkServer | None = None
        for folder in (config_path(directory, sweep_id, "", "").parent, directory / "logs"):
            folder.mkdir(parents=True, exist_ok=True)

    def start(self, run: SweepRun) -> RunProcess:
        """Start a run.

        Raises:
            OSError: The command cannot be started.
        """
        yaml_path = config_path(self._directory, self._sweep_id, run.id, "yaml")
        yaml_path.write_text(config_for_wandb(run.config), encoding="utf-8")
        json_path = yaml_path.with_suffix(".json")
        if "${args_json_file}" in self._sweep.command:
            json_path.write_text(json.dumps(run.config), encoding="utf-8")
        environment = self._environment(run.id)
        command = build_command(
            self._sweep.command,
            self._sweep.program,
            run.config,
            args_json_file=str(json_path),
            # W&B's agent says `python`, whatever that is on the PATH; the Python that has selector's own
            # requirements is the one that runs this.
            interpreter=sys.executable,
            environment=environment,
        )
        log = log_path(self._directory, run.id)
        if self._server is not None:
            program, *args = command[warm_parts(self._sweep) - 1 :]
            try:
                return self._server.start(program, args, environment, log)
            except OSError:  # it was killed
                self._server = None
        return start_command(command, environment, log)

    def warm_up(self, stop: Callable[[], bool]) -> bool:
        """Have torch and similar packages imported once for all runs, where the program needs them.

        Returns:
            False where the imports failed: then each run imports by itself, and says what is wrong.
        """
        if not warm_parts(self._sweep):
            return True
        server = ForkServer(self._environment("warm"), self._directory / "logs" / "warm-start.log")
        if not server.wait_until_ready(stop):
            return stop()
        self._server = server
        return True

    def _environment(self, run: str) -> dict[str, str]:
        return run_environment(self._directory, self._sweep, self._sweep_id, run, self._jobs, os.environ)


def config_path(directory: Path, sweep: str, run: str, suffix: str) -> Path:
    """Where a run's configuration is handed over, as W&B's agent names it."""
    return directory / "wandb" / f"sweep-{sweep}" / f"config-{run}.{suffix}"


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
        for name in _THREADS:
            environment.setdefault(name, str(max(1, usable_cores() // jobs)))
    return environment


def config_for_wandb(config: Mapping[str, Any]) -> str:
    """A configuration as W&B's agent protocol wraps it: {"learning_rate": {"value": 0.1}}."""
    wrapped = {name: {"value": value} for name, value in config.items()}
    content = yaml.safe_dump(wrapped, default_flow_style=False, allow_unicode=True, sort_keys=False)
    return f"wandb_version: 1\n\n{content}"


def warm_parts(sweep: SweepFile) -> int:
    """How many parts the command has before the arguments, if its runs can be forked; else 0.

    They can be where the command is plainly `python program …` and the program imports selector.training.
    """
    command = sweep.command[1:] if sweep.command[0] == "${env}" else sweep.command
    if command[:2] != ("${interpreter}", "${program}") or sweep.program is None:
        return 0
    imports = imported_modules(Path(sweep.program))
    wanted = any(f"{module}.".startswith("selector.training.") for module in imports)
    return len(sweep.command) - len(command) + 2 if wanted else 0


def with_program(sweep: SweepFile) -> SweepFile:
    """The sweep with the way to train.py, where the folder has none: the one that comes with selector."""
    if sweep.program != "train.py" or Path("train.py").is_file():
        return sweep
    return sweep.model_copy(update={"program": str(checkout() / "train.py")})


def check_program(sweep: SweepFile) -> None:
    """Refuse a sweep whose program is not there.

    Raises:
        UserError: Names the line.
    """
    if "${program}" not in sweep.command or sweep.program is None or Path(sweep.program).is_file():
        return
    reason = f"program {sweep.program!r} is not in {os.getcwd()}; run selector sweep where it is"
    raise sweep.yaml.error(("program",), reason)


def is_our_train(sweep: SweepFile) -> bool:
    """Whether the runs execute this project's train.py, whose parameters are known."""
    if "${program}" not in sweep.command or sweep.program is None:
        return False
    return "selector.config" in imported_modules(Path(sweep.program))
