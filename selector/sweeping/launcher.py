"""Starts the runs of a sweep with the configuration, environment and command line of a `wandb agent`."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

from selector.sweeping.command import build_command
from selector.sweeping.ledger import LedgerRun
from selector.sweeping.run_process import RunProcess, start_command
from selector.sweeping.sweep_file import SweepFile
from selector.sweeping.sweep_folder import config_path, log_path, run_environment, write_config
from selector.sweeping.train_fields import imported_modules
from selector.sweeping.warm_start import PRELOAD, WarmStarter


class Launcher:
    """Starts runs; see `start`."""

    def __init__(self, sweep: SweepFile, directory: Path, sweep_id: str, jobs: int) -> None:
        self._sweep = sweep
        self._directory = directory
        self._sweep_id = sweep_id
        self._jobs = jobs
        self._warm: WarmStarter | None = None

    def start(self, run: LedgerRun) -> RunProcess:
        """Start a run.

        Raises:
            OSError: The command cannot be started.
        """
        yaml_path = config_path(self._directory, self._sweep_id, run.id, "yaml")
        json_path = config_path(self._directory, self._sweep_id, run.id, "json")
        write_config(yaml_path, run.config)
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
        if self._warm is not None:
            before_args = warm_parts(self._sweep)
            try:
                return self._warm.start(command[before_args:], environment, log)
            except OSError:  # the server was killed; the children that it had count as killed too
                self.close()
        return start_command(command, environment, log)

    def warm_up(self, stop: Callable[[], bool]) -> bool:
        """Have torch and its kin imported once for all runs, where the program wants them.

        Returns:
            False where the imports failed: then each run imports by itself, and says what is wrong.
        """
        if not warm_parts(self._sweep):
            return True
        assert self._sweep.program is not None
        log = self._directory / "logs" / "warm-start.log"
        self._warm = WarmStarter(self._sweep.program, PRELOAD, self._environment("warm"), log)
        if self._warm.wait_until_ready(stop):
            return True
        self.close()
        return stop()

    def close(self) -> None:
        """Let go of the process that runs are forked from; runs that are going go on."""
        if self._warm is not None:
            self._warm.close()
            self._warm = None

    def _environment(self, run: str) -> dict[str, str]:
        return run_environment(self._directory, self._sweep, self._sweep_id, run, self._jobs, os.environ)


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


def check_program(sweep: SweepFile) -> None:
    """Refuse a sweep whose program is not there.

    Raises:
        UserError: Names the line.
    """
    if "${program}" not in sweep.command or sweep.program is None or Path(sweep.program).is_file():
        return
    reason = f"program {sweep.program!r} is not in {os.getcwd()}; call selector sweep where it is"
    raise sweep.yaml.error(("program",), reason)


def is_our_train(sweep: SweepFile) -> bool:
    """Whether the runs execute this project's train.py, whose parameters are known."""
    if "${program}" not in sweep.command or sweep.program is None:
        return False
    return "selector.config" in imported_modules(Path(sweep.program))
