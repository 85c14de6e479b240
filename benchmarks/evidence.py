"""The sweeps behind docs/results.md: run them, keep their records, rebuild every table from the records.

    python benchmarks/evidence.py run                  all of sweeps/evidence, going on where it stopped
    python benchmarks/evidence.py run simclr-digits    one of them
    python benchmarks/evidence.py seeds simclr-cifar   its first four draws again, with the seeds 1 and 2
    python benchmarks/evidence.py tables               every table anew, from docs/evidence/*.json alone

`run` trains in evidence/<name>/ (some hours on two cores for all; --jobs 2 uses both) and then writes
docs/evidence/<name>.json. `seeds` does so for evidence/<name>-seeds/. The sweeps on CIFAR-10 read
data/cifar10-jpeg, which benchmarks/cifar_jpeg.py writes; those on Fashion-MNIST read Debian's package
dataset-fashion-mnist. The tables are made of the records: the same records give the same tables, byte for
byte.
"""

import subprocess
import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from pathlib import Path

import yaml

from selector.export_file import read_records

ROOT = Path(__file__).parents[1]
SWEEPS = ROOT / "sweeps" / "evidence"
RECORDS = ROOT / "docs" / "evidence"
REPEATED, FURTHER_SEEDS = 4, (1, 2)


def main() -> int:
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    names = sorted(file.stem for file in SWEEPS.glob("*.yaml"))
    parser.add_argument("command", choices=["run", "seeds", "tables"])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(names)}")
    parser.add_argument("--jobs", type=int, default=1, help="runs at the same time")
    parser.add_argument("--directory", type=Path, default=ROOT / "evidence", help="where to train")
    options = parser.parse_intermixed_args()
    if options.command == "tables":
        from results import pages

        for path, text in pages(ROOT / "docs").items():
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return 0
    if unknown := set(options.names) - set(names):
        parser.error(f"no sweep {', '.join(sorted(unknown))} in {SWEEPS} (there are {', '.join(names)})")
    train_and_keep = {"run": train_sweep, "seeds": train_seeds}[options.command]
    return max(train_and_keep(name, options.directory, options.jobs) for name in options.names or names)


def train_sweep(name: str, directory: Path, jobs: int) -> int:
    """Runs what is missing of a sweep, then keeps its records; failed runs are kept as failed."""
    selector("sweep", SWEEPS / f"{name}.yaml", "--directory", directory / name, "--jobs", jobs)
    return selector("export", directory / name, "--output", RECORDS / f"{name}.json")


def train_seeds(name: str, directory: Path, jobs: int) -> int:
    """The first draws of a sweep whose record is there, each as a grid over further seeds."""
    asked = yaml.safe_load((SWEEPS / f"{name}.yaml").read_text("utf-8"))
    runs = sorted(read_records(RECORDS / f"{name}.json").runs, key=lambda run: run.started or 0)
    folders = []
    for number, run in enumerate(runs[:REPEATED], start=1):
        folder = directory / f"{name}-seeds" / str(number)
        folder.mkdir(parents=True, exist_ok=True)
        # Records leave out where images lie; that is what the sweep says.
        given = {
            field: {"value": run.config.get(field, drawn.get("value"))}
            for field, drawn in asked["parameters"].items()
        }
        sweep = {key: value for key, value in asked.items() if key != "run_cap"}
        sweep |= {"method": "grid", "parameters": {**given, "seed": {"values": list(FURTHER_SEEDS)}}}
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(sweep, sort_keys=False), "utf-8")
        selector("sweep", folder / f"{name}.yaml", "--directory", folder, "--jobs", jobs)
        folders.append(folder)
    return selector("export", *folders, "--output", RECORDS / f"{name}-seeds.json")


def selector(*arguments: object) -> int:
    """Runs a command of the product from the top of the repository."""
    command = [sys.executable, "-m", "selector.cli", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
