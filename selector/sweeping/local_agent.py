"""A W&B sweep on this machine, without a server: what `wandb agent` and W&B's search do, in one process."""

import errno
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from itertools import count as count_up
from pathlib import Path

from selector.errors import UserError
from selector.sweeping.active_run import ActiveRun
from selector.sweeping.draws import draw, foreseen
from selector.sweeping.hyperband import runs_to_stop
from selector.sweeping.interruption import Interruption
from selector.sweeping.launcher import Launcher, check_program, is_our_train
from selector.sweeping.ledger import Ledger, LedgerRun, only_agent, read_ledger, run_id, write_ledger
from selector.sweeping.objective_history import read_objective
from selector.sweeping.reporter import Reporter, SilentReporter, SweepProgress
from selector.sweeping.run_process import KILL_DELAY, end_leftover
from selector.sweeping.sweep_file import SweepFile, read_sweep_file
from selector.sweeping.sweep_folder import finish_command, log_path, open_sweep, planned_runs
from selector.sweeping.train_fields import check_train_fields

_POLL_SECONDS = 0.05
_FIRST_FAILURES = 3  # as many failures from the start end a sweep, as under W&B's agent


def run_sweep(
    file: Path,
    directory: Path,
    count: int | None = None,
    jobs: int = 1,
    seed: int | None = None,
    reporter: Reporter | None = None,
    warm: bool = True,
) -> SweepProgress:
    """Run a W&B sweep file on this machine, or continue where an earlier call stopped.

    Runs that finished, or that hyperband stopped, are never run again. One that was interrupted is run again
    under its own id, and so, at the end, is one that failed.

    Args:
        file: W&B sweep file.
        directory: Sweep folder: ledger, logs, checkpoints and offline W&B runs.
        count: Runs that the sweep is to have in all, over all calls. None: what an earlier call said, else
            what the file says (a whole grid, or run_cap), else no end.
        jobs: Runs at the same time; they share the cores.
        seed: Of the search. None: that of an earlier call, else 0.
        reporter: Is told what happens.
        warm: False imports everything anew in each run, as W&B's agent would.

    Raises:
        UserError: The sweep cannot be run, its first runs all failed, or it was interrupted; then the
            message says how to continue.
    """
    if count is not None and count < 1:
        raise UserError(f"--count must be at least 1, got {count}")
    if jobs < 1:
        raise UserError(f"--jobs must be at least 1, got {jobs}")
    sweep = read_sweep_file(file)
    directory = directory.resolve()
    _check_runs(sweep, directory, count, seed)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with only_agent(directory), Interruption() as interruption:
            ledger = open_sweep(directory, sweep, count, seed)
            with closing(Launcher(sweep, directory, ledger.sweep, jobs)) as launcher:
                agent = _Agent(sweep, directory, ledger, launcher, interruption, reporter or SilentReporter())
                return agent.run(jobs, warm)
    except OSError as error:
        advice = (
            ": what was written before is whole; make room, and the same command continues the sweep"
            if error.errno in (errno.ENOSPC, errno.EDQUOT)
            else ""
        )
        raise UserError(f"cannot use {directory}: {error.strerror or error}{advice}") from error


def _check_runs(sweep: SweepFile, directory: Path, count: int | None, seed: int | None) -> None:
    """Refuse, before anything is written, what would fail run by run."""
    check_program(sweep)
    if is_our_train(sweep) and read_ledger(directory) is None:
        check_train_fields(sweep, foreseen(sweep, seed or 0, planned_runs(sweep, count)))


class _Agent:
    """One call of run_sweep: starts runs, watches them, writes down how they end."""

    def __init__(
        self,
        sweep: SweepFile,
        directory: Path,
        ledger: Ledger,
        launcher: Launcher,
        interruption: Interruption,
        reporter: Reporter,
    ) -> None:
        self._sweep = sweep
        self._directory = directory
        self._ledger = ledger
        self._launcher = launcher
        self._interruption = interruption
        self._reporter = reporter
        self._active: dict[str, ActiveRun] = {}
        self._histories: dict[str, Sequence[float]] = {}  # run id → values of the metric, for hyperband
        self._forwarded = 0  # signals passed on to the runs
        self._failures = 0  # in a row
        self._metric = sweep.objective.name if sweep.objective else None

    def run(self, jobs: int, warm: bool) -> SweepProgress:
        """Run what is left of the sweep."""
        for warning in self._sweep.warnings:
            self._reporter.note(warning)
        self._reporter.sweep_started(self._progress)
        if self._sweep.early_terminate and self._metric:
            for run in self._ledger.runs:
                self._histories[run.id] = read_objective(self._directory, run.id, self._metric).values
        cells = self._cells()
        cell = next(cells, None)
        if cell is None or self._stopping:
            return self._progress
        if warm and not self._launcher.warm_up(lambda: self._interruption.count > 0):
            self._reporter.note("importing once for all runs failed: every run imports by itself")
        try:
            while self._active or (cell is not None and not self._stopping):
                while cell is not None and len(self._active) < jobs and not self._stopping:
                    self._start(cell)
                    cell = next(cells, None)
                self._watch()
        finally:
            self._end_all()
        if self._interruption.count and self._progress.done != self._ledger.planned:
            raise UserError(self._how_to_continue())
        return self._progress

    @property
    def _progress(self) -> SweepProgress:
        return SweepProgress(self._directory, self._ledger, self._sweep.objective)

    @property
    def _stopping(self) -> bool:
        """Whether no further run is started: interrupted, or the metric's target is reached."""
        best, objective = self._progress.best, self._sweep.objective
        reached = objective and best and best.objective is not None and objective.reached(best.objective)
        return self._interruption.count > 0 or bool(reached)

    def _cells(self) -> Iterator[int]:
        """Indices to run: what was interrupted, then what is new, then what failed in an earlier call."""
        planned = self._ledger.planned
        before = [run for run in self._ledger.runs if planned is None or run.index < planned]
        yield from (run.index for run in before if run.status in ("running", "interrupted"))
        known = {run.index for run in self._ledger.runs}
        indices = count_up() if planned is None else range(planned)
        yield from (index for index in indices if index not in known)
        yield from (run.index for run in before if run.status == "failed")

    def _start(self, index: int) -> None:
        run = self._next_entry(index)
        log = log_path(self._directory, run.id)
        log_start = log.stat().st_size if log.exists() else 0
        self._record(run)
        try:
            process = self._launcher.start(run)
        except OSError as error:
            reason = f"cannot be started: {error}"
            self._finish(replace(run, status="failed", ended=time.time(), reason=reason))
            return
        run = replace(run, pid=process.pid)
        self._active[run.id] = ActiveRun(run, process, self._directory, log_start, self._metric)
        self._record(run)
        self._reporter.run_started(run, self._progress)

    def _next_entry(self, index: int) -> LedgerRun:
        """The ledger's entry for a run that is about to start, for the first time or again."""
        identity = run_id(self._ledger.sweep, index)
        before = next((run for run in self._ledger.runs if run.index == index), None)
        if before is None:
            config, coordinates = draw(self._sweep, self._ledger, index, self._directory)
            return LedgerRun(index, identity, config, "running", time.time(), coordinates=coordinates)
        if before.status == "running":  # an agent that was killed itself may have left it behind
            end_leftover(log_path(self._directory, identity), before.pid)
        return LedgerRun(
            index, identity, before.config, "running", time.time(), coordinates=before.coordinates
        )

    def _watch(self) -> None:
        time.sleep(_POLL_SECONDS)
        self._forward_interruption()
        interrupted_by = self._interruption.signum if self._interruption.count else None
        for active in list(self._active.values()):
            if active.has_advanced() and active.history:
                self._histories[active.entry.id] = active.history.values
                self._reporter.run_advanced(active.entry, active.history.values)
            if ended := active.ended(interrupted_by):
                del self._active[ended.id]
                self._histories[ended.id] = active.history.values if active.history else ()
                self._finish(ended)
        self._stop_bad_runs()

    def _finish(self, run: LedgerRun) -> None:
        self._record(run)
        self._reporter.run_ended(run, self._progress)
        self._failures = self._failures + 1 if run.status == "failed" else 0
        if self._failures == _FIRST_FAILURES and not self._progress.done:
            raise UserError(
                f"the first {_FIRST_FAILURES} runs failed, the last one: {run.reason}"
                f" (all of it in {log_path(self._directory, run.id)})"
            )

    def _record(self, run: LedgerRun) -> None:
        self._ledger = self._ledger.with_run(run)
        write_ledger(self._directory, self._ledger)

    def _stop_bad_runs(self) -> None:
        hyperband, objective = self._sweep.early_terminate, self._sweep.objective
        if hyperband is None or objective is None or self._interruption.count:
            return
        going = {run for run, active in self._active.items() if not active.stop_reason}
        reasons = runs_to_stop(self._histories, going, hyperband, objective.goal == "maximize")
        for run, reason in reasons.items():
            self._active[run].stop(reason)

    def _forward_interruption(self) -> None:
        if self._interruption.count == self._forwarded:
            return
        self._forwarded = self._interruption.count
        signum = self._interruption.signal_for_runs
        for active in self._active.values():
            active.send_signal(signum)
        if self._active and signum != signal.SIGKILL:
            self._reporter.note("waiting for what is running to end; press Ctrl-C again not to wait")

    def _how_to_continue(self) -> str:
        planned = "" if self._ledger.planned is None else f" of {self._ledger.planned}"
        command = finish_command(self._sweep.yaml.source, self._directory)
        name = self._interruption.signum.name
        return f"stopped by {name} with {self._progress.done}{planned} runs done; continue with: {command}"

    def _end_all(self) -> None:
        """Leave no run behind where the sweep ends with an error."""
        for active in self._active.values():
            active.stop("")
        deadline = time.monotonic() + 2 * KILL_DELAY
        for active in self._active.values():
            while (ended := active.ended(signal.SIGTERM)) is None and time.monotonic() < deadline:
                time.sleep(_POLL_SECONDS)
            if ended:  # else it stays "running": the next call ends it
                with suppress(OSError):  # on a full disk too: the next call then runs it again
                    self._record(ended)
