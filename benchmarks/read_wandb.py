"""How fast a large sweep is read from a W&B server, beside the loop that W&B's documentation shows.

Both read every history row of the same sweep from the same server (tests/loopback, in a process of its
own) within one process and one run. Prints seconds, requests and the ratio.

    python benchmarks/read_wandb.py [--runs 1000] [--milestones 50] [--loop-runs 1000] [--latency 0]
"""

import argparse
import json
import multiprocessing
import os
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "tests")]

from loopback import Backend, Fault  # noqa: E402 - found on the path above

METRICS = ["rankme", "rankme_backbone", "entropy", "entropy_robust", "silhouette", "clustering_agreement"]
LABELLED = ["linear_probe_accuracy", "knn_accuracy", "ami_labels", "silhouette_labels"]


def rows(milestones: int, rng: random.Random) -> list[dict[str, Any]]:
    """History as train.py writes it: 22 keys a milestone."""
    return [
        {
            "epoch": 20 * milestone,
            **{f"label_free/{name}": rng.random() for name in METRICS},
            **{f"noise/{name}": rng.random() for name in METRICS},
            **{f"labelled/{name}": rng.random() for name in LABELLED},
            "train/loss": rng.random(),
            "cost/milestone_seconds": rng.random(),
            "_timestamp": 1.7e9 + milestone,
            "_runtime": float(milestone),
        }
        for milestone in range(milestones)
    ]


def serve(connection: Any, runs: int, milestones: int, latency: float) -> None:
    """The server's process: fill it, say where it is, and tell how many requests came when asked."""
    rng = random.Random(0)
    with Backend() as backend:
        sweep = backend.sweep("bench", "method: random\nparameters: {lr: {values: [1]}}")
        for number in range(runs):
            config = {"learning_rate": rng.random(), "definition": {"projector_dim": 128, "version": 1}}
            summary = {"completion/status": "completed"}
            backend.run("bench", f"run{number:05}", rows(milestones, rng), config, summary, sweep=sweep)
        if latency:
            backend.fail(Fault("slow", times=None, seconds=latency))
        connection.send((backend.environment(Path(tempfile.gettempdir())), sweep.name))
        while connection.recv() == "requests":
            connection.send(len(backend.requests))


def by_loop(path: str, runs: int) -> int:
    """The loop of W&B's documentation."""
    import wandb

    count = 0
    for number, run in enumerate(wandb.Api().sweep(path).runs):
        if number == runs:
            break
        count += sum(1 for _ in run.scan_history())
        print(f"\r{number + 1} runs", end="", file=sys.stderr)
    print("\r", end="", file=sys.stderr)
    return count


def by_selector(path: str, cache: Path) -> int:
    from selector.runs.wandb_api import read_wandb

    def show(done: int, total: int) -> None:
        print(f"\r{done} of {total} runs", end="", file=sys.stderr)

    found = read_wandb(path, cache=cache, progress=show)
    print("\r", end="", file=sys.stderr)
    assert not found.unreadable
    return sum(len(run.milestones) for run in found.runs)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--milestones", type=int, default=50)
    parser.add_argument(
        "--loop-runs", type=int, default=1000, help="runs that the loop reads; its time is scaled"
    )
    parser.add_argument("--latency", type=float, default=0.0, help="seconds that every answer is held back")
    arguments = parser.parse_args()
    loop_runs = min(arguments.loop_runs, arguments.runs)

    here, there = multiprocessing.get_context("spawn").Pipe()
    server = multiprocessing.get_context("spawn").Process(
        target=serve, args=(there, arguments.runs, arguments.milestones, arguments.latency), daemon=True
    )
    server.start()
    environment, sweep = here.recv()
    os.environ.update(environment)
    import wandb

    path = f"loopback/bench/{sweep}"
    wandb.Api()  # wandb's own process is started before the clock is

    def timed(name: str, read: Any, scale: float = 1.0) -> float:
        here.send("requests")
        before = here.recv()
        start = time.perf_counter()
        count = read()
        seconds = (time.perf_counter() - start) * scale
        here.send("requests")
        requests = (here.recv() - before) * scale
        scaled = f" (scaled from {loop_runs} runs)" if scale != 1 else ""
        print(f"{name:34}{seconds:9.2f} s {requests:7.0f} requests {count:8} rows{scaled}", flush=True)
        return seconds

    print(f"{arguments.runs} runs of {arguments.milestones} milestones, {arguments.latency:g} s of latency")
    with tempfile.TemporaryDirectory() as folder:
        ours = timed("selector", lambda: by_selector(path, Path(folder)))
        again = timed("selector, nothing changed since", lambda: by_selector(path, Path(folder)))
    loop = timed(
        "for run in sweep.runs: scan_history", lambda: by_loop(path, loop_runs), arguments.runs / loop_runs
    )
    print(json.dumps({"ratio": round(loop / ours, 1), "ratio_cached": round(loop / again, 1)}))
    here.send("end")


if __name__ == "__main__":
    main()
