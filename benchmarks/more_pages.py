"""The other tables of docs/evidence: noise, repetitions, agreement, images, cost, and the paper's two."""

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from math import isfinite
from pathlib import Path
from statistics import fmean, median, stdev
from typing import Any

import numpy as np
from chance import MILESTONES, share_of_stars
from compare import both, head, number, points, row
from pools import DATA, METHODS, ORACLE, PARTS, RULE, Pool, judged_group, label_free, name_of, tie_order

from selector.export_file import read_records
from selector.metrics import METRICS, NOISE_PREFIX
from selector.paper.along_training import correlate_milestones
from selector.paper.table_one import print_correlations
from selector.reports.tables import open_console
from selector.runs import Run, RunSet
from selector.selection.candidates import final_value
from selector.selection.comparability import configuration
from selector.selection.consensus import PARTS as OF_CONSENSUS, with_consensus
from selector.selection.correlation import average_ranks
from selector.selection.intervals import resampled_regrets
from selector.selection.oracle import Judged
from selector.selection.regret import Regret
from selector.text import counted


def noise_page(pools: Sequence[Pool]) -> Iterator[str]:
    """How much of the spread of a metric between configurations is noise."""
    yield (
        "# Noise\n\nStandard deviation over seeds, as a share of that between configurations; median over the"
        " sweeps, for one run with a condition number of 10¹⁶ would make a mean useless.\n"
    )
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
            shown = number(median(umap)) if umap else "–"
            yield row(f"`{name_of(metric)}`", shown, number(median(training)), len(training))


def repetition_page(records: Path, pools: Sequence[Pool]) -> Iterator[str]:
    """Regret with one seed and with another, and whether the interval of a repetition held it."""
    again = [(pool, records / f"repeat-{pool.name}.json") for pool in pools]
    some = {pool.title: repeated(pool, file) for pool, file in again if file.exists()}
    yield (
        "# The same sweeps with another seed\n\nRegret (95 % interval of a repetition, from the further seeds"
        " of a third of the configurations) → regret of the repetition, **bold** outside of the interval.\n"
    )
    yield head("chosen by", *some)
    for name in dict.fromkeys(name for cells in some.values() for name in cells):
        yield row(f"`{name}`", *(cells.get(name, "–") for cells in some.values()))
    shown = [cell for cells in some.values() for cell in cells.values()]
    held = sum("**" not in cell for cell in shown)
    yield f"\n{held} of {len(shown)} regrets of the repetition lie within their interval."


def repeated(pool: Pool, file: Path) -> dict[str, str]:
    """Name of a metric → its cell, from the record of a repetition."""
    cells = {}
    again = {name_of(one): one.regret for one in judged_group(read_records(file)).metrics}
    for one in pool.group.metrics:
        if one.regret is None or (regret := again.get(name_of(one))) is None:
            continue
        low, high = repetition_of(pool, one)
        within = low - 5e-5 <= regret <= high + 5e-5  # records keep accuracies to five digits
        shown = points(regret) if within else f"**{points(regret)}**"
        cells[name_of(one)] = f"{points(one.regret)} ({points(low)}–{points(high)}) → {shown}"
    return cells


def seeds_page(pools: Sequence[Pool]) -> Iterator[str]:
    """How far other seeds might move the regrets of the protocol's sweeps."""
    yield (
        "# Other seeds\n\nRegret in points (95 % interval of the regret if all runs were trained with other"
        " seeds and the choice were made anew). It comes from two further seeds of the first four draws of"
        " each sweep, and says nothing about other sweeps. The regret before the brackets comes from the"
        " sweep's own seeds, so it may lie outside.\n"
    )
    some = [pool for pool in pools if pool.seeds]
    yield head("chosen by", *(pool.title for pool in some))
    for name in (RULE, *PARTS, "consensus", "stable_rank", "rankme"):
        yield row(f"`{name}`", *(repeated_cell(pool, name) for pool in some))


def repeated_cell(pool: Pool, name: str) -> str:
    """Regret of one metric in one sweep, and its interval in a repetition."""
    one = next((one for one in pool.group.metrics if name_of(one) == name), None)
    if one is None or one.regret is None:
        return "–"
    low, high = repetition_of(pool, one)
    return f"{points(one.regret)} ({points(low)}–{points(high)})"


def repetition_of(pool: Pool, one: Regret) -> tuple[float, float]:
    """Interval of one metric's regret in a repetition, from the configurations that have further seeds."""
    sign = 1 if one.direction == "max" else -1

    def pair(run: Run) -> tuple[float, float]:
        value, accuracy = (final_value(run, key) for key in (one.metric.key, ORACLE.key))
        return (-np.inf if value is None else sign * value), accuracy or 0.0

    seeds = with_consensus(RunSet("", (*pool.runs.runs, *pool.seeds))).runs  # places among all of them
    members: dict[str, list[tuple[float, float]]] = {}
    for run in seeds:
        if run.state == "finished":
            members.setdefault(configuration(run), []).append(pair(run))
    finite = [both for both in members.values() if len(both) > 2 and all(isfinite(s) for s, _ in both)]
    repeated = [([s for s, _ in both], [a for _, a in both]) for both in finite]
    scores, accuracies = zip(*(pair(judged.run) for judged in pool.group.judged), strict=True)
    low, high = np.percentile(resampled_regrets(scores, accuracies, repeated), [2.5, 97.5])
    return float(low), float(high)


AGREEING = ("consensus", "stable_rank", "self_clustering")
HALVINGS = 1_000


def consensus_page(pools: Mapping[str, Sequence[Pool]]) -> Iterator[str]:
    """Whether the consensus keeps its pick without runs that lose, and what agreement with it is worth."""
    yield (
        "# The consensus\n\nHow often its pick changes when a random half of the other runs is removed"
        f" ({HALVINGS:,} draws, seed 0), whether {', '.join(f'`{name}`' for name in AGREEING)} pick the same"
        " configuration, and what the pick of the consensus costs, in points."
    )
    for title, some in pools.items():
        yield f"\n## {title}\n"
        yield head("sweep", "pick changes", "all three agree", "regret")
        costs: dict[bool, list[float]] = {True: [], False: []}
        for pool in some:
            chosen = {name_of(one): one for one in pool.group.metrics if one.chosen}
            agree = len({chosen[name].chosen.id for name in AGREEING}) == 1
            costs[agree].append(chosen[AGREEING[0]].regret)
            changes = f"{share_of_changes(pool):.0%}"
            yield row(pool.title, changes, "yes" if agree else "no", points(costs[agree][-1]))
        means = (f"{both(some) if some else '–'} ({counted(len(some), 'sweep')})" for some in costs.values())
        yield "\nMean regret where all three agree: {}; where they do not: {}.".format(*means)


def share_of_changes(pool: Pool) -> float:
    """How often the consensus picks another run once a random half of those that it did not pick are gone."""
    runs = [one.run for one in tie_order(pool.group.judged)]
    signs = [1 if part.direction == "max" else -1 for part in OF_CONSENSUS]
    columns = [[final_value(run, part.key) for run in runs] for part in OF_CONSENSUS]
    known = [place for place, values in enumerate(zip(*columns, strict=True)) if None not in values]
    scores = np.array([[s * column[i] for i in known] for s, column in zip(signs, columns, strict=True)])

    def pick(places: np.ndarray) -> int:
        return int(places[np.argmax(sum(average_ranks(row[places]) for row in scores))])

    first, rng = pick(np.arange(len(known))), np.random.default_rng(0)
    others = np.delete(np.arange(len(known)), first)
    kept = (rng.permutation(others)[len(others) // 2 :] for _ in range(HALVINGS))
    return fmean(pick(np.sort([first, *some])) != first for some in kept)


def images_page(records: Path, pools: Sequence[Pool]) -> Iterator[str]:
    """Regret by the number of images that the metrics read, mean over draws and sweeps."""
    found: dict[str, dict[int, list[float]]] = {}
    for pool in pools:
        file = records / "images" / f"{pool.name}.json"
        if not file.exists():
            continue
        content = json.loads(file.read_text("utf-8"))
        judged = [one for one in tie_order(pool.group.judged) if one.run.id in content["runs"]]
        for one in pool.group.metrics:
            if name_of(one) in content["columns"]:
                for size, cost in by_draw(content, judged, one):
                    found.setdefault(name_of(one), {}).setdefault(size, []).append(cost)
    sizes = sorted({size for costs in found.values() for size in costs})
    yield "# How many images a metric needs\n\nRegret in points by the number of images that it reads.\n"
    yield head("chosen by", *(f"{size:,}" for size in sizes))
    for name, costs in found.items():
        yield row(f"`{name}`", *(points(fmean(costs[size])) for size in sizes))


def by_draw(content: Mapping[str, Any], judged: Sequence[Judged], one: Regret) -> Iterator[tuple[int, float]]:
    """(number of images, regret) of each draw; of equal scores the first of `judged` is chosen."""
    column = content["columns"].index(name_of(one))
    sign = 1 if one.direction == "max" else -1
    best = max(other.quality for other in judged)
    for place, cells in enumerate(content["runs"][judged[0].run.id]):
        scores = [sign * float(content["runs"][other.run.id][place][column]) for other in judged]
        finite = [(score, other) for score, other in zip(scores, judged, strict=True) if isfinite(score)]
        if finite:
            yield int(cells[0]), best - max(finite, key=lambda pair: pair[0])[1].quality


def cost_page(records: Path) -> Iterator[str]:
    """Processor seconds per run: median, least and most."""
    seconds = json.loads((records / "cost" / "digits.json").read_text("utf-8"))
    yield (
        "# What choosing takes\n\nProcessor seconds of one thread per run on digits: median (least to"
        " most). The metrics are those of the first edition; the three parts of `pretext_score`,"
        " which came later, are not among them.\n"
    )
    yield head("step", *(METHODS[method] for method in seconds))
    for step in next(iter(seconds.values())):
        figures = [of_method[step] for of_method in seconds.values()]
        yield row(step, *(f"{middle:.2f} ({least:.2f}–{most:.2f})" for middle, least, most in figures))


def table_one_page(records: Path) -> Iterator[str]:
    """Table I of the paper over our runs, beside the paper's own figures."""
    yield "# Table I\n\nRuns of the paper's recipes in small, with small encoders and the fast probe.\n"
    yield from scale_table(records)
    shares = " and ".join(f"{share_of_stars(n):.0%} ({n} milestones)" for n in MILESTONES)
    yield (
        f"\nA random walk gets a star in {shares} of 10,000 cases beside the curve 1 − exp(−5t), t from"
        " 0 to 1. Its steps are standard normal. `python benchmarks/chance.py` repeats this"
        " simulation and the one of the intervals.\n"
    )
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


SCALE = {
    "train_images": "training images",
    "backbone_width": "width",
    "epochs": "epochs",
    "milestone_every": "milestone every",
    "batch_size": "batch",
    "projector_hidden": "projector, hidden",
    "projector_dim": "projector",
    "predictor_hidden": "predictor",
    "batch_norm_splits": "BatchNorm groups",
    "queue_size": "queue",
    "grayscale_probability": "greyscale",
    "flip_probability": "flips",
}


def scale_table(records: Path) -> Iterator[str]:
    """How small the runs of Table I were."""
    yield head("runs", *SCALE.values())
    for file in sorted(records.glob("table1-*.json")):
        runs = read_records(file).runs
        method, data = file.stem.removeprefix("table1-").split("-")
        cells = (settings(runs, name) or ("all" if name == "train_images" else "–") for name in SCALE)
        yield row(f"{len(runs)} of {METHODS[method]}, {DATA[data]}", *cells)


def settings(runs: Sequence[Run], name: str) -> str:
    """The values that a hyperparameter has in some runs, smallest first; empty where it has none."""
    return ", ".join(f"{one:,}" for one in sorted({run.config.get(name) for run in runs} - {None}))


def heads_line(pool: Pool) -> str:
    """The heads of a sweep of the first evidence, which are smaller than those of the protocol."""
    runs = pool.runs.runs
    shown = {name: settings(runs, name) for name in SCALE}
    parts = [f"projectors {shown['projector_hidden']} wide with {shown['projector_dim']} outputs"]
    parts += [f"predictors {shown['predictor_hidden']} wide"] * bool(shown["predictor_hidden"])
    if shown["queue_size"]:
        parts += [f"BatchNorm in {shown['batch_norm_splits']} group", f"a queue of {shown['queue_size']}"]
    return (
        "These encoders have the small heads of the first edition, unlike those of the protocol:"
        f" {', '.join(parts)} ([departures](../../departures.md#what-ran-where)).\n"
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
