"""The other tables of docs/evidence: noise, and the two of the paper."""

import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean, stdev

import numpy as np
from compare import head, number, points, row
from pools import ORACLE, Pool, label_free, name_of

from selector.export_file import read_records
from selector.metrics import METRICS, NOISE_PREFIX
from selector.paper.along_training import correlate_milestones
from selector.paper.table_one import print_correlations
from selector.reports.tables import open_console
from selector.runs import Run, RunSet
from selector.selection.candidates import final_value
from selector.selection.comparability import configuration


def noise_page(pools: Sequence[Pool]) -> Iterator[str]:
    """How much of the spread of a metric between configurations is noise; mean over the sweeps."""
    yield "# Noise\n\nStandard deviation over seeds, as a share of that between configurations.\n"
    yield head("metric", "UMAP seeds", "training seeds", "sweeps")
    for metric in [*label_free(), ORACLE]:
        umap, training = [], []
        for pool in pools:
            values = [final_value(run, metric.key) for run in pool.runs.runs]
            known = [value for value in values if value is not None]
            between = stdev(known) if len(known) > 2 else 0.0
            spread = seed_deviation([*pool.runs.runs, *pool.seeds], metric.key)
            if not between or spread is None:
                continue
            training.append(spread / between)
            noises = [final_value(run, NOISE_PREFIX + metric.name) for run in pool.runs.runs]
            errors = [
                n / run.definition["umap_seeds"] ** 0.5
                for n, run in zip(noises, pool.runs.runs, strict=True)
                if n is not None
            ]
            umap += [float(np.median(errors)) / between] if errors else []
        if training:
            shown = number(fmean(umap)) if umap else "–"
            yield row(f"`{name_of(metric)}`", shown, number(fmean(training)), len(training))


def table_one_page(records: Path) -> Iterator[str]:
    """Table I of the paper over our runs, beside the paper's own figures."""
    yield "# Table I\n\nRuns of the paper's recipes in small, with small encoders and the fast probe.\n"
    for data in ("digits", "fashion"):
        sets = [read_records(file) for file in sorted(records.glob(f"table1-*-{data}.json"))]
        runs = sorted((run for one in sets for run in one.runs), key=lambda run: run.id)
        text = io.StringIO()
        logged = {key for run in runs for milestone in run.milestones for key in milestone.values}
        metrics = sorted((m for m in METRICS if m.key in logged - {ORACLE.key}), key=lambda m: m.key)
        report = correlate_milestones(RunSet(f"table1-{data}", tuple(runs)), ORACLE, metrics)
        print_correlations(report, open_console(text), published=True)
        yield (
            "```text\n" + "\n".join(line.rstrip() for line in text.getvalue().rstrip().splitlines()) + "\n```"
        )


def table_two_page(records: Path) -> Iterator[str]:
    """Frozen models: accuracy, and the metrics that go with it."""
    (study,) = json.loads((records / "pretrained" / "digits.json").read_text("utf-8"))["datasets"]
    yield "# Table II\n\nWhat `selector pretrained --json` printed for twelve frozen models on digits.\n"
    yield head("model", "linear probe accuracy", "RankMe of the representations")
    for model in sorted(study["models"], key=lambda model: -model["values"][ORACLE.key]):
        values = model["values"]
        yield row(model["model"], points(values[ORACLE.key]), f"{values['label_free/rankme_backbone']:.1f}")
    found = [one for one in study["correlations"] if one["group"] == "overall" and one["pearson"] is not None]
    yield "\n" + head("metric", "r", "95 %", "p", "ρ")
    for one in sorted(found, key=lambda one: -abs(one["pearson"])):
        interval = "–" if one["interval"] is None else " to ".join(map(number, one["interval"]))
        pearson, spearman = number(one["pearson"]), number(one["spearman"])
        yield row(f"`{one['metric']}`", pearson, interval, f"{one['pearson_p']:.3f}", spearman)


def seed_deviation(runs: Sequence[Run], key: str) -> float | None:
    """Standard deviation over the seeds of one configuration, pooled; None where none has two."""
    members: dict[str, list[float]] = {}
    for run in runs:
        value = final_value(run, key)
        if run.state == "finished" and value is not None:
            members.setdefault(configuration(run), []).append(value)
    repeated = [np.array(some) for some in members.values() if len(some) > 1]
    squares = sum(float(((some - some.mean()) ** 2).sum()) for some in repeated)
    return (squares / sum(len(some) - 1 for some in repeated)) ** 0.5 if repeated else None
