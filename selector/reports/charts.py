"""Rows to ink: each function makes one Plotly figure from the rows of one chart.

Figures hold the colours of the light page, and stand alone as they are. On the page, page.js puts in the
colours of the present scheme: each colour of `LIGHT` has a name there.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from statistics import fmean
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from selector.reports import rows
from selector.reports.report import GroupReport, Report
from selector.reports.rows import (
    Axis,
    ChoiceRow,
    Curves,
    Heatmap,
    RankRow,
    SpectrumLine,
    StopRow,
    UmapPanel,
)
from selector.reports.words import axis_of, label

# Distinguishable for the colour-blind (Okabe & Ito 2008). Each name is a variable of page.css.
_SHADES = "#c6d3e3 #a3bcd8 #7fa4cb #5c8bbd #3d71a8 #245788 #0f3d66"
_CLASSES = "#4e79a7 #f28e2b #e15759 #76b7b2 #59a14f #b6992d #b07aa1 #ff9da7 #9c755f #79706e"
_MAIN = {
    "--ink": "#1c2430",
    "--faint": "#5b6675",
    "--line": "#dfe4ea",
    "--paper": "#ffffff",
    "--run": "#8a96a6",
    "--pick": "#d1495b",
    "--best": "#00798c",
    "--tied": "#b7791f",
}
INK, FAINT, LINE, PAPER, RUN, PICK, BEST, TIED = _MAIN.values()
SHADES = _SHADES.split()  # worst to best
CLASSES = _CLASSES.split()  # names, not sizes: then the same again
LIGHT = {
    **_MAIN,
    **{f"--shade-{i}": colour for i, colour in enumerate(SHADES)},
    **{f"--class-{i}": colour for i, colour in enumerate(CLASSES)},
}

# Role of a run → its name in the legend, colour, symbol and size.
_ROLES = {
    "run": ("other runs", RUN, "circle", 9),
    "tied": ("tied with the pick", TIED, "circle", 9),
    "best": ("best by labels", BEST, "diamond", 13),
    "pick": ("the pick", PICK, "star", 15),
}
_TEMPLATE = go.layout.Template(
    layout={
        "font": {"family": "system-ui, sans-serif", "size": 13, "color": INK},
        "paper_bgcolor": PAPER,
        "plot_bgcolor": PAPER,
        "margin": {"l": 10, "r": 16, "t": 30, "b": 10},
        "hoverlabel": {"bgcolor": PAPER, "font": {"color": INK}},
        # Below, a legend would meet the title of the axis on a narrow page.
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom"},
        **{
            axis: {
                "gridcolor": LINE,
                "zerolinecolor": LINE,
                "linecolor": FAINT,
                "automargin": True,
                "title": {"standoff": 10},
            }
            for axis in ("xaxis", "yaxis")
        },
    }
)
_BARE = {"showticklabels": False, "showgrid": False, "zeroline": False, "showline": False}


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


def charts(group: GroupReport, report: Report) -> list[Chart]:
    """The charts that a group has data for."""
    metric, oracle = report.ranking.metric.name, report.oracle.name
    runs = tuple(label(run) for run in group.runs)
    axis = axis_of(group.runs[0])
    judged = group.judged
    found: list[Chart] = []

    def add(name: str, title: str, caption: str, figure: go.Figure, **more: Any) -> None:
        found.append(Chart(name, title, caption, figure, **more))

    ranked = rows.rank_rows(group.ranked, report.ranking.metric.key, judged)
    points = [row for row in ranked if row.accuracy is not None]
    if judged and points:
        random = fmean(one.accuracy for one in judged.judged)
        add(
            "scatter",
            "The metric and the labels",
            f"One point per run (n = {len(points)}). Dotted: the regret, from the pick to the best run.",
            scatter(points, metric, oracle, judged.best.accuracy, random),
        )
    if judged and len(judged.judged) > 1:
        add(
            "choices",
            "If you had chosen by something else",
            "Regret of each metric's choice among the same runs, with the 95 % interval of the true regret"
            " among these checkpoints, as far as the number of evaluation images tells. To choose a metric"
            " by this chart and quote its regret afterwards would be choosing with labels.",
            choices(rows.choice_rows(judged, group.metrics), judged.in_percent),
        )
    untrained = " Epoch 0 is the untrained network, which is never chosen." if axis == "epoch" else ""
    along = tuple(rows.curves(group))
    epochs = [epoch for one in along for epoch in one.epochs]
    caption = f"Grey: all other ranked runs.{untrained}"
    add("curves", "Along training", caption, curves_layout(epochs, axis), curves=along, runs=runs)
    stops = rows.stop_rows(group)
    if judged and len(judged.judged) > 1 and len(stops) > 1:
        add(
            "stopping",
            "Could the sweep have stopped earlier?",
            f"The choice that {metric} makes at each milestone, judged by the run's final accuracy: the"
            " chosen run is still trained to its end, the others stop there.",
            stopping(stops, judged.in_percent, axis),
        )
    coordinates = rows.axes(group)
    if len(coordinates) > 2 and len(runs) > 1:
        add(
            "parallel",
            "Hyperparameters",
            "One line per run, from top to bottom; the stronger its colour, the better its rank by"
            f" {metric}; the thick one is the pick.",
            parallel(coordinates, runs, shades(len(runs))),
        )
    if lines := rows.spectrum_lines(group):
        add(
            "spectra",
            "Singular values of the pick",
            "Centred, over the largest; the stronger the colour, the later the milestone. A cliff is a"
            " collapse to fewer dimensions; RankMe counts how many directions carry weight.",
            spectra(lines),
        )
    if panels := rows.umap_panels(group):
        coloured = "; colours are classes" if panels[0].labels is not None else ""
        add(
            "umap",
            "The pick's images, by UMAP",
            f"Up to 1,000 evaluation images at some milestones, the first seed{coloured}. Distances"
            " between far groups mean little, and each picture has axes of its own.",
            umap(panels),
        )
    matrix = rows.heatmap(group)
    counts = [
        matrix.counts[i][j] for i, row in enumerate(matrix.values) for j in range(i) if row[j] is not None
    ]
    if counts:
        few = f"{min(counts)} to " if min(counts) < max(counts) else ""
        add(
            "heatmap",
            "Do the metrics agree?",
            f"Spearman's ρ between metrics over the runs (n = {few}{max(counts)}) at the last milestone, each"
            " metric oriented so that more is better: below 0, two metrics pull in opposite directions."
            " Empty where unknown. With few runs, large values arise by chance.",
            heat(matrix),
        )
    return found


def shades(count: int) -> list[int]:
    """A shade for each place of a ranking of `count` runs, the strongest for the first, 0 for the last."""
    last = len(SHADES) - 1
    return [last - round(place * last / max(1, count - 1)) for place in range(count)]


def scatter(points: Sequence[RankRow], metric: str, oracle: str, best: float, random: float) -> go.Figure:
    """Metric against oracle, with the regret drawn from the pick to the best run, and chance as a line."""
    figure = _figure(420)
    hover = f"%{{text}}<br>{plain(metric)} %{{x:.4g}}<br>{plain(oracle)} %{{y:.4g}}<extra></extra>"
    where = [(row.ranked.score, row.accuracy or 0.0) for row in points]
    pick = next((place for row, place in zip(points, where, strict=True) if row.role == "pick"), None)
    if pick and best != pick[1]:
        figure.add_scatter(
            x=[pick[0]] * 2, y=[pick[1], best], mode="lines", name="regret", hoverinfo="skip",
            line={"color": PICK, "width": 3, "dash": "dot"},
        )  # fmt: skip
    for role, (name, colour, symbol, size) in _ROLES.items():
        some = [(place, row.run) for row, place in zip(points, where, strict=True) if row.role == role]
        if some:
            figure.add_scatter(
                x=[x for (x, _), _ in some],
                y=[y for (_, y), _ in some],
                text=[plain(run) for _, run in some],
                mode="markers",
                name=name,
                hovertemplate=hover,
                marker={
                    "color": colour,
                    "symbol": symbol,
                    "size": size,
                    "line": {"color": PAPER, "width": 1},
                },
            )
    upper = max(best, random)
    for text, level, colour, dash in (
        ("the best run", best, BEST, "solid"),
        ("a random choice", random, FAINT, "dash"),
    ):
        side, anchor = free_corner(where, level, None if level == upper else upper)
        figure.add_hline(level, line={"color": colour, "width": 1, "dash": dash})
        figure.add_annotation(
            text=text, font={"color": colour, "size": 11}, showarrow=False, y=level, yanchor=anchor,
            xref="paper", x=0.01 if side == "left" else 0.99, xanchor=side,
            yshift=5 if anchor == "bottom" else -5,  # clear of a point on the line
        )  # fmt: skip
    figure.update_xaxes(title_text=f"{plain(metric)} (without labels)")
    figure.update_yaxes(title_text=plain(oracle))
    return figure


def free_corner(
    points: Sequence[tuple[float, float]], level: float, above: float | None = None
) -> tuple[str, str]:
    """Where the words of a line across the scatter meet the fewest points: side and anchor.

    Args:
        points: Score and accuracy of all that are drawn.
        level: Of the line. The words are taken to be half as wide as the picture, as on a phone.
        above: A higher line with words of its own above it: then these may stand below their line, too.
    """
    scores, accuracies = zip(*points, strict=True)
    middle = (min(scores) + max(scores)) / 2
    text = (max(accuracies) - min(accuracies)) / 8  # one line of words and half a marker
    anchors = ["bottom"] if above is None else ["top", "bottom"]
    if above is not None and above - level < 2 * text:
        anchors.remove("bottom")  # between two lines so near there is no room

    def met(corner: tuple[str, str]) -> int:
        side, anchor = corner
        low, high = (level, level + text) if anchor == "bottom" else (level - text, level)
        return sum(low <= y <= high and (x < middle if side == "left" else x > middle) for x, y in points)

    # The line of the best run prefers the left, the other the right: equally free corners are opposite.
    sides = ["left", "right"] if above is None else ["right", "left"]
    return min(((side, anchor) for anchor in anchors for side in sides), key=met)


def choices(found: Sequence[ChoiceRow], percent: bool = True) -> go.Figure:
    """Regret of every way of choosing, with its interval; the shortest is best. In points, or as logged."""
    scale, unit = (100, " points") if percent else (1, "")
    known = [row for row in found if row.regret is not None and row.chosen_by != "label oracle"]
    known.sort(key=lambda row: (row.is_metric, -(row.regret or 0.0), row.chosen_by))
    figure = _figure(150 + 26 * len(known))
    reach = 0.01
    for is_metric, colour, symbol, name in (
        (True, BEST, "circle", "label-free metrics"),
        (False, RUN, "square", "without a metric"),
    ):
        places = [place for place, row in enumerate(known) if row.is_metric == is_metric]
        some = [known[place] for place in places]
        regrets = np.array([row.regret for row in some], float)
        lows = np.array([row.regret if row.low is None else row.low for row in some], float)
        highs = np.array([row.regret if row.high is None else row.high for row in some], float)
        reach = max([reach, *regrets, *highs])
        figure.add_scatter(
            y=places,
            x=scale * regrets,
            text=[f"{plain(row.run)}<br>chosen by {plain(row.chosen_by)}" for row in some],
            mode="markers",
            name=name,
            hovertemplate=f"%{{text}}: regret %{{x:.4g}}{unit}<extra></extra>",
            marker={"color": colour, "size": 10, "symbol": symbol},
            error_x={
                "type": "data", "symmetric": False, "color": colour, "thickness": 1.5, "width": 3,
                "array": scale * np.maximum(0.0, highs - regrets),
                "arrayminus": scale * np.maximum(0.0, regrets - lows),
            },
        )  # fmt: skip
    reach *= 1.05 * scale
    figure.update_xaxes(title_text="regret in points" if percent else "regret", range=[-0.02 * reach, reach])
    figure.update_yaxes(**_named([row.chosen_by for row in known]))
    return figure


def heat(matrix: Heatmap) -> go.Figure:
    """Spearman's ρ between metrics; page.js fits the numbers to the cells, and leaves them out on a phone."""
    # + 0.0 after rounding: no cell says -0.00
    cells = [["" if v is None else f"{round(v, 2) + 0.0:.2f}" for v in row] for row in matrix.values]
    names, count = matrix.names, len(matrix.names)
    about = [
        [
            f"{plain(names[i])} and {plain(names[j])}: ρ = {cells[i][j] or '–'}, n = {matrix.counts[i][j]}"
            for j in range(count)
        ]
        for i in range(count)
    ]
    if count > 16:  # cells of a few millimetres on paper: 0.45 is .45 there
        cells = [[cell.replace("0.", ".").replace("1.00", "1") for cell in row] for row in cells]
    figure = _figure(180 + 24 * count)  # 27 metrics fit a sheet
    figure.add_heatmap(
        z=matrix.values,
        text=cells,
        texttemplate="%{text}",
        hovertext=about,
        hoverinfo="text",
        zmin=-1,
        zmax=1,
        xgap=1,
        ygap=1,
        colorscale=[[0, TIED], [0.5, PAPER], [1, BEST]],
        showscale=False,  # each cell says its number
    )
    figure.update_xaxes(tickfont_size=11, tickangle=-90, **_named(names))
    figure.update_yaxes(tickfont_size=11, **_named(names) | {"range": [count - 0.5, -0.5]})
    return figure


def stopping(found: Sequence[StopRow], percent: bool = True, axis: str = "epoch") -> go.Figure:
    """Regret of the choice made at each milestone, in points or as logged, and what stopping there saves."""
    scale, unit = (100, " points") if percent else (1, "")
    epochs = [row.epoch for row in found]
    figure = make_subplots(specs=[[{"secondary_y": True}]], figure=_figure(370))
    figure.add_scatter(
        x=epochs, y=[scale * row.regret for row in found], text=[plain(row.run) for row in found],
        mode="lines+markers", name="regret (points)" if percent else "regret",
        hovertemplate=f"{axis} %{{x}}: chooses %{{text}}, regret %{{y:.4g}}{unit}<extra></extra>",
        line={"color": PICK, "shape": "hv"}, marker={"size": 7},
    )  # fmt: skip
    figure.add_scatter(
        x=epochs, y=[100 * row.saved for row in found], secondary_y=True,
        mode="lines+markers", name="training saved (%)",
        hovertemplate=f"stopping at {axis} %{{x}} saves %{{y:.0f}} %<extra></extra>",
        line={"color": BEST, "dash": "dot"}, marker={"size": 5},
    )  # fmt: skip
    figure.update_xaxes(title_text=f"{axis} at which the choice is made", **whole_numbers(epochs))
    reach = 1.1 * scale * max([0.01, *(row.regret for row in found)])
    figure.update_yaxes(title_text="regret in points" if percent else "regret", range=[0, reach])
    figure.update_yaxes(
        secondary_y=True, title_text="training saved (%)", range=[0, 104], dtick=20, showgrid=False
    )
    return figure


def parallel(axes: Sequence[Axis], runs: Sequence[str], strengths: Sequence[int]) -> go.Figure:
    """One line per run through its hyperparameters, its score and its accuracy; darker is a better rank.

    Axes lie, one below the other, so that they fit a phone. They are ordinary lines, because Plotly's own
    parallel coordinates stand, and need WebGL.

    Args:
        axes: Top to bottom.
        runs: Labels, the pick first.
        strengths: One per run, an index of SHADES.
    """
    figure = _figure(60 + 74 * len(axes))
    levels = [*range(len(axes)), None]
    for shade, colour in enumerate(SHADES):
        some = [i for i in range(1, len(runs)) if strengths[i] == shade]
        places = [place for i in some for place in (*(axis.places[i] for axis in axes), None)]
        texts = [plain(runs[i]) for i in some for _ in levels]
        if some:
            figure.add_trace(_line(places, levels * len(some), texts, colour, 1.6))
    pick = [axis.places[0] for axis in axes]
    figure.add_trace(_line(pick, levels[:-1], [plain(runs[0])] * len(axes), PICK, 3.5))
    for level, axis in enumerate(axes):
        figure.add_shape(type="line", x0=0, x1=1, y0=level, y1=level, line={"color": FAINT, "width": 1})
        figure.add_annotation(
            text=f"<b>{shortened(axis.name)}</b>", x=0, y=level, xanchor="left", yanchor="bottom", yshift=3,
            showarrow=False, font_size=12, bgcolor=PAPER, opacity=0.85,
        )  # fmt: skip
        for place, text in axis.ticks:
            figure.add_annotation(
                text=plain(text), x=place, y=level, yanchor="top", yshift=-2, showarrow=False, font_size=11,
                xanchor="left" if place < 0.25 else "right" if place > 0.75 else "center",
                bgcolor=PAPER, opacity=0.85,
            )  # fmt: skip
    figure.update_xaxes(visible=False, range=[-0.02, 1.02])
    figure.update_yaxes(visible=False, range=[len(axes) - 0.6, -0.45])
    figure.update_layout(showlegend=False, margin_t=10)
    return figure


def shortened(name: str, most: int = 40) -> str:
    """A name that fits a phone: of a long one its last characters, which tell it apart."""
    return plain(name if len(name) <= most else f"…{name[1 - most :]}")


def spectra(lines: Sequence[SpectrumLine]) -> go.Figure:
    """Singular values by rank, one panel per space; the darker, the later the milestone."""
    spaces = sorted({line.space for line in lines})
    epochs = sorted({line.epoch for line in lines})
    figure = make_subplots(
        rows=len(spaces), cols=1, subplot_titles=[plain(space) for space in spaces],
        vertical_spacing=0.32 / max(1, len(spaces)), figure=_figure(40 + 280 * len(spaces)),
    )  # fmt: skip
    for line in lines:
        later = len(epochs) - 1 - epochs.index(line.epoch)
        shade = max(0, len(SHADES) - 1 - round(later * len(SHADES) / len(epochs)))
        figure.add_scatter(
            row=spaces.index(line.space) + 1,
            col=1,
            x=line.ranks,
            y=[value or None for value in line.values],
            mode="lines",
            name=f"epoch {line.epoch}",
            legendgroup=str(line.epoch),
            showlegend=line.space == spaces[0],
            hovertemplate=f"epoch {line.epoch}, rank %{{x}}: %{{y:.3g}}<extra></extra>",
            line={"color": SHADES[shade], "width": 2},
        )
    figure.update_xaxes(type="log", dtick=1, title_text="rank")
    figure.update_yaxes(type="log", dtick=1, exponentformat="power", tickfont_size=11)
    figure.update_layout(legend_y=1.02 + 40 / figure.layout.height, margin_t=60)
    return figure


def umap(panels: Sequence[UmapPanel]) -> go.Figure:
    """The pick's images at some milestones, coloured by class where classes are known."""
    columns = min(2, len(panels))
    count = -(-len(panels) // columns)
    figure = make_subplots(
        rows=count, cols=columns, subplot_titles=[f"epoch {panel.epoch}" for panel in panels],
        horizontal_spacing=0.04, vertical_spacing=0.1 / count, figure=_figure(270 * count + 40),
    )  # fmt: skip
    for i, panel in enumerate(panels):
        colours: Any = BEST
        if panel.labels is not None:
            colours = [CLASSES[label % len(CLASSES)] for label in panel.labels]
        figure.add_scatter(
            row=i // columns + 1,
            col=i % columns + 1,
            x=np.round(panel.x, 3),
            y=np.round(panel.y, 3),
            mode="markers",
            marker={"size": 4, "opacity": 0.75, "color": colours},
            hovertemplate=f"epoch {panel.epoch}<extra></extra>",
        )
    figure.update_xaxes(**_BARE)
    figure.update_yaxes(**_BARE)
    figure.update_layout(showlegend=False)
    return figure


def curves_layout(epochs: Sequence[int], axis: str = "epoch") -> go.Figure:
    """The chart along epochs without its lines; page.js draws these from `curve_data`."""
    figure = _figure(380)
    figure.update_xaxes(title_text=axis, **whole_numbers(epochs))
    return figure


def curve_figure(one: Curves, runs: Sequence[str], axis: str = "epoch") -> go.Figure:
    """One metric along training: the pick, which comes first, above all other runs in grey."""
    figure = curves_layout(one.epochs, axis)
    gap = [*one.epochs, None]
    if len(runs) > 1:
        values = [value for of_run in one.values[1:] for value in (*of_run, None)]
        texts = [plain(run) for run in runs[1:] for _ in gap]
        figure.add_trace(_line(gap * (len(runs) - 1), values, texts, RUN, 1, "other runs"))
    texts = [plain(runs[0])] * len(one.epochs)
    figure.add_trace(_line(one.epochs, one.values[0], texts, PICK, 3, "the pick"))
    figure.update_yaxes(title_text=plain(one.metric))
    return figure


def curve_data(one: Curves) -> dict[str, Any]:
    """One metric's lines for page.js: 16 bits a number, because a large sweep has a million of them.

    The number of `bits` b is low + b (high - low) / 65534; 65535 stands for none. Run by run, in base64.
    """
    values = np.array([[np.nan if v is None else v for v in of_run] for of_run in one.values], float)
    known = values[~np.isnan(values)]
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    scaled = np.nan_to_num((values - low) / ((high - low) or 1.0) * 65_534, nan=65_535)
    return {
        "metric": one.metric,
        "direction": one.direction,
        "epochs": list(one.epochs),
        "low": low,
        "high": high,
        "bits": base64.b64encode(np.rint(scaled).astype("<u2").tobytes()).decode(),
    }


def whole_numbers(epochs: Sequence[int]) -> dict[str, Any]:
    """Ticks of an axis of epochs: no half ones, however few there are."""
    reach = max(epochs, default=0) - min(epochs, default=0)
    return {"tickformat": "d", **({"dtick": ceil(reach / 10) or 1} if reach < 30 else {})}


def plain(text: str) -> str:
    """Plotly reads a little HTML in texts: a name is data, and shows as it is."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _named(names: Sequence[str]) -> dict[str, Any]:
    """An axis of names, however near they stand, with half a place of room at both ends."""
    ticks = [shortened(name, 24) for name in names]
    places = [*range(len(names))]
    bounds = [-0.5, len(names) - 0.5]
    return {"tickvals": places, "ticktext": ticks, "range": bounds, "showgrid": False, "zeroline": False}


def _line(
    x: Sequence[Any], y: Sequence[Any], texts: Sequence[str], colour: str, width: float, name: str = ""
) -> go.Scatter:
    return go.Scatter(
        x=list(x), y=list(y), text=list(texts), mode="lines", name=name,
        hovertemplate="%{text}<extra></extra>", line={"color": colour, "width": width},
    )  # fmt: skip


def _figure(height: int) -> go.Figure:
    return go.Figure(layout={"template": _TEMPLATE, "height": height})
