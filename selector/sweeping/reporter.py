"""What a sweep says about itself while it runs; the command line draws it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from selector.sweeping.ledger import Ledger, LedgerRun
from selector.sweeping.sweep_file import Objective


@dataclass(frozen=True)
class SweepProgress:
    """Where a sweep stands.

    Attributes:
        directory: The sweep folder.
        ledger: Sweep id, planned number of runs, and all runs so far.
        objective: The sweep's metric, or None.
    """

    directory: Path
    ledger: Ledger
    objective: Objective | None

    @property
    def runs(self) -> tuple[LedgerRun, ...]:
        """All runs so far, ordered by index."""
        return self.ledger.runs

    @property
    def done(self) -> int:
        """Number of runs that are over for good, hyperband's stopped ones included."""
        return sum(run.done for run in self.runs)

    @property
    def failed(self) -> int:
        """Number of runs that failed and were not yet repeated."""
        return sum(run.status == "failed" for run in self.runs)

    @property
    def best(self) -> LedgerRun | None:
        """The run with the best objective so far; None without an objective or a value of it."""
        scored = [(run.objective, run) for run in self.runs if run.done and run.objective is not None]
        if self.objective is None or not scored:
            return None
        choose = min if self.objective.goal == "minimize" else max
        return choose(scored, key=lambda pair: pair[0])[1]


class Reporter(Protocol):
    """Receives events in the agent's own thread; must return quickly."""

    def sweep_started(self, progress: SweepProgress) -> None:
        """Before the first run of this call; earlier calls may have left runs."""

    def run_started(self, run: LedgerRun, progress: SweepProgress) -> None:
        """A run's process was started."""

    def run_advanced(self, run: LedgerRun, values: Sequence[float]) -> None:
        """A run that is going has logged the sweep's metric again; `values` are all so far."""

    def run_ended(self, run: LedgerRun, progress: SweepProgress) -> None:
        """A run has ended; `run.status` and `run.reason` say how."""

    def note(self, text: str) -> None:
        """One line that the user should see, such as a warning about the sweep file."""


class SilentReporter:
    """Says nothing."""

    def sweep_started(self, progress: SweepProgress) -> None:
        """Nothing."""

    def run_started(self, run: LedgerRun, progress: SweepProgress) -> None:
        """Nothing."""

    def run_advanced(self, run: LedgerRun, values: Sequence[float]) -> None:
        """Nothing."""

    def run_ended(self, run: LedgerRun, progress: SweepProgress) -> None:
        """Nothing."""

    def note(self, text: str) -> None:
        """Nothing."""
