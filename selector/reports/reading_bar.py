"""How far the reading of runs has got, on the terminal."""

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from selector.reports.tables import WIDTH

_AFTER_SECONDS = 0.5  # what is read sooner needs no bar


class _Rate(ProgressColumn):
    """Runs a second."""

    def render(self, task: Task) -> Text:
        return Text("" if task.speed is None else f"{task.speed:.3g} runs/s")


class ReadingBar:
    """A bar on stderr that is gone in the end; nothing where stderr is no terminal. Use it as a context."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(file=sys.stderr)
        self._started = time.monotonic()
        self._bar: Progress | None = None

    def __enter__(self) -> "ReadingBar":
        return self

    def __call__(self, done: int, total: int) -> None:
        """Says that so many runs of so many are read."""
        if self._bar is None:
            if not self._console.is_terminal or time.monotonic() - self._started < _AFTER_SECONDS:
                return
            self._bar = self._new_bar()
            self._bar.start()
        self._bar.update(self._bar.task_ids[0], completed=done, total=total)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def _new_bar(self) -> Progress:
        self._console.width = min(WIDTH, self._console.width)
        bar = Progress(
            TextColumn("reading runs"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            _Rate(),
            TimeRemainingColumn(),
            TextColumn("left"),
            console=self._console,
            transient=True,
            refresh_per_second=4,
        )
        bar.add_task("runs", total=None)
        return bar
