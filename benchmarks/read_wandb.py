"""How fast a large sweep is read from a W&B server, beside the loop that W&B's documentation shows.

    python benchmarks/read_wandb.py [--runs 1000] [--latency 0.05] [--rounds 2]

Both read every history row of the same sweep from the same server (tests/loopback, in a process of its
own) within one process, in turns; the loop reads a part of the runs in each round. A second look is what
`selector watch` does: it asks again, and reads only what has changed.
"""

import multiprocessing
import os
import random
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import wandb
from compare import figure, head, measured, options, row
from read_offline import MILESTONES, history
from rich.console import Console

from selector.reports.progress import progress
from selector.tracking.api import read_wandb

sys.path += [str(Path(__file__).parents[1] / "tests")]
from loopback import Backend, Fault


def main() -> None:
    asked = options(__doc__, runs=1000, latency=0.05, rounds=2)
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    context.Process(target=serve, args=(there, asked.runs, asked.latency), daemon=True).start()
    environment, sweep = here.recv()
    os.environ.update(environment)
    runs = iter(wandb.Api().sweep(f"loopback/bench/{sweep}").runs)
    part = asked.runs // asked.rounds
    found: dict[str, list[tuple[float, int, int]]] = {}

    def timed(name: str, read: Callable[[], int]) -> None:
        before = requests(here)
        cost, rows = measured(read)
        found.setdefault(name, []).append((cost.wall, requests(here) - before, rows))

    for _ in range(asked.rounds):
        known: dict[str, Any] = {}
        look = partial(by_selector, f"loopback/bench/{sweep}", known)
        timed("selector", look)
        timed("a second look", look)
        timed("loop", lambda: sum(1 for run in islice(runs, part) for _ in run.scan_history()))
    here.send("end")
    print(f"{asked.runs} runs x {MILESTONES} milestones, {asked.latency:g} s of latency", end="")
    print(f", load {os.getloadavg()[0]:.1f}\n\n" + head("", "seconds", "requests", "rows", "loop / this"))
    loop = [sum(parts) for parts in zip(*found["loop"], strict=True)]
    for name, turns in found.items():
        whole = loop if name == "loop" else [median(parts) for parts in zip(*turns, strict=True)]
        print(
            row(name, figure(whole[0]), *(f"{count:,.0f}" for count in whole[1:]), figure(loop[0] / whole[0]))
        )


def by_selector(path: str, known: dict[str, Any]) -> int:
    with progress(console=Console(file=sys.stderr, force_terminal=True)) as show:
        found = read_wandb(path, known=known, progress=partial(show, "reading runs"))
    assert not found.unreadable
    return sum(len(run.milestones) for run in found.runs)


def requests(server: Any) -> int:
    """How many have come so far."""
    server.send("requests")
    return server.recv()


def serve(connection: Any, runs: int, latency: float) -> None:
    """The server's process: fill it, say where it is, and tell how many requests came when asked."""
    drawn = random.Random(0)
    rows = [history(epoch) | {"_timestamp": 1.7e9 + epoch} for epoch in range(MILESTONES)]
    with Backend() as backend:
        sweep = backend.sweep("bench", "method: random\nparameters: {lr: {values: [1]}}")
        for number in range(runs):
            config = {"learning_rate": drawn.random(), "definition": {"projector_dim": 128, "version": 1}}
            summary = {"completion/status": "completed"}
            backend.run("bench", f"run{number:05}", rows, config, summary, sweep=sweep)
        backend.fail(Fault("slow", times=None, seconds=latency))
        connection.send((backend.environment(Path(tempfile.gettempdir())), sweep.name))
        while connection.recv() == "requests":
            connection.send(len(backend.requests))


if __name__ == "__main__":
    main()
