"""A metric's course along training beside the oracle's, as small lines for the terminal."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import inf, isfinite

from selector.metrics.metrics import LabelledMetric
from selector.reports.sparkline import sparkline
from selector.reports.tables import label, number
from selector.runs import Milestone, Run
from selector.selection.regret import RegretGroup

_ROOM = 26  # columns for the names of the metrics that chose a run


@dataclass(frozen=True)
class RunRow:
    """One run of a sweep: oracle and metric at its end and along training."""

    run: str
    accuracy: str
    oracle: str
    score: str
    metric: str
    chosen_by: str


def run_rows(group: RegretGroup, oracle: LabelledMetric) -> list[RunRow]:
    """The runs that some metric chose, and the best and the worst by labels; the best by labels first.

    Lines have one scale for all runs of the group, and begin at the first trained milestone.
    """
    metric = group.metrics[0].metric
    worst, best = group.judged[-1].run, group.best.run
    by: dict[str, list[str]] = {worst.id: ["(worst)"], best.id: ["(best)"]}
    for regret in group.metrics:
        if regret.chosen is not None:
            by.setdefault(regret.chosen.id, []).append(regret.metric.name)
    bounds = {
        key: _bounds(_trained(run, key) for judged in group.judged for run in judged.runs)
        for key in (oracle.key, metric.key)
    }
    percent = group.in_percent
    rows = []
    accuracies = group.accuracies
    for run in (run for judged in group.judged for run in judged.runs if run.id in by):
        scores = _trained(run, metric.key)
        rows.append(
            RunRow(
                label(run),
                f"{100 * accuracies[run.id]:.1f}" if percent else number(accuracies[run.id]),
                sparkline(_trained(run, oracle.key), *bounds[oracle.key]),
                number(scores[-1]) if scores else "–",
                sparkline(scores, *bounds[metric.key]),
                _listed(by[run.id]),
            )
        )
    return rows


def _listed(names: Sequence[str]) -> str:
    """As many names as there is room for, at least one."""
    for named in range(len(names), 0, -1):
        more = [f"{len(names) - named} more"] if named < len(names) else []
        text = ", ".join([*names[:named], *more])
        if len(text) <= _ROOM:
            break
    return text


def _trained(run: Run, key: str) -> list[float]:
    return _values(run.trained_milestones, key)


def _values(milestones: Sequence[Milestone], key: str) -> list[float]:
    return [row.values[key] for row in milestones if key in row.values]


def _bounds(series: Iterable[Sequence[float]]) -> tuple[float, float]:
    finite = [value for values in series for value in values if isfinite(value)]
    return min(finite, default=inf), max(finite, default=-inf)
