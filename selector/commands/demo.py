"""`selector demo`: a small sweep on real images, ranked without labels, with a report of what it cost."""

import os
from pathlib import Path

from selector.commands.arguments import warn
from selector.errors import writing
from selector.machine import checkout, usable_cores

_ELSEWHERE = "; --directory names another"


def demo(*, directory: Path = Path("selector-demo"), quiet: bool = False) -> int:
    """Train a small sweep on real images, rank it without labels, and say what the choice cost.

    Args:
        directory: Sweep folder; a second call with the same folder continues where the first stopped.
        quiet: Print only errors and the result.
    """
    from selector.commands.named import held_metrics
    from selector.metrics import labelled_metric
    from selector.reports.html import page_of
    from selector.reports.opinions import opinions_of
    from selector.reports.photos import with_photos
    from selector.reports.regret_tables import print_regret
    from selector.reports.report import report_of
    from selector.reports.sweep_progress import SweepBar
    from selector.reports.tables import open_console, print_ranking
    from selector.runs import read_source
    from selector.selection.consensus import CONSENSUS
    from selector.selection.preparation import prepared
    from selector.selection.ranking import rank
    from selector.selection.regret import regret
    from selector.sweeping.agent import run_sweep

    file = _sweep_file(directory)
    jobs = min(usable_cores(), 8)
    with SweepBar(quiet=quiet) as bar:
        run_sweep(file, directory, jobs=jobs, reporter=bar)
    runs, (metric,) = prepared(read_source(str(directory), spectra=True), [CONSENSUS])
    oracle, console = labelled_metric("linear_probe_accuracy"), open_console()
    ranking = rank(runs, metric)
    opinions = [opinions_of(runs, group, metric) for group in ranking.groups]
    print_ranking(ranking, opinions, console)
    report = regret(runs, held_metrics(runs), oracle)
    print_regret(report, console)
    warn(list(dict.fromkeys((*ranking.warnings, *report.warnings))))
    page = directory / "report.html"
    with writing(page, _ELSEWHERE):
        page.write_text(page_of(with_photos(report_of(runs, metric, oracle))), encoding="utf-8")
    print(f"\nOpen {page} in a browser. The runs are in {directory}: try  selector best {directory}")
    return 0


def _sweep_file(directory: Path) -> Path:
    """sweeps/digits.yaml, with the way to train.py from here, so that the demo runs in any folder."""
    import yaml

    sources = checkout()
    sweep = yaml.safe_load((sources / "sweeps" / "digits.yaml").read_text(encoding="utf-8"))
    sweep["program"] = os.path.relpath(sources / "train.py")
    file = directory / "digits.yaml"
    with writing(file, _ELSEWHERE):
        directory.mkdir(parents=True, exist_ok=True)
        file.write_text(yaml.safe_dump(sweep, sort_keys=False), encoding="utf-8")
    return file
