"""How long `selector` takes to start, as ratios to an empty Python, interleaved.

    python benchmarks/startup.py [--runs 100] [--rounds 15]

Every command is run once before the first round, so that bytecode is written and files are cached: warm.
The runs are those of read_offline.py: copies of one run by W&B's own client, 50 milestones each.
"""

import os
import sys
import tempfile
from functools import partial
from pathlib import Path

from compare import in_turns, options, print_costs
from read_offline import MILESTONES, copy_runs, quietly

SELECTOR = (sys.executable, "-m", "selector.cli")


def main() -> None:
    asked = options(__doc__, runs=100, rounds=15)
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    with tempfile.TemporaryDirectory() as name:
        # Some environments forbid bytecode beside the sources: here it goes to a folder of its own.
        os.environ["PYTHONPYCACHEPREFIX"] = str(Path(name) / "bytecode")
        sweep = Path(name) / "sweep"
        copy_runs(Path(name), sweep, asked.runs)
        commands = {
            "python -c pass": (sys.executable, "-c", "pass"),
            "selector --help": (*SELECTOR, "--help"),
            "selector rank --help": (*SELECTOR, "rank", "--help"),
            "selector rank": (*SELECTOR, "rank", sweep),
            "python -c 'import wandb'": (sys.executable, "-c", "import wandb"),
        }
        starts = {title: partial(quietly, [command]) for title, command in commands.items()}
        in_turns(starts, 1)
        costs = in_turns(starts, asked.rounds)
    print_costs(f"{asked.runs} runs x {MILESTONES} milestones", costs, "python -c pass", slower=True)


if __name__ == "__main__":
    main()
