"""How far long work has got: a line with a bar on stderr, for terminals, which is gone in the end."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
from rich.text import Text

from selector.text import printable

READING_SECONDS = 0.5  # what is read sooner needs no bar


class TimeLeft(ProgressColumn):
    """How long the rest will take, if it takes as long as what has been done in this step.

    rich's own column judges by the time between the last parts, and parts side by side end together. Fields
    of the task: `before`, the parts done when its clock started; `ended`, its seconds at the last part.
    """

    def render(self, task: Task) -> Text:
        """Such as "0:01:30 left"."""
        if task.finished or task.total is None or task.elapsed is None:
            return Text("")
        done = task.completed - task.fields["before"]
        if not done:
            return Text("-:--:-- left")
        expected = task.fields["ended"] / done * (task.total - task.completed)
        seconds = max(0.0, expected - (task.elapsed - task.fields["ended"]))
        return Text(f"{timedelta(seconds=round(seconds))} left")


class _Count(ProgressColumn):
    """Parts done and in all, and how many per second."""

    def render(self, task: Task) -> Text:
        if task.total is None:
            return Text("")
        unit, ended, done = task.fields["unit"], task.fields["ended"], task.completed - task.fields["before"]
        rate = f", {done / ended:.3g} {unit}/s" if unit and done else ""
        return Text(f"{task.completed:.0f}/{task.total:.0f}{rate}")


@contextmanager
def progress(
    quiet: bool = False, unit: str = "", after: float = 0.0, console: Console | None = None
) -> Iterator[Callable[[str, int, int | None], None]]:
    """A function that shows what is being done, how many of its parts are done, and of how many, if known.

    Args:
        quiet: Show nothing at all, as where there is no terminal.
        unit: What the parts are, if how many are done per second is of interest.
        after: Seconds in which nothing is shown yet.
        console: Where to; None is stderr.
    """
    console = console or Console(file=sys.stderr)
    started = time.monotonic()
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None),
        _Count(),
        TimeLeft(),
    )
    disable = quiet or not console.is_terminal
    bar = Progress(
        *columns,
        console=console,
        transient=True,
        refresh_per_second=4,
        redirect_stdout=False,
        disable=disable,
    )

    def show(text: str, done: int, total: int | None) -> None:
        if not bar.tasks or total != bar.tasks[0].total or done < bar.tasks[0].completed:  # another step
            for one in bar.task_ids:
                bar.remove_task(one)
            bar.add_task("", total=total, completed=done, before=done, ended=0.0, unit=unit)
        task = bar.tasks[0]
        bar.update(task.id, description=printable(text), completed=done, ended=task.elapsed)
        if time.monotonic() - started >= after:
            bar.start()

    try:
        yield show
    finally:
        bar.stop()
