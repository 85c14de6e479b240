"""What the benchmarks share: candidates that take turns, what each of them costs, and cells of tables."""

import os
import resource
import time
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from math import inf
from pathlib import Path
from statistics import fmean, median, stdev
from typing import Any, NamedTuple

FASHION = "/usr/share/datasets/fashion-mnist"  # unless --data-dir says otherwise


def options(description: str, **defaults: Any) -> Namespace:
    """Flags of these names and kinds: False is a switch, and a list takes several values."""
    parser = ArgumentParser(description=description, formatter_class=RawDescriptionHelpFormatter)
    for name, default in defaults.items():
        flag = f"--{name.replace('_', '-')}"
        if default is False:
            parser.add_argument(flag, action="store_true")
        elif isinstance(default, list):
            parser.add_argument(flag, nargs="+", type=type(default[0]), default=default)
        else:
            parser.add_argument(flag, type=type(default), default=default)
    return parser.parse_args()


class Cost(NamedTuple):
    """Seconds of one turn, by the clock and of the processor."""

    wall: float
    cpu: float


def measured(run: Callable[..., Any], *arguments: Any, **more: Any) -> tuple[Cost, Any]:
    """What one call takes, with the processes that it starts and waits for, and what it gives."""
    before = clock()
    result = run(*arguments, **more)
    return since(before), result


def since(before: Cost) -> Cost:
    """What has been used from then on."""
    now = clock()
    return Cost(now.wall - before.wall, now.cpu - before.cpu)


def clock() -> Cost:
    """The time, and what this process and those of its children that have ended have used so far."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return Cost(time.perf_counter(), sum(one.ru_utime + one.ru_stime for one in used))


def in_turns(candidates: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, list[Cost]]:
    """A B A B, so that whatever else the machine does meets all of them alike."""
    costs: dict[str, list[Cost]] = {name: [] for name in candidates}
    for _ in range(rounds):
        for name, run in candidates.items():
            costs[name].append(measured(run)[0])
    return costs


def print_costs(title: str, costs: Mapping[str, Sequence[Cost]], base: str, slower: bool = False) -> None:
    """One line per candidate, with the ratios of each round to `base`: how many times faster, or slower."""
    rounds = len(costs[base])
    print(f"\n{title}, {rounds} rounds, load {os.getloadavg()[0]:.1f}\n")
    ratio = f"this / {base}" if slower else f"{base} / this"
    print(head("", "seconds", "least", "most", ratio, "least", "most", "CPU s", ratio, "least", "most"))
    for name, turns in costs.items():
        cells = []
        for kind in Cost._fields:
            ours, theirs = ([getattr(one, kind) for one in some] for some in (turns, costs[base]))
            pairs = zip(ours, theirs, strict=True) if slower else zip(theirs, ours, strict=True)
            cells += [spread(ours), spread(a / b for a, b in pairs)]
        wall, faster, cpu, less = cells
        print(row(name, *wall, *faster, cpu[0], *less))


def spread(values: Iterable[float]) -> list[str]:
    """Median, least and most."""
    found = list(values)
    return [figure(one) for one in (median(found), min(found), max(found))]


def figure(value: float) -> str:
    """About three digits."""
    places = next(places for places, below in ((3, 1), (2, 10), (1, 100), (0, inf)) if abs(value) < below)
    return f"{value:,.{places}f}"


def row(*cells: object) -> str:
    """A line of a Markdown table."""
    return "| " + " | ".join(map(str, cells)) + " |"


def head(*cells: str) -> str:
    """Its first two lines."""
    return row(*cells) + "\n|" + "---|" * len(cells)


def points(share: float | None) -> str:
    """A share times 100."""
    return "–" if share is None else f"{round(100 * share, 1) + 0.0:.1f}"  # never -0.0


def number(value: float | None) -> str:
    """Two digits after the point."""
    return "–" if value is None else f"{round(value, 2) + 0.0:.2f}"


def both(values: Sequence[float], shown: Callable[[float | None], str] = points) -> str:
    """Mean and, over several values, its standard error."""
    if len(values) < 2:
        return shown(fmean(values))
    return f"{shown(fmean(values))} ± {shown(stdev(values) / len(values) ** 0.5)}"


def family(pid: int) -> list[int]:
    """A process and all that it started, itself first."""
    found = [pid]
    for parent in found:
        for task in Path(f"/proc/{parent}/task").glob("*/children"):
            with suppress(OSError):  # it has ended
                found += map(int, task.read_text().split())
    return found
