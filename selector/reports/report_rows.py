"""What the charts of a report show, as data: one dataclass a chart, tested without a picture."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite, log10
from statistics import fmean
from typing import Any, TypeVar

import numpy as np

from selector.metrics.metrics import SPECTRUM_PREFIX, LabelFreeMetric, LabelledMetric
from selector.reports.report import GroupReport
from selector.reports.tables import BASELINES, hyperparameter, label
from selector.runs import Run
from selector.selection.candidates import last_milestone
from selector.selection.correlation import spearman
from selector.selection.hyperparameters import canonical, is_finite_number
from selector.selection.regret import Regret
from selector.tracking.umap_files import UmapPoints, read_umap_files

AnyMetric = LabelFreeMetric | LabelledMetric

MOST_EPOCHS = 100  # a run of somebody else may have logged at each of a million steps
MOST_SHADES = 7
MOST_PANELS = 6
FEWEST_FOR_CORRELATION = 3

T = TypeVar("T")
_RANKS = "_ranks"


@dataclass(frozen=True)
class ScatterPoint:
    """One run: what the metric says of it, and what labels say."""

    run: str
    score: float
    accuracy: float
    role: str  # "pick", "tied", "best" (by labels) or "run"


@dataclass(frozen=True)
class ChoiceRow:
    """What one way of choosing costs, as fractions of accuracy."""

    chosen_by: str
    kind: str  # "metric" or "baseline"
    run: str
    accuracy: float | None
    regret: float | None
    low: float | None
    high: float | None
    spearman: float | None


@dataclass(frozen=True)
class Heatmap:
    """Spearman's ρ between metrics over the runs of a group; None where undefined.

    Attributes:
        names: Metrics.
        values: Rows of the symmetric matrix.
        counts: Runs that each figure was computed from.
    """

    names: tuple[str, ...]
    values: tuple[tuple[float | None, ...], ...]
    counts: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Curves:
    """One metric along training.

    Attributes:
        metric: Name.
        direction: Which way is better, in words.
        epochs: Of all runs, ascending.
        values: One row a run in the order of the ranking; None where a run has no finite value there.
    """

    metric: str
    direction: str
    epochs: tuple[int, ...]
    values: tuple[tuple[float | None, ...], ...]


@dataclass(frozen=True)
class StopRow:
    """Stopping all runs at one epoch: what the metric's choice then costs, and what is saved."""

    epoch: int
    run: str
    regret: float
    saved: float


@dataclass(frozen=True)
class Axis:
    """One axis of the parallel coordinates.

    Attributes:
        name: Hyperparameter, metric or oracle.
        ticks: Place in [0, 1] and text.
        places: One a run in the order of the ranking, in [0, 1]; None where a run has no value.
    """

    name: str
    ticks: tuple[tuple[float, str], ...]
    places: tuple[float | None, ...]


@dataclass(frozen=True)
class Cost:
    """What choosing without labels took.

    Attributes:
        milestones: How many were evaluated.
        seconds: Spent on them, all runs together; None where it was not logged.
    """

    milestones: int
    seconds: float | None


@dataclass(frozen=True)
class SpectrumLine:
    """Singular values of the pick's embeddings in one space at one milestone, over the largest."""

    space: str
    epoch: int
    ranks: tuple[float, ...]
    values: tuple[float, ...]


@dataclass(frozen=True)
class UmapPanel:
    """The pick's UMAP points at one milestone, along the first two principal axes of the three.

    Attributes:
        epoch: Epochs trained.
        x, y: One a point.
        labels: Class of each point, or None.
    """

    epoch: int
    x: tuple[float, ...]
    y: tuple[float, ...]
    labels: tuple[int, ...] | None


def scatter_points(group: GroupReport) -> list[ScatterPoint]:
    """Judged runs with a score, in the order of the ranking; none without labels."""
    if group.judged is None:
        return []
    accuracy = group.judged.mean_accuracies
    best = {run.id for run in group.judged.best.runs}

    def role(run: Run, tied: bool) -> str:
        if run.id == group.ranked.chosen.id:
            return "pick"
        return "best" if run.id in best else "tied" if tied else "run"

    return [
        ScatterPoint(label(place.run), place.score, accuracy[place.run.id], role(place.run, place.tied))
        for place in group.ranked.ranking
        if place.run.id in accuracy
    ]


def choice_rows(group: GroupReport) -> list[ChoiceRow]:
    """Metrics by regret, the smallest first, then the baselines."""
    if group.judged is None:
        return []
    metrics = sorted(group.metrics, key=lambda regret: (regret.regret or 0.0, regret.metric.name))
    return [_choice(regret) for regret in metrics] + [
        ChoiceRow(
            BASELINES[baseline.name],
            "baseline",
            label(baseline.run) if baseline.run else "",
            baseline.accuracy,
            baseline.regret,
            None, None, None,
        )
        for baseline in group.judged.baselines
        if baseline.name != "oracle"
    ]  # fmt: skip


def _choice(regret: Regret) -> ChoiceRow:
    low, high = regret.interval or (None, None)
    run = label(regret.chosen) if regret.chosen else ""
    return ChoiceRow(
        regret.metric.name, "metric", run, regret.chosen_accuracy, regret.regret, low, high,
        regret.spearman.value,
    )  # fmt: skip


def heatmap(group: GroupReport) -> Heatmap:
    """Spearman's ρ of the metrics' values at the last milestone, as logged: no direction is turned."""
    metrics = [metric for metric in group.held if _varies(group.runs, metric)]
    columns = [[_last(run, metric) for run in group.runs] for metric in metrics]
    cells = [[_correlation(a, b) for b in columns] for a in columns]
    return Heatmap(
        tuple(metric.name for metric in metrics),
        tuple(tuple(value for value, _ in row) for row in cells),
        tuple(tuple(count for _, count in row) for row in cells),
    )


def curves(group: GroupReport) -> list[Curves]:
    """Every held metric along training; of more than 100 epochs, 100 are taken at even distances."""
    return [_curves(group.runs, metric) for metric in group.held]


def _curves(runs: Sequence[Run], metric: AnyMetric) -> Curves:
    series = [
        {m.epoch: m.values[metric.key] for m in run.milestones if metric.key in m.values} for run in runs
    ]
    epochs = sorted({epoch for of_run in series for epoch in of_run})
    epochs = _thinned(epochs, MOST_EPOCHS)
    values = tuple(tuple(_finite(of_run.get(epoch)) for epoch in epochs) for of_run in series)
    method = runs[0].config.get("method")
    better = (
        "higher" if metric.direction_in(method if isinstance(method, str) else None) == "max" else "lower"
    )
    return Curves(metric.name, f"{better} is better", tuple(epochs), values)


def stop_rows(group: GroupReport) -> list[StopRow]:
    """The ranking metric's choice at each milestone of training."""
    points = group.regret.training.points if group.regret else ()
    return [StopRow(p.epoch, label(p.chosen), p.regret, p.saved_finishing_choice) for p in points]


def axes(group: GroupReport) -> list[Axis]:
    """The swept hyperparameters, then the metric, then the oracle."""
    names = [name for name in group.ranked.swept if name != "seed"]
    found = [_axis(name, [run.config.get(name) for run in group.runs]) for name in names]
    found.append(_axis(group.held[0].name, [place.score for place in group.ranked.ranking]))
    if group.judged is not None:
        accuracy = group.judged.mean_accuracies
        found.append(_axis(group.held[-1].name, [accuracy.get(run.id) for run in group.runs]))
    return found


def cost(group: GroupReport) -> Cost:
    """Milestones of the ranked runs, and the seconds they took."""
    rows = [row for run in group.runs for row in run.milestones]
    seconds = [row.values["cost/milestone_seconds"] for row in rows if "cost/milestone_seconds" in row.values]
    return Cost(len(rows), sum(seconds) if seconds else None)


def spectrum_lines(group: GroupReport) -> list[SpectrumLine]:
    """The pick's spectra, space by space; of more than 7 milestones, 7 at even distances."""
    rows = _thinned([row for row in group.ranked.chosen.milestones if row.lists], MOST_SHADES)
    lines = []
    for key in sorted({key for row in rows for key in row.lists if not key.endswith(_RANKS)}):
        for row in rows:
            values = row.lists.get(key, ())
            ranks = row.lists.get(key + _RANKS, ())
            if values and len(ranks) == len(values):
                lines.append(SpectrumLine(key.removeprefix(SPECTRUM_PREFIX), row.epoch, ranks, values))
    return lines


def umap_panels(group: GroupReport) -> list[UmapPanel]:
    """The pick's UMAP points where its folder is on this machine; of more than 6 milestones, 6."""
    if group.best.checkpoint is None:
        return []
    return [_panel(found) for found in _thinned(read_umap_files(group.best.checkpoint.parent), MOST_PANELS)]


def _panel(found: UmapPoints) -> UmapPanel:
    centred = found.points - found.points.mean(0)
    axes = np.linalg.svd(centred, full_matrices=False)[2][:2]
    axes *= np.sign(axes[np.arange(2), np.abs(axes).argmax(1)])[:, None]  # the sign of an axis means nothing
    flat = centred @ axes.T
    labels = None if found.labels is None else tuple(found.labels.tolist())
    return UmapPanel(found.epoch, tuple(flat[:, 0].tolist()), tuple(flat[:, 1].tolist()), labels)


def _thinned(items: Sequence[T], most: int) -> list[T]:
    """The first, the last and some between at even distances, `most` in all."""
    if len(items) <= most:
        return list(items)
    return [items[round(i * (len(items) - 1) / (most - 1))] for i in range(most)]


def _axis(name: str, values: Sequence[Any]) -> Axis:
    known = [value for value in values if value is not None]
    if known and all(map(is_finite_number, known)):
        numbers = sorted(set(known))
        scale = log10 if numbers[0] > 0 and numbers[-1] / numbers[0] >= 20 else float
        low, high = scale(numbers[0]), scale(numbers[-1])

        def place(value: float) -> float:
            return (scale(value) - low) / (high - low) if high > low else 0.5

        shown = numbers if len(numbers) <= 5 else [numbers[0], numbers[-1]]
        ticks = tuple((place(number), hyperparameter(number)) for number in shown)
        return Axis(name, ticks, tuple(None if value is None else place(value) for value in values))
    texts = sorted({canonical(value) for value in values})
    step = 1 / (len(texts) - 1) if len(texts) > 1 else 0.0
    heights = {text: i * step if step else 0.5 for i, text in enumerate(texts)}
    ticks = tuple((height, text.strip('"')[:24]) for text, height in heights.items())
    return Axis(name, ticks, tuple(heights[canonical(value)] for value in values))


def _last(run: Run, metric: AnyMetric) -> float | None:
    row = last_milestone(run, metric.key)
    return _finite(row.values.get(metric.key)) if row else None


def _varies(runs: Sequence[Run], metric: AnyMetric) -> bool:
    values = {_last(run, metric) for run in runs} - {None}
    return len(values) > 1


def _correlation(a: Sequence[float | None], b: Sequence[float | None]) -> tuple[float | None, int]:
    pairs = [(x, y) for x, y in zip(a, b, strict=True) if x is not None and y is not None]
    if len(pairs) < FEWEST_FOR_CORRELATION:
        return None, len(pairs)
    return spearman(*zip(*pairs, strict=True)), len(pairs)


def _finite(value: float | None) -> float | None:
    return value if value is not None and isfinite(value) else None


def mean_accuracy(group: GroupReport) -> float | None:
    """Over all judged runs: what a random choice gets."""
    return fmean(judged.accuracy for judged in group.judged.judged) if group.judged else None
