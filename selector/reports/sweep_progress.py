"""A sweep's progress on the terminal."""

from collections.abc import Sequence
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from selector.reports.progress import TimeLeft
from selector.reports.tables import WIDTH
from selector.reports.words import settings_of, sparkline
from selector.sweeping.agent import Reporter
from selector.sweeping.state import SweepRun, SweepState
from selector.text import counted, printable


class SweepBar(Reporter):
    """A progress bar on stderr, and one line per run that starts or ends. Use it as a context."""

    def __init__(self, console: Console | None = None, quiet: bool = False) -> None:
        """Nothing is drawn before the sweep starts.

        Args:
            console: Where to; None: stderr.
            quiet: Print only errors.
        """
        self._quiet = quiet
        self._console = console or Console(stderr=True, highlight=False, markup=False, emoji=False)
        self._console.width = min(WIDTH, self._console.width)
        self._bar = Progress(
            TextColumn("runs"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeLeft(),
            TextColumn("{task.fields[best]}{task.fields[going]}", markup=False),
            console=self._console,
            disable=quiet,
        )
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._task is not None:  # else nothing was drawn, and nothing shall be
            self._bar.update(self._task, going="")
            self._bar.stop()

    def sweep_started(self, state: SweepState) -> None:
        """Shows what earlier calls have already done."""
        self._bar.start()
        shown: dict[str, Any] = {"best": "", "going": "", "before": state.done, "ended": 0.0}
        self._task = self._bar.add_task("runs", total=state.planned, completed=state.done, **shown)
        self._say(f"sweep {state.id} in {state.directory}")
        if state.done:
            of = f" of {counted(state.planned, 'run')}" if state.planned else ""
            self._say(f"done before: {state.done}{of}")
        self._show(state)

    def run_started(self, run: SweepRun, state: SweepState) -> None:
        """Says which hyperparameters are tried."""
        varied = settings_of(_varied(run, state))
        self._say(f"{run.id} started{': ' if varied else ''}{varied}")
        self._show(state)

    def run_advanced(self, run: SweepRun, values: Sequence[float]) -> None:
        """Draws the sweep's metric of the run that is going."""
        if self._task is not None:
            self._bar.update(self._task, going=f" {run.id} {sparkline(values)}")

    def run_ended(self, run: SweepRun, state: SweepState) -> None:
        """Says how the run ended."""
        score = "" if run.objective is None else f"{_metric(state)} {run.objective:.4g}"
        tell = self.note if run.status == "failed" else self._say
        tell(": ".join(part for part in (f"{run.id} {run.status}", score, run.reason) if part))
        self._show(state)

    def note(self, text: str) -> None:
        """One line above the bar; it is shown even with --quiet."""
        self._console.print(Text(printable(text)))

    def _say(self, text: str) -> None:
        if not self._quiet:
            self.note(text)

    def _show(self, state: SweepState) -> None:
        if self._task is not None:
            score = state.best.objective if state.best else None
            line = "" if score is None else f"best {_metric(state)} {score:.4g}"
            self._bar.update(self._task, completed=state.done, best=line, going="")
            self._bar.update(self._task, ended=self._bar.tasks[0].elapsed or 0.0)


def _metric(state: SweepState) -> str:
    return str(state.sweep_file.get("metric", {}).get("name", "")).rpartition("/")[2]


def _varied(run: SweepRun, state: SweepState) -> dict[str, Any]:
    """The run's hyperparameters without those that the sweep file gives one `value`."""
    parameters = state.sweep_file.get("parameters", {})
    return {k: v for k, v in run.config.items() if "value" not in (parameters.get(k) or {})}
