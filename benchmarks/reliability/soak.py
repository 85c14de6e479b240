"""A sweep of 200 tiny runs, four at a time, for 20 minutes under random kills, against the undisturbed one.

    python benchmarks/reliability/soak.py [--runs 200] [--minutes 20] [--jobs 4] [--seed 0] [--train]

The runs are tiny_training.py, of which four take no part of the processor; with --train they are of train.py
itself, each some seconds of a core. Every few seconds something is killed: the agent (SIGKILL, SIGTERM or
Ctrl-C), a run with all that it started, or the process that runs of train.py are forked from. The sweep
is continued whenever it has ended. After the minutes are over it is left alone to the end. Then every
configuration must have been finished exactly once and never been started again, each of their milestones must
hold the numbers of a sweep that nobody disturbed, and `selector rank` must give the same ranking.
"""

import itertools
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml
from trials import TINY, TRAIN, Row, family, figures, kill_family, offline, print_table

from selector.sweeping.state import SweepState, read_sweep
from selector.tracking.offline import read_offline

_SCRIPT = Path(__file__).with_name("tiny_training.py")
_FAULTS = (
    "SIGKILL of the agent",
    "SIGTERM to the agent",
    "Ctrl-C",
    "SIGKILL of a run",
    "SIGKILL of the fork server",
)


def main() -> int:
    """Disturb one sweep, run another in peace, compare."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--jobs", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--train", action="store_true", help="runs of train.py, not of tiny_training.py")
    options = parser.parse_args()
    # Ignored in what a shell starts in the background, and then in its children: Ctrl-C would go nowhere.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        write_sweep(root / "sweep.yaml", options.runs, options.train)
        soak = Soak(root, options.jobs, random.Random(options.seed))
        row = Row(f"sweep of {options.runs} runs, {options.jobs} at a time: configurations")
        soak.disturb(60 * options.minutes, row)
        soak.finish(root / "disturbed", row)
        os.environ["SOAK_STEP"] = "0.05"
        soak.finish(root / "peaceful", row)
        judge(root, soak, options.runs, row)
        faults = [Row(f"sweep: {fault}", count) for fault, count in soak.kills.items() if count]
        print(f"{soak.calls} calls of selector sweep, {soak.starts} starts of runs seen", file=sys.stderr)
        return print_table([*faults, row])


def write_sweep(path: Path, runs: int, train: bool) -> None:
    """A grid of that many cells, over all seeds of ten configurations."""
    fixed = {name: {"value": value} for name, value in (TINY | {"epochs": 1}).items()} if train else {}
    swept = {
        "learning_rate": {"values": [0.01, 0.03, 0.1, 0.3, 1.0]},
        "temperature": {"values": [0.1, 0.5]},
        "seed": {"values": list(range(-(-runs // 10)))},
    }
    sweep = {
        "program": str(TRAIN if train else _SCRIPT),
        "method": "grid",
        "run_cap": runs,
        "parameters": fixed | swept,
    }
    path.write_text(yaml.safe_dump(sweep))


class Soak:
    """Calls `selector sweep` again and again, and kills.

    Attributes:
        kills: Fault → how often.
        calls: Of selector sweep.
        starts: Of runs, as far as they were seen.
        done: Run id → which attempt it was, as the ledger said when it was first finished.
    """

    def __init__(self, root: Path, jobs: int, generator: random.Random) -> None:
        self.root, self.jobs, self.generator = root, jobs, generator
        self.kills = dict.fromkeys(_FAULTS, 0)
        self.calls = self.starts = 0
        self.done: dict[str, int] = {}
        self.repeated: set[str] = set()
        self._started: set[tuple[str, int]] = set()

    def call(self, directory: Path) -> subprocess.Popen[bytes]:
        """Start, or continue, the sweep."""
        self.calls += 1
        log = (self.root / f"{directory.name}.log").open("ab")
        command = [sys.executable, "-m", "selector.cli", "sweep", str(self.root / "sweep.yaml")]
        command += ["--directory", str(directory), "--jobs", str(self.jobs)]
        files = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log}
        return subprocess.Popen(command, env=offline(self.root), process_group=0, **files)

    def disturb(self, seconds: float, row: Row) -> None:
        """Kill something every few seconds."""
        directory, end = self.root / "disturbed", time.monotonic() + seconds
        agent = self.call(directory)
        faults = itertools.cycle(_FAULTS)
        while time.monotonic() < end:
            time.sleep(self.generator.uniform(1, 14))
            self.look(directory)
            if agent.poll() is None:
                self.strike(agent, next(faults), directory, row)
            if agent.poll() is not None:
                ledger = read_sweep(directory)
                if ledger and ledger.complete:
                    break
                agent = self.call(directory)
        with suppress(ProcessLookupError):
            agent.kill()
        agent.wait()

    def strike(self, agent: subprocess.Popen[bytes], fault: str, directory: Path, row: Row) -> None:
        """One fault."""
        children = family(agent.pid)[1:]
        server = [pid for pid in children if "forkserver" in command_of(pid) and parent_of(pid) == agent.pid]
        match fault:
            case "SIGKILL of the agent":
                agent.kill()
            case "SIGTERM to the agent":
                agent.terminate()
            case "Ctrl-C":
                agent.send_signal(signal.SIGINT)
            case "SIGKILL of a run":
                ledger = read_sweep(directory)
                going = (
                    [run.pid for run in ledger.runs if run.status == "running" and run.pid] if ledger else []
                )
                if not going:
                    return
                kill_family(self.generator.choice(going))
            case _:
                if not server:
                    return
                os.kill(server[0], signal.SIGKILL)
        self.kills[fault] += 1
        if fault in _FAULTS[:3]:
            try:
                agent.wait(timeout=120)
            except subprocess.TimeoutExpired:
                row.blame("hung", f"the agent did not end within two minutes of {fault}")
                agent.kill()
                agent.wait()

    def look(self, directory: Path) -> SweepState | None:
        """Read the ledger, which must be whole, and note what was finished and what was started again."""
        ledger = read_sweep(directory)
        for run in ledger.runs if ledger else ():
            self._started.add((run.id, run.attempt))
            if run.id in self.done and self.done[run.id] != run.attempt:
                self.repeated.add(run.id)
            if run.done:
                self.done.setdefault(run.id, run.attempt)
        self.starts = len(self._started)
        return ledger

    def finish(self, directory: Path, row: Row) -> None:
        """Let the sweep come to its end."""
        for _ in range(5):
            agent = self.call(directory)
            try:
                status = agent.wait(timeout=3600)
            except subprocess.TimeoutExpired:
                row.blame("hung", f"{directory.name} did not end within an hour")
                agent.kill()
                return
            self.look(directory)
            if status == 0:
                return
        row.blame("wrong", f"{directory.name}: {(self.root / f'{directory.name}.log').read_text()[-2000:]}")


def judge(root: Path, soak: Soak, runs: int, row: Row) -> None:
    """Compare the two sweeps, configuration by configuration, and their rankings."""
    row.trials = runs
    peaceful, disturbed = (
        {cell(run.config): run for run in read_offline(root / name).runs}
        for name in ("peaceful", "disturbed")
    )
    ledger = read_sweep(root / "disturbed")
    statuses = [run.status for run in ledger.runs] if ledger else []
    if statuses != ["finished"] * runs:
        row.blame("lost", f"the ledger has {len(statuses)} runs, {statuses.count('finished')} finished")
    if len(read_offline(root / "disturbed").runs) != runs or len(peaceful) != runs:
        row.blame("lost", f"{len(disturbed)} and {len(peaceful)} configurations were read")
    for key, run in peaceful.items():
        other = disturbed.get(key)
        if other is None or figures(run).keys() - figures(other).keys():
            row.blame("lost", f"{key}: {other and [m.epoch for m in other.milestones]}")
        elif figures(run) != figures(other) or other.state != "finished":
            row.blame("wrong", f"{key} {other.id} is {other.state}, and its numbers are others")
    for run_id in soak.repeated:
        row.blame("wrong", f"{run_id} was started again after it was finished")
    if ranking(root / "peaceful") != ranking(root / "disturbed"):
        row.blame("wrong", "the rankings differ")
    for trace in tracebacks((root / "disturbed.log").read_text(errors="replace")):
        row.blame("wrong", f"a traceback was shown: {trace[:2000]}")


def tracebacks(text: str) -> list[str]:
    """What was shown of exceptions, but for Python's own answer to a Ctrl-C while it imports this program."""
    found = re.findall(r"^Traceback \(most recent call last\):\n(?:[ \n].*\n|\n)*.*$", text, re.MULTILINE)
    return [trace for trace in found if trace.splitlines()[-1] != "KeyboardInterrupt"]


def cell(config: Any) -> str:
    """What tells the cells of the grid apart."""
    return json.dumps([config[name] for name in ("learning_rate", "temperature", "seed")])


def ranking(directory: Path) -> list[Any]:
    """Configurations with their scores, as `selector rank` puts them."""
    command = [sys.executable, "-m", "selector.cli", "rank", str(directory), "--json"]
    answer = json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)
    return [
        [one["rank"], one["score"], cell(one["config"])]
        for group in answer["groups"]
        for one in sorted(group["ranking"], key=lambda one: (one["rank"], cell(one["config"])))
    ]


def command_of(pid: int) -> str:
    """The command line of a process."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text()
    return ""


def parent_of(pid: int) -> int:
    """The parent of a process, or 0."""
    with suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return 0


if __name__ == "__main__":
    sys.exit(main())
