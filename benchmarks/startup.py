"""How long `selector` takes to start, as ratios to an empty Python, interleaved.

    python benchmarks/startup.py [--runs 100] [--rounds 15]

Every command is run once before the first round, so that bytecode is written and files are cached: warm.
The runs are those of read_offline.py: copies of one run by W&B's own client, 50 milestones each.
Wall time and processor time (user and system) of each process; medians over the rounds.
"""

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from pathlib import Path

from read_offline import MILESTONES, copy_runs, write_original

SELECTOR = (sys.executable, "-m", "selector.cli")


def main() -> None:
    """Make the runs, time the commands, print the table."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    os.environ |= {"WANDB_MODE": "offline", "WANDB_SILENT": "true", "WANDB_ERROR_REPORTING": "false"}
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    with tempfile.TemporaryDirectory() as name:
        # Some environments forbid bytecode beside the sources: here it goes to a folder of its own.
        os.environ["PYTHONPYCACHEPREFIX"] = str(Path(name) / "bytecode")
        folder = Path(name) / "runs"
        folder.mkdir()
        copy_runs(write_original(folder), folder / "sweep", options.runs)
        commands = {
            "python -c pass": (sys.executable, "-c", "pass"),
            "selector --version": (*SELECTOR, "--version"),
            "selector --help": (*SELECTOR, "--help"),
            "selector rank --help": (*SELECTOR, "rank", "--help"),
            f"selector rank, {options.runs} runs": (*SELECTOR, "rank", str(folder / "sweep")),
            "python -c 'import wandb'": (sys.executable, "-c", "import wandb"),
        }
        for command in commands.values():
            timed(command)
        times: dict[str, list[tuple[float, float]]] = {title: [] for title in commands}
        for _ in range(options.rounds):
            for title, command in commands.items():
                times[title].append(timed(command))
    load = os.getloadavg()[0]
    print(f"{options.runs} runs x {MILESTONES} milestones, {options.rounds} rounds, load {load:.1f}")
    print_table(times)


def timed(command: tuple[str, ...]) -> tuple[float, float]:
    """Seconds of wall time and of processor time that a process takes."""
    before, start = _processor(), time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start, _processor() - before


def _processor() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def print_table(times: dict[str, list[tuple[float, float]]]) -> None:
    """One line a command: medians, the least wall time, and medians of the ratios to the first command."""
    first, *_ = times.values()
    print(f"{'':26}{'wall s':>8}{'least':>8}{'cpu s':>8}{'ratio':>8}{'of cpu':>8}")
    for title, seconds in times.items():
        wall, processor = zip(*seconds, strict=True)
        ratios = [[mine[i] / base[i] for mine, base in zip(seconds, first, strict=True)] for i in (0, 1)]
        figures = (statistics.median(wall), min(wall), statistics.median(processor))
        print(f"{title:26}{figures[0]:8.3f}{figures[1]:8.3f}{figures[2]:8.3f}", end="")
        print("".join(f"{statistics.median(ratio):8.1f}" for ratio in ratios))


if __name__ == "__main__":
    main()
