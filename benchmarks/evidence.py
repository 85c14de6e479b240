"""The sweeps behind docs/results.md: run them, keep their records, rebuild every table from the records.

    python benchmarks/evidence.py run                  all of sweeps/evidence, going on where it stopped
    python benchmarks/evidence.py run simclr-digits    one of them
    python benchmarks/evidence.py tables               every table anew, from docs/evidence/*.json alone

`run` trains in evidence/<name>/ (some hours on two cores for all; --jobs 2 uses both) and then writes
docs/evidence/<name>.json. The records are what the tables are made of: the same records give the same
tables, byte for byte.
"""

import argparse
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
SWEEPS = ROOT / "sweeps" / "evidence"
RECORDS = ROOT / "docs" / "evidence"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="train the sweeps and keep their records")
    names = sorted(file.stem for file in SWEEPS.glob("*.yaml"))
    run.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(names)}")
    run.add_argument("--jobs", type=int, default=1, help="runs at the same time")
    run.add_argument("--directory", type=Path, default=Path("evidence"), help="where to train")
    commands.add_parser("tables", help="rebuild docs/results.md and the tables beside the records")
    options = parser.parse_args()
    if options.command == "tables":
        from results import pages

        for path, text in pages(ROOT / "docs").items():
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return 0
    if unknown := set(options.names) - set(names):
        parser.error(f"no sweep {', '.join(sorted(unknown))} in {SWEEPS} (there are {', '.join(names)})")
    return max(
        train_and_keep(name, options.directory / name, options.jobs) for name in options.names or names
    )


def train_and_keep(name: str, directory: Path, jobs: int) -> int:
    """Runs what is missing of a sweep, then keeps its records; failed runs are kept as failed."""
    sweep = [SWEEPS / f"{name}.yaml", "--directory", directory, "--jobs", jobs]
    subprocess.run([sys.executable, "-m", "selector.cli", "sweep", *map(str, sweep)], cwd=ROOT, check=False)
    RECORDS.mkdir(parents=True, exist_ok=True)
    keep = [directory, "--output", RECORDS / f"{name}.json"]
    return subprocess.run(
        [sys.executable, "-m", "selector.cli", "export", *map(str, keep)], cwd=ROOT, check=False
    ).returncode


if __name__ == "__main__":
    sys.exit(main())
