"""A run that is going: its process, what it has logged so far, and how it ends."""

import signal
import time
from dataclasses import replace
from pathlib import Path

from selector.sweeping.ledger import LedgerRun, Status
from selector.sweeping.objective_history import ObjectiveHistory, offline_files, read_objective
from selector.sweeping.run_process import KILL_DELAY, RunProcess, kill, last_line
from selector.sweeping.sweep_folder import log_path

_READ_SECONDS = 1.0  # as often as W&B is told to write its files


class ActiveRun:
    """Watches one run until it ends.

    Attributes:
        entry: The run in the ledger, as it was started.
        history: What it has logged of the sweep's metric; None before the first look and without a metric.
        stop_reason: Why hyperband ends it, or "".
    """

    def __init__(
        self, entry: LedgerRun, process: RunProcess, directory: Path, log_start: int, metric: str | None
    ) -> None:
        """Begin to watch.

        Args:
            entry: The run in the ledger.
            process: What executes it.
            directory: The sweep folder.
            log_start: Size of its log before it was started.
            metric: The sweep's metric, if it has one.
        """
        self.entry = entry
        self.history: ObjectiveHistory | None = None
        self.stop_reason = ""
        self._process = process
        self._directory = directory
        self._log_start = log_start
        self._metric = metric
        self._kill_at: float | None = None
        self._read_at = time.monotonic() + _READ_SECONDS
        self._sizes: tuple[int, ...] = ()

    def ended(self, interrupted_by: signal.Signals | None) -> LedgerRun | None:
        """How the run ended, for the ledger; None while it is going.

        Args:
            interrupted_by: Signal that the user ended the sweep with, if so.
        """
        exit_status = self._process.poll()
        if exit_status is None:
            if self._kill_at is not None and time.monotonic() >= self._kill_at:
                kill(self._process)
            return None
        self._read()
        status, reason = self._verdict(exit_status, interrupted_by)
        objective = None
        if self.history and status in ("finished", "stopped"):
            objective, reason = self.history.final, reason or self.history.reason
        return replace(
            self.entry, status=status, ended=time.time(), exit_status=exit_status, reason=reason,
            objective=objective, pid=None,
        )  # fmt: skip

    def has_advanced(self) -> bool:
        """Look what it has logged, once a second. True where there are new values of the metric."""
        if self._metric is None or time.monotonic() < self._read_at:
            return False
        self._read_at = time.monotonic() + _READ_SECONDS
        before = self.history.values if self.history else ()
        self._read()
        return self.history is not None and self.history.values != before

    def stop(self, reason: str) -> None:
        """End it early on purpose: SIGTERM, and SIGKILL if that does not help."""
        self.stop_reason = reason
        self._kill_at = time.monotonic() + KILL_DELAY
        self._process.send_signal(signal.SIGTERM)

    def send_signal(self, signum: signal.Signals) -> None:
        """Pass a signal on; SIGKILL goes to everything that the run has started in its group."""
        if signum == signal.SIGKILL:
            kill(self._process)
        else:
            self._process.send_signal(signum)

    def _read(self) -> None:
        if self._metric is None:
            return
        sizes = tuple(path.stat().st_size for path in offline_files(self._directory, self.entry.id))
        if self.history is None or sizes != self._sizes:
            self._sizes = sizes
            self.history = read_objective(self._directory, self.entry.id, self._metric)

    def _verdict(self, exit_status: int, interrupted_by: signal.Signals | None) -> tuple[Status, str]:
        if exit_status == 0:
            return "finished", ""
        if self.stop_reason:
            return "stopped", self.stop_reason
        if interrupted_by is not None:
            return "interrupted", f"stopped by {interrupted_by.name}"
        ending = f"exit status {exit_status}"
        if exit_status < 0:
            ending = f"killed by {_signal_name(-exit_status)}"
        if exit_status == -signal.SIGKILL:
            ending += " (out of memory?)"
        said = last_line(log_path(self._directory, self.entry.id), self._log_start)
        return "failed", f"{ending}: {said}" if said else ending


def _signal_name(number: int) -> str:
    """Real-time signals but the first and the last have no name."""
    return signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
