"""What a result says, as rows: the terminal, the page, W&B and its charts draw these and compute nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf, isfinite, log10
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from selector.errors import UserError
from selector.metrics import SPECTRUM_PREFIX, LabelFreeMetric, LabelledMetric
from selector.reports.words import (
    BASELINES,
    correlation,
    hyperparameter,
    label,
    number,
    settings_of,
    share,
    sparkline,
)
from selector.runs import Run
from selector.selection.candidates import last_milestone
from selector.selection.comparability import canonical, is_finite_number
from selector.selection.correlation import spearman
from selector.selection.ranking import Ranked, RankedGroup
from selector.selection.regret import Regret, RegretGroup
from selector.tracking.umap_files import UmapPoints, read_umap_files

if TYPE_CHECKING:
    from selector.reports.report import GroupReport

MOST_EPOCHS = 100  # a run of somebody else may have logged at each of a million steps
MOST_SPECTRA = 7
MOST_PANELS = 6
FEWEST_FOR_CORRELATION = 3

T = TypeVar("T")
_RANKS = "_ranks"


@dataclass(frozen=True)
class RankRow:
    """One run, or the seeds of one configuration, in a ranking.

    Attributes:
        ranked: Its place.
        role: "pick", "tied" (with the pick), "best" (by labels) or "run".
        rank: Place, with = where it is tied.
        run: Id and name.
        score: With its standard error where noise was measured, or its spread over seeds.
        training: The score along training as a line of bars; all rows of a group have one scale.
        accuracy: By labels; None where they did not judge it.
        settings: What the sweep varied.
    """

    ranked: Ranked
    role: str
    rank: str
    run: str
    score: str
    training: str
    accuracy: float | None
    settings: Mapping[str, Any]

    @property
    def hyperparameters(self) -> str:
        """The settings in one line."""
        return settings_of(self.settings)


@dataclass(frozen=True)
class ChoiceRow:
    """What one way of choosing costs, in the oracle's own unit.

    Attributes:
        chosen_by: Metric or baseline.
        arrow: ↑ or ↓, which way of the metric is better; empty for a baseline.
        run: The choice.
        accuracy, regret, low, high: Of the choice, with the interval of the regret; None where unknown.
        spearman, kendall: With the oracle, * where p < 0.05.
        percent: Whether accuracy and regret are fractions, which people read in percent.
    """

    chosen_by: str
    arrow: str
    run: str
    accuracy: float | None
    regret: float | None
    low: float | None = None
    high: float | None = None
    spearman: str = ""
    kendall: str = ""
    percent: bool = True

    @property
    def is_metric(self) -> bool:
        """Whether a metric chooses, and no baseline."""
        return bool(self.arrow)

    @property
    def cells(self) -> tuple[str, ...]:
        """For a table of text: chosen by, run, accuracy, regret, interval, ρ, τ."""
        ends = (self.low, self.high)
        interval = "–".join(share(end, self.percent) for end in ends) if self.low is not None else "–"
        return (
            f"{self.chosen_by} {self.arrow}".rstrip(),
            self.run or "–",
            share(self.accuracy, self.percent),
            share(self.regret, self.percent),
            interval if self.is_metric else "",
            self.spearman,
            self.kendall,
        )


@dataclass(frozen=True)
class Heatmap:
    """Spearman's ρ between metrics over the runs of a group; None where undefined.

    Attributes:
        names: Metrics.
        values: Rows of the symmetric matrix; every metric is turned so that more is better.
        counts: Runs that each figure was computed from.
    """

    names: tuple[str, ...]
    values: tuple[tuple[float | None, ...], ...]
    counts: tuple[tuple[int, ...], ...]

    @property
    def known_counts(self) -> list[int]:
        """The counts of the figures below the diagonal."""
        return [
            self.counts[i][j]
            for i, row in enumerate(self.values)
            for j, value in enumerate(row[:i])
            if value is not None
        ]


@dataclass(frozen=True)
class Curves:
    """One metric along training.

    Attributes:
        metric: Name.
        direction: Which way is better, in words.
        epochs: Of all runs, ascending.
        values: One row per run in the order of the ranking; None where a run has no finite value there.
    """

    metric: str
    direction: str
    epochs: tuple[int, ...]
    values: tuple[tuple[float | None, ...], ...]


@dataclass(frozen=True)
class Axis:
    """One axis of the parallel coordinates.

    Attributes:
        name: Hyperparameter, metric or oracle.
        ticks: Place in [0, 1] and text.
        places: One per run in the order of the ranking, in [0, 1]; None where a run has no value.
    """

    name: str
    ticks: tuple[tuple[float, str], ...]
    places: tuple[float | None, ...]


@dataclass(frozen=True)
class SpectrumLine:
    """Singular values of the pick's embeddings in one space at one milestone, over the largest."""

    space: str
    epoch: int
    ranks: tuple[float, ...]
    values: tuple[float, ...]


def rank_rows(group: RankedGroup, key: str, judged: RegretGroup | None = None) -> list[RankRow]:
    """The ranking of one group by the metric of a W&B key, with accuracies where labels judged it."""
    series = [along(place.run, key) for place in group.ranking]
    finite = [value for values in series for value in values if isfinite(value)]
    low, high = min(finite, default=inf), max(finite, default=-inf)
    accuracy = judged.mean_accuracies if judged else {}
    best = {run.id for run in judged.best.runs} if judged else set()
    rows = []
    for place, values in zip(group.ranking, series, strict=True):
        run = place.run
        pick, is_best = run.id == group.chosen.id, run.id in best
        rows.append(
            RankRow(
                ranked=place,
                role="pick" if pick else "best" if is_best else "tied" if place.tied else "run",
                rank=f"{place.rank}{'=' if place.tied else ''}",
                run=label(run),
                score=score_text(place),
                training=sparkline(values, low, high),
                accuracy=accuracy.get(run.id),
                settings={name: run.config.get(name) for name in group.swept},
            )
        )
    return rows


def score_text(ranked: Ranked) -> str:
    """The score with its standard error; of several seeds their mean ± standard deviation, and how many."""
    if ranked.deviation is not None:
        return f"{number(ranked.score)} ±{number(ranked.deviation, 2)} over {len(ranked.runs)}"
    return number(ranked.score) + (f" ±{number(ranked.standard_error, 2)}" if ranked.standard_error else "")


def along(run: Run, key: str) -> list[float]:
    """A logged value at each trained milestone that has it."""
    return [row.values[key] for row in run.trained_milestones if key in row.values]


def choice_rows(group: RegretGroup, metrics: Sequence[Regret] = ()) -> list[ChoiceRow]:
    """What each metric's choice cost, in their order, then the baselines.

    Args:
        group: As labels see it.
        metrics: Those to show; empty: the group's own.
    """
    percent = group.in_percent
    rows = []
    for one in metrics or group.metrics:
        low, high = one.interval or (None, None)
        arrow = {"max": "↑", "min": "↓", None: "–"}[one.direction]
        run = label(one.chosen) if one.chosen else ""
        rho, tau = (
            correlation(c.value) + ("*" if c.p_value is not None and c.p_value < 0.05 else "")
            for c in (one.spearman, one.kendall)
        )
        rows.append(
            ChoiceRow(
                one.metric.name, arrow, run, one.chosen_accuracy, one.regret, low, high, rho, tau, percent
            )
        )
    for baseline in group.baselines:
        run = label(baseline.run) if baseline.run else ""
        name = BASELINES[baseline.name]
        rows.append(ChoiceRow(name, "", run, baseline.accuracy, baseline.regret, percent=percent))
    return rows


def heatmap(group: "GroupReport") -> Heatmap:
    """Spearman's ρ of the metrics' values at the last milestone; metrics without two values are left out."""
    columns = {}
    for metric in group.held:
        sign = 1 if _is_better_high(metric, group.runs) else -1
        values = [_last(run, metric) for run in group.runs]
        if len(set(values) - {None}) > 1:
            columns[metric.name] = [None if value is None else sign * value for value in values]
    cells = [[_correlation(a, b) for b in columns.values()] for a in columns.values()]
    return Heatmap(
        tuple(columns),
        tuple(tuple(value for value, _ in row) for row in cells),
        tuple(tuple(count for _, count in row) for row in cells),
    )


def curves(group: "GroupReport") -> list[Curves]:
    """Every held metric along training; of more than 100 epochs, 100 are taken at even distances."""
    found = []
    for metric in group.held:
        series = [
            {row.epoch: row.values[metric.key] for row in run.milestones if metric.key in row.values}
            for run in group.runs
        ]
        epochs = thinned(sorted({epoch for of_run in series for epoch in of_run}), MOST_EPOCHS)
        values = tuple(tuple(_finite(of_run.get(epoch)) for epoch in epochs) for of_run in series)
        better = "higher" if _is_better_high(metric, group.runs) else "lower"
        found.append(Curves(metric.name, f"{better} is better", tuple(epochs), values))
    return found


def axes(group: "GroupReport") -> list[Axis]:
    """The swept hyperparameters, then the metric, then the oracle."""
    names = [name for name in group.ranked.swept if name != "seed"]
    found = [_axis(name, [run.config.get(name) for run in group.runs]) for name in names]
    found.append(_axis(group.held[0].name, [place.score for place in group.ranked.ranking]))
    if group.judged is not None:
        accuracy = group.judged.mean_accuracies
        found.append(_axis(group.held[-1].name, [accuracy.get(run.id) for run in group.runs]))
    return found


def spectrum_lines(group: "GroupReport") -> list[SpectrumLine]:
    """The pick's spectra, space by space; of more than 7 milestones, 7 at even distances."""
    logged = [row for row in group.ranked.chosen.milestones if any(map(_is_spectrum, row.lists))]
    lines = []
    rows = thinned(logged, MOST_SPECTRA)
    for key in sorted({key for row in rows for key in row.lists if _is_spectrum(key)}):
        for row in rows:
            values, ranks = row.lists.get(key, ()), row.lists.get(key + _RANKS, ())
            if values and len(ranks) == len(values):
                lines.append(SpectrumLine(key.removeprefix(SPECTRUM_PREFIX), row.epoch, ranks, values))
    return lines


def _is_spectrum(key: str) -> bool:
    return key.startswith(SPECTRUM_PREFIX) and not key.endswith(_RANKS)


def umap_panels(group: "GroupReport") -> list[UmapPoints]:
    """The pick's UMAP points, along the first two of their three principal axes; at most 6 milestones. There
    are none if the pick's folder is not on this machine.
    """
    if group.best.checkpoint is None:
        return []
    found = thinned(read_umap_files(group.best.checkpoint.parent), MOST_PANELS)
    return [replace(one, points=_flat(one.points)) for one in found]


def _flat(points: NDArray[np.float32]) -> NDArray[np.float32]:
    centred = points - points.mean(0)
    axes = np.linalg.svd(centred, full_matrices=False)[2][:2]
    axes *= np.sign(axes[np.arange(2), np.abs(axes).argmax(1)])[:, None]  # the sign of an axis means nothing
    flat: NDArray[np.float32] = centred @ axes.T
    return flat


def thinned(items: Sequence[T], most: int) -> list[T]:
    """The first, the last and some between at even distances, `most` in all."""
    if len(items) <= most:
        return list(items)
    return [items[round(i * (len(items) - 1) / (most - 1))] for i in range(most)]


def _axis(name: str, values: Sequence[Any]) -> Axis:
    known = [value for value in values if value is not None]
    if known and all(map(is_finite_number, known)):
        keys = list(values)
        texts = {value: hyperparameter(value) for value in sorted(set(known))}
        scale = log10 if min(known) > 0 and max(known) / min(known) >= 20 else float
        heights = {value: scale(value) for value in texts}
    else:
        keys = [canonical(value) for value in values]
        texts = {text: text.strip('"')[:16] for text in sorted(set(keys))}
        heights = {text: float(i) for i, text in enumerate(texts)}
    low, high = min(heights.values()), max(heights.values())
    places = {key: (height - low) / (high - low) if high > low else 0.5 for key, height in heights.items()}
    shown = list(texts)
    shown = shown if len(shown) <= 3 else [shown[0], shown[-1]]
    return Axis(
        name, tuple((places[key], texts[key]) for key in shown), tuple(places.get(key) for key in keys)
    )


def _last(run: Run, metric: LabelFreeMetric | LabelledMetric) -> float | None:
    row = last_milestone(run, metric.key)
    return _finite(row.values.get(metric.key)) if row else None


def _correlation(a: Sequence[float | None], b: Sequence[float | None]) -> tuple[float | None, int]:
    """Spearman's ρ of the pairs without a gap, and how many these are."""
    pairs = [(x, y) for x, y in zip(a, b, strict=True) if x is not None and y is not None]
    return spearman(*zip(*pairs, strict=True)) if len(pairs) >= FEWEST_FOR_CORRELATION else None, len(pairs)


def _finite(value: float | None) -> float | None:
    return value if value is not None and isfinite(value) else None


def _is_better_high(metric: LabelFreeMetric | LabelledMetric, runs: Sequence[Run]) -> bool:
    try:
        return metric.direction_in(runs[0].config.get("method")) == "max"
    except UserError:  # nobody knows which way it is for this method: as it is for most
        return metric.direction == "max"
