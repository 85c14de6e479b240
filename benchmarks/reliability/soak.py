"""A sweep of 200 tiny runs, four at a time, for 20 minutes under random kills, against the undisturbed one.

    python benchmarks/reliability/soak.py [--runs 200] [--minutes 20] [--jobs 4]

The runs are tiny_training.py, of which four take no part of the processor. Every few seconds something is
killed: the agent (SIGKILL, SIGTERM or Ctrl-C), or a run with all that it started. The sweep is continued
whenever it has ended. After the minutes are over it is left alone to the end. Then every configuration must
have been finished exactly once and never been started again, each of their milestones must hold the numbers
of a sweep that nobody disturbed, and `selector rank` must give the same ranking.
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
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml
from trials import Row, figures, kill_family, offline, options, print_table

from selector.sweeping.state import SweepState, read_sweep
from selector.tracking.offline import read_offline

SIGNALS = {
    "SIGKILL of the agent": signal.SIGKILL,
    "SIGTERM to the agent": signal.SIGTERM,
    "Ctrl-C": signal.SIGINT,
}
OF_A_RUN = "SIGKILL of a run"


def main() -> int:
    """Disturb one sweep, run another in peace, compare."""
    asked = options(__doc__, runs=200, minutes=20.0, jobs=4)
    # Ignored in what a shell starts in the background, and then in its children: Ctrl-C would go nowhere.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        write_sweep(root / "sweep.yaml", asked.runs)
        row = Row(f"sweep of {asked.runs} runs, {asked.jobs} at a time: configurations")
        soak = Soak(root, asked.jobs, row)
        soak.disturb(60 * asked.minutes)
        soak.finish(root / "disturbed")
        os.environ["SOAK_STEP"] = "0.05"
        soak.finish(root / "peaceful")
        judge(root, soak, asked.runs)
        return print_table([*(fault for fault in soak.faults.values() if fault.trials), row])


def write_sweep(path: Path, runs: int) -> None:
    """A grid of that many cells, over all seeds of ten configurations."""
    parameters = {
        "learning_rate": {"values": [0.01, 0.03, 0.1, 0.3, 1.0]},
        "temperature": {"values": [0.1, 0.5]},
        "seed": {"values": list(range(-(-runs // 10)))},
    }
    program = str(Path(__file__).with_name("tiny_training.py"))
    sweep = {"program": program, "method": "grid", "run_cap": runs, "parameters": parameters}
    path.write_text(yaml.safe_dump(sweep))


class Soak:
    """Calls `selector sweep` again and again, and kills.

    Attributes:
        faults: A row of each fault, which counts how often it struck.
        done: Run id → which attempt it was, as the ledger said when it was first finished.
        repeated: Ids of the runs that were started again after that.
    """

    def __init__(self, root: Path, jobs: int, row: Row) -> None:
        self.root, self.jobs, self.row, self.drawn = root, jobs, row, random.Random(0)
        self.faults = {fault: Row(f"sweep: {fault}") for fault in (*SIGNALS, OF_A_RUN)}
        self.done: dict[str, int] = {}
        self.repeated: set[str] = set()

    def call(self, directory: Path) -> subprocess.Popen[bytes]:
        """Start, or continue, the sweep."""
        log = (self.root / f"{directory.name}.log").open("ab")
        command = [sys.executable, "-m", "selector.cli", "sweep", str(self.root / "sweep.yaml")]
        command += ["--directory", str(directory), "--jobs", str(self.jobs)]
        files = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log}
        return subprocess.Popen(command, env=offline(self.root), process_group=0, **files)

    def disturb(self, seconds: float) -> None:
        """Kill something every few seconds."""
        directory, end = self.root / "disturbed", time.monotonic() + seconds
        agent, faults = self.call(directory), itertools.cycle(self.faults)
        while time.monotonic() < end:
            time.sleep(self.drawn.uniform(1, 14))
            ledger = self.look(directory)
            if agent.poll() is None:
                self.strike(agent, next(faults), ledger)
            if agent.poll() is not None:
                ledger = self.look(directory)
                if ledger and ledger.complete:
                    break
                agent = self.call(directory)
        agent.kill()
        agent.wait()

    def strike(self, agent: subprocess.Popen[bytes], fault: str, ledger: SweepState | None) -> None:
        """One fault."""
        if fault == OF_A_RUN:
            going = [run.pid for run in ledger.runs if run.status == "running"] if ledger else []
            if pids := [pid for pid in going if pid]:
                kill_family(self.drawn.choice(pids))
                self.faults[fault].trials += 1
            return
        agent.send_signal(SIGNALS[fault])
        self.faults[fault].trials += 1
        self.end_of(agent, 120, f"the agent did not end within two minutes of {fault}")

    def end_of(self, agent: subprocess.Popen[bytes], seconds: float, otherwise: str) -> int | None:
        """Its exit status; None of one that did not end by itself."""
        with suppress(subprocess.TimeoutExpired):
            return agent.wait(timeout=seconds)
        self.row.blame("hung", otherwise)
        agent.kill()
        agent.wait()
        return None

    def look(self, directory: Path) -> SweepState | None:
        """Read the ledger, which must be whole, and note what was finished and what was started again."""
        ledger = read_sweep(directory)
        for run in ledger.runs if ledger else ():
            if run.id in self.done and self.done[run.id] != run.attempt:
                self.repeated.add(run.id)
            if run.done:
                self.done.setdefault(run.id, run.attempt)
        return ledger

    def finish(self, directory: Path) -> None:
        """Let the sweep come to its end."""
        for _ in range(5):
            status = self.end_of(self.call(directory), 3600, f"{directory.name} did not end within an hour")
            self.look(directory)
            if status in (0, None):
                return
        log = (self.root / f"{directory.name}.log").read_text()
        self.row.blame("wrong", f"{directory.name}: {log[-2000:]}")


def judge(root: Path, soak: Soak, runs: int) -> None:
    """Compare the two sweeps, configuration by configuration, and their rankings."""
    row = soak.row
    row.trials = runs
    peaceful, disturbed = (read_offline(root / name).runs for name in ("peaceful", "disturbed"))
    if not len(disturbed) == len(peaceful) == runs:
        row.blame("lost", f"{len(disturbed)} and {len(peaceful)} configurations were read")
    ledger = read_sweep(root / "disturbed")
    statuses = [run.status for run in ledger.runs] if ledger else []
    if statuses != ["finished"] * runs:
        row.blame("lost", f"the ledger has {len(statuses)} runs, {statuses.count('finished')} finished")
    by_cell = {cell(run.config): run for run in disturbed}
    for run in peaceful:
        key, other = cell(run.config), by_cell.get(cell(run.config))
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


def cell(config: Mapping[str, Any]) -> str:
    """What tells the cells of the grid apart."""
    return json.dumps([config[name] for name in ("learning_rate", "temperature", "seed")])


def ranking(directory: Path) -> list[Any]:
    """Configurations with their scores, as `selector rank` puts them."""
    command = [sys.executable, "-m", "selector.cli", "rank", str(directory), "--json"]
    answer = json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)
    ranked = [one for group in answer["groups"] for one in group["ranking"]]
    return sorted([one["rank"], one["score"], cell(one["config"])] for one in ranked)


if __name__ == "__main__":
    sys.exit(main())
