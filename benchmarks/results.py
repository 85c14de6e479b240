"""docs/results.md and the tables beside the records: the same records give the same bytes.

A pool is one sweep as a user would run it, with one seed per configuration. Other seeds measure noise.
Where scores are tied, the pick is the run that `selector best` would hand over.
"""

import io
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from html import escape
from itertools import combinations, product
from math import isfinite, log, nan
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np

from selector.export_file import read_records
from selector.metrics import (
    LABEL_FREE_PREFIX,
    METRICS,
    NOISE_PREFIX,
    LabelFreeMetric,
    declared_label_free,
    labelled_metric,
)
from selector.milestone import CORRECT_PREFIX
from selector.paper.along_training import correlate_milestones
from selector.paper.table_one import print_correlations
from selector.reports.tables import open_console
from selector.runs import Milestone, Run, RunSet
from selector.selection.candidates import final_value
from selector.selection.comparability import configuration
from selector.selection.consensus import CONSENSUS, with_consensus
from selector.selection.correlation import average_ranks, pearson
from selector.selection.intervals import resampled_regrets
from selector.selection.oracle import Judged
from selector.selection.preparation import PRETEXT_PARTS as PARTS
from selector.selection.preparation import TELLS
from selector.selection.regret import Regret, RegretGroup, regret

ORACLE = labelled_metric("linear_probe_accuracy")
METHODS = {"simclr": "SimCLR", "simsiam": "SimSiam", "moco_v2": "MoCo-v2", "byol": "BYOL", "vicreg": "VICReg"}
DATA = {
    "digits": "digits",
    "fashion": "Fashion-MNIST",
    "cifar": "CIFAR-10",
    "turned": "digits turned at random",
    "rotating": "CIFAR-10, training rotates",
    "long": "CIFAR-10, 100 epochs",
}
SHOULD_FAIL = ("turned", "rotating")
PROMISED = 11  # sweeps of docs/protocol.md: five methods on CIFAR-10, three on Fashion-MNIST and on digits
RULE = "pretext_score"
VARIANTS = ("pretext_plain_mean", "pretext_mean_of_logits")
PRETEXT = {name: declared_label_free(LABEL_FREE_PREFIX + name, "max") for name in (RULE, *PARTS, *VARIANTS)}
CHANCE = 0.25  # of four turns
LEARNED = {1: "best single metric elsewhere", 2: "best pair elsewhere", 3: "best triple elsewhere"}

_BLOCK = re.compile(r"(<!-- evidence: (.+?) -->\n).*?(<!-- end -->)", re.DOTALL)


@dataclass(frozen=True)
class Pool:
    """One sweep, one seed per configuration.

    Attributes:
        name: Of its record.
        method, data: Keys of METHODS and DATA.
        second: Whether it is of the second evidence (docs/protocol.md).
        runs: What is chosen from.
        seeds: Further seeds of some configurations, which measure noise.
    """

    name: str
    method: str
    data: str
    second: bool
    runs: RunSet
    seeds: tuple[Run, ...]

    @property
    def title(self) -> str:
        """For people."""
        return f"{METHODS[self.method]}, {DATA[self.data]}" + (", draws" if "draws" in self.name else "")

    @cached_property
    def group(self) -> RegretGroup:
        """Every metric that may compare these runs, judged on the same ones."""
        return judged_group(self.runs)

    @cached_property
    def without_ruined(self) -> RegretGroup:
        """The same without runs that end below their own untrained network."""
        kept = tuple(run for run in self.runs.runs if not ruined(run))
        return judged_group(replace(self.runs, runs=kept))


@dataclass(frozen=True)
class Cost:
    """What one way of choosing cost in one pool: regret and normalised regret, and ρ with the oracle."""

    regret: float
    normalised: float
    rho: float | None


@dataclass(frozen=True)
class Verdict:
    """One way of choosing over several pools; `less` and `p` against the lowest loss, in the same pools."""

    name: str
    costs: tuple[Cost, ...]
    less: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Mean regret."""
        return fmean(cost.regret for cost in self.costs)

    @property
    def p(self) -> float:
        """Exact two-sided sign-flip p of the paired differences."""
        return sign_flip_p(self.less)


# Pools


def read_pools(records: Path) -> list[Pool]:
    """The sweeps that have a record; a record with pretext scores beside it is of the second evidence."""
    found = []
    for data, method in product(DATA, METHODS):
        for name in (f"{method}-{data}", f"{method}-{data}-draws"):
            file = records / f"{name}.json"
            if not file.exists():
                continue
            scores = records / "pretext" / file.name
            pretext = json.loads(scores.read_text("utf-8")) if scores.exists() else None
            whole = read_records(file)
            runs = [with_pretext(as_version_3(run), pretext) for run in whole.runs]
            once, further = split_by_seed(runs)
            extra = records / f"{name}-seeds.json"
            if extra.exists():
                scores = records / "pretext" / extra.name
                judged = json.loads(scores.read_text("utf-8")) if scores.exists() else None
                further += [with_pretext(as_version_3(run), judged) for run in read_records(extra).runs]
            if pretext is not None:
                once = with_pool_score(once)
            pool = replace(whole, source=name, runs=tuple(once))
            found.append(Pool(name, method, data, pretext is not None, pool, tuple(further)))
    return found


def repetitions(records: Path, pools: Sequence[Pool]) -> dict[str, RegretGroup]:
    """Pool → the same sweep trained once more with another seed, where it was."""
    files = {pool.name: records / f"repeat-{pool.name}.json" for pool in pools}
    return {name: judged_group(read_records(file)) for name, file in files.items() if file.exists()}


def split_by_seed(runs: Sequence[Run]) -> tuple[list[Run], list[Run]]:
    """The first seed of each configuration, and the others."""
    first: dict[str, Run] = {}
    for run in sorted(runs, key=lambda run: (run.config.get("seed") or 0, run.id)):
        first.setdefault(configuration(run), run)
    chosen = {run.id for run in first.values()}
    return [r for r in runs if r.id in chosen], [r for r in runs if r.id not in chosen]


def as_version_3(run: Run) -> Run:
    """Version 2 had UMAP laid out by umap-learn, 3 by ours: points of one distribution."""
    version = 3 if run.definition.get("version") == 2 else run.definition.get("version")
    return replace(run, definition={**run.definition, "version": version})


def with_pretext(run: Run, scores: Mapping[str, Any] | None) -> Run:
    """The run with its parts of the pretext score, and judged by the protocol's oracle."""
    if scores is None or run.id not in scores:
        return run
    judged = {row["epoch"]: row for row in scores[run.id]["milestones"]}
    rows = []
    for row in run.milestones:
        values, texts = dict(row.values), dict(row.texts)
        values.pop(ORACLE.key, None)
        if more := judged.get(row.epoch):
            values |= {PRETEXT[part].key: more[part] for part in PARTS}
            values[ORACLE.key] = more["accuracy"]
            texts[CORRECT_PREFIX + ORACLE.name] = more.get("correct", "")
        rows.append(replace(row, values=values, texts=texts))
    definition = {**run.definition, "evaluation_images": scores[run.id]["images"]}
    return replace(run, milestones=tuple(rows), definition=definition)


def with_pool_score(runs: Sequence[Run]) -> list[Run]:
    """The rule and its variants, without rotation where that tells nothing in the whole pool."""
    best = max((final_value(run, PRETEXT[PARTS[0]].key) or 0.0 for run in runs), default=0.0)
    turning = any(run.config.get("rotation_degrees") for run in runs)
    names = PARTS if best > TELLS and not turning else PARTS[1:]

    def scored(row: Milestone) -> Milestone:
        values = [row.values.get(PRETEXT[part].key, nan) for part in names]
        if not all(map(isfinite, values)):
            return row
        scaled = [
            max(0.0, (v - CHANCE) / (1 - CHANCE)) if n == PARTS[0] else v
            for n, v in zip(names, values, strict=True)
        ]
        bounded = [min(max(value, 1e-3), 1 - 1e-3) for value in values]
        made = (fmean(scaled), fmean(values), fmean(log(value / (1 - value)) for value in bounded))
        scores = {PRETEXT[name].key: value for name, value in zip((RULE, *VARIANTS), made, strict=True)}
        return replace(row, values={**row.values, **scores})

    return [replace(run, milestones=tuple(map(scored, run.milestones))) for run in runs]


def judged_group(runs: RunSet) -> RegretGroup:
    """The largest group of metrics that compare the same runs."""
    runs = with_consensus(runs)
    logged = {key for run in runs.runs for row in run.milestones for key in row.values}
    known = {metric.key: metric for metric in METRICS if isinstance(metric, LabelFreeMetric)}
    known |= {metric.key: metric for metric in PRETEXT.values()}
    metrics = [CONSENSUS, *(known[key] for key in sorted(known.keys() & logged))]
    return max(regret(runs, metrics, ORACLE).groups, key=lambda group: len(group.metrics))


def ruined(run: Run) -> bool:
    """Whether it ends below its own untrained network."""
    start = next((row.values.get(ORACLE.key) for row in run.milestones if row.epoch == 0), None)
    end = final_value(run, ORACLE.key)
    return start is not None and end is not None and end < start


# Verdict


def costs_of(group: RegretGroup) -> dict[str, Cost]:
    """Every way of choosing that has a pick: metrics, a random choice, the lowest loss and the default."""
    spread = group.best.quality - group.judged[-1].quality
    found = {
        name_of(one): Cost(one.regret, one.normalised or 0.0, one.spearman.value)
        for one in group.metrics
        if one.regret is not None
    }
    for baseline in group.baselines:
        if baseline.name in ("random", "lowest_loss", "default") and baseline.regret is not None:
            share = baseline.regret / spread if spread else 0.0
            found[baseline.name.replace("_", " ")] = Cost(baseline.regret, share, None)
    return found


def verdicts(groups: Sequence[RegretGroup]) -> list[Verdict]:
    """Ways of choosing that could choose in every group, the lowest mean regret first."""
    found = [costs_of(group) for group in groups]
    common = [name for name in found[0] if all(name in costs for costs in found)]
    made = []
    for name in common:
        own = tuple(costs[name] for costs in found)
        reference = [costs.get("lowest loss") for costs in found]
        less = tuple(
            loss.regret - cost.regret for loss, cost in zip(reference, own, strict=True) if loss is not None
        )
        made.append(Verdict(name, own, less))
    return sorted(made, key=lambda verdict: (verdict.mean, verdict.name))


def sign_flip_p(differences: Sequence[float]) -> float:
    """Share of all sign patterns whose sum is at least as far from 0; exact, two-sided."""
    values = np.array(differences, np.float64)
    if not len(values):
        return 1.0
    signs = np.array(list(product((1, -1), repeat=len(values))))
    return float(np.mean(np.abs(signs @ values) >= abs(values.sum()) - 1e-12))


def learned(pools: Sequence[Pool], fold: Callable[[Pool], str], size: int) -> list[Cost]:
    """In each pool, the mean rank of the metrics that did best together in all pools of other folds."""
    ranks = [ranks_of(pool.group) for pool in pools]
    names = [name for name in ranks[0] if all(name in some for some in ranks)]
    groups = list(combinations(names, size))
    losses = [
        {some: cost_of(of, some, pool.group)[1] for some in groups}
        for of, pool in zip(ranks, pools, strict=True)
    ]
    found = []
    for place, pool in enumerate(pools):
        others = [other for other in range(len(pools)) if fold(pools[other]) != fold(pool)]
        if others:
            best = min(groups, key=lambda some: fmean(losses[other][some] for other in others))
            found.append(Cost(*cost_of(ranks[place], best, pool.group), None))
    return found


def ranks_of(group: RegretGroup) -> dict[str, np.ndarray]:
    """How many of the others each run beats by each metric; what is not finite is worst."""
    found = {}
    for one in group.metrics:
        if one.regret is None or one.metric is CONSENSUS or name_of(one) in VARIANTS:
            continue
        sign = 1 if one.direction == "max" else -1
        values = [final_value(judged.run, one.metric.key) for judged in group.judged]
        found[name_of(one)] = average_ranks([-np.inf if v is None else sign * v for v in values])
    return found


def cost_of(ranks: Mapping[str, np.ndarray], names: Sequence[str], group: RegretGroup) -> tuple[float, float]:
    """Regret, plain and normalised, of the mean rank by some metrics; equal ranks go to the first run id."""
    score = sum(ranks[name] for name in names)
    quality = np.array([judged.quality for judged in group.judged])
    best = np.flatnonzero(score == score.max())
    pick = min(best, key=lambda place: group.judged[place].run.id)
    cost = float(quality.max() - quality[pick])
    return cost, cost / float(np.ptp(quality))


def name_of(one: Regret) -> str:
    """Without the prefix of a W&B key."""
    return one.metric.name.removeprefix(LABEL_FREE_PREFIX)


# Tables


def row(*cells: object) -> str:
    """A line of a table."""
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def head(*cells: str) -> str:
    """The first two lines of a table."""
    return row(*cells) + "\n|" + "---|" * len(cells)


def points(share: float | None) -> str:
    """A share times 100."""
    return "–" if share is None else f"{round(100 * share, 1) + 0.0:.1f}"  # never -0.0


def number(value: float | None) -> str:
    """Two digits after the point."""
    return "–" if value is None else f"{round(value, 2) + 0.0:.2f}"


def ends(interval: tuple[float, float] | None) -> str:
    """An interval in points."""
    return "–" if interval is None else "–".join(map(points, interval))


def mean_and_error(values: Sequence[float]) -> str:
    """In points, with the standard error over pools."""
    return points(fmean(values)) + (
        f" ± {points(stdev(values) / len(values) ** 0.5)}" if len(values) > 1 else ""
    )


def verdict_table(groups: Sequence[RegretGroup]) -> Iterator[str]:
    """The table of verdicts over some pools."""
    yield head("chosen by", "mean regret", "worst", "normalised", "ρ", "less than the lowest loss", "p")
    for one in verdicts(groups):
        rhos = [cost.rho for cost in one.costs if cost.rho is not None]
        plain = one.name in ("random", "lowest loss", "default")
        yield row(
            f"*{one.name}*" if plain else f"`{one.name}`",
            mean_and_error([cost.regret for cost in one.costs]),
            points(max(cost.regret for cost in one.costs)),
            number(fmean(cost.normalised for cost in one.costs)),
            number(fmean(rhos)) if rhos else "",
            mean_and_error(one.less) if any(one.less) else "",
            f"{one.p:.3f}" if any(one.less) else "",
        )


def protocol_table(judged: Sequence[Pool]) -> Iterator[str]:
    """The verdict on the sweeps of the protocol, and how many of them there are."""
    if len(judged) < PROMISED:
        titles = "; ".join(pool.title for pool in judged) or "none"
        yield f"**{len(judged)} of {PROMISED} sweeps so far ({titles}). Nothing is decided.**\n"
    if judged:
        yield from verdict_table([pool.group for pool in judged])


def learned_table(pools: Sequence[Pool]) -> Iterator[str]:
    """Rules that were learned elsewhere, whatever "elsewhere" leaves out."""
    folds: dict[str, Callable[[Pool], str]] = {
        "the sweep": lambda pool: pool.name,
        "its method": lambda pool: pool.method,
        "its data set": lambda pool: pool.data,
    }
    yield head("rule", *(f"left out: {what}" for what in folds))
    for size, title in LEARNED.items():
        found = [learned(pools, fold, size) for fold in folds.values()]
        yield row(
            title,
            *(
                f"{mean_and_error([c.regret for c in costs])}, worst {points(max(c.regret for c in costs))}"
                if costs
                else "–"
                for costs in found
            ),
        )


def sweeps_table(pools: Sequence[Pool]) -> Iterator[str]:
    """What was trained, and how far seeds scatter."""
    yield head("sweep", "configurations", "diverged", "best", "mean", "worst", "± oracle", "± training seed")
    for pool in pools:
        accuracies = [judged.accuracy for judged in pool.group.judged]
        spread = seed_deviation([*pool.runs.runs, *pool.seeds], ORACLE.key)
        yield row(
            f"[{pool.title}](evidence/tables/{pool.name}.md)",
            len(pool.runs.runs),
            sum(run.state == "diverged" for run in pool.runs.runs),
            points(max(accuracies)),
            points(fmean(accuracies)),
            points(min(accuracies)),
            points(pool.group.best.standard_error),
            points(spread),
        )


def paragraph(pool: Pool) -> str:
    """One sweep in words."""
    costs, group = costs_of(pool.group), pool.group
    order = sorted(
        (name for name, cost in costs.items() if cost.rho is not None), key=lambda n: costs[n].regret
    )
    said = [
        f"{name} {points(costs[name].regret)}"
        for name in (RULE, "rankme", "stable_rank", "consensus")
        if name in costs
    ]
    tell = "" if group.near_best is None else f" The oracle cannot tell {group.near_best} from the best."
    return (
        f"**{pool.title}.** {group.configurations} configurations from {points(group.judged[-1].accuracy)} to"
        f" {points(group.best.accuracy)}.{tell} A random choice costs {points(costs['random'].regret)}"
        f" points, the lowest loss {points(costs['lowest loss'].regret)}; {', '.join(said)}. The best metric"
        f" in hindsight is {order[0]} ({points(costs[order[0]].regret)}), the worst {order[-1]}"
        f" ({points(costs[order[-1]].regret)})."
    )


OF_A_POOL = (
    "chosen by | run | accuracy | regret | 95 %, these checkpoints | normalised | tied: mean | ρ | "
    "τ | by epoch | rule stops at | saves | costs"
)


def pool_page(pool: Pool) -> Iterator[str]:
    """Everything of one sweep: every metric's pick, its intervals, and when its choice had settled."""
    group = pool.group
    yield f"# {pool.title}\n\nMade by `python benchmarks/evidence.py tables`. Regrets in points.\n"
    yield head(*OF_A_POOL.split(" | "))
    for one in sorted(group.metrics, key=lambda one: (one.regret is None, one.regret or 0.0, name_of(one))):
        settled, course = one.training.settled, one.training.points
        yield row(
            f"`{name_of(one)}`" + {"max": " ↑", "min": " ↓", None: ""}[one.direction],
            f"`{one.chosen.id}`" if one.chosen else "–",
            points(one.chosen_accuracy),
            points(one.regret),
            ends(one.interval),
            number(one.normalised),
            points(one.tied_expected),
            number(one.spearman.value),
            number(one.kendall.value),
            ", ".join(f"{p.epoch}: {points(p.regret)}" for p in course),
            settled.epoch if settled else "–",
            f"{settled.saved_finishing_choice:.0%}" if settled else "–",
            points(settled.regret - course[-1].regret) if settled else "–",
        )
    for baseline in group.baselines:
        run = f"`{baseline.run.id}`" if baseline.run else "–"
        name = baseline.name.replace("_", " ")
        yield row(f"*{name}*", run, points(baseline.accuracy), points(baseline.regret), *[""] * 9)


def noise_page(pools: Sequence[Pool]) -> Iterator[str]:
    """How much of the spread of a metric between configurations is noise; mean over the sweeps."""
    yield "# Noise\n\nStandard deviation over seeds, as a share of that between configurations.\n"
    yield head("metric", "UMAP seeds", "training seeds", "sweeps")
    label_free = {m.key: m for m in METRICS if isinstance(m, LabelFreeMetric)}
    label_free |= {metric.key: metric for metric in PRETEXT.values()}
    for metric in [*(label_free[key] for key in sorted(label_free)), ORACLE]:
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
            name = metric.name.removeprefix(LABEL_FREE_PREFIX)
            yield row(
                f"`{name}`", number(fmean(umap)) if umap else "–", number(fmean(training)), len(training)
            )


def repetition_page(pools: Sequence[Pool], again: Mapping[str, RegretGroup]) -> Iterator[str]:
    """Regret with one seed and with another, and whether the interval of a repetition held it."""
    some = [pool for pool in pools if pool.name in again]
    yield (
        "# The same sweeps with another seed\n\nRegret (95 % interval of a repetition, from the further seeds"
        " of a third of the configurations) → regret of the repetition, **bold** outside of the interval.\n"
    )
    yield head("chosen by", *(pool.title for pool in some))
    lines: dict[str, dict[str, str]] = {}
    held = []
    for pool in some:
        second = {name_of(one): one for one in again[pool.name].metrics}
        for one in pool.group.metrics:
            cells = lines.setdefault(name_of(one), {})
            repeated = second.get(name_of(one))
            if one.regret is None or repeated is None or repeated.regret is None:
                continue
            low, high = repetition_of(pool, one)
            within = low - 5e-5 <= repeated.regret <= high + 5e-5  # records keep accuracies to five digits
            held.append(within)
            shown = points(repeated.regret) if within else f"**{points(repeated.regret)}**"
            cells[pool.name] = f"{points(one.regret)} ({ends((low, high))}) → {shown}"
    for name, cells in lines.items():
        yield row(f"`{name}`", *(cells.get(pool.name, "–") for pool in some))
    yield f"\n{sum(held)} of {len(held)} regrets of the repetition lie within their interval."


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


def along_page(pools: Sequence[Pool]) -> Iterator[str]:
    """Does a metric follow the oracle within one run? Pearson's r over milestones, mean over the runs."""
    yield (
        "# Along training\n\nPearson's r with the oracle over the milestones of each run, with and without"
        " milestone 0, and the share of pairs of milestones in the order of the oracle; means over runs.\n"
    )
    yield head("method", "metric", "runs", "r with 0", "r without 0", "pairs in order", "runs with r > 0")
    for method, title in METHODS.items():
        runs = [run for pool in pools if pool.method == method for run in (*pool.runs.runs, *pool.seeds)]
        for metric in (*PRETEXT.values(), *(m for m in METRICS if m.name in ("rankme", "stable_rank"))):
            found = [along for run in runs if (along := follows(run, metric.key))]
            if found:
                whole, trained, pairs = zip(*found, strict=True)
                name = metric.name.removeprefix(LABEL_FREE_PREFIX)
                up = sum(r > 0 for r in trained)
                yield row(
                    title,
                    f"`{name}`",
                    len(found),
                    *(number(fmean(x)) for x in (whole, trained, pairs)),
                    f"{up} of {len(found)}",
                )


def follows(run: Run, key: str) -> tuple[float, float, float] | None:
    """Pearson's r with milestone 0 and without, share of pairs in order; None for under three trained."""
    rows = [(row.epoch, row.values.get(key, nan), row.values.get(ORACLE.key, nan)) for row in run.milestones]
    known = [(e, x, y) for e, x, y in rows if isfinite(x) and isfinite(y)]
    trained = [(x, y) for e, x, y in known if e > 0]
    if len(trained) < 3 or len(trained) == len(known):
        return None
    whole, alone = (
        pearson(*zip(*((x, y) for _, x, y in known), strict=True)),
        pearson(*zip(*trained, strict=True)),
    )
    if whole is None or alone is None:
        return None
    pairs = [(a[0] - b[0]) * (a[1] - b[1]) > 0 for a, b in combinations(trained, 2)]
    return whole, alone, fmean(pairs)


def images_page(records: Path, pools: Sequence[Pool]) -> Iterator[str]:
    """Regret by the number of images that the metrics read, mean over draws and sweeps."""
    found: dict[str, dict[int, list[float]]] = {}
    for pool in pools:
        file = records / "images" / f"{pool.name}.json"
        if not file.exists():
            continue
        content = json.loads(file.read_text("utf-8"))
        judged = [one for one in pool.group.judged if one.run.id in content["runs"]]
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
    """(number of images, regret) of each draw."""
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
    yield "# What choosing takes\n\nProcessor seconds of one thread per run on digits (first edition).\n"
    yield head("step", *(METHODS[method] for method in seconds))
    for step in next(iter(seconds.values())):
        figures = [of_method[step] for of_method in seconds.values()]
        yield row(step, *(f"{middle:.2f} ({least:.2f}–{most:.2f})" for middle, least, most in figures))


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
        yield row(
            f"`{one['metric']}`",
            number(one["pearson"]),
            interval,
            f"{one['pearson_p']:.3f}",
            number(one["spearman"]),
        )


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


# The picture

_COLOURS = {
    "simclr": "#1f83cc",
    "simsiam": "#d55e00",
    "moco_v2": "#009e73",
    "byol": "#9a60b4",
    "vicreg": "#c4a000",
}
_SHAPES = {
    "digits": '<circle cx="{x}" cy="{y}" r="4.5" fill="{ink}"/>',
    "fashion": '<circle cx="{x}" cy="{y}" r="4" fill="none" stroke="{ink}" stroke-width="2"/>',
    "cifar": '<path d="M{x} {y}m-4.2 -4.2h8.4v8.4h-8.4z" fill="{ink}"/>',
}
_STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#222}.grid{stroke:#ddd}.mean{stroke:#222;stroke-width:2}"
    ".back{fill:#fff}@media(prefers-color-scheme:dark){text{fill:#ddd}.grid{stroke:#444}"
    ".mean{stroke:#ddd}.back{fill:#111}}"
)
_LEFT, _TOP, _STEP, _WIDTH = 200, 76, 21, 760


def picture(pools: Sequence[Pool]) -> str:
    """Normalised regret of each way of choosing: a line each, a mark per sweep, a stroke at the mean."""
    rows = sorted(
        verdicts([pool.group for pool in pools]), key=lambda v: fmean(c.normalised for c in v.costs)
    )
    bottom = _TOP + _STEP * len(rows)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {bottom + 46}" role="img">',
        "<title>Normalised regret of each way to choose a run without labels</title>",
        f'<style>{_STYLE}</style><rect class="back" width="{_WIDTH}" height="{bottom + 46}"/>',
    ]
    for place, pool in enumerate(pools):
        x, y = _LEFT + 185 * (place % 3), 14 + 20 * (place // 3)
        parts += [_mark(pool, x, y), f'<text x="{x + 10}" y="{y + 4}">{escape(pool.title)}</text>']
    for tick in (0, 0.2, 0.4, 0.6, 0.8, 1):
        parts.append(f'<line class="grid" x1="{_x(tick)}" x2="{_x(tick)}" y1="{_TOP - 12}" y2="{bottom}"/>')
        parts.append(f'<text x="{_x(tick)}" y="{bottom + 16}" text-anchor="middle">{tick:g}</text>')
    label = "normalised regret: 0 the best configuration, 1 the worst (stroke: mean)"
    parts.append(f'<text x="{_WIDTH / 2:g}" y="{bottom + 36}" text-anchor="middle">{label}</text>')
    for place, one in enumerate(rows):
        y, mean = _TOP + _STEP * place, _x(fmean(cost.normalised for cost in one.costs))
        slant = ' font-style="italic"' if one.name in ("random", "lowest loss", "default") else ""
        parts.append(f'<text x="{_LEFT - 14}" y="{y + 4}" text-anchor="end"{slant}>{escape(one.name)}</text>')
        parts.append(f'<line class="grid" x1="{_x(0)}" x2="{_x(1)}" y1="{y}" y2="{y}"/>')
        parts += [_mark(pool, _x(cost.normalised), y) for pool, cost in zip(pools, one.costs, strict=True)]
        parts.append(f'<line class="mean" x1="{mean}" x2="{mean}" y1="{y - 8}" y2="{y + 8}"/>')
    return "\n".join([*parts, "</svg>\n"])


def _mark(pool: Pool, x: float, y: float) -> str:
    return _SHAPES.get(pool.data, _SHAPES["cifar"]).format(x=x, y=y, ink=_COLOURS[pool.method])


def _x(share: float) -> float:
    return round(_LEFT + share * (_WIDTH - _LEFT - 20), 1)


# Pages


def pages(docs: Path) -> dict[Path, str]:
    """Every generated file and its text."""
    records = docs / "evidence"
    pools = read_pools(records)
    first, second = ([pool for pool in pools if pool.second is new] for new in (False, True))
    judged = [pool for pool in second if pool.data in ("cifar", "fashion", "digits")]
    blocks: dict[str, Callable[[], Iterator[str]]] = {
        "sweeps": lambda: sweeps_table(pools),
        "first": lambda: verdict_table([pool.group for pool in first]),
        "second": lambda: protocol_table(judged),
        "learned": lambda: learned_table(first),
        "paragraphs": lambda: (f"{paragraph(pool)}\n" for pool in pools),
    }
    tables = {
        **{pool.name: pool_page(pool) for pool in pools},
        "ruined": _titled(
            "Without runs that end below their untrained network",
            verdict_table([pool.without_ruined for pool in judged or first]),
        ),
        "noise": noise_page(pools),
        "along": along_page(second),
        "images": images_page(records, first),
        "repetition": repetition_page(first, repetitions(records, first)),
        "cost": cost_page(records),
        "table-1": table_one_page(records),
        "table-2": table_two_page(records),
    }
    if len(judged) > 1:
        tables["learned"] = _titled("Rules learned elsewhere, second evidence", learned_table(judged))
    made = {records / "tables" / f"{name}.md": "\n".join(lines) + "\n" for name, lines in tables.items()}
    made[docs / "results.md"] = rebuilt((docs / "results.md").read_text("utf-8"), blocks)
    made[docs / "regret-by-metric.svg"] = picture(judged if len(judged) == PROMISED else first)
    return made


def rebuilt(text: str, blocks: Mapping[str, Callable[[], Iterator[str]]]) -> str:
    """A page with what stands between its markers made anew.

    Raises:
        KeyError: A marker names no table.
    """
    return _BLOCK.sub(lambda block: block[1] + "\n".join(blocks[block[2]]()) + "\n" + block[3], text)


def _titled(title: str, lines: Iterator[str]) -> Iterator[str]:
    yield f"# {title}\n"
    yield from lines
