"""A sweep as a whole: `selector sweep` against running train.py once for each of its configurations.

    python benchmarks/sweep.py [--runs 6] [--rounds 5] [--jobs 2] [--epochs 20]

The configurations are the first of sweeps/digits.yaml, all else as it says there (20 epochs, milestones at 0,
10 and 20, probe `fast`) unless --epochs asks for fewer. Both write offline W&B runs. "train.py" is a shell
loop: every run imports torch and its kin, loads what numba compiled, and begins anew. `selector sweep` forks
its runs from a process that has done so once; with --jobs they share the cores. RankMe of every run must be
the same to the last digit.
"""

import ctypes
import itertools
import os
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from contextlib import suppress
from pathlib import Path
from statistics import median
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]


def main() -> None:
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=20)
    options = parser.parse_args()
    ways = {
        "train.py, one by one": 0,
        "selector sweep": 1,
        f"selector sweep --jobs {options.jobs}": options.jobs,
    }
    sweep = yaml.safe_load((ROOT / "sweeps" / "digits.yaml").read_text())
    sweep["parameters"]["epochs"] = {"value": options.epochs}
    sweep["parameters"]["milestone_every"] = {"value": max(1, options.epochs // 2)}
    become_subreaper()
    times: dict[str, list[float]] = {way: [] for way in ways}
    cpus: dict[str, list[float]] = {way: [] for way in ways}
    figures: dict[str, list[float]] = {}
    for _ in range(options.rounds):
        for way, jobs in ways.items():
            with tempfile.TemporaryDirectory() as folder:
                wall, cpu = time.perf_counter(), cpu_of_children()
                if jobs:
                    by_sweep(sweep, options.runs, jobs, Path(folder))
                else:
                    by_loop(sweep, options.runs, Path(folder))
                with suppress(ChildProcessError):  # the fork server ends after `selector sweep`
                    while True:
                        os.wait()
                times[way].append(time.perf_counter() - wall)
                cpus[way].append(cpu_of_children() - cpu)
                figures[way] = rankme_of_runs(Path(folder))
            print(f"{way}: {times[way][-1]:.1f} s", file=sys.stderr, flush=True)
    print(f"{options.runs} digits configurations, {options.rounds} rounds, load {os.getloadavg()[0]:.1f}")
    print(
        f"{'':<28}{'wall s':>8}{'min':>8}{'max':>8}{'faster by':>11}{'min':>6}{'max':>6}{'cpu s':>8}", end=""
    )
    print(f"{'less by':>9}")
    first = next(iter(ways))
    for way in ways:
        ratios = [loop / own for loop, own in zip(times[first], times[way], strict=True)]
        print(f"{way:<28}{median(times[way]):>8.1f}{min(times[way]):>8.1f}{max(times[way]):>8.1f}", end="")
        print(
            f"{median(ratios):>11.2f}{min(ratios):>6.2f}{max(ratios):>6.2f}{median(cpus[way]):>8.1f}", end=""
        )
        print(f"{median(cpus[first]) / median(cpus[way]):>9.2f}")
    same = all(values == figures[first] for values in figures.values())
    print(f"RankMe of all {len(figures[first])} runs: {'the same in all ways' if same else figures}")


def configurations(sweep: dict[str, Any], count: int) -> list[dict[str, Any]]:
    """The first cells of the grid, as flags of train.py."""
    parameters = sweep["parameters"]
    fixed = {name: spec["value"] for name, spec in parameters.items() if "value" in spec}
    # In the order of the grid search, which is that of their names.
    swept = {name: spec["values"] for name, spec in sorted(parameters.items()) if "values" in spec}
    cells = itertools.product(*swept.values())
    return [fixed | dict(zip(swept, cell, strict=True)) for cell in itertools.islice(cells, count)]


def by_loop(sweep: dict[str, Any], count: int, folder: Path) -> None:
    environment = os.environ | {"WANDB_MODE": "offline", "WANDB_DIR": str(folder), "WANDB_SILENT": "true"}
    for number, config in enumerate(configurations(sweep, count)):
        flags = [f"--{name}={value}" for name, value in config.items()]
        run = environment | {"WANDB_RUN_ID": f"run{number}"}
        subprocess.run(
            [sys.executable, "train.py", *flags], cwd=ROOT, env=run, check=True, capture_output=True
        )


def by_sweep(sweep: dict[str, Any], count: int, jobs: int, folder: Path) -> None:
    environment = os.environ | {"WANDB_SILENT": "true"}
    file = folder / "digits.yaml"
    file.write_text(yaml.safe_dump(sweep))
    options = ["--directory", str(folder / "sweep"), "--count", str(count), "--jobs", str(jobs)]
    command = [sys.executable, "-m", "selector.cli", "sweep", str(file), *options]
    subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)


def rankme_of_runs(folder: Path) -> list[float]:
    """RankMe of the last milestones, in the order of the values."""
    from selector.tracking.offline import read_offline

    place = folder / "sweep" if (folder / "sweep").exists() else folder
    return sorted(run.milestones[-1].values["label_free/rankme"] for run in read_offline(str(place)).runs)


def become_subreaper() -> None:
    """Inherit orphans, such as the fork server: its CPU time would else be counted nowhere."""
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER


def cpu_of_children() -> float:
    times = os.times()
    return times.children_user + times.children_system


if __name__ == "__main__":
    main()
