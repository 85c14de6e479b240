"""docs/results.md and the tables beside the records: the same records give the same bytes."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean

import more_pages
from compare import both, head, number, points, row
from picture import picture
from pools import METHODS, ORACLE, PRETEXT, RULE, Pool, label_free, logged, name_of, partly_scored, read_pools
from verdict import (
    BASELINES,
    LEARNED,
    LOWEST_LOSS,
    aims,
    along,
    by_share,
    costs_of,
    learned,
    sign_flip_p,
    verdicts,
)
from watching import watching_pages

from selector.metrics import METRICS
from selector.selection.regret import RegretGroup

PROMISED = 12  # sweeps of docs/protocol.md: all but the two on which the rule should fail

_BLOCK = re.compile(r"(<!-- evidence: (.+?) -->\n).*?(<!-- end -->)", re.DOTALL)


def named(way: str) -> str:
    """A way of choosing: metrics as code, baselines in italics."""
    return f"*{way}*" if way in BASELINES.values() else f"`{way}`"


# The verdict


def verdict_table(groups: Sequence[RegretGroup], full: bool = False) -> Iterator[str]:
    """The table of verdicts over some pools.

    `full`: all means ± standard error; ways that could choose in only some of the pools come last.
    """
    heads = ("worst", "normalised", "ρ", "less than the lowest loss", "p")
    yield head("chosen by", *(("sweeps", "regret") if full else ("mean regret",)), *heads)
    for one in verdicts(groups, everywhere=not full):
        normalised, rhos = (some if full else [fmean(some or [0])] for some in (one.normalised, one.rhos))
        yield row(
            named(one.name),
            *([len(one.regrets)] if full else []),
            both(one.regrets),
            points(max(one.regrets)),
            both(normalised, number),
            both(rhos, number) if one.rhos else "",
            *((both(one.less), f"{one.p:.3f}") if any(one.less) else ("", "")),
        )


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
        yield from not_everywhere(judged)


def not_everywhere(pools: Sequence[Pool]) -> Iterator[str]:
    """The metrics that the table of verdicts leaves out, with the number of sweeps in which they choose."""
    tried = {
        name_of(metric) for metric in label_free() for pool in pools if metric.key in logged(pool.runs.runs)
    }
    sweeps = {
        one.name: len(one.regrets) for one in verdicts([pool.group for pool in pools], everywhere=False)
    }
    if less := sorted(name for name in tried if sweeps.get(name, 0) < len(pools)):
        named_less = ", ".join(f"`{name}` ({sweeps.get(name, 0)})" for name in less)
        yield (
            f"\nNot in this table, as they could not choose in all sweeps (in how many they could):"
            f" {named_less}; [figures](evidence/tables/protocol.md#all-configurations) and"
            " [reasons](evidence/tables/protocol.md#what-has-no-figure)."
        )


def aims_table(judged: Sequence[Pool]) -> Iterator[str]:
    """What the protocol calls success and failure, and what the rule reached."""
    yield head("aim of the rule", "reached", "met")
    for aim in aims(judged):
        shown = points(aim.reached) if aim.in_points else f"{aim.reached:.3f}"
        yield row(aim.text, shown, "yes" if aim.met else "**no**")


def protocol_page(second: Sequence[Pool], judged: Sequence[Pool]) -> Iterator[str]:
    """Every figure that docs/protocol.md promises, for the sweeps that are finished."""
    yield "# The figures of the protocol\n"
    yield f"{len(judged)} of {PROMISED} sweeps that decide. Regrets in points, ± standard error.\n"
    yield from aims_table(judged)
    yield "\n## All configurations\n"
    yield from verdict_table([pool.group for pool in judged], full=True)
    yield (
        "\n## The rule against its rivals\n\nWhat a rival costs more than the rule, sweep by sweep, and the"
        " exact two-sided sign-flip p. The protocol promised the lowest loss; the other lines were added"
        " later, and p is not corrected for their number.\n"
    )
    yield from rivals_table(judged)
    yield "\n## Without ruined runs\n\nThose that end below their untrained network are left out:"
    yield "; ".join(
        f"{pool.title} {len(pool.group.judged) - len(pool.without_ruined.judged)}" for pool in judged
    )
    yield ""
    yield from verdict_table([pool.without_ruined for pool in judged], full=True)
    yield "\n## Each sweep\n\nRegret in points / normalised regret / ρ.\n"
    yield from each_sweep_table(second)
    yield "\n## By epoch\n\nWhat the choice after a share of the training costs at its end.\n"
    yield from by_share_table(judged)
    if len(judged) > 1:
        yield "\n## Rules learned elsewhere\n"
        yield from learned_table(judged)
    yield "\n## What has no figure\n"
    yield from without_figure(second)


def rivals_table(pools: Sequence[Pool]) -> Iterator[str]:
    """Paired differences of the rule from what else one could go by."""
    yield head("rival", "sweeps", "costs more by", "least", "most", "p")
    found = [costs for pool in pools if RULE in (costs := costs_of(pool.group))]
    for name in (LOWEST_LOSS, "rankme", "consensus", "default", "random"):
        if more := [costs[name].regret - costs[RULE].regret for costs in found if name in costs]:
            ends = (points(end(more)) for end in (min, max))
            yield row(named(name), len(more), both(more), *ends, f"{sign_flip_p(more):.4f}")


def each_sweep_table(pools: Sequence[Pool]) -> Iterator[str]:
    """One line per way of choosing, one column per sweep."""
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
            yield f"- {pool.title}: {', '.join(apart)}: not comparable between its runs."
        if mute := sorted(some & compared - costs_of(pool.group).keys()):
            why = "no direction is known for this method, or no run has a finite value"
            yield f"- {pool.title}: {', '.join(mute)} cannot choose: {why}."
        if partly := partly_scored(pool):
            yield f"- {pool.title}: {RULE} of {', '.join(partly)} is the mean of fewer parts."


def learned_table(pools: Sequence[Pool]) -> Iterator[str]:
    """Rules that were learned elsewhere, whatever "elsewhere" leaves out."""
    folds = {"the sweep": "name", "its method": "method", "its data set": "data"}
    yield head("rule", *(f"left out: {what}" for what in folds))
    for size, title in LEARNED.items():
        found = ([cost.regret for cost in learned(pools, fold, size)] for fold in folds.values())
        yield row(title, *(f"{both(some)}, worst {points(max(some))}" if some else "–" for some in found))


def sweeps_table(pools: Sequence[Pool]) -> Iterator[str]:
    """What was trained, and how far seeds scatter."""
    yield head("sweep", "configurations", "diverged", "best", "mean", "worst", "± oracle", "± training seed")
    for pool in pools:
        accuracies = [judged.accuracy for judged in pool.group.judged]
        spread = more_pages.seed_deviation([*pool.runs.runs, *pool.seeds], ORACLE.key)
        yield row(
            f"[{pool.title}](evidence/tables/{pool.name}.md)",
            len(pool.runs.runs),
            sum(run.state == "diverged" for run in pool.runs.runs),
            *map(points, (max(accuracies), fmean(accuracies), min(accuracies))),
            *map(points, (pool.group.best.standard_error, spread)),
        )


def paragraph(pool: Pool) -> str:
    """One sweep in words."""
    costs, group = costs_of(pool.group), pool.group
    shown = {way: points(cost.regret) for way, cost in costs.items()}
    metrics = [way for way, cost in costs.items() if cost.rho is not None and way not in BASELINES.values()]
    best, *_, worst = sorted(metrics, key=lambda way: costs[way].regret)
    said = [f"{way} {shown[way]}" for way in (RULE, "rankme", "stable_rank", "consensus") if way in costs]
    tell = "" if group.near_best is None else f" The oracle cannot tell {group.near_best} from the best."
    return (
        f"**{pool.title}.** {group.configurations} configurations from {points(group.judged[-1].accuracy)} to"
        f" {points(group.best.accuracy)}.{tell} A random choice costs {shown['random']} points, the lowest"
        f" loss {shown['lowest loss']}; {', '.join(said)}. The best metric in hindsight is {best}"
        f" ({shown[best]}), the worst {worst} ({shown[worst]})."
    )


OF_A_POOL = (
    "chosen by | run | accuracy | regret | 95 %, these checkpoints | normalised | tied: mean | ρ | "
    "τ | by epoch | rule stops at | saves | costs"
)


def pool_page(pool: Pool) -> Iterator[str]:
    """Everything of one sweep: every metric's pick, its intervals, and when its choice had settled."""
    group = pool.group
    yield f"# {pool.title}\n\nMade by `python benchmarks/evidence.py tables`. Regrets in points.\n"
    if not pool.second:
        yield more_pages.heads_line(pool)
    yield head(*OF_A_POOL.split(" | "))
    for one in sorted(group.metrics, key=lambda one: (one.regret is None, one.regret or 0.0, name_of(one))):
        settled, course = one.training.settled, one.training.points
        yield row(
            f"`{name_of(one)}`" + {"max": " ↑", "min": " ↓", None: ""}[one.direction],
            f"`{one.chosen.id}`" if one.chosen else "–",
            points(one.chosen_accuracy),
            points(one.regret),
            "–".join(map(points, one.interval or [None])),
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
    """One line per method and metric."""
    yield head("method", "metric", "runs", "r with 0", "r without 0", "pairs in order", "runs with r > 0")
    for method, title in METHODS.items():
        for metric in (*PRETEXT.values(), *(m for m in METRICS if m.name in ("rankme", "stable_rank"))):
            if found := along(pools, method, metric.key):
                whole, trained, pairs = zip(*found, strict=True)
                up = f"{sum(r > 0 for r in trained)} of {len(found)}"
                means = (number(fmean(x)) for x in (whole, trained, pairs))
                yield row(title, f"`{name_of(metric)}`", len(found), *means, up)


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
    tables: dict[str, Iterable[str]] = {
        **{pool.name: pool_page(pool) for pool in pools},
        "ruined": (
            "# Without runs that end below their untrained network\n",
            *verdict_table([pool.without_ruined for pool in judged or first]),
        ),
        "noise": more_pages.noise_page(pools),
        "along": along_page(judged, [pool for pool in second if not pool.decides]),
        "images": more_pages.images_page(records, first),
        "seeds": more_pages.seeds_page(second),
        "repetition": more_pages.repetition_page(records, first),
        "consensus": more_pages.consensus_page(
            {"The first six sweeps": first, "The sweeps of the protocol": judged}
        ),
        "cost": more_pages.cost_page(records),
        "table-1": more_pages.table_one_page(records),
        "table-2": more_pages.table_two_page(records),
    }
    if len(judged) > 1:
        tables["learned"] = ("# Rules learned elsewhere, second evidence\n", *learned_table(judged))
    if judged:
        tables["protocol"] = protocol_page(second, judged)
    made = {records / "tables" / f"{name}.md": "\n".join(lines) + "\n" for name, lines in tables.items()}
    made |= watching_pages(records)
    made[docs / "results.md"] = rebuilt((docs / "results.md").read_text("utf-8"), blocks)
    made[docs / "regret-by-metric.svg"] = picture(judged if len(judged) == PROMISED else first)
    return made


def rebuilt(text: str, blocks: Mapping[str, Callable[[], Iterator[str]]]) -> str:
    """A page with what stands between its markers made anew.

    Raises:
        KeyError: A marker names no table.
    """
    return _BLOCK.sub(lambda block: block[1] + "\n".join(blocks[block[2]]()) + "\n" + block[3], text)
