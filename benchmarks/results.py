"""docs/results.md and the tables beside the records: the same records give the same bytes."""

import io
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import isfinite
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np
from picture import picture
from pools import (
    METHODS,
    ORACLE,
    PRETEXT,
    RULE,
    Pool,
    label_free,
    logged,
    name_of,
    partly_scored,
    read_pools,
    repetitions,
)
from verdict import (
    BASELINES,
    LEARNED,
    Verdict,
    aims,
    along,
    by_share,
    costs_of,
    learned,
    mean_and_error,
    verdicts,
)

from selector.export_file import read_records
from selector.metrics import METRICS, NOISE_PREFIX
from selector.paper.along_training import correlate_milestones
from selector.paper.table_one import print_correlations
from selector.reports.tables import open_console
from selector.runs import Run, RunSet
from selector.selection.candidates import final_value
from selector.selection.comparability import configuration
from selector.selection.consensus import with_consensus
from selector.selection.intervals import resampled_regrets
from selector.selection.oracle import Judged
from selector.selection.regret import Regret, RegretGroup

PROMISED = 12  # sweeps of docs/protocol.md: all but the two on which the rule should fail

_BLOCK = re.compile(r"(<!-- evidence: (.+?) -->\n).*?(<!-- end -->)", re.DOTALL)


# Cells


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


def both(values: Sequence[float], shown: Callable[[float | None], str] = points) -> str:
    """Mean and, over several pools, its standard error."""
    mean, error = mean_and_error(values)
    return shown(mean) if error is None else f"{shown(mean)} ± {shown(error)}"


def named(way: str) -> str:
    """A way of choosing: metrics as code, baselines in italics."""
    return f"*{way}*" if way in BASELINES.values() else f"`{way}`"


# The verdict


def verdict_table(groups: Sequence[RegretGroup]) -> Iterator[str]:
    """The table of verdicts over some pools."""
    yield head("chosen by", "mean regret", "worst", "normalised", "ρ", "less than the lowest loss", "p")
    for one in verdicts(groups):
        yield row(
            named(one.name),
            both(one.regrets),
            points(max(one.regrets)),
            number(fmean(one.normalised)),
            number(fmean(one.rhos)) if one.rhos else "",
            *against_loss(one),
        )


def against_loss(one: Verdict) -> tuple[str, str]:
    """How much less it cost than the lowest loss, and p; empty where it never differed."""
    return (both(one.less), f"{one.p:.3f}") if any(one.less) else ("", "")


def protocol_table(judged: Sequence[Pool]) -> Iterator[str]:
    """The verdict on the sweeps of the protocol, and how many of them there are."""
    if len(judged) < PROMISED:
        titles = "; ".join(pool.title for pool in judged) or "none"
        yield f"**{len(judged)} of {PROMISED} sweeps so far ({titles}). Nothing is decided.**\n"
    elif judged:
        yield from aims_table(judged)
        yield ""
    if judged:
        yield from verdict_table([pool.group for pool in judged])


def aims_table(judged: Sequence[Pool]) -> Iterator[str]:
    """What the protocol calls success and failure, and what was reached."""
    yield head("aim of the rule", "reached", "met")
    for aim in aims(judged):
        shown = points(aim.reached) if aim.in_points else f"{aim.reached:.3f}"
        yield row(aim.text, shown, "yes" if aim.met else "**no**")


def protocol_page(second: Sequence[Pool], judged: Sequence[Pool]) -> Iterator[str]:
    """Every figure that docs/protocol.md promises, of the sweeps that there are."""
    yield "# The figures of the protocol\n"
    yield f"{len(judged)} of {PROMISED} sweeps that decide. Regrets in points, ± standard error.\n"
    yield from aims_table(judged)
    yield "\n## All configurations\n"
    yield from full_table([pool.group for pool in judged])
    yield "\n## Without collapsed runs\n\nThose that end below their untrained network are left out:"
    yield "; ".join(
        f"{pool.title} {len(pool.group.judged) - len(pool.without_ruined.judged)}" for pool in judged
    )
    yield ""
    yield from full_table([pool.without_ruined for pool in judged])
    yield "\n## Each sweep\n\nRegret in points / normalised regret / ρ.\n"
    yield from each_sweep_table(second)
    yield "\n## By epoch\n\nWhat the choice after a share of the training costs at its end.\n"
    yield from by_share_table(judged)
    if len(judged) > 1:
        yield "\n## Rules learned elsewhere\n"
        yield from learned_table(judged)
    yield "\n## What has no figure\n"
    yield from without_figure(second)


def full_table(groups: Sequence[RegretGroup]) -> Iterator[str]:
    """Mean ± standard error of every figure; ways that chose in some of the sweeps alone come last."""
    heads = ("regret", "worst", "normalised", "ρ", "less than the lowest loss", "p")
    yield head("chosen by", "sweeps", *heads)
    for one in verdicts(groups, everywhere=False):
        yield row(
            named(one.name),
            len(one.costs),
            both(one.regrets),
            points(max(one.regrets)),
            both(one.normalised, number),
            both(one.rhos, number) if one.rhos else "",
            *against_loss(one),
        )


def each_sweep_table(pools: Sequence[Pool]) -> Iterator[str]:
    """A line per way of choosing, a column per sweep."""
    yield head("chosen by", *(pool.title for pool in pools))
    for one in verdicts([pool.group for pool in pools], everywhere=False):
        costs = [costs_of(pool.group).get(one.name) for pool in pools]
        cells = [c and f"{points(c.regret)} / {number(c.normalised)} / {number(c.rho)}" for c in costs]
        yield row(named(one.name), *(cell or "–" for cell in cells))


def by_share_table(pools: Sequence[Pool]) -> Iterator[str]:
    """Mean regret of the choice after each share of the training that most sweeps have."""
    found = by_share(pools)
    sizes = {share: len(regrets) for share, regrets in found["lowest loss"].items()}
    shares = sorted(share for share, size in sizes.items() if 2 * size >= len(pools))
    yield head("chosen by", *(f"{share:.0%} ({sizes[share]} of {len(pools)})" for share in shares))
    for name, costs in found.items():
        yield row(named(name), *(both(costs[share]) if share in costs else "–" for share in shares))


def without_figure(pools: Sequence[Pool]) -> Iterator[str]:
    """Metrics that were logged and cannot choose, and scores that are made of fewer parts."""
    for pool in pools:
        some = {name_of(metric) for metric in label_free() if metric.key in logged(pool.runs.runs)}
        compared = {name_of(one) for one in pool.group.metrics}
        if apart := sorted(some - compared):
            yield f"- {pool.title}: {', '.join(apart)} may not be compared between its runs."
        if mute := sorted(some & compared - costs_of(pool.group).keys()):
            why = "no direction is known for this method, or no run has a finite value"
            yield f"- {pool.title}: {', '.join(mute)} cannot choose: {why}."
        if partly := partly_scored(pool):
            yield f"- {pool.title}: {RULE} of {', '.join(partly)} is the mean of fewer parts."


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
                f"{both([c.regret for c in costs])}, worst {points(max(c.regret for c in costs))}"
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
        (way for way, cost in costs.items() if cost.rho is not None and way not in BASELINES.values()),
        key=lambda way: costs[way].regret,
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


def along_page(judged: Sequence[Pool], failing: Sequence[Pool] = ()) -> Iterator[str]:
    """Does a metric follow the oracle within one run? Pearson's r over milestones, mean over the runs."""
    yield (
        "# Along training\n\nPearson's r with the oracle over the milestones of each run, with and without"
        " milestone 0, and the share of pairs of milestones in the order of the oracle; means over runs.\n"
    )
    yield from along_table(judged)
    if failing:
        yield "\n## On the sweeps on which the rule should fail\n"
        yield from along_table(failing)


def along_table(pools: Sequence[Pool]) -> Iterator[str]:
    """A line per method and metric."""
    yield head("method", "metric", "runs", "r with 0", "r without 0", "pairs in order", "runs with r > 0")
    for method, title in METHODS.items():
        for metric in (*PRETEXT.values(), *(m for m in METRICS if m.name in ("rankme", "stable_rank"))):
            if found := along(pools, method, metric.key):
                whole, trained, pairs = zip(*found, strict=True)
                up = f"{sum(r > 0 for r in trained)} of {len(found)}"
                means = (number(fmean(x)) for x in (whole, trained, pairs))
                yield row(title, f"`{name_of(metric)}`", len(found), *means, up)


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


# Pages


def pages(docs: Path) -> dict[Path, str]:
    """Every generated file and its text."""
    records = docs / "evidence"
    pools = read_pools(records)
    first, second = ([pool for pool in pools if pool.second is new] for new in (False, True))
    judged = [pool for pool in second if pool.decides]
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
        "along": along_page(judged, [pool for pool in second if not pool.decides]),
        "images": images_page(records, first),
        "repetition": repetition_page(first, repetitions(records, first)),
        "cost": cost_page(records),
        "table-1": table_one_page(records),
        "table-2": table_two_page(records),
    }
    if len(judged) > 1:
        tables["learned"] = _titled("Rules learned elsewhere, second evidence", learned_table(judged))
    if judged:
        tables["protocol"] = protocol_page(second, judged)
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
