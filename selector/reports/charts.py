"""The charts of a group of runs: each function makes one, and what stands above it, if there are data."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, log10
from statistics import fmean
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from selector.metrics import LabelFreeMetric, LabelledMetric
from selector.metrics.spectrum import spectra_of
from selector.reports import ink
from selector.reports.best import find_checkpoint
from selector.reports.curves import Curves, curves, frame
from selector.reports.ink import plain
from selector.reports.report import GroupReport, Report
from selector.reports.rows import choice_rows, finite, is_better_high, rank_rows
from selector.reports.words import axis_of, correlation, hyperparameter, label, thinned
from selector.runs import Run
from selector.selection.candidates import last_milestone
from selector.selection.comparability import canonical, is_finite_number
from selector.selection.correlation import spearman
from selector.tracking.umap_files import read_umap_files

MOST_SPECTRA = 7
MOST_PANELS = 6
FEWEST_FOR_CORRELATION = 3
MOST_NUMBERS = 16  # metrics of a heat map whose cells have room for 0.45; of more, it is .45

# Role of a run → its name in the legend, colour, symbol and size.
_ROLES = {
    "run": ("other runs", ink.RUN, "circle", 9),
    "tied": ("tied with the pick", ink.TIED, "circle", 9),
    "best": ("best by labels", ink.BEST, "diamond", 13),
    "pick": ("the pick", ink.PICK, "star", 15),
}


@dataclass(frozen=True)
class Chart:
    """One chart of a group; that of `along_training` has curves, of which page.js draws one, and no data."""

    name: str  # unique within the group
    title: str
    caption: str
    figure: go.Figure
    curves: tuple[Curves, ...] = ()


def charts(group: GroupReport, report: Report) -> list[Chart]:
    """The charts that a group has data for."""
    found = (
        scatter(group, report),
        choices(group),
        along_training(group),
        stopping(group, report),
        parallel(group, report),
        spectra(group),
        umap(group),
        heatmap(group),
    )
    return [chart for chart in found if chart is not None]


def scatter(group: GroupReport, report: Report) -> Chart | None:
    """Metric against oracle, with the regret drawn from the pick to the best run, and chance as a line."""
    judged, metric = group.judged, report.ranking.metric
    rows = rank_rows(group.ranked, metric.key, judged)
    points = [row for row in rows if row.accuracy is not None]
    if judged is None or not points:
        return None
    best, random = judged.best.accuracy, fmean(one.accuracy for one in judged.judged)
    name, oracle = plain(metric.name), plain(report.oracle.name)
    hover = f"%{{text}}<br>{name} %{{x:.4g}}<br>{oracle} %{{y:.4g}}<extra></extra>"
    figure = ink.blank(420)
    for row in points:
        if row.role == "pick" and row.accuracy != best:
            ends = {"x": [row.ranked.score] * 2, "y": [row.accuracy, best]}
            line = {"color": ink.PICK, "width": 3, "dash": "dot"}
            about = {"name": "regret", "hoverinfo": "skip", "showlegend": False}
            figure.add_scatter(**ends, mode="lines", line=line, **about)
    for role, (legend, colour, symbol, size) in _ROLES.items():
        if some := [row for row in points if row.role == role]:
            edge = {"color": ink.PAPER, "width": 1}
            figure.add_scatter(
                x=[row.ranked.score for row in some],
                y=[row.accuracy for row in some],
                text=[plain(row.run) for row in some],
                mode="markers",
                name=legend,
                hovertemplate=hover,
                marker={"color": colour, "symbol": symbol, "size": size, "line": edge},
            )
    figure.add_hline(best, line={"color": ink.BEST, "width": 1})
    figure.add_hline(random, line={"color": ink.FAINT, "width": 1, "dash": "dash"})
    figure.update_xaxes(title_text=f"{name} (without labels)")
    figure.update_yaxes(title_text=oracle)
    return Chart(
        "scatter",
        "The metric and the labels",
        f"One point per run (n = {len(points)}). Dotted: the regret, from the pick to the best run;"
        " dashed: the mean, which a random choice gets.",
        figure,
    )


def choices(group: GroupReport) -> Chart | None:
    """Regret of every way of choosing, with its interval; the shortest is best. In points, or as logged."""
    judged = group.judged
    if judged is None or len(judged.judged) < 2:
        return None
    scale, unit, title = _points(judged.in_percent)
    rows = choice_rows(judged)
    known = [row for row in rows if row.regret is not None and row.chosen_by != "label oracle"]
    known.sort(key=lambda row: (row.is_metric, -(row.regret or 0.0), row.chosen_by))
    figure = ink.blank(150 + 26 * len(known))
    reach = 0.01
    for is_metric, colour, symbol, name in (
        (True, ink.BEST, "circle", "label-free metrics"),
        (False, ink.RUN, "square", "without a metric"),
    ):
        places = [place for place, row in enumerate(known) if row.is_metric == is_metric]
        some = [known[place] for place in places]
        regrets = np.array([row.regret for row in some], float)
        lows = np.array([row.regret if row.low is None else row.low for row in some], float)
        highs = np.array([row.regret if row.high is None else row.high for row in some], float)
        reach = max([reach, *regrets, *highs])
        interval = {
            "array": scale * np.maximum(0.0, highs - regrets),
            "arrayminus": scale * np.maximum(0.0, regrets - lows),
        }
        figure.add_scatter(
            y=places,
            x=scale * regrets,
            text=[f"{plain(row.run)}<br>chosen by {plain(row.chosen_by)}" for row in some],
            mode="markers",
            name=name,
            hovertemplate=f"%{{text}}: regret %{{x:.4g}}{unit}<extra></extra>",
            marker={"color": colour, "size": 10, "symbol": symbol},
            error_x={"type": "data", "symmetric": False, "color": colour, "thickness": 1.5, "width": 3}
            | interval,
        )
    reach *= 1.05 * scale
    figure.update_xaxes(title_text=title, range=[-0.02 * reach, reach])
    figure.update_yaxes(**ink.named_axis([row.chosen_by for row in known]))
    return Chart(
        "choices",
        "If you had chosen by something else",
        "Regret of each metric's choice among the same runs, with the 95 % interval of the true regret"
        " among these checkpoints, as far as the number of evaluation images tells. To choose a metric"
        " by this chart and quote its regret afterwards would be choosing with labels.",
        figure,
    )


def _points(percent: bool) -> tuple[int, str, str]:
    """What a regret is multiplied by, its unit, and the title of its axis."""
    return (100, " points", "regret in points") if percent else (1, "", "regret")


def along_training(group: GroupReport) -> Chart:
    """The frame of the lines along training; page.js draws those of one metric into it, from `packed`."""
    axis, found = axis_of(group.runs[0]), curves(group)
    untrained = " Epoch 0 is the untrained network, which is never chosen." if axis == "epoch" else ""
    figure = frame([epoch for one in found for epoch in one.epochs], axis)
    return Chart("curves", "Along training", f"Grey: all other ranked runs.{untrained}", figure, found)


def stopping(group: GroupReport, report: Report) -> Chart | None:
    """Regret of the choice made at each milestone, in points or as logged, and what stopping there saves."""
    judged, points = group.judged, group.regret.training.points if group.regret else ()
    if judged is None or len(judged.judged) < 2 or len(points) < 2:
        return None
    (scale, unit, title), axis = _points(judged.in_percent), axis_of(group.runs[0])
    epochs = [point.epoch for point in points]
    figure = make_subplots(specs=[[{"secondary_y": True}]], figure=ink.blank(370))
    figure.add_scatter(
        x=epochs,
        y=[scale * point.regret for point in points],
        text=[plain(label(point.chosen)) for point in points],
        mode="lines+markers",
        name="regret (points)" if judged.in_percent else "regret",
        hovertemplate=f"{axis} %{{x}}: chooses %{{text}}, regret %{{y:.4g}}{unit}<extra></extra>",
        line={"color": ink.PICK, "shape": "hv"},
        marker={"size": 7},
    )
    figure.add_scatter(
        x=epochs,
        y=[100 * point.saved_finishing_choice for point in points],
        secondary_y=True,
        mode="lines+markers",
        name="training saved (%)",
        hovertemplate=f"stopping at {axis} %{{x}} saves %{{y:.0f}} %<extra></extra>",
        line={"color": ink.BEST, "dash": "dot"},
        marker={"size": 5},
    )
    figure.update_xaxes(title_text=f"{axis} at which the choice is made", **ink.whole_numbers(epochs))
    reach = 1.1 * scale * max([0.01, *(point.regret for point in points)])
    figure.update_yaxes(title_text=title, range=[0, reach])
    saved = {"title_text": "training saved (%)", "range": [0, 104], "dtick": 20, "showgrid": False}
    figure.update_yaxes(secondary_y=True, **saved)
    return Chart(
        "stopping",
        "Could the sweep have stopped earlier?",
        f"The choice that {report.ranking.metric.name} makes at each milestone, judged by the run's final"
        " accuracy: the chosen run is still trained to its end, the others stop there.",
        figure,
    )


def parallel(group: GroupReport, report: Report) -> Chart | None:
    """One line per run through its hyperparameters, its score and its accuracy; darker is a better rank.

    Axes are horizontal, one below the other, so that they fit a phone. They are ordinary lines, because
    Plotly's own parallel coordinates are vertical and need WebGL.
    """
    runs = [plain(label(run)) for run in group.runs]
    names = [name for name in group.ranked.swept if name != "seed"]
    columns: list[tuple[str, list[Any]]] = [
        *((name, [run.config.get(name) for run in group.runs]) for name in names),
        (group.held[0].name, [place.score for place in group.ranked.ranking]),
    ]
    if group.judged is not None:
        accuracy = group.judged.mean_accuracies
        columns.append((group.held[-1].name, [accuracy.get(run.id) for run in group.runs]))
    if len(columns) < 3 or len(runs) < 2:
        return None
    figure = ink.blank(60 + 74 * len(columns))
    words = {"showarrow": False, "bgcolor": ink.PAPER, "opacity": 0.85}
    paths: list[list[float | None]] = [[] for _ in runs]
    for level, (name, values) in enumerate(columns):
        places, ticks = placed(values)
        for path, place in zip(paths, places, strict=True):
            path.append(place)
        line = {"color": ink.FAINT, "width": 1}
        figure.add_shape(type="line", x0=0, x1=1, y0=level, y1=level, line=line)
        above = {"x": 0, "xanchor": "left", "yanchor": "bottom", "yshift": 3, "font_size": 12}
        figure.add_annotation(text=f"<b>{ink.shortened(name)}</b>", y=level, **above, **words)
        for place, text in ticks:
            side = "left" if place < 0.25 else "right" if place > 0.75 else "center"
            below = {"x": place, "xanchor": side, "yanchor": "top", "yshift": -2, "font_size": 11}
            figure.add_annotation(text=plain(text), y=level, **below, **words)
    levels = [*range(len(columns)), None]
    strongest = len(ink.SHADES) - 1
    shades = [strongest - round(strongest * i / (len(runs) - 1)) for i in range(len(runs))]
    for shade, colour in enumerate(ink.SHADES):
        if some := [i for i in range(1, len(runs)) if shades[i] == shade]:
            x = [place for i in some for place in (*paths[i], None)]
            texts = [runs[i] for i in some for _ in levels]
            figure.add_trace(ink.line_of(x, levels * len(some), texts, colour, 1.6))
    figure.add_trace(ink.line_of(paths[0], levels[:-1], [runs[0]] * len(columns), ink.PICK, 3.5))
    figure.update_xaxes(visible=False, range=[-0.02, 1.02])
    figure.update_yaxes(visible=False, range=[len(columns) - 0.6, -0.45])
    figure.update_layout(showlegend=False, margin_t=10)
    return Chart(
        "parallel",
        "Hyperparameters",
        "One line per run, from top to bottom; the stronger its colour, the better its rank by"
        f" {report.ranking.metric.name}; the thick one is the pick.",
        figure,
    )


def placed(values: Sequence[Any]) -> tuple[list[float | None], list[tuple[float, str]]]:
    """Where values lie on an axis from 0 to 1, None where there is none, and its ticks as place and text.

    Numbers that span decades are placed by their logarithm; what is not a number, in alphabetical order.
    """
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
    return [places.get(key) for key in keys], [(places[key], texts[key]) for key in shown]


def spectra(group: GroupReport) -> Chart | None:
    """The pick's singular values by rank, over the largest, one panel per space; the darker, the later the
    milestone. Of more than 7 milestones, 7 at even distances are drawn.
    """
    logged = [
        (row.epoch, found) for row in group.ranked.chosen.milestones if (found := spectra_of(row.lists))
    ]
    drawn = thinned(logged, MOST_SPECTRA)
    spaces = sorted({space for _, found in drawn for space in found})
    lines = [(space, epoch, *found[space]) for space in spaces for epoch, found in drawn if space in found]
    if not lines:
        return None
    epochs = sorted({epoch for _, epoch, *_ in lines})
    figure = make_subplots(
        rows=len(spaces),
        cols=1,
        subplot_titles=[plain(space) for space in spaces],
        vertical_spacing=0.32 / len(spaces),
        figure=ink.blank(40 + 280 * len(spaces)),
    )
    for space, epoch, ranks, values in lines:
        later = len(epochs) - 1 - epochs.index(epoch)
        shade = max(0, len(ink.SHADES) - 1 - round(later * len(ink.SHADES) / len(epochs)))
        figure.add_scatter(
            row=spaces.index(space) + 1,
            col=1,
            x=ranks,
            y=[value or None for value in values],
            mode="lines",
            name=f"epoch {epoch}",
            legendgroup=str(epoch),
            showlegend=space == spaces[0],
            hovertemplate=f"epoch {epoch}, rank %{{x}}: %{{y:.3g}}<extra></extra>",
            line={"color": ink.SHADES[shade], "width": 2},
        )
    figure.update_xaxes(type="log", dtick=1, title_text="rank")
    figure.update_yaxes(type="log", dtick=1, exponentformat="power", tickfont_size=11)
    figure.update_layout(legend_y=1.02 + 40 / figure.layout.height, margin_t=60)
    return Chart(
        "spectra",
        "Singular values of the pick",
        "Centred, over the largest; the stronger the colour, the later the milestone. A cliff is a"
        " collapse to fewer dimensions; RankMe counts how many directions carry weight.",
        figure,
    )


def umap(group: GroupReport) -> Chart | None:
    """The pick's images at up to 6 milestones, along the first two of the three principal axes of their UMAP
    points, coloured by class where classes are known. None if the pick's folder is not on this machine.
    """
    checkpoint = find_checkpoint(group.pick)
    panels = thinned(read_umap_files(checkpoint.parent), MOST_PANELS) if checkpoint else []
    if not panels:
        return None
    columns = min(2, len(panels))
    count = ceil(len(panels) / columns)
    figure = make_subplots(
        rows=count,
        cols=columns,
        subplot_titles=[f"epoch {panel.epoch}" for panel in panels],
        horizontal_spacing=0.04,
        vertical_spacing=0.1 / count,
        figure=ink.blank(270 * count + 40),
    )
    for i, panel in enumerate(panels):
        colours: Any = ink.BEST
        if panel.labels is not None:
            colours = [ink.CLASSES[kind % len(ink.CLASSES)] for kind in panel.labels]
        x, y = np.round(_flat(panel.points).astype(float), 3).T
        figure.add_scatter(
            row=i // columns + 1,
            col=i % columns + 1,
            x=x,
            y=y,
            mode="markers",
            marker={"size": 4, "opacity": 0.75, "color": colours},
            hovertemplate=f"epoch {panel.epoch}<extra></extra>",
        )
    figure.update_xaxes(**ink.BARE)
    figure.update_yaxes(**ink.BARE)
    figure.update_layout(showlegend=False)
    coloured = "; colours are classes" if panels[0].labels is not None else ""
    return Chart(
        "umap",
        "The pick's images, by UMAP",
        f"Up to 1,000 evaluation images at some milestones, the first seed{coloured}. Distances"
        " between far groups mean little, and each picture has axes of its own.",
        figure,
    )


def _flat(points: NDArray[np.float32]) -> NDArray[np.float32]:
    centred = points - points.mean(0)
    axes = np.linalg.svd(centred, full_matrices=False)[2][:2]
    axes *= np.sign(axes[np.arange(2), np.abs(axes).argmax(1)])[:, None]  # the sign of an axis means nothing
    flat: NDArray[np.float32] = centred @ axes.T
    return flat


def heatmap(group: GroupReport) -> Chart | None:
    """Spearman's ρ between metrics; page.js fits the numbers to the cells, and leaves them out on a phone."""
    found = correlations(group)
    counts = [n for i, row in enumerate(found.values()) for rho, n in row[:i] if rho is not None]
    if not counts:
        return None
    names, many = [plain(name) for name in found], len(found) > MOST_NUMBERS
    figure = ink.blank(180 + 24 * len(names))  # 27 metrics fit a sheet
    figure.add_heatmap(
        z=[[rho for rho, _ in row] for row in found.values()],
        text=[[_cell(rho, many) for rho, _ in row] for row in found.values()],
        texttemplate="%{text}",
        hovertext=[
            [
                f"{one} and {other}: ρ = {correlation(rho)}, n = {n}"
                for other, (rho, n) in zip(names, row, strict=True)
            ]
            for one, row in zip(names, found.values(), strict=True)
        ],
        hoverinfo="text",
        zmin=-1,
        zmax=1,
        xgap=1,
        ygap=1,
        colorscale=[[0, ink.TIED], [0.5, ink.PAPER], [1, ink.BEST]],
        showscale=False,  # each cell says its number
    )
    axis = ink.named_axis(list(found))
    figure.update_xaxes(tickfont_size=11, tickangle=-90, **axis)
    figure.update_yaxes(tickfont_size=11, **axis | {"range": [len(names) - 0.5, -0.5]})
    few = f"{min(counts)} to " if min(counts) < max(counts) else ""
    return Chart(
        "heatmap",
        "Do the metrics agree?",
        f"Spearman's ρ between metrics over the runs (n = {few}{max(counts)}) at the last milestone, each"
        " metric oriented so that more is better: below 0, two metrics pull in opposite directions."
        " Empty where unknown. With few runs, large values arise by chance.",
        figure,
    )


def _cell(rho: float | None, many: bool) -> str:
    """A correlation; of many metrics shorter, for cells of a few millimetres on paper."""
    text = "" if rho is None else correlation(rho)
    return text.replace("0.", ".").replace("1.00", "1") if many else text


def correlations(group: GroupReport) -> dict[str, list[tuple[float | None, int]]]:
    """Metric → Spearman's ρ with each metric over the runs at their last milestones, None where undefined,
    and of how many runs. Every metric is turned so that more is better; one that does not vary is left out.
    """
    columns = {}
    for metric in group.held:
        sign = 1 if is_better_high(metric, group.runs) else -1
        values = [_last(run, metric) for run in group.runs]
        if len(set(values) - {None}) > 1:
            columns[metric.name] = [None if value is None else sign * value for value in values]
    return {name: [_correlation(a, b) for b in columns.values()] for name, a in columns.items()}


def _correlation(a: Sequence[float | None], b: Sequence[float | None]) -> tuple[float | None, int]:
    """Spearman's ρ of the pairs without a gap, and how many these are."""
    pairs = [(x, y) for x, y in zip(a, b, strict=True) if x is not None and y is not None]
    return spearman(*zip(*pairs, strict=True)) if len(pairs) >= FEWEST_FOR_CORRELATION else None, len(pairs)


def _last(run: Run, metric: LabelFreeMetric | LabelledMetric) -> float | None:
    row = last_milestone(run, metric.key)
    return finite(row.values.get(metric.key)) if row else None
