"""Carries out a W&B sweep without a server: what `wandb agent` and W&B's search do.

Any number of agents, on one machine or on many, share the sweep of a folder or of a database. Each takes the
next run that nobody has taken, watches it, and writes down how it ended. A run whose agent has died is
continued by whoever comes next, from its checkpoint.
"""

import errno
import fcntl
import platform
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from selector.errors import UserError
from selector.files import is_locked
from selector.sweeping.hyperband import runs_to_stop
from selector.sweeping.launch import Launcher, check_program, is_our_train, log_path, with_program
from selector.sweeping.located_yaml import shown
from selector.sweeping.objective import ObjectiveHistory, files_of, read_objective
from selector.sweeping.processes import KILL_DELAY, RunProcess, end_leftover, kill, last_line
from selector.sweeping.search import draw, foreseen, planned_runs
from selector.sweeping.state import (
    JOURNAL,
    Agent,
    Status,
    SweepRun,
    SweepState,
    agent_lock,
    new_id,
    read_sweep,
    write_note,
)
from selector.sweeping.sweep_file import SweepFile, read_sweep_file
from selector.sweeping.train_fields import check_train_fields

if TYPE_CHECKING:
    from selector.sweeping.storage import Ledger

_POLL_SECONDS = 0.05
_READ_SECONDS = 1.0  # as often as W&B is told to write its files
_BEAT_SECONDS = 15.0
LEASE_SECONDS = 60.0  # without a beat for so long, an agent on another machine counts as dead
_FIRST_FAILURES = 3  # as many failures from the start end a sweep, as under W&B's agent


class Interrupted(UserError):
    """The sweep was told to stop; the same call continues it."""

    def __init__(self, message: str, signum: signal.Signals) -> None:
        super().__init__(message)
        self.exit_status = 128 + signum


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
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with _presence(directory) as identity, Interruption() as interruption:
            ledger = _open_ledger(directory, sweep, count, seed, storage)
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
            raise UserError(
                f"the file system of {directory} has no locks ({error.strerror}): mount it with locks, or"
                " name another --directory"
            ) from error
        yield agent
    lock.unlink(missing_ok=True)


def _open_ledger(
    directory: Path, sweep: SweepFile, count: int | None, seed: int | None, storage: str | None
) -> "Ledger":
    """The ledger of a new or a continued sweep.

    Raises:
        UserError: The folder or the database belongs to another sweep, or to something else.
    """
    from selector.sweeping.storage import Ledger  # Optuna takes most of a second

    occupied = (directory / "wandb").exists()
    before = read_sweep(directory)
    problem, advice = "", "use another --directory"
    if before is None and occupied and storage is None:
        problem = "W&B runs but no sweep of selector"
    elif before and before.storage and storage is None:
        problem, advice = f"a sweep that {before.storage} keeps", f"name it with --storage, or {advice}"
    elif before and not before.storage and storage is not None:
        problem, advice = f"a sweep that its {JOURNAL} keeps", f"leave out --storage, or {advice}"
    if problem:
        raise UserError(f"{directory} holds {problem}; {advice}")
    ledger = Ledger(directory, storage, seed or 0, planned_runs(sweep, count), sweep.yaml.data)
    state = ledger.state
    if before and before.id != state.id:
        raise UserError(f"{directory} holds another sweep than {ledger.where}: use another --directory")
    if difference := first_difference(state.sweep_file, sweep.yaml.data, ""):
        raise UserError(
            f"{directory} holds another sweep: {difference}; use another --directory for {sweep.yaml.source}"
        )
    if seed is not None and seed != state.seed:
        raise UserError(
            f"{directory} holds a sweep with seed {state.seed}, got --seed {seed}; use another --directory"
        )
    planned = planned_runs(sweep, state.planned if count is None else count)
    if planned != state.planned:
        ledger.plan(planned)
    if storage is not None:
        write_note(ledger.state, ledger.where)
    if not (directory / "sweep.yaml").exists():
        (directory / "sweep.yaml").write_bytes(sweep.yaml.content)
    return ledger


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


class Interruption:
    """Ctrl-C and other stop signals, counted instead of obeyed inside: the runs must end cleanly first.

    Attributes:
        count: How many came.
        signum: The last one.
    """

    _SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)

    def __init__(self) -> None:
        self.count = 0
        self.signum = signal.SIGINT
        self._handlers: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "Interruption":
        # Python lets only the main thread take signals; elsewhere whoever owns them decides.
        if threading.current_thread() is threading.main_thread():
            for signum in self._SIGNALS:
                if signal.getsignal(signum) is not signal.SIG_IGN:  # as nohup does
                    self._handlers[signum] = signal.signal(signum, self._notice)
        return self

    def __exit__(self, *_: object) -> None:
        for signum, handler in self._handlers.items():
            signal.signal(signum, handler)

    def _notice(self, signum: int, _: FrameType | None) -> None:
        self.count += 1
        self.signum = signal.Signals(signum)

    @property
    def signal_for_runs(self) -> signal.Signals:
        """What the runs are sent: Ctrl-C as it is, SIGTERM for any other or a second signal, then SIGKILL."""
        match self.count, self.signum:
            case 1, signal.SIGINT | signal.SIGHUP:
                return self.signum
            case 1 | 2, _:
                return signal.SIGTERM
            case _:
                return signal.SIGKILL


@dataclass
class _ActiveRun:
    """A run that this agent carries out.

    Attributes:
        run: As it was started.
        process: What executes it.
        log_start: Size of its log before it was started.
        history: What it has logged of the sweep's metric.
        stop_reason: Why hyperband ends it, or "".
        kill_at: When patience with it ends, or None.
    """

    run: SweepRun
    process: RunProcess
    log_start: int
    history: ObjectiveHistory = field(default_factory=ObjectiveHistory)
    stop_reason: str = ""
    kill_at: float | None = None
    sizes: tuple[int, ...] = ()

    def look(self, directory: Path, metric: str | None) -> bool:
        """Read what it has logged. True where there are new values of the metric."""
        sizes = tuple(path.stat().st_size for path in files_of(directory, self.run.id)) if metric else ()
        if metric is None or sizes == self.sizes:
            return False
        before, self.sizes = self.history.values, sizes
        self.history = read_objective(directory, self.run.id, metric)
        return self.history.values != before

    def stop(self, reason: str) -> None:
        """End it early on purpose: SIGTERM, and SIGKILL if that does not help."""
        self.stop_reason, self.kill_at = reason, time.monotonic() + KILL_DELAY
        self.process.send_signal(signal.SIGTERM)


class _Agent:
    """One call of run_sweep."""

    def __init__(
        self,
        sweep: SweepFile,
        ledger: "Ledger",
        launcher: Launcher,
        interruption: Interruption,
        reporter: Reporter,
        identity: Agent,
    ) -> None:
        self._sweep = sweep
        self._ledger = ledger
        self._launcher = launcher
        self._interruption = interruption
        self._reporter = reporter
        self._identity = identity
        self._directory = ledger.state.directory
        self._active: dict[int, _ActiveRun] = {}  # by index
        self._forwarded = 0  # signals passed on to the runs
        self._failures = 0  # in a row
        self._metric = sweep.objective.name if sweep.objective else None
        self._trials_before = ledger.trials
        self._beats: dict[int, tuple[int, int, float]] = {}  # other agents' trials: first, last, since
        self._read_at = self._beat_at = self._next_at = 0.0

    def run(self, jobs: int, warm: bool) -> SweepState:
        """Run what is left of the sweep, `jobs` runs at the same time, forked if `warm` allows it."""
        for warning in self._sweep.warnings:
            self._reporter.note(warning)
        self._reporter.sweep_started(self._ledger.state)
        to_warm = warm
        try:
            while True:
                while len(self._active) < jobs and not self._stopping and (todo := self._next()):
                    if to_warm and not self._launcher.warm_up(lambda: self._interruption.count > 0):
                        self._reporter.note(
                            "importing once for all runs failed, so every run imports by itself"
                        )
                    to_warm = False
                    if not self._stopping:
                        self._start(todo)
                if not self._active and (self._stopping or not self._undecided()):
                    break
                self._watch()
        finally:
            self._end_all()
        state = self._ledger.refresh()
        if self._interruption.count and not (state.complete and state.planned is not None):
            of = "" if state.planned is None else f" of {state.planned}"
            signum = self._interruption.signum
            how_far = f"stopped by {signum.name} with {state.done}{of} runs done"
            raise Interrupted(f"{how_far}; the same command continues", signum)
        return state

    @property
    def _stopping(self) -> bool:
        """Whether no further run is started: interrupted, or the metric's target is reached."""
        best, objective = self._ledger.state.best, self._sweep.objective
        reached = objective and best and best.objective is not None and objective.reached(best.objective)
        return self._interruption.count > 0 or bool(reached)

    # Which run is next

    def _next(self) -> SweepRun | str | None:
        """A run to take up again, or "new", or None. Interrupted ones come first, failed ones last."""
        if time.monotonic() < self._next_at:  # there was nothing a moment ago
            return None
        state = self._ledger.refresh()
        runs = self._asked_for(state)
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

    def _asked_for(self, state: SweepState) -> list[SweepRun]:
        return [run for run in state.runs if state.planned is None or run.index < state.planned]

    def _is_dead(self, run: SweepRun) -> bool:
        """Whether the agent that carries out a run is gone.

        Its lock tells on one machine. From other machines its beats are watched, by this machine's clock
        alone: clocks may differ.
        """
        assert run.agent is not None
        lock = agent_lock(self._directory, run.agent.name)
        if run.agent.name == self._identity.name or is_locked(lock):
            return False
        if run.agent.machine == self._identity.machine and lock.exists():
            return True
        now = time.monotonic()
        first, last, since = self._beats.setdefault(run.number, (run.beat, run.beat, now))
        if run.beat != last:
            last, since = run.beat, now
        self._beats[run.number] = (first, last, since)
        return now - since > LEASE_SECONDS and not is_locked(log_path(self._directory, run.id))

    def _undecided(self) -> bool:
        """Whether some run has lost its agent, or may have: no beat of it was seen for now."""
        for run in self._asked_for(self._ledger.state):
            if run.status == "running" and run.agent and run.agent.name != self._identity.name:
                first, last, _ = self._beats.get(run.number, (0, 1, 0.0))
                if self._is_dead(run) or first == last:
                    return True
        return False

    # The runs of this agent

    def _start(self, todo: SweepRun | str) -> None:
        if isinstance(todo, str):
            run: SweepRun | None = self._ledger.begin_next(self._identity)
        else:
            run = self._ledger.begin_again(todo, self._identity)
        if run is None:  # another agent was quicker
            return
        state = self._ledger.state
        if state.planned is not None and run.index >= state.planned:
            self._ledger.end(run, "interrupted", "not needed", None, None)
            return
        if isinstance(todo, SweepRun) and todo.status == "running" and todo.agent:
            self._end_leftover(todo, run)
        if not run.config:
            others = [other for other in state.runs if other.index != run.index]
            config, coordinates = draw(self._sweep, others, state.seed, run.index)
            run = self._ledger.note(run, config=config, coordinates=coordinates)
        log = log_path(self._directory, run.id)
        log_start = log.stat().st_size if log.exists() else 0
        try:
            process = self._launcher.start(run)
        except OSError as error:
            self._finish(run, "failed", f"cannot be started: {error}", None, None)
            return
        self._active[run.index] = _ActiveRun(run, process, log_start)
        run = self._active[run.index].run = self._ledger.note(run, pid=process.pid)
        self._reporter.run_started(run, self._ledger.state)

    def _end_leftover(self, before: SweepRun, run: SweepRun) -> None:
        """End the process that a killed agent has left on this machine."""
        assert before.agent is not None
        if before.agent.machine == self._identity.machine:
            try:
                end_leftover(log_path(self._directory, run.id), before.pid)
            except UserError as error:
                self._ledger.end(run, "interrupted", str(error), None, None)
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
            if active.look(self._directory, self._metric):
                self._report(active)
                self._reporter.run_advanced(active.run, active.history.values)
            if beat:
                active.run = self._ledger.note(active.run, beat=active.run.beat + 1)
        for active in [a for a in self._active.values() if not self._is_mine(a.run)]:
            kill(active.process)
            del self._active[active.run.index]
            self._reporter.note(f"{active.run.id} was taken over by another agent: this one was out of reach")

    def _is_mine(self, run: SweepRun) -> bool:
        return self._ledger.state.runs[run.index].number == run.number

    def _report(self, active: _ActiveRun) -> None:
        if self._sweep.early_terminate or self._sweep.method == "bayes":
            self._ledger.report(active.run, active.history.values)

    def _take_end(self, active: _ActiveRun, exit_status: int) -> None:
        del self._active[active.run.index]
        self._next_at = 0.0
        active.look(self._directory, self._metric)
        self._report(active)
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
        if self._interruption.count:
            return "interrupted", f"stopped by {self._interruption.signum.name}"
        ending = f"exit status {exit_status}"
        if exit_status < 0:  # real-time signals but the first and the last have no name
            named = -exit_status in set(signal.Signals)
            ending = f"killed by {signal.Signals(-exit_status).name if named else f'signal {-exit_status}'}"
        if exit_status == -signal.SIGKILL:
            ending += " (out of memory?)"
        said = last_line(log_path(self._directory, active.run.id), active.log_start)
        return "failed", f"{ending}: {said}" if said else ending

    def _finish(
        self, run: SweepRun, status: Status, reason: str, exit_status: int | None, objective: float | None
    ) -> None:
        run = self._ledger.end(run, status, reason, exit_status, objective)
        self._reporter.run_ended(run, self._ledger.state)
        self._failures = 0 if status != "failed" else self._failures + (run.failures == 1)
        if self._failures == _FIRST_FAILURES and not self._ledger.state.done:
            raise UserError(
                f"the first {_FIRST_FAILURES} runs failed, the last one: {reason}"
                f" (all of it in {log_path(self._directory, run.id)})"
            )

    def _stop_bad_runs(self) -> None:
        hyperband, objective = self._sweep.early_terminate, self._sweep.objective
        if hyperband is None or objective is None or self._interruption.count:
            return
        going = {a.run.id: a for a in self._active.values() if not a.stop_reason}
        histories = {run.id: run.values for run in self._ledger.refresh().runs}
        for run, reason in runs_to_stop(
            histories, going.keys(), hyperband, objective.goal == "maximize"
        ).items():
            going[run].stop(reason)

    def _forward_interruption(self) -> None:
        if self._interruption.count == self._forwarded:
            return
        self._forwarded = self._interruption.count
        signum = self._interruption.signal_for_runs
        for active in self._active.values():
            if signum == signal.SIGKILL:
                kill(active.process)  # and everything that it has started in its group
            else:
                active.process.send_signal(signum)
        if self._active and signum != signal.SIGKILL:
            self._reporter.note("waiting for what is running to end; press Ctrl-C again to stop waiting")

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
                    self._ledger.end(active.run, status, "the sweep ended", exit_status, active.history.final)
