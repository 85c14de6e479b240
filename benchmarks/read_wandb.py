"""How fast a large sweep is read from a W&B server, beside the loop that W&B's documentation shows.

Both read every history row of the same sweep from the same server (tests/loopback, in a process of its
own) within one process and one run. Prints seconds, requests and the ratio.

    python benchmarks/read_wandb.py [--runs 1000] [--milestones 50] [--latency 0.05] [--rounds 2]
"""

import json
import multiprocessing
import os
import random
import sys
import tempfile
import time
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "tests")]

from loopback import Backend, Fault  # noqa: E402 - found on the path above

METRICS = ["rankme", "rankme_backbone", "entropy", "entropy_robust", "silhouette", "clustering_agreement"]
LABELLED = ["linear_probe_accuracy", "knn_accuracy", "ami_labels", "silhouette_labels"]


def rows(milestones: int, rng: random.Random, spectra: int) -> list[dict[str, Any]]:
    """History as train.py writes it: 22 keys a milestone, and spectra of 64 values."""
    return [
        {
            "epoch": 20 * milestone,
            **{f"label_free/{name}": rng.random() for name in METRICS},
            **{f"noise/{name}": rng.random() for name in METRICS},
            **{f"labelled/{name}": rng.random() for name in LABELLED},
            "train/loss": rng.random(),
            "cost/milestone_seconds": rng.random(),
            **{f"spectrum/space{n}": [rng.random() for _ in range(64)] for n in range(spectra)},
            "_timestamp": 1.7e9 + milestone,
            "_runtime": float(milestone),
        }
        for milestone in range(milestones)
    ]


def serve(connection: Any, runs: int, milestones: int, latency: float, spectra: int = 0) -> None:
    """The server's process: fill it, say where it is, and tell how many requests came when asked."""
    rng = random.Random(0)
    with Backend() as backend:
        sweep = backend.sweep("bench", "method: random\nparameters: {lr: {values: [1]}}")
        for number in range(runs):
            config = {"learning_rate": rng.random(), "definition": {"projector_dim": 128, "version": 1}}
            summary = {"completion/status": "completed"}
            history = rows(milestones, rng, spectra)
            backend.run("bench", f"run{number:05}", history, config, summary, sweep=sweep)
        if latency:
            backend.fail(Fault("slow", times=None, seconds=latency))
        connection.send((backend.environment(Path(tempfile.gettempdir())), sweep.name))
        while connection.recv() == "requests":
            connection.send(len(backend.requests))


def by_loop(runs: Iterator[Any], count: int) -> int:
    """The loop of W&B's documentation, over the next so many runs."""
    return sum(1 for run in islice(runs, count) for _ in run.scan_history())


def by_selector(path: str, known: dict[str, Any]) -> int:
    from rich.console import Console

    from selector.reports.progress import progress
    from selector.tracking.api import read_wandb

    with progress(console=Console(file=sys.stderr, force_terminal=True)) as show:
        found = read_wandb(path, known=known, progress=partial(show, "reading runs"))
    assert not found.unreadable
    return sum(len(run.milestones) for run in found.runs)


def main() -> None:
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--milestones", type=int, default=50)
    parser.add_argument("--latency", type=float, default=0.05, help="seconds that every answer is held back")
    parser.add_argument("--spectra", type=int, default=0, help="spectra that each milestone holds")
    parser.add_argument("--rounds", type=int, default=2, help="the loop reads a part of the runs in each")
    arguments = parser.parse_args()

    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    size = (arguments.runs, arguments.milestones, arguments.latency, arguments.spectra)
    server = context.Process(target=serve, args=(there, *size), daemon=True)
    server.start()
    environment, sweep = here.recv()
    os.environ.update(environment)
    import wandb

    path = f"loopback/bench/{sweep}"
    runs = iter(wandb.Api().sweep(path).runs)
    found: dict[str, list[tuple[float, int, int]]] = {}

    def timed(name: str, read: Callable[[], int]) -> None:
        here.send("requests")
        before = here.recv()
        start = time.perf_counter()
        rows = read()
        seconds = time.perf_counter() - start
        here.send("requests")
        found.setdefault(name, []).append((seconds, here.recv() - before, rows))

    # In turns, so that whatever else this machine does meets all of them.
    for _ in range(arguments.rounds):
        known: dict[str, Any] = {}
        timed("selector", partial(by_selector, path, known))
        timed("selector, a second look", partial(by_selector, path, known))
        timed(
            "for run in sweep.runs: scan_history", lambda: by_loop(runs, arguments.runs // arguments.rounds)
        )
    here.send("end")
    show(found, arguments)


def show(found: dict[str, list[tuple[float, int, int]]], arguments: Namespace) -> None:
    """The median round of the selector, the sum of the loop's parts, and their ratio."""
    print(
        f"{arguments.runs} runs of {arguments.milestones} milestones, {arguments.spectra} spectra in each,"
        f" {arguments.latency:g} s of latency"
    )
    ours, cached, loop = found.values()
    totals = [
        sorted(ours)[len(ours) // 2],
        sorted(cached)[len(cached) // 2],
        tuple(map(sum, zip(*loop, strict=True))),
    ]
    for name, (seconds, requests, rows) in zip(found, totals, strict=True):
        print(f"{name:36}{seconds:8.2f} s {requests:6} requests {rows:7} rows")
    print(
        json.dumps(
            {
                "ratio": round(totals[2][0] / totals[0][0], 1),
                "ratio_second_look": round(totals[2][0] / totals[1][0], 1),
            }
        )
    )


if __name__ == "__main__":
    main()
