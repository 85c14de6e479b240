"""`selector watch`."""

import time
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from selector.commands.arguments import MetricName, Mixed, Runs, Way, warn
from selector.errors import UsageError, UserError
from selector.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable

    from selector.runs import RunSet
    from selector.selection.ranking import Ranking

    Look = tuple[RunSet, Ranking]  # the runs as they are, and how they stand

_DAY = 86_400


def watch(
    runs: Runs,
    *,
    metric: MetricName = "pretext_score",
    direction: Way = None,
    allow_mixed: Mixed = False,
    interval: float = 30.0,
    once: bool = False,
) -> int:
    """Rank a running sweep again whenever a milestone arrives, until it ends or you press Ctrl-C.

    Unfinished runs are ranked by their last milestone: this shows the race, and is not a choice yet. On a
    terminal the table is redrawn; elsewhere each change is one line.

    Args:
        metric: Metric to rank them by.
        direction: Which way is better.
        allow_mixed: Rank them all together.
        interval: Seconds between two looks at the sweep.
        once: Print the table once, and exit.
    """
    from selector.commands.encoders import fingerprints_in
    from selector.commands.named import named_label_free
    from selector.reports.running import counts_line, watch_table
    from selector.reports.tables import coverage_line, open_console
    from selector.reports.words import label
    from selector.selection.preparation import prepared
    from selector.selection.ranking import rank, standing

    if not 0 < interval <= _DAY:
        raise UsageError(f"--interval must be more than 0 seconds and at most a day, got {interval:g}")
    chosen = named_label_free(metric, direction)
    prints = fingerprints_in(runs.sources)
    seen: set[str] = set()
    known: dict[str, Any] = {}

    def look() -> "Look":
        found = _read(runs, known)
        warn([text for text in found.warnings if text not in seen])
        seen.update(found.warnings)
        found, (by,) = prepared(found, [chosen], "last", allow_mixed, True, prints)
        return found, standing(found, by, allow_mixed, direction)

    if once:
        found, ranking = look()
        if not ranking.groups:
            what = f"no run in {found.source} has a milestone with a finite {ranking.metric.key}"
            raise UserError(f"{what}: {counts_line(found, ranking)}")
        open_console().print(watch_table(found, ranking, ""))
        return 0
    found, (by,) = prepared(_follow(look, interval), [chosen], "last", allow_mixed, fingerprint_of=prints)
    ranking = rank(found, by, "last", allow_mixed, direction)
    for group in ranking.groups:
        print(f"ended; chosen: {printable(label(group.chosen))}")
    print(printable(coverage_line(ranking.coverage)), flush=True)
    return 0


def _read(runs: Runs, known: dict[str, Any]) -> "RunSet":
    """The runs; none for a sweep whose first run has not started yet."""
    from selector.runs import RunSet, read_source
    from selector.tracking.api import NoRunsYet

    try:
        return read_source(
            runs.source,
            tag=runs.tag,
            group=runs.group,
            known=known,
            project=runs.project,
            sweep=runs.sweep,
        )
    except NoRunsYet:
        return RunSet(runs.source, (), ended=False)


def _follow(look: "Callable[[], Look]", interval: float) -> "RunSet":
    """Look again and again until the sweep has ended; its runs then."""
    from rich.live import Live

    from selector.reports.running import change_lines, watch_table
    from selector.reports.tables import open_console
    from selector.tracking.connection import Unreachable

    console = open_console()
    before, (now, ranking) = None, look()
    live = Live(console=console, auto_refresh=False) if console.is_terminal else None
    with live or nullcontext():
        while True:
            if live:
                at = f"; looked at {time.strftime('%H:%M:%S')}"
                live.update(watch_table(now, ranking, at), refresh=True)
            else:
                for line in change_lines(before, now, ranking):
                    print(f"{time.strftime('%H:%M:%S')} {printable(line)}", flush=True)
            if now.ended:
                return now
            before = now
            time.sleep(interval)
            try:
                now, ranking = look()
            except Unreachable as error:
                warn([f"{error}; looking again in {interval:g} s"])
