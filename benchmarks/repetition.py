"""Does another seed of every configuration repeat what a sweep said? A table from stored records."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from selector.evaluation.metrics import LabelFreeMetric, LabelledMetric
from selector.runs.records import read_records
from selector.selection.candidates import last_milestone
from selector.selection.consensus import with_consensus
from selector.selection.correlation import spearman
from selector.selection.hyperparameters import configuration
from selector.selection.oracle import Judged
from selector.selection.regret import RegretGroup, regret

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
            runs = with_consensus(read_records(file))
            again = max(regret(runs, metrics, oracle).groups, key=lambda g: len(g.metrics))
            pairs.append((titles[study], group, again))
    yield "| chosen by | " + " | ".join(title for title, _, _ in pairs) + " |"
    yield "|---|" + "---|" * len(pairs)
    names = list(dict.fromkeys(one.metric.name for _, group, _ in pairs for one in group.metrics))
    inside = total = 0
    for name in names:
        cells = []
        for _, group, again in pairs:
            first = next((one for one in group.metrics if one.metric.name == name), None)
            second = next((one for one in again.metrics if one.metric.name == name), None)
            if first is None or second is None or first.regret is None or second.regret is None:
                cells.append("–")
                continue
            cell = f"{100 * first.regret:.1f} → {100 * second.regret:.1f}"
            if first.interval is not None:
                low, high = first.interval
                held = low - _ROUNDING <= second.regret <= high + _ROUNDING
                inside, total = inside + held, total + 1
                cell = f"{100 * first.regret:.1f} ({100 * low:.1f}–{100 * high:.1f}) → " + (
                    f"{100 * second.regret:.1f}" if held else f"**{100 * second.regret:.1f}**"
                )
            rho = agreement(group.judged, again.judged, partial(value_of, first.metric))
            cells.append(cell + ("" if rho is None else f", ρ {rho:.2f}"))
        yield f"| `{name}` | " + " | ".join(cells) + " |"
    rhos = [
        agreement(group.judged, again.judged, lambda judged: judged.accuracy) for _, group, again in pairs
    ]
    yield "| *accuracy itself* | " + " | ".join("–" if rho is None else f"ρ {rho:.2f}" for rho in rhos) + " |"
    yield ""
    yield f"{inside} of {total} regrets of the repetition lie within the interval of the first."


def agreement(
    first: Sequence[Judged], again: Sequence[Judged], number: Callable[[Judged], float]
) -> float | None:
    """Spearman's ρ over the configurations that both have, one seed each."""
    before = {configuration(judged.run): number(judged) for judged in first if judged.run.config["seed"] == 0}
    after = {configuration(judged.run): number(judged) for judged in again}
    pairs = np.array([(before[name], after[name]) for name in sorted(before.keys() & after.keys())])
    finite = pairs[np.isfinite(pairs).all(1)]
    return spearman(finite[:, 0], finite[:, 1]) if len(finite) > 2 else None


def value_of(metric: LabelFreeMetric, judged: Judged) -> float:
    """At the last milestone; NaN where there is none."""
    last = last_milestone(judged.run, metric.key)
    return float("nan") if last is None else last.values.get(metric.key, float("nan"))
