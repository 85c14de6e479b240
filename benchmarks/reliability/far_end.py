"""A W&B server that misbehaves while a sweep of 24 runs is read and ranked, or two selectors write back.

    python benchmarks/reliability/far_end.py [--trials 30]

The server is the one of the tests, on this machine. In each trial one fault strikes some of the requests:
once, a few times, or all of them; the first, or later ones; where it struck none, it was no trial. What is
read must then be as it was logged, each run that was not read must be named, the ranking must be that of the
runs that were read, and an error must be one line. When the server is well again all runs must be read.
Selectors that write back at once, clocks that differ and 1,000 runs of which 50 are broken are judged as by
the tests of these names.
"""

import itertools
import os
import random
import sys
import tempfile
import threading
import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from trials import Row, print_table

from selector.errors import UserError
from selector.runs import RunSet
from selector.selection.ranking import rank
from selector.tracking import api, connection
from selector.tracking.api import read_wandb

sys.path += [str(Path(__file__).parents[2] / "tests"), str(Path(__file__).parents[2] / "tests" / "tracking")]
import test_far_end
import test_write_back
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
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=30)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, Backend() as backend:
        root = Path(name)
        os.environ.update(backend.environment(root / "wandb"))
        places = (root / f"trial-{number}" for number in itertools.count())
        impatient = patch.multiple(connection, LOGIN_SECONDS=2, ANSWER_SECONDS=2, PAUSES=(0.01, 0.01))
        with impatient, patch.multiple(api, SILENT_SECONDS=3.0, MOST_SECONDS=3.0):
            rows = [
                row_of(fault, options.trials, backend)
                for fault in (*_KINDS, "connection refused", "runs that log while they are read")
            ]
        rows += list(as_tested(backend, places, options.trials))
    return print_table(rows)


def row_of(fault: str, trials: int, backend: Backend) -> Row:
    """One fault, many times."""
    row = Row(f"W&B: {fault}")
    for index in itertools.count():
        if row.trials == trials:
            break
        drawn = random.Random(f"{fault} {index}")
        backend.reset()
        backend.store.page_limit = 10
        path = test_far_end.sweep_of(backend, RUNS)
        source = Trial(path, f"trial {index}", row)
        planted = strike(fault, drawn, backend)
        with watched(row, source.what):
            source.judge()
        row.trials += planted is None or planted.hits > 0
        backend.app.faults.clear()
        for thread in threading.enumerate():
            if thread.name == "refusing":
                thread.join()
        if backend._server is None:
            backend.accept()
        with watched(row, f"{source.what}, afterwards"):
            source.judge(is_well=True)
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


class Trial:
    """One sweep that is read."""

    def __init__(self, path: str, what: str, row: Row) -> None:
        self.path, self.what, self.row = path, what, row

    def judge(self, is_well: bool = False) -> None:
        """Read and rank, and look at what came of it."""
        try:
            found = read_wandb(self.path)
        except UserError as error:
            if is_well or "\n" in str(error):
                self.row.blame("wrong", f"{self.what}: {error}")
            return
        if len(found.runs) + missing(found) < RUNS or (is_well and len(found.runs) < RUNS):
            self.row.blame("lost", f"{self.what}: {len(found.runs)} runs, and {found.unreadable}")
        for run in found.runs:
            logged = {row.epoch: row.values["label_free/rankme"] for row in run.milestones}
            true = {row["epoch"]: row["label_free/rankme"] for row in test_far_end.rows(int(run.id[1:]))}
            if logged not in (true, true | {15: -1.0}):
                self.row.blame("wrong", f"{self.what}: {run.id} has {logged}")
        if found.runs:
            self.judge_ranking(found)

    def judge_ranking(self, found: RunSet) -> None:
        """Runs are ranked by the figures of their last milestone, which is as good as their number."""
        latest = {run.id: run.milestones[-1].values["label_free/rankme"] for run in found.runs}
        groups = rank(found, RANKME).groups
        shown = [one.run.id for group in groups for one in group.ranking]
        if shown != sorted(latest, key=lambda id: (-latest[id], id)):
            self.row.blame("wrong", f"{self.what}: ranked {shown}")


def missing(found: RunSet) -> int:
    """How many runs are named as not read; of a list that broke off only their number is known."""
    return sum(int(gone.run.split()[0]) if " more of " in gone.run else 1 for gone in found.unreadable)


def as_tested(backend: Backend, places: Iterator[Path], trials: int) -> Iterator[Row]:
    """What has a test of its own, with more and other values."""
    drawn = random.Random(0)

    def two_selectors(place: Path) -> None:
        sweep = backend.sweep("p", "method: random\nrun_cap: 3\nparameters: {lr: {values: [1]}}")
        for name, rankme, accuracy in (("a", 10.0, 0.2), ("b", 20.0, 0.9), ("c", 40.0, 0.7)):
            test_write_back.trained(backend, sweep, name, rankme, accuracy)
        test_write_back.test_two_selectors_at_once(backend, sweep, place)

    def a_thousand(_: Path) -> None:
        test_far_end.test_a_thousand_runs_of_which_fifty_are_broken(backend, read_wandb)

    def clocks(place: Path) -> None:
        skew = drawn.choice((-1, 1)) * drawn.uniform(1, 7200)
        test_far_end.test_machines_whose_clocks_differ(place, skew)

    for name, check, count in (
        ("two selectors write back at once", two_selectors, trials // 3),
        ("1,000 runs, 50 of them broken", a_thousand, max(1, trials // 10)),
        ("clocks that differ", clocks, trials),
    ):
        row = Row(f"W&B: {name}")
        for index in range(count):
            row.trials += 1
            backend.reset()
            place = next(places)
            place.mkdir()
            with watched(row, f"trial {index}", 10 * _HANG):
                check(place)
        yield row


@contextmanager
def watched(row: Row, what: str, seconds: float = _HANG) -> Iterator[None]:
    """Any exception is wrong, and what takes too long counts as hung."""
    began = time.monotonic()
    try:
        yield
    except Exception as error:
        row.blame("wrong", f"{what}: {error!r}"[:2000])
    if time.monotonic() - began > seconds:
        row.blame("hung", f"{what}: {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    sys.exit(main())
