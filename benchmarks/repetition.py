"""Does another seed of every configuration repeat what a sweep said? A table from stored records."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from cells import interval, number, points, row
from last_value import value_of

from selector.metrics.metrics import LabelledMetric
from selector.runs import RunSet
from selector.selection.consensus import with_consensus
from selector.selection.correlation import spearman
from selector.selection.hyperparameters import configuration
from selector.selection.oracle import Judged
from selector.selection.regret import RegretGroup, regret
from selector.tracking.records import read_records

_ROUNDING = 1e-4  # records keep accuracies to five digits


def repetition(
    groups: Mapping[str, RegretGroup], records: Path, oracle: LabelledMetric, titles: Mapping[str, str]
) -> Iterator[str]:
    """For each metric and sweep: its regret with interval, that of the repetition, and ρ of both rankings."""
    pairs = []
    for study, group in groups.items():
        file = records / f"repeat-{study}.json"
        if file.exists():
            metrics = [one.metric for one in group.metrics]
            again = read_records(file)
            repeated = {configuration(run) for run in again.runs}
            once = [
                judged.run
                for judged in group.judged
                if judged.run.config["seed"] == 0 and configuration(judged.run) in repeated
            ]
            first, second = (
                max(regret(with_consensus(runs), metrics, oracle).groups, key=lambda g: len(g.metrics))
                for runs in (RunSet(study, tuple(once)), again)
            )
            pairs.append((titles[study], first, second))
    yield "| chosen by | " + " | ".join(title for title, _, _ in pairs) + " |"
    yield "|---|" + "---|" * len(pairs)
    names = list(dict.fromkeys(one.metric.name for _, group, _ in pairs for one in group.metrics))
    places = []
    for name in names:
        cells = []
        for _, group, again in pairs:
            first = next((one for one in group.metrics if one.metric.name == name), None)
            second = next((one for one in again.metrics if one.metric.name == name), None)
            if first is None or second is None or first.regret is None or second.regret is None:
                cells.append("–")
                continue
            cell = f"{points(first.regret)} → {points(second.regret)}"
            if first.interval is not None:
                low, high = first.interval
                place = (second.regret > high + _ROUNDING) - (second.regret < low - _ROUNDING)
                places.append(place)
                shown = f"**{points(second.regret)}**" if place else points(second.regret)
                cell = f"{points(first.regret)} ({interval(first.interval)}) → {shown}"
            rho = agreement(group.judged, again.judged, partial(_logged, first.metric.key))
            cells.append(cell + ("" if rho is None else f", ρ {number(rho)}"))
        yield row([f"`{name}`", *cells])
    rhos = [
        agreement(group.judged, again.judged, lambda judged: judged.accuracy) for _, group, again in pairs
    ]
    yield row(["*accuracy itself*", *("–" if rho is None else f"ρ {number(rho)}" for rho in rhos)])
    yield ""
    yield (
        f"{places.count(0)} of {len(places)} regrets of the repetition lie within the interval of the first,"
        f" {places.count(1)} above it and {places.count(-1)} below."
    )


def agreement(
    first: Sequence[Judged], again: Sequence[Judged], figure: Callable[[Judged], float]
) -> float | None:
    """Spearman's ρ over the configurations that both have, one seed each."""
    before = {configuration(judged.run): figure(judged) for judged in first}
    after = {configuration(judged.run): figure(judged) for judged in again}
    pairs = np.array([(before[name], after[name]) for name in sorted(before.keys() & after.keys())])
    finite = pairs[np.isfinite(pairs).all(1)]
    return spearman(finite[:, 0], finite[:, 1]) if len(finite) > 2 else None


def _logged(key: str, judged: Judged) -> float:
    return value_of(judged.run, key)
