"""How far a step has got, on stderr: bars and lines for terminals, which disappear at the end."""

import shutil
import sys
import time
from types import TracebackType
from typing import Self, TextIO

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
from selector.text import printable

_AFTER_SECONDS = 0.5  # what is read sooner needs no bar


class StepLine:
    """A line that is overwritten, then disappears; nothing without a terminal. Use it as a context."""

    def __init__(self, quiet: bool = False, stream: TextIO | None = None) -> None:
        """Nothing is shown before the first text.

        Args:
            quiet: Show nothing at all.
            stream: Where to; None: stderr.
        """
        self._stream = stream or sys.stderr
        self._shown = self._stream.isatty() and not quiet
        self._written = False

    def __enter__(self) -> Self:
        return self

    def __call__(self, text: str) -> None:
        """Shows a text in the place of the last one, cut to the width of the terminal."""
        if self._shown:
            room = shutil.get_terminal_size().columns - 1  # a full line would move the cursor to the next
            self._write(printable(text)[:room])

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._written:
            self._write("")

    def _write(self, text: str) -> None:
        self._written = True
        print(f"\r\x1b[K{text}", end="", file=self._stream, flush=True)


class _Rate(ProgressColumn):
    """Runs per second."""

    def render(self, task: Task) -> Text:
        return Text("" if task.speed is None else f"{task.speed:.3g} runs/s")


class ReadingBar:
    """A bar while runs are read; nothing where stderr is no terminal. Use it as a context."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(file=sys.stderr)
        self._started = time.monotonic()
        self._bar: Progress | None = None

    def __enter__(self) -> Self:
        return self

    def __call__(self, done: int, total: int) -> None:
        """Shows how many of the runs have been read."""
        if self._bar is None:
            if not self._console.is_terminal or time.monotonic() - self._started < _AFTER_SECONDS:
                return
            self._console.width = min(WIDTH, self._console.width)
            self._bar = Progress(
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
            self._bar.add_task("runs", total=None)
            self._bar.start()
        self._bar.update(self._bar.task_ids[0], completed=done, total=total)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
