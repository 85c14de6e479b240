"""What the verdicts of `watch` and an earlier checkpoint were worth, on the records in docs/evidence.

python benchmarks/watching.py        writes docs/evidence/tables/verdicts.md and checkpoints.md
"""

import json
from collections.abc import Iterator, Sequence
from math import isfinite
from pathlib import Path
from statistics import fmean, stdev

from pools import ORACLE, RULE, with_pool_score, with_pretext

from selector.export_file import read_records
from selector.metrics import METRICS, LabelFreeMetric
from selector.metrics.metric import UnknownDirection
from selector.runs import Run
from selector.selection.verdicts import RULES, verdict_of

RECORDS = Path(__file__).parents[1] / "docs" / "evidence"
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

`python benchmarks/watching.py` writes this page.
"""
CHECKPOINTS = """# What an earlier checkpoint is worth

Within each run, the trained milestone that a label-free metric scores best is taken in place of the last one.
The gain is the difference of the linear probe's accuracies, in points ± standard error over runs. Collapsed
runs count.

{body}
`python benchmarks/watching.py` writes this page.
"""
METRIC_OF = {metric.name: metric for metric in METRICS if isinstance(metric, LabelFreeMetric)}


def main() -> None:
    sweeps = list(read_sweeps(RECORDS))
    tables = RECORDS / "tables"
    (tables / "verdicts.md").write_text(verdicts(sweeps), encoding="utf-8")
    (tables / "checkpoints.md").write_text(checkpoints(sweeps), encoding="utf-8")


def read_sweeps(records: Path) -> Iterator[tuple[str, list[Run]]]:
    """(name, runs) of each record; pretext scores that were computed later are added to the rows."""
    for file in sorted(records.glob("*.json")):
        pretext = records / "pretext" / file.name
        scores = json.loads(pretext.read_text("utf-8")) if pretext.exists() else None
        runs = [with_pretext(run, scores) for run in read_records(file).runs if run.state == "finished"]
        yield file.stem, with_pool_score(runs) if scores else runs


def accuracies(run: Run) -> dict[int, float]:
    """Epoch → accuracy of the probe, where it was measured."""
    known = {row.epoch: row.values.get(ORACLE.key, float("nan")) for row in run.milestones}
    return {epoch: value for epoch, value in known.items() if isfinite(value)}


def is_right(kind: str, since: int | None, run: Run, median: float) -> bool | None:
    """Whether the probe agrees with a verdict; None where it was not measured."""
    known = accuracies(run)
    trained = [known[row.epoch] for row in run.trained_milestones if row.epoch in known]
    if not trained or (since is not None and since not in known) or 0 not in known:
        return None
    last = trained[-1]
    match kind:
        case "collapsed":
            return last < known[0]
        case "few dimensions":
            return last < median
        case "improving":
            return last > trained[-max(3, -(-len(trained) // 5))]
        case "settled":
            return abs(last - known[since]) <= POINT
    return last < known[since]


def verdicts(sweeps: Sequence[tuple[str, list[Run]]]) -> str:
    counts = {kind: [0, 0] for kind in RIGHT}
    unknown = total = 0
    for _, runs in sweeps:
        ends = sorted(found[max(found)] for run in runs if (found := accuracies(run)))
        for run in runs:
            verdict = verdict_of(run)
            total += 1
            right = None
            if verdict.kind in RIGHT and ends:
                right = is_right(verdict.kind, verdict.since, run, ends[len(ends) // 2])
            if right is None:
                unknown += 1
            else:
                counts[verdict.kind][0] += 1
                counts[verdict.kind][1] += right
    shares = {kind: f"{right / n:.0%}" if n else "–" for kind, (n, right) in counts.items()}
    rows = [
        f"| {kind} | {n} | {right} | {shares[kind]} | {RIGHT[kind]} |" for kind, (n, right) in counts.items()
    ]
    rules = [f"- {kind}: {rule}." for kind, rule in RULES.items() if kind in RIGHT]
    return VERDICTS.format(
        total=total, records=len(sweeps), unknown=unknown, rows="\n".join(rows), rules="\n".join(rules)
    )


def checkpoints(sweeps: Sequence[tuple[str, list[Run]]]) -> str:
    """What taking the milestone that a metric scores best gains over taking the last one."""
    names = [RULE, *sorted(METRIC_OF.keys() - {RULE})]
    body = []
    for part, wanted in (
        ("Table I records", "table1-"),
        ("all other records with three milestones or more", ""),
    ):
        gains: dict[str, list[float]] = {name: [] for name in names}
        hindsight = []
        for sweep, runs in sweeps:
            if sweep.startswith("table1-") != bool(wanted):
                continue
            for run in runs:
                known = accuracies(run)
                trained = [row for row in run.trained_milestones if row.epoch in known]
                if len(trained) < 3:
                    continue
                last = known[trained[-1].epoch]
                hindsight.append(max(known[row.epoch] for row in trained) - last)
                for name in names:
                    if (gain := gain_of(METRIC_OF[name], run, trained, known)) is not None:
                        gains[name].append(gain - last)
        body += [f"## {part}", ""]
        body += [
            f"{len(hindsight)} runs. Hindsight, the best milestone by the probe: {points(hindsight)}.",
            "",
        ]
        body += [
            "| metric | runs | mean gain in points | worst | better in | worse in |",
            "|---|---|---|---|---|---|",
        ]
        for name, values in gains.items():
            if values:
                better, worse = (sum(sign * value > 0 for value in values) for sign in (1, -1))
                low = 100 * min(values)
                body.append(f"| {name} | {len(values)} | {points(values)} | {low:.1f} | {better} | {worse} |")
        body.append("")
    return CHECKPOINTS.format(body="\n".join(body))


def gain_of(metric: LabelFreeMetric, run: Run, trained: Sequence, known: dict[int, float]) -> float | None:
    """Accuracy of the milestone that the metric scores best, the last one if several are equal, or None."""
    scored = [row for row in trained if isfinite(row.values.get(metric.key, float("nan")))]
    if len(scored) < 3:
        return None
    try:
        sign = 1 if metric.direction_in(run.config.get("method")) == "max" else -1
    except UnknownDirection:
        return None
    return known[max(scored, key=lambda row: (sign * row.values[metric.key], row.epoch)).epoch]


def points(values: Sequence[float]) -> str:
    error = 100 * stdev(values) / len(values) ** 0.5 if len(values) > 1 else 0.0
    return f"{100 * fmean(values):+.2f} ± {error:.2f}" if values else "–"


if __name__ == "__main__":
    main()
