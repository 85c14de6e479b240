"""Rows to ink: each function makes one Plotly figure from the rows of one chart.

Figures hold the colours of the light page, and stand alone as they are. On the page, page.js puts in the
colours of the present scheme: each colour of `LIGHT` has a name there.
"""

import base64
from collections.abc import Sequence
from math import ceil
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from selector.reports.rows import Axis, ChoiceRow, Curves, Heatmap, RankRow, SpectrumLine
from selector.reports.words import label
from selector.selection.stopping import StoppingPoint
from selector.tracking.umap_files import UmapPoints

# Distinguishable for the colour-blind (Okabe & Ito 2008). Each name is a variable of page.css.
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
_SHADES = "#c6d3e3 #a3bcd8 #7fa4cb #5c8bbd #3d71a8 #245788 #0f3d66"
_CLASSES = "#4e79a7 #f28e2b #e15759 #76b7b2 #59a14f #b6992d #b07aa1 #ff9da7 #9c755f #79706e"
SHADES = _SHADES.split()  # worst to best
CLASSES = _CLASSES.split()  # for names, not sizes; the eleventh has the colour of the first
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
_AXIS = {
    "gridcolor": LINE,
    "zerolinecolor": LINE,
    "linecolor": FAINT,
    "automargin": True,
    "title": {"standoff": 10},
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
        "xaxis": _AXIS,
        "yaxis": _AXIS,
    }
)
MOST_TICKS = 7  # that a phone has room for
_BARE = {"showticklabels": False, "showgrid": False, "zeroline": False, "showline": False}


def scatter(points: Sequence[RankRow], metric: str, oracle: str, best: float, random: float) -> go.Figure:
    """Metric against oracle, with the regret drawn from the pick to the best run, and chance as a line."""
    figure = _figure(420)
    hover = f"%{{text}}<br>{plain(metric)} %{{x:.4g}}<br>{plain(oracle)} %{{y:.4g}}<extra></extra>"
    for row in points:
        if row.role == "pick" and row.accuracy != best:
            ends = {"x": [row.ranked.score] * 2, "y": [row.accuracy, best]}
            line = {"color": PICK, "width": 3, "dash": "dot"}
            about = {"name": "regret", "hoverinfo": "skip", "showlegend": False}
            figure.add_scatter(**ends, mode="lines", line=line, **about)
    for role, (name, colour, symbol, size) in _ROLES.items():
        if some := [row for row in points if row.role == role]:
            edge = {"color": PAPER, "width": 1}
            figure.add_scatter(
                x=[row.ranked.score for row in some],
                y=[row.accuracy for row in some],
                text=[plain(row.run) for row in some],
                mode="markers",
                name=name,
                hovertemplate=hover,
                marker={"color": colour, "symbol": symbol, "size": size, "line": edge},
            )
    figure.add_hline(best, line={"color": BEST, "width": 1})
    figure.add_hline(random, line={"color": FAINT, "width": 1, "dash": "dash"})
    figure.update_xaxes(title_text=f"{plain(metric)} (without labels)")
    figure.update_yaxes(title_text=plain(oracle))
    return figure


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
    figure.update_xaxes(title_text="regret in points" if percent else "regret", range=[-0.02 * reach, reach])
    figure.update_yaxes(**_named([row.chosen_by for row in known]))
    return figure


def heat(matrix: Heatmap) -> go.Figure:
    """Spearman's ρ between metrics; page.js fits the numbers to the cells, and leaves them out on a phone."""
    # + 0.0 after rounding: no cell says -0.00
    cells = [["" if v is None else f"{round(v, 2) + 0.0:.2f}" for v in row] for row in matrix.values]
    names = [plain(name) for name in matrix.names]
    about = [
        [
            f"{one} and {other}: ρ = {cell or '–'}, n = {n}"
            for other, cell, n in zip(names, row, counts, strict=True)
        ]
        for one, row, counts in zip(names, cells, matrix.counts, strict=True)
    ]
    count = len(names)
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
    figure.update_xaxes(tickfont_size=11, tickangle=-90, **_named(matrix.names))
    figure.update_yaxes(tickfont_size=11, **_named(matrix.names) | {"range": [count - 0.5, -0.5]})
    return figure


def stopping(points: Sequence[StoppingPoint], percent: bool = True, axis: str = "epoch") -> go.Figure:
    """Regret of the choice made at each milestone, in points or as logged, and what stopping there saves."""
    scale, unit = (100, " points") if percent else (1, "")
    epochs = [point.epoch for point in points]
    figure = make_subplots(specs=[[{"secondary_y": True}]], figure=_figure(370))
    figure.add_scatter(
        x=epochs,
        y=[scale * point.regret for point in points],
        text=[plain(label(point.chosen)) for point in points],
        mode="lines+markers",
        name="regret (points)" if percent else "regret",
        hovertemplate=f"{axis} %{{x}}: chooses %{{text}}, regret %{{y:.4g}}{unit}<extra></extra>",
        line={"color": PICK, "shape": "hv"},
        marker={"size": 7},
    )
    figure.add_scatter(
        x=epochs,
        y=[100 * point.saved_finishing_choice for point in points],
        secondary_y=True,
        mode="lines+markers",
        name="training saved (%)",
        hovertemplate=f"stopping at {axis} %{{x}} saves %{{y:.0f}} %<extra></extra>",
        line={"color": BEST, "dash": "dot"},
        marker={"size": 5},
    )
    figure.update_xaxes(title_text=f"{axis} at which the choice is made", **whole_numbers(epochs))
    reach = 1.1 * scale * max([0.01, *(point.regret for point in points)])
    figure.update_yaxes(title_text="regret in points" if percent else "regret", range=[0, reach])
    saved = {"title_text": "training saved (%)", "range": [0, 104], "dtick": 20, "showgrid": False}
    figure.update_yaxes(secondary_y=True, **saved)
    return figure


def parallel(axes: Sequence[Axis], runs: Sequence[str]) -> go.Figure:
    """One line per run through its hyperparameters, its score and its accuracy; darker is a better rank.

    Axes are horizontal, one below the other, so that they fit a phone. They are ordinary lines, because
    Plotly's own parallel coordinates are vertical and need WebGL.

    Args:
        axes: Top to bottom.
        runs: At least two, by their labels, in the order of the ranking: the pick first.
    """
    figure = _figure(60 + 74 * len(axes))
    levels = [*range(len(axes)), None]
    strongest = len(SHADES) - 1
    shades = [strongest - round(strongest * i / (len(runs) - 1)) for i in range(len(runs))]
    for shade, colour in enumerate(SHADES):
        some = [i for i in range(1, len(runs)) if shades[i] == shade]
        places = [place for i in some for place in (*(axis.places[i] for axis in axes), None)]
        texts = [plain(runs[i]) for i in some for _ in levels]
        if some:
            figure.add_trace(_line(places, levels * len(some), texts, colour, 1.6))
    pick = [axis.places[0] for axis in axes]
    figure.add_trace(_line(pick, levels[:-1], [plain(runs[0])] * len(axes), PICK, 3.5))
    words = {"showarrow": False, "bgcolor": PAPER, "opacity": 0.85}
    for level, axis in enumerate(axes):
        figure.add_shape(type="line", x0=0, x1=1, y0=level, y1=level, line={"color": FAINT, "width": 1})
        above = {"x": 0, "xanchor": "left", "yanchor": "bottom", "yshift": 3, "font_size": 12}
        figure.add_annotation(text=f"<b>{shortened(axis.name)}</b>", y=level, **above, **words)
        for place, text in axis.ticks:
            side = "left" if place < 0.25 else "right" if place > 0.75 else "center"
            below = {"x": place, "xanchor": side, "yanchor": "top", "yshift": -2, "font_size": 11}
            figure.add_annotation(text=plain(text), y=level, **below, **words)
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
        rows=len(spaces),
        cols=1,
        subplot_titles=[plain(space) for space in spaces],
        vertical_spacing=0.32 / len(spaces),
        figure=_figure(40 + 280 * len(spaces)),
    )
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


def umap(panels: Sequence[UmapPoints]) -> go.Figure:
    """The pick's images at some milestones, coloured by class where classes are known."""
    columns = min(2, len(panels))
    count = ceil(len(panels) / columns)
    figure = make_subplots(
        rows=count,
        cols=columns,
        subplot_titles=[f"epoch {panel.epoch}" for panel in panels],
        horizontal_spacing=0.04,
        vertical_spacing=0.1 / count,
        figure=_figure(270 * count + 40),
    )
    for i, panel in enumerate(panels):
        colours: Any = BEST
        if panel.labels is not None:
            colours = [CLASSES[kind % len(CLASSES)] for kind in panel.labels]
        figure.add_scatter(
            row=i // columns + 1,
            col=i % columns + 1,
            x=np.round(panel.points[:, 0].astype(float), 3),
            y=np.round(panel.points[:, 1].astype(float), 3),
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
    """Ticks of an axis of epochs: the epochs themselves if there are few, and never half epochs."""
    some = sorted(set(epochs))
    if len(some) <= MOST_TICKS:
        return {"tickvals": some}
    reach = some[-1] - some[0]
    return {"tickformat": "d", **({"dtick": ceil(reach / 10)} if reach < 30 else {})}


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
    line = {"color": colour, "width": width}
    hover = "%{text}<extra></extra>"
    return go.Scatter(
        x=list(x), y=list(y), text=list(texts), mode="lines", name=name, hovertemplate=hover, line=line
    )


def _figure(height: int) -> go.Figure:
    return go.Figure(layout={"template": _TEMPLATE, "height": height})
