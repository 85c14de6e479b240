"""How far a step has got, on stderr: lines and bars for terminals, which disappear at the end."""

import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

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


@contextmanager
def step_line(quiet: bool = False, stream: TextIO | None = None) -> Iterator[Callable[[str], None]]:
    """A function that shows a text in place of the last one; the line disappears at the end.

    Args:
        quiet: Show nothing at all, as when there is no terminal.
        stream: Where to write; None is stderr.
    """
    stream = stream or sys.stderr
    shown, written = stream.isatty() and not quiet, False

    def write(text: str) -> None:
        nonlocal written
        if shown:
            written = True
            room = shutil.get_terminal_size().columns - 1  # a full line would move the cursor to the next
            print(f"\r\x1b[K{printable(text)[:room]}", end="", file=stream, flush=True)

    try:
        yield write
    finally:
        if written:
            write("")


class _Rate(ProgressColumn):
    """Runs per second."""

    def render(self, task: Task) -> Text:
        return Text("" if task.speed is None else f"{task.speed:.3g} runs/s")


@contextmanager
def reading_bar(console: Console | None = None) -> Iterator[Callable[[int, int], None]]:
    """A function that shows how many of how many runs have been read; a terminal shows it as a bar."""
    console = console or Console(file=sys.stderr)
    started = time.monotonic()
    bar = Progress(
        TextColumn("reading runs"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
        TextColumn("left"),
        console=console,
        transient=True,
        refresh_per_second=4,
    )
    task = bar.add_task("runs", total=None)

    def show(done: int, total: int) -> None:
        bar.update(task, completed=done, total=total)
        if console.is_terminal and time.monotonic() - started >= _AFTER_SECONDS:
            console.width = min(WIDTH, console.width)
            bar.start()

    try:
        yield show
    finally:
        if bar.live.is_started:
            bar.stop()
