"""What the verdicts of `watch` and an earlier checkpoint were worth, on the records in docs/evidence."""

import json
from collections.abc import Iterator, Sequence
from math import isfinite, nan
from pathlib import Path
from statistics import fmean, stdev

from compare import head, row
from pools import ORACLE, RULE, with_pool_score, with_pretext

from selector.export_file import read_records
from selector.metrics import METRICS, LabelFreeMetric
from selector.metrics.metric import UnknownDirection
from selector.runs import Milestone, Run
from selector.selection.verdicts import RULES, verdict_of

POINT = 0.01
# When a verdict counts as right, by the probe's accuracy at the last milestone and at others.
RIGHT = {
    "collapsed": "the probe ends below that of the untrained network",
    "few dimensions": "the probe ends below the median of its sweep",
    "improving": "the probe is higher than three milestones (or a fifth of them) before",
    "settled": "the probe has moved by at most 1 point since that epoch",
    "worse": "the probe is lower than at that epoch",
}
VERDICTS = """# How often the verdicts of `watch` were right about the probe

{total} finished runs of {records} records, each at its end. The verdict reads no label; the linear probe
judges it. {unknown} runs got no verdict that can be judged: they did not collapse, and their records hold no
pretext criteria, or too few milestones to tell a rise that slows down from noise.
The thresholds were set while looking at the first of these records, so the counts flatter them.

| verdict | runs | right | share | right means |
|---|---|---|---|---|
{rows}

Rules:

{rules}

`python benchmarks/evidence.py tables` writes this page.
"""
CHECKPOINTS = """# What an earlier checkpoint is worth

Within each run, the trained milestone that a label-free metric scores best is taken in place of the last one.
The gain is the difference of the linear probe's accuracies, in points ± standard error over runs. Collapsed
runs count.

{body}
`python benchmarks/evidence.py tables` writes this page.
"""


def watching_pages(records: Path) -> dict[Path, str]:
    """Both pages and their text."""
    sweeps, tables = list(read_sweeps(records)), records / "tables"
    return {tables / "verdicts.md": verdicts(sweeps), tables / "checkpoints.md": checkpoints(sweeps)}


def read_sweeps(records: Path) -> Iterator[tuple[str, list[Run]]]:
    """(name, runs) of each record; pretext scores that were computed later are added to the rows."""
    for file in sorted(records.glob("*.json")):
        pretext = records / "pretext" / file.name
        scores = json.loads(pretext.read_text("utf-8")) if pretext.exists() else None
        runs = [with_pretext(run, scores) for run in read_records(file).runs if run.state == "finished"]
        yield file.stem, with_pool_score(runs) if scores else runs


def verdicts(sweeps: Sequence[tuple[str, list[Run]]]) -> str:
    found = [one for _, runs in sweeps for one in judged(runs)]
    rows = []
    for kind, meaning in RIGHT.items():
        rights = [right for other, right in found if other == kind and right is not None]
        share = f"{fmean(rights):.0%}" if rights else "–"
        rows.append(row(kind, len(rights), sum(rights), share, meaning))
    return VERDICTS.format(
        total=len(found),
        records=len(sweeps),
        unknown=sum(right is None for _, right in found),
        rows="\n".join(rows),
        rules="\n".join(f"- {kind}: {rule}." for kind, rule in RULES.items() if kind in RIGHT),
    )


def judged(runs: Sequence[Run]) -> Iterator[tuple[str, bool | None]]:
    """The kind of each run's verdict, and whether the probe agrees; None where it was not measured."""
    ends = sorted(known[max(known)] for run in runs if (known := accuracies(run)))
    for run in runs:
        kind, since, known = verdict_of(run).kind, verdict_of(run).since, accuracies(run)
        trained = [known[row.epoch] for row in measured(run)]
        if kind in RIGHT and trained and 0 in known and (since is None or since in known):
            yield kind, is_right(kind, since, known, trained, ends[len(ends) // 2])
        else:
            yield kind, None


def is_right(
    kind: str, since: int | None, known: dict[int, float], trained: list[float], median: float
) -> bool:
    """Whether the probe agrees with a verdict."""
    match kind:
        case "collapsed":
            return trained[-1] < known[0]
        case "few dimensions":
            return trained[-1] < median
        case "improving":
            return trained[-1] > trained[-max(3, -(-len(trained) // 5))]
        case "settled":
            return abs(trained[-1] - known[since]) <= POINT
    return trained[-1] < known[since]


def accuracies(run: Run) -> dict[int, float]:
    """Epoch → accuracy of the probe, where it was measured."""
    known = {row.epoch: row.values.get(ORACLE.key, nan) for row in run.milestones}
    return {epoch: value for epoch, value in known.items() if isfinite(value)}


def measured(run: Run) -> list[Milestone]:
    """The trained milestones at which the probe was measured."""
    return [row for row in run.trained_milestones if isfinite(row.values.get(ORACLE.key, nan))]


def checkpoints(sweeps: Sequence[tuple[str, list[Run]]]) -> str:
    """What taking the milestone that a metric scores best gains over taking the last one."""
    body = []
    table_one = {True: "Table I records", False: "all other records with three milestones or more"}
    for is_of_table, title in table_one.items():
        some = [runs for name, runs in sweeps if name.startswith("table1-") == is_of_table]
        runs = [run for one in some for run in one if len(measured(run)) > 2]
        body += [f"## {title}", ""]
        hindsight = points([max(row.values[ORACLE.key] for row in measured(run)) - end(run) for run in runs])
        body += [f"{len(runs)} runs. Hindsight, the best milestone by the probe: {hindsight}.", ""]
        body += [head("metric", "runs", "mean gain in points", "worst", "better in", "worse in")]
        metrics = [metric for metric in METRICS if isinstance(metric, LabelFreeMetric)]
        for metric in sorted(metrics, key=lambda metric: (metric.name != RULE, metric.name)):
            picked = [(pick_of(metric, run), run) for run in runs]
            if gains := [pick - end(run) for pick, run in picked if pick is not None]:
                better, worse = (sum(sign * gain > 0 for gain in gains) for sign in (1, -1))
                low = f"{100 * min(gains):.1f}"
                body.append(row(metric.name, len(gains), points(gains), low, better, worse))
        body.append("")
    return CHECKPOINTS.format(body="\n".join(body))


def end(run: Run) -> float:
    """Accuracy of the last milestone."""
    return measured(run)[-1].values[ORACLE.key]


def pick_of(metric: LabelFreeMetric, run: Run) -> float | None:
    """Accuracy of the milestone that the metric scores best, the last one if several are equal, or None."""
    scored = [row for row in measured(run) if isfinite(row.values.get(metric.key, nan))]
    if len(scored) < 3:
        return None
    try:
        sign = 1 if metric.direction_in(run.config.get("method")) == "max" else -1
    except UnknownDirection:
        return None
    return max(scored, key=lambda row: (sign * row.values[metric.key], row.epoch)).values[ORACLE.key]


def points(values: Sequence[float]) -> str:
    error = 100 * stdev(values) / len(values) ** 0.5 if len(values) > 1 else 0.0
    return f"{100 * fmean(values):+.2f} ± {error:.2f}" if values else "–"
