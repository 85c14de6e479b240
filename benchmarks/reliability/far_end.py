"""A W&B server that misbehaves while a sweep of 24 runs is read and ranked.

    python benchmarks/reliability/far_end.py [--trials 30]

The server is the one of the tests, on this machine. In each trial one fault strikes some of the requests:
once, a few times, or all of them; the first, or later ones; where it struck none, it was no trial. What is
read must then be as it was logged, each run that was not read must be named, the ranking must be that of the
runs that were read, and an error must be one line. When the server is well again all runs must be read.
"""

import itertools
import os
import random
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from trials import Row, options, print_table

from selector.errors import UserError
from selector.runs import RunSet
from selector.selection.ranking import rank
from selector.tracking import api, connection
from selector.tracking.api import read_wandb

sys.path += [str(Path(__file__).parents[2] / "tests"), str(Path(__file__).parents[2] / "tests" / "tracking")]
import test_far_end
from handmade import RANKME
from loopback import Backend, Fault

RUNS = 24
_HANG = 60  # seconds for what may take ten
_OPERATIONS = ("", "GetSweep", "Runs", "RunFullHistory")
_KINDS: dict[str, Callable[[random.Random], dict[str, Any]]] = {
    "slow answers": lambda _: {"kind": "slow", "seconds": 0.7},
    "500, 502 and 503": lambda drawn: {"kind": "error", "status": drawn.choice((500, 502, 503))},
    "429 with Retry-After": lambda _: {"kind": "rate_limit", "seconds": 1},
    "connection cut in the body": lambda _: {"kind": "drop"},
    "half of the JSON": lambda _: {"kind": "truncate"},
    "a page instead of JSON": lambda _: {"kind": "html"},
}


def main() -> int:
    """Run all trials, print the rows."""
    asked = options(__doc__, trials=30)
    with tempfile.TemporaryDirectory() as name, Backend() as backend:
        os.environ.update(backend.environment(Path(name) / "wandb"))
        faults = (*_KINDS, "connection refused", "runs that log while they are read")
        impatient = patch.multiple(connection, LOGIN_SECONDS=2, ANSWER_SECONDS=2, PAUSES=(0.01, 0.01))
        with impatient, patch.multiple(api, SILENT_SECONDS=3.0, MOST_SECONDS=3.0):
            return print_table([row_of(fault, asked.trials, backend) for fault in faults])


def row_of(fault: str, trials: int, backend: Backend) -> Row:
    """One fault, many times."""
    row = Row(f"W&B: {fault}")
    for index in itertools.count():
        if row.trials == trials:
            break
        backend.reset()
        backend.store.page_limit = 10
        path, what = test_far_end.sweep_of(backend, RUNS), f"trial {index}"
        planted = strike(fault, random.Random(f"{fault} {index}"), backend)
        with watched(row, what):
            judge(path, what, row)
        row.trials += planted is None or planted.hits > 0
        backend.app.faults.clear()
        for thread in threading.enumerate():
            if thread.name == "refusing":
                thread.join()
        if backend._server is None:
            backend.accept()
        with watched(row, f"{what}, afterwards"):
            judge(path, what, row, is_well=True)
    return row


def strike(fault: str, drawn: random.Random, backend: Backend) -> Fault | None:
    """Have the server misbehave from now on; None where it does so at once."""
    when: dict[str, Any] = {"operation": drawn.choice(_OPERATIONS), "after": drawn.choice((0, 0, 1, 2))}
    match fault:
        case "connection refused":
            back = drawn.choice((0.3, None))
            if drawn.random() < 0.3:
                refuse(backend, back)
                return None
            closing = threading.Thread(target=refuse, args=(backend, back), name="refusing")
            return backend.fail(Fault("call", **when, action=closing.start))
        case "runs that log while they are read":

            def meanwhile() -> None:
                for run in backend.project("p").bucket_by_name.values():
                    run.write_history(len(run.rows), ['{"_step": 3, "epoch": 15, "label_free/rankme": -1.0}'])

            return backend.fail(Fault("call", **when, action=meanwhile))
    return backend.fail(Fault(**_KINDS[fault](drawn), **when, times=drawn.choice((1, 3, None))))


def refuse(backend: Backend, back: float | None) -> None:
    """Close the port, and open it again after so many seconds."""
    backend.refuse()
    if back is not None:
        time.sleep(back)
        backend.accept()


def judge(path: str, what: str, row: Row, is_well: bool = False) -> None:
    """Read and rank, and look at what came of it."""
    try:
        found = read_wandb(path)
    except UserError as error:
        if is_well or "\n" in str(error):
            row.blame("wrong", f"{what}: {error}")
        return
    if len(found.runs) + missing(found) < RUNS or (is_well and len(found.runs) < RUNS):
        row.blame("lost", f"{what}: {len(found.runs)} runs, and {found.unreadable}")
    for run in found.runs:
        logged = {one.epoch: one.values["label_free/rankme"] for one in run.milestones}
        true = {one["epoch"]: one["label_free/rankme"] for one in test_far_end.rows(int(run.id[1:]))}
        if logged not in (true, true | {15: -1.0}):
            row.blame("wrong", f"{what}: {run.id} has {logged}")
    if found.runs:
        # Runs are ranked by the figures of their last milestone, which is as good as their number.
        latest = {run.id: run.milestones[-1].values["label_free/rankme"] for run in found.runs}
        shown = [one.run.id for group in rank(found, RANKME).groups for one in group.ranking]
        if shown != sorted(latest, key=lambda id: (-latest[id], id)):
            row.blame("wrong", f"{what}: ranked {shown}")


def missing(found: RunSet) -> int:
    """How many runs are named as not read; of a list that broke off only their number is known."""
    return sum(int(gone.run.split()[0]) if " more of " in gone.run else 1 for gone in found.unreadable)


@contextmanager
def watched(row: Row, what: str) -> Iterator[None]:
    """Any exception is wrong, and what takes too long counts as hung."""
    began = time.monotonic()
    try:
        yield
    except Exception as error:
        row.blame("wrong", f"{what}: {error!r}"[:2000])
    if time.monotonic() - began > _HANG:
        row.blame("hung", f"{what}: {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    sys.exit(main())
