"""`selector watch`."""

import sys
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING, Literal

from selector.argument_forms import fail
from selector.commands.arguments import (
    Group,
    Name,
    Source,
    Tag,
    named_label_free,
    warn,
)
from selector.errors import UserError
from selector.text import printable

_DAY = 86_400

if TYPE_CHECKING:
    from collections.abc import Callable

    from selector.metrics.metrics import LabelFreeMetric
    from selector.runs import RunSet
    from selector.selection.standing import Standing


def watch(
    source: Source,
    /,
    *,
    metric: Name = "consensus",
    direction: Literal["max", "min"] | None = None,
    allow_mixed: bool = False,
    tag: Tag = None,
    group: Group = None,
    interval: float = 30.0,
    once: bool = False,
) -> int:
    """Rank a running sweep again whenever a milestone arrives, until the sweep has ended or Ctrl-C.

    Runs that still run are ranked by their last milestone: a look at the race, and no choice yet. On a
    terminal the table is drawn anew; elsewhere each change is a line.

    Args:
        source: A folder of offline runs, entity/project/sweep_id, entity/project, or the URL of a W&B sweep
            or project.
        metric: A label-free metric, or any key that the runs logged; such a key needs a direction. The
            consensus is the mean rank by three metrics, or rankme where most runs lack one.
        direction: Which way is better; None takes the metric's own, for the method of the runs.
        allow_mixed: Rank runs in one list that the metric may not compare, at your own risk.
        tag: Only runs that carry this W&B tag.
        group: Only runs of this W&B group.
        interval: Seconds between two looks.
        once: Look once, print the table, and end.
    """
    from selector.selection.consensus import prepared
    from selector.selection.standing import standing

    prog = "selector watch"
    if not 0 < interval <= _DAY:
        fail(prog, f"--interval wants a number of seconds above 0, a day at most, got {interval:g}")
    chosen = named_label_free(metric, direction, prog)
    seen: set[str] = set()

    def look() -> "Standing":
        runs = _read(source, tag, group)
        warn([text for text in runs.warnings if text not in seen])
        seen.update(runs.warnings)
        return standing(*prepared(runs, chosen, "last", allow_mixed, running=True), allow_mixed, direction)

    if once:
        return _print_once(look())
    last = _follow(look, interval)
    return _say_choice(last, chosen, allow_mixed, direction)


def _read(source: str, tag: str | None, group: str | None) -> "RunSet":
    """The runs; none for a sweep whose first one has yet to start."""
    from selector.runs import RunSet, read_source
    from selector.tracking.wandb_api import NoRunsYet

    try:
        return read_source(source, tag=tag, group=group)
    except NoRunsYet:
        return RunSet(source, (), ended=False)


def _follow(look: "Callable[[], Standing]", interval: float) -> "Standing":
    """Look again and again until the sweep has ended; how it stood then."""
    from rich.live import Live

    from selector.reports.tables import open_console
    from selector.reports.watching import change_lines, watch_table
    from selector.tracking.wandb_client import Unreachable

    console = open_console()
    before, now = None, look()
    live = Live(console=console, auto_refresh=False) if console.is_terminal else None
    with live or nullcontext():
        while True:
            if live:
                note = f"; looked at {time.strftime('%H:%M:%S')}"
                live.update(watch_table(now, now.metric, note), refresh=True)
            else:
                for line in change_lines(before, now):
                    print(f"{time.strftime('%H:%M:%S')} {printable(line)}", flush=True)
            if now.runs.ended:
                return now
            before = now
            time.sleep(interval)
            try:
                now = look()
            except Unreachable as error:
                warn([f"{error}; looking again in {interval:g} s"])


def _print_once(now: "Standing") -> int:
    from selector.reports.tables import open_console
    from selector.reports.watching import watch_table

    if now.ranking is None:
        raise UserError(f"no run in {now.runs.source} has a milestone with a finite {now.metric.key} yet")
    open_console().print(watch_table(now, now.metric, ""))
    return 0


def _say_choice(
    last: "Standing", metric: "LabelFreeMetric", allow_mixed: bool, direction: Literal["max", "min"] | None
) -> int:
    from selector.reports.tables import coverage_line, label
    from selector.selection.consensus import prepared
    from selector.selection.ranking import rank

    ranking = rank(*prepared(last.runs, metric, "last", allow_mixed), "last", allow_mixed, direction)
    for group in ranking.groups:
        print(f"ended; chosen: {printable(label(group.chosen))}")
    print(printable(coverage_line(ranking.coverage)))
    sys.stdout.flush()
    return 0
