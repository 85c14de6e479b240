"""A sweep's progress on the terminal."""

from collections.abc import Sequence
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from selector.reports.sparkline import sparkline
from selector.reports.tables import WIDTH, settings_of
from selector.sweeping.ledger import LedgerRun
from selector.sweeping.reporter import SweepProgress
from selector.text import printable


class SweepBar:
    """A progress bar on stderr, and a line for each run that has ended. Use it as a context."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True, highlight=False, markup=False, emoji=False)
        self._console.width = min(WIDTH, self._console.width)
        self._bar = Progress(
            TextColumn("runs"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[best]}", markup=False),
            console=self._console,
        )
        self._task: TaskID | None = None

    def __enter__(self) -> "SweepBar":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:  # else nothing was drawn, and nothing shall be
            self._bar.stop()

    def sweep_started(self, progress: SweepProgress) -> None:
        """Shows what earlier calls have already done."""
        self._bar.start()
        self._task = self._bar.add_task(
            "runs", total=progress.ledger.planned, completed=progress.done, best=""
        )
        self.note(f"sweep {progress.ledger.sweep} in {progress.directory}")
        if progress.done:
            self.note(f"{progress.done} runs were done before")
        self._show(progress)

    def run_started(self, run: LedgerRun, progress: SweepProgress) -> None:
        """Says which hyperparameters are tried."""
        self.note(f"{run.id} started: {settings_of(_varied(run, progress))}")
        self._show(progress)

    def run_advanced(self, run: LedgerRun, values: Sequence[float]) -> None:
        """Draws the sweep's metric of the run that is going."""
        if self._task is not None:
            self._bar.update(self._task, best=f"{run.id} {sparkline(values)}")

    def run_ended(self, run: LedgerRun, progress: SweepProgress) -> None:
        """Says how the run ended."""
        score = "" if run.objective is None else f", {run.objective:.4g}"
        self.note(f"{run.id} {run.status}{score}" + (f": {run.reason}" if run.reason else ""))
        self._show(progress)

    def note(self, text: str) -> None:
        """One line above the bar."""
        self._console.print(Text(printable(text)))

    def _show(self, progress: SweepProgress) -> None:
        if self._task is not None:
            best = progress.best
            line = f"best {best.objective:.4g}" if best and best.objective is not None else ""
            self._bar.update(self._task, completed=progress.done, best=line)


def _varied(run: LedgerRun, progress: SweepProgress) -> dict[str, Any]:
    """The run's hyperparameters without those that the sweep file gives one `value`."""
    parameters = progress.ledger.sweep_file.get("parameters", {})
    return {k: v for k, v in run.config.items() if "value" not in (parameters.get(k) or {})}
