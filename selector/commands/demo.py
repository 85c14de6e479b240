"""`selector demo`: a small sweep on real images, ranked without labels, with a report of what it cost."""

import os
from pathlib import Path

from selector.commands.arguments import Runs
from selector.commands.rank import rank
from selector.commands.regret import regret
from selector.commands.report import report
from selector.errors import writing
from selector.machine import checkout, usable_cores


def demo(*, directory: Path = Path("selector-demo"), quiet: bool = False) -> int:
    """Train a small sweep on real images, rank it without labels, and say what the choice cost.

    Args:
        directory: Sweep folder; a second call with the same folder continues where the first stopped.
        quiet: Print only errors and the result.
    """
    from selector.reports.sweep_progress import SweepBar
    from selector.sweeping.agent import run_sweep

    file = _sweep_file(directory)
    jobs = min(usable_cores(), 8)
    with SweepBar(quiet=quiet) as bar:
        run_sweep(file, directory, jobs=jobs, reporter=bar)
    runs = Runs((str(directory),), quiet=quiet)
    rank(runs)
    regret(runs)
    print()
    report(runs, output=directory / "report.html")
    print(f"The runs are in {directory}: try  selector best {directory}")
    return 0


def _sweep_file(directory: Path) -> Path:
    """sweeps/digits.yaml, with the way to train.py from here, so that the demo runs in any folder."""
    import yaml

    sources = checkout()
    sweep = yaml.safe_load((sources / "sweeps" / "digits.yaml").read_text(encoding="utf-8"))
    sweep["program"] = os.path.relpath(sources / "train.py")
    file = directory / "digits.yaml"
    with writing(file, "; --directory names another"):
        directory.mkdir(parents=True, exist_ok=True)
        file.write_text(yaml.safe_dump(sweep, sort_keys=False), encoding="utf-8")
    return file
