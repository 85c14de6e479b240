"""A sweep as a whole: `selector sweep` against running train.py once for each of its configurations.

    python benchmarks/sweep.py [--runs 6] [--rounds 5] [--jobs 2] [--epochs 20]

The configurations are the first of sweeps/digits.yaml, all else as it says there (20 epochs, milestones at 0,
10 and 20, probe `fast`) unless --epochs asks for fewer. Both write offline W&B runs. "train.py" is a shell
loop: every run imports torch and its kin, loads what numba compiled, and begins anew. `selector sweep` forks
its runs from a process that has done so once; with --jobs they share the cores. RankMe of every run must be
the same to the last digit.
"""

import ctypes
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import yaml
from compare import in_turns, options, print_costs

from selector.sweeping.search import foreseen
from selector.sweeping.sweep_file import read_sweep_file
from selector.tracking.offline import read_offline

ROOT = Path(__file__).parents[1]
ONE_BY_ONE = "train.py, one by one"


def main() -> None:
    asked = options(__doc__, runs=6, rounds=5, jobs=2, epochs=20)
    sweep = yaml.safe_load((ROOT / "sweeps" / "digits.yaml").read_text())
    sweep["parameters"]["epochs"] = {"value": asked.epochs}
    sweep["parameters"]["milestone_every"] = {"value": max(1, asked.epochs // 2)}
    become_subreaper()
    figures: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "digits.yaml"
        file.write_text(yaml.safe_dump(sweep))

        def trained(way: str, run: Callable[[Path], None]) -> None:
            with tempfile.TemporaryDirectory() as folder:
                run(Path(folder))
                with suppress(ChildProcessError):  # the fork server ends after `selector sweep`
                    while True:
                        os.wait()
                figures[way] = rankme_of_runs(Path(folder))

        ways = {ONE_BY_ONE: partial(by_loop, file, asked.runs)}
        for jobs in (1, asked.jobs):
            ways[f"selector sweep --jobs {jobs}"] = partial(by_sweep, file, asked.runs, jobs)
        costs = in_turns({way: partial(trained, way, run) for way, run in ways.items()}, asked.rounds)
    print_costs(f"{asked.runs} digits configurations", costs, ONE_BY_ONE)
    same = all(values == figures[ONE_BY_ONE] for values in figures.values())
    print(f"\nRankMe of all {asked.runs} runs: {'the same in all ways' if same else figures}")


def by_loop(file: Path, count: int, folder: Path) -> None:
    environment = os.environ | {"WANDB_MODE": "offline", "WANDB_DIR": str(folder), "WANDB_SILENT": "true"}
    for number, config in enumerate(foreseen(read_sweep_file(file), 0, count)):
        flags = [f"--{name}={value}" for name, value in config.items()]
        run = environment | {"WANDB_RUN_ID": f"run{number}"}
        command = [sys.executable, "train.py", *flags]
        subprocess.run(command, cwd=ROOT, env=run, check=True, capture_output=True)


def by_sweep(file: Path, count: int, jobs: int, folder: Path) -> None:
    environment = os.environ | {"WANDB_SILENT": "true"}
    flags = ["--directory", str(folder / "sweep"), "--count", str(count), "--jobs", str(jobs)]
    command = [sys.executable, "-m", "selector.cli", "sweep", str(file), *flags]
    subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)


def rankme_of_runs(folder: Path) -> list[float]:
    """RankMe of the last milestones, in the order of the values."""
    place = folder / "sweep" if (folder / "sweep").exists() else folder
    return sorted(run.milestones[-1].values["label_free/rankme"] for run in read_offline(str(place)).runs)


def become_subreaper() -> None:
    """Inherit orphans, such as the fork server: its CPU time would else be counted nowhere."""
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER


if __name__ == "__main__":
    main()
