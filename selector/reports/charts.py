"""The charts of a group of runs: which there are, what stands above them, and their figures."""

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import fmean

import plotly.graph_objects as go

from selector.reports import ink, rows
from selector.reports.report import GroupReport, Report
from selector.reports.rows import Curves
from selector.reports.words import axis_of, label


@dataclass(frozen=True)
class Chart:
    """One chart of a group.

    Attributes:
        name: Short, unique within the group.
        title: Above it.
        caption: What to know of it.
        figure: Plotly's; without data for the chart of `curves`.
        curves: One per metric that the reader may choose to see along training.
        runs: Their runs, the pick first.
    """

    name: str
    title: str
    caption: str
    figure: go.Figure
    curves: tuple[Curves, ...] = ()
    runs: tuple[str, ...] = ()


def charts(group: GroupReport, report: Report) -> Iterator[Chart]:
    """The charts that a group has data for."""
    metric, judged, axis = report.ranking.metric, group.judged, axis_of(group.runs[0])
    runs = tuple(label(run) for run in group.runs)
    ranked = rows.rank_rows(group.ranked, metric.key, judged)
    points = [row for row in ranked if row.accuracy is not None]
    if judged and points:
        random = fmean(one.accuracy for one in judged.judged)
        yield Chart(
            "scatter",
            "The metric and the labels",
            f"One point per run (n = {len(points)}). Dotted: the regret, from the pick to the best run;"
            " dashed: the mean, which a random choice gets.",
            ink.scatter(points, metric.name, report.oracle.name, judged.best.accuracy, random),
        )
    if judged and len(judged.judged) > 1:
        yield Chart(
            "choices",
            "If you had chosen by something else",
            "Regret of each metric's choice among the same runs, with the 95 % interval of the true regret"
            " among these checkpoints, as far as the number of evaluation images tells. To choose a metric"
            " by this chart and quote its regret afterwards would be choosing with labels.",
            ink.choices(rows.choice_rows(judged, group.metrics), judged.in_percent),
        )
    untrained = " Epoch 0 is the untrained network, which is never chosen." if axis == "epoch" else ""
    along = tuple(rows.curves(group))
    yield Chart(
        "curves",
        "Along training",
        f"Grey: all other ranked runs.{untrained}",
        ink.curves_layout([epoch for one in along for epoch in one.epochs], axis),
        along,
        runs,
    )
    stops = group.regret.training.points if group.regret else ()
    if judged and len(judged.judged) > 1 and len(stops) > 1:
        yield Chart(
            "stopping",
            "Could the sweep have stopped earlier?",
            f"The choice that {metric.name} makes at each milestone, judged by the run's final accuracy: the"
            " chosen run is still trained to its end, the others stop there.",
            ink.stopping(stops, judged.in_percent, axis),
        )
    coordinates = rows.axes(group)
    if len(coordinates) > 2 and len(runs) > 1:
        yield Chart(
            "parallel",
            "Hyperparameters",
            "One line per run, from top to bottom; the stronger its colour, the better its rank by"
            f" {metric.name}; the thick one is the pick.",
            ink.parallel(coordinates, runs),
        )
    yield from _of_the_pick(group)
    matrix = rows.heatmap(group)
    if counts := matrix.known_counts:
        few = f"{min(counts)} to " if min(counts) < max(counts) else ""
        yield Chart(
            "heatmap",
            "Do the metrics agree?",
            f"Spearman's ρ between metrics over the runs (n = {few}{max(counts)}) at the last milestone, each"
            " metric oriented so that more is better: below 0, two metrics pull in opposite directions."
            " Empty where unknown. With few runs, large values arise by chance.",
            ink.heat(matrix),
        )


def _of_the_pick(group: GroupReport) -> Iterator[Chart]:
    if lines := rows.spectrum_lines(group):
        yield Chart(
            "spectra",
            "Singular values of the pick",
            "Centred, over the largest; the stronger the colour, the later the milestone. A cliff is a"
            " collapse to fewer dimensions; RankMe counts how many directions carry weight.",
            ink.spectra(lines),
        )
    if panels := rows.umap_panels(group):
        coloured = "; colours are classes" if panels[0].labels is not None else ""
        yield Chart(
            "umap",
            "The pick's images, by UMAP",
            f"Up to 1,000 evaluation images at some milestones, the first seed{coloured}. Distances"
            " between far groups mean little, and each picture has axes of its own.",
            ink.umap(panels),
        )
