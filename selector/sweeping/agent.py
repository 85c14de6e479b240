"""Carries out a W&B sweep without a server: what `wandb agent` and W&B's search do.

Any number of agents, on one machine or on many, share the sweep of a folder or of a database. Each takes the
next run that nobody has taken, watches it, and writes down how it ended. A run whose agent has died is
continued by whoever comes next, from its checkpoint.
"""

import errno
import fcntl
import platform
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from selector.errors import UserError
from selector.files import is_locked
from selector.sweeping.hyperband import runs_to_stop
from selector.sweeping.launch import Launcher, check_program, is_our_train, log_path, with_program
from selector.sweeping.objective import ObjectiveHistory, files_of, read_objective
from selector.sweeping.processes import (
    KILL_DELAY,
    Interrupted,
    Interruption,
    RunProcess,
    end_leftover,
    ending,
    kill,
    last_line,
)
from selector.sweeping.search import draw, foreseen, planned_runs
from selector.sweeping.state import Agent, Status, SweepRun, SweepState, agent_lock, new_id, read_sweep
from selector.sweeping.sweep_file import SweepFile, read_sweep_file
from selector.sweeping.train_fields import check_train_fields

if TYPE_CHECKING:
    from selector.sweeping.storage import Ledger

_POLL_SECONDS = 0.05
_READ_SECONDS = 1.0  # as often as W&B is told to write its files
_BEAT_SECONDS = 15.0
LEASE_SECONDS = 60.0  # without a beat for so long, an agent on another machine counts as dead
_FIRST_FAILURES = 3  # as many failures from the start end a sweep, as under W&B's agent


class Reporter:
    """Is told what happens, in the agent's own thread, and must return quickly. This one says nothing."""

    def sweep_started(self, state: SweepState) -> None:
        """Before the first run of this call; earlier calls may have left runs."""

    def run_started(self, run: SweepRun, state: SweepState) -> None:
        """A run's process was started."""

    def run_advanced(self, run: SweepRun, values: Sequence[float]) -> None:
        """A running run has logged the sweep's metric again; `values` are all so far."""

    def run_ended(self, run: SweepRun, state: SweepState) -> None:
        """A run has ended; `run.status` and `run.reason` say how."""

    def note(self, text: str) -> None:
        """One line that the user should see, such as a warning about the sweep file."""


def run_sweep(
    file: Path,
    directory: Path,
    count: int | None = None,
    jobs: int = 1,
    seed: int | None = None,
    reporter: Reporter | None = None,
    warm: bool = True,
    storage: str | None = None,
) -> SweepState:
    """Run a W&B sweep file, or continue where earlier calls stopped, beside others at work on it now.

    Runs that finished, or that hyperband stopped, are never run again. An interrupted run is run again
    under its own id. So is a failed one, at the end: once, and once more in each later call.

    Args:
        file: W&B sweep file.
        directory: Sweep folder: ledger, logs, checkpoints and offline W&B runs.
        count: Runs that the sweep is to have in all, over all calls. None: what an earlier call said, else
            what the file says (a whole grid, or run_cap), else no end.
        jobs: Runs of this call at the same time; they share the cores.
        seed: Of the search. None: that of an earlier call, else 0.
        reporter: Is told what happens.
        warm: False imports everything anew in each run, as W&B's agent would.
        storage: URL of a database that keeps the ledger; None: a journal in the folder does.

    Raises:
        UserError: The sweep cannot be run, or its first runs all failed.
        Interrupted: It was told to stop.
    """
    if count is not None and count < 1:
        raise UserError(f"--count must be at least 1, got {count}")
    if jobs < 1:
        raise UserError(f"--jobs must be at least 1, got {jobs}")
    sweep = with_program(read_sweep_file(file))
    directory = directory.resolve()
    check_program(sweep)  # before anything is written
    if is_our_train(sweep) and read_sweep(directory) is None:
        check_train_fields(sweep, foreseen(sweep, seed or 0, planned_runs(sweep, count)))
    from selector.sweeping.storage import open_ledger  # Optuna takes most of a second

    try:
        directory.mkdir(parents=True, exist_ok=True)
        with _presence(directory) as identity, Interruption() as interruption:
            ledger = open_ledger(directory, sweep, count, seed, storage)
            launcher = Launcher(sweep, directory, ledger.state.id, jobs)
            agent = _Agent(sweep, ledger, launcher, interruption, reporter or Reporter(), identity)
            return agent.run(jobs, warm)
    except OSError as error:
        mend = "make room" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "once that is fixed"
        raise UserError(
            f"cannot use {directory}: {error.strerror or error}; what was written is intact: {mend}, and the"
            " same command continues the sweep"
        ) from error


@contextmanager
def _presence(directory: Path) -> Iterator[Agent]:
    """An identity for this process, and a lock that says that it lives; the system drops it at its end."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    machine = boot.read_text().strip() if boot.exists() else platform.node()
    agent = Agent(new_id(), machine)
    lock = agent_lock(directory, agent.name)
    lock.parent.mkdir(exist_ok=True)
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX)  # others only look at it, for a moment
        except OSError as error:
            lock.unlink()
            raise UserError(
                f"the file system of {directory} has no locks ({error.strerror}): mount it with locks, or"
                " name another --directory"
            ) from error
        yield agent
    lock.unlink(missing_ok=True)  # after an error it stays, and shows at once that its agent is gone


@dataclass
class _ActiveRun:
    """A run that this agent carries out."""

    run: SweepRun
    process: RunProcess
    log_start: int  # size of its log before it was started
    history: ObjectiveHistory = field(default_factory=ObjectiveHistory)
    stop_reason: str = ""  # why hyperband ends it
    kill_at: float | None = None  # when patience with it ends
    sizes: tuple[int, ...] = ()  # of the files that it logs to

    def look(self, directory: Path, metric: str) -> bool:
        """Read what it has logged. True where there are new values of the metric."""
        sizes = tuple(path.stat().st_size for path in files_of(directory, self.run.id))
        if sizes == self.sizes:
            return False
        before, self.sizes = self.history.values, sizes
        self.history = read_objective(directory, self.run.id, metric)
        return self.history.values != before

    def stop(self, reason: str) -> None:
        """End it early on purpose: SIGTERM, and SIGKILL if that does not help."""
        self.stop_reason, self.kill_at = reason, time.monotonic() + KILL_DELAY
        self.process.send_signal(signal.SIGTERM)


@dataclass
class _Agent:
    """One call of run_sweep."""

    sweep: SweepFile
    ledger: "Ledger"
    launcher: Launcher
    interruption: Interruption
    reporter: Reporter
    identity: Agent
    _active: dict[int, _ActiveRun] = field(default_factory=dict)  # by index
    _pulses: dict[int, tuple[int, float, bool]] = field(default_factory=dict)  # of others: see _is_dead
    _forwarded: int = 0  # signals passed on to the runs
    _failures: int = 0  # in a row
    _read_at: float = 0.0
    _beat_at: float = 0.0
    _next_at: float = 0.0

    def __post_init__(self) -> None:
        self._directory = self.ledger.state.directory
        self._metric = self.sweep.metric.name if self.sweep.metric else None
        self._trials_before = self.ledger.trials

    def run(self, jobs: int, warm: bool) -> SweepState:
        """Run what is left of the sweep, `jobs` runs at the same time, forked if `warm` allows it."""
        for warning in self.sweep.warnings:
            self.reporter.note(warning)
        self.reporter.sweep_started(self.ledger.state)
        try:
            while True:
                while len(self._active) < jobs and not self._stopping and (todo := self._next()):
                    if warm:
                        warm = False
                        self._warm_up()  # which takes its time
                    else:
                        self._start(todo)
                if not self._active and (self._stopping or not self._undecided()):
                    break
                self._watch()
        finally:
            self._end_all()
        state = self.ledger.refresh()
        if self.interruption.count and not (state.complete and state.planned is not None):
            of = "" if state.planned is None else f" of {state.planned}"
            signum = self.interruption.signum
            how_far = f"stopped by {signum.name} with {state.done}{of} runs done"
            raise Interrupted(f"{how_far}; the same command continues", signum)
        return state

    def _warm_up(self) -> None:
        if not self.launcher.warm_up(lambda: self.interruption.count > 0):
            self.reporter.note("importing once for all runs failed, so every run imports by itself")

    @property
    def _stopping(self) -> bool:
        """Whether no further run is started: interrupted, or the metric's target is reached."""
        best, objective = self.ledger.state.best, self.sweep.metric
        reached = objective and best and best.objective is not None and objective.reached(best.objective)
        return self.interruption.count > 0 or bool(reached)

    # Which run is next

    def _next(self) -> SweepRun | Literal["new"] | None:
        """The next run: interrupted runs come first, failed ones last. None if there is nothing to do now."""
        if time.monotonic() < self._next_at:  # there was nothing a moment ago
            return None
        state = self.ledger.refresh()
        runs = _asked_for(state)
        for run in runs:
            if run.status == "interrupted" or (run.status == "running" and self._is_dead(run)):
                return run
        if state.planned is None or len(state.runs) < state.planned:
            return "new"
        for run in runs:
            if run.status == "failed" and (run.failures == 1 or run.number < self._trials_before):
                return run
        self._next_at = time.monotonic() + _READ_SECONDS
        return None

    def _is_dead(self, run: SweepRun) -> bool:
        """Whether the agent that carries out a run is gone.

        On its own machine its lock tells. From others its beats are watched by this machine's clock alone,
        since clocks may differ: what the last beat was, since when, and whether one was seen.
        """
        assert run.agent is not None
        locked = is_locked(agent_lock(self._directory, run.agent.name))
        if run.agent == self.identity or locked:
            return False
        if locked is False and run.agent.machine == self.identity.machine:
            return True
        now = time.monotonic()
        beat, since, beating = self._pulses.get(run.number, (run.beat, now, False))
        if run.beat != beat:
            beat, since, beating = run.beat, now, True
        self._pulses[run.number] = beat, since, beating
        return now - since > LEASE_SECONDS and not is_locked(log_path(self._directory, run.id))

    def _undecided(self) -> bool:
        """Whether some run has lost its agent, or may have: no beat of it was seen for now."""
        others = [
            run
            for run in _asked_for(self.ledger.state)
            if run.status == "running" and run.agent != self.identity
        ]
        dead = [self._is_dead(run) for run in others]
        return any(dead) or any(not self._pulses.get(run.number, (0, 0, True))[2] for run in others)

    # The runs of this agent

    def _start(self, todo: SweepRun | Literal["new"]) -> None:
        before = None if todo == "new" else todo
        run = self.ledger.begin(self.identity, before)
        if run is None:  # another agent was quicker
            return
        if before and before.status == "running":
            self._end_leftover(before, run)
        if not run.config:
            state = self.ledger.state
            others = [other for other in state.runs if other.index != run.index]
            config, coordinates = draw(self.sweep, others, state.seed, run.index)
            run = self.ledger.note(run, config=config, coordinates=coordinates)
        log = log_path(self._directory, run.id)
        log_start = log.stat().st_size if log.exists() else 0
        try:
            process = self.launcher.start(run)
        except OSError as error:
            self._finish(run, "failed", f"cannot be started: {error}", None, None)
            return
        self._active[run.index] = _ActiveRun(run, process, log_start)
        run = self._active[run.index].run = self.ledger.note(run, pid=process.pid)
        self.reporter.run_started(run, self.ledger.state)

    def _end_leftover(self, before: SweepRun, run: SweepRun) -> None:
        """End the process that a killed agent has left on this machine."""
        if before.agent and before.agent.machine == self.identity.machine:
            try:
                end_leftover(log_path(self._directory, run.id), before.pid)
            except UserError as error:
                self.ledger.end(run, "interrupted", str(error))
                raise

    def _watch(self) -> None:
        time.sleep(_POLL_SECONDS)
        self._forward_interruption()
        now = time.monotonic()
        for active in list(self._active.values()):
            exit_status = active.process.poll()
            if exit_status is not None:
                self._take_end(active, exit_status)
            elif active.kill_at is not None and now >= active.kill_at:
                kill(active.process)
        if now >= self._read_at:
            self._read_at = now + _READ_SECONDS
            self._read_all()
            self._stop_bad_runs()

    def _read_all(self) -> None:
        beat = time.monotonic() >= self._beat_at
        if beat:
            self._beat_at = time.monotonic() + _BEAT_SECONDS
        for active in list(self._active.values()):
            if self._look(active):
                self.reporter.run_advanced(active.run, active.history.values)
            if beat:
                active.run = self.ledger.note(active.run, beat=active.run.beat + 1)
            if self.ledger.state.runs[active.run.index].number != active.run.number:
                kill(active.process)
                del self._active[active.run.index]
                reason = "was taken over by another agent: this one was out of reach"
                self.reporter.note(f"{active.run.id} {reason}")

    def _look(self, active: _ActiveRun) -> bool:
        """Read what a run has logged, and tell the other agents. True if it is new."""
        if not self._metric or not active.look(self._directory, self._metric):
            return False
        if self.sweep.early_terminate or self.sweep.method == "bayes":
            self.ledger.report(active.run, active.history.values)
        return True

    def _take_end(self, active: _ActiveRun, exit_status: int) -> None:
        del self._active[active.run.index]
        self._next_at = 0.0
        self._look(active)
        status, reason = self._verdict(active, exit_status)
        objective = None
        if self._metric and status in ("finished", "stopped"):
            objective, reason = active.history.final, reason or active.history.reason
        self._finish(active.run, status, reason, exit_status, objective)

    def _verdict(self, active: _ActiveRun, exit_status: int) -> tuple[Status, str]:
        if exit_status == 0:
            return "finished", ""
        if active.stop_reason:
            return "stopped", active.stop_reason
        if self.interruption.count:
            return "interrupted", f"stopped by {self.interruption.signum.name}"
        said = last_line(log_path(self._directory, active.run.id), active.log_start)
        return "failed", ": ".join(filter(None, (ending(exit_status), said)))

    def _finish(
        self, run: SweepRun, status: Status, reason: str, exit_status: int | None, objective: float | None
    ) -> None:
        run = self.ledger.end(run, status, reason, exit_status, objective)
        self.reporter.run_ended(run, self.ledger.state)
        self._failures = 0 if status != "failed" else self._failures + (run.failures == 1)
        if self._failures == _FIRST_FAILURES and not self.ledger.state.done:
            raise UserError(
                f"the first {_FIRST_FAILURES} runs failed, the last one: {reason}"
                f" (all of it in {log_path(self._directory, run.id)})"
            )

    def _stop_bad_runs(self) -> None:
        hyperband, objective = self.sweep.early_terminate, self.sweep.metric
        if hyperband is None or objective is None or self.interruption.count:
            return
        going = {a.run.id: a for a in self._active.values() if not a.stop_reason}
        histories = {run.id: run.values for run in self.ledger.refresh().runs}
        stopped = runs_to_stop(histories, going.keys(), hyperband, objective.goal == "maximize")
        for run, reason in stopped.items():
            going[run].stop(reason)

    def _forward_interruption(self) -> None:
        if self.interruption.count == self._forwarded:
            return
        self._forwarded = self.interruption.count
        signum = self.interruption.signal_for_runs
        for active in self._active.values():
            if signum == signal.SIGKILL:
                kill(active.process)  # and everything that it has started in its group
            else:
                active.process.send_signal(signum)
        if self._active and signum != signal.SIGKILL:
            self.reporter.note("waiting for what is running to end; press Ctrl-C again to stop waiting")

    def _end_all(self) -> None:
        """Leave no run behind where the sweep ends with an error."""
        for active in self._active.values():
            active.stop("")
        deadline = time.monotonic() + 2 * KILL_DELAY
        for active in self._active.values():
            while (exit_status := active.process.poll()) is None and time.monotonic() < deadline:
                if active.kill_at is not None and time.monotonic() >= active.kill_at:
                    kill(active.process)
                time.sleep(_POLL_SECONDS)
            if exit_status is not None:  # else it stays "running": the next call ends it
                status: Status = "finished" if exit_status == 0 else "interrupted"
                with suppress(OSError, UserError):  # on a full disk too: the next call then runs it again
                    self.ledger.end(active.run, status, "the sweep ended", exit_status, active.history.final)


def _asked_for(state: SweepState) -> list[SweepRun]:
    return [run for run in state.runs if state.planned is None or run.index < state.planned]
