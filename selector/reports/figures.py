"""Rows to ink: each function makes one Plotly figure, as plain data, from the rows of one chart.

A colour is the name of a CSS variable of the page ("--pick"), which the page puts in when it draws: so one
figure serves the light and the dark page. `painted` puts colours in where there is no page.
"""

import base64
import re
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from selector.reports.report_rows import (
    Axis,
    ChoiceRow,
    Curves,
    Heatmap,
    ScatterPoint,
    SpectrumLine,
    StopRow,
    UmapPanel,
)

Figure = dict[str, Any]

SHADES = 7  # --shade-0 … --shade-6, worst to best
# The light page's colours, which page.css holds too: distinguishable for the colour-blind (Okabe & Ito 2008).
LIGHT = {
    "--ink": "#1c2430", "--faint": "#5b6675", "--line": "#dfe4ea", "--paper": "#ffffff", "--run": "#8a96a6",
    "--pick": "#d1495b", "--best": "#00798c", "--tied": "#b7791f",
    "--negative": "#b7791f", "--positive": "#00798c",
    "--shade-0": "#c6d3e3", "--shade-1": "#a3bcd8", "--shade-2": "#7fa4cb", "--shade-3": "#5c8bbd",
    "--shade-4": "#3d71a8", "--shade-5": "#245788", "--shade-6": "#0f3d66",
    "--class-0": "#4e79a7", "--class-1": "#f28e2b", "--class-2": "#e15759", "--class-3": "#76b7b2",
    "--class-4": "#59a14f", "--class-5": "#b6992d", "--class-6": "#b07aa1", "--class-7": "#ff9da7",
    "--class-8": "#9c755f", "--class-9": "#79706e",
}  # fmt: skip

# Classes are names, not sizes: ten colours far apart, then the same again.
CLASS_COLOURS = [[i / 9, f"--class-{i}"] for i in range(10)]

# Below, a legend would meet the title of the axis on a narrow page.
_ABOVE = {"orientation": "h", "y": 1.02, "yanchor": "bottom"}

_GAP = 0.13  # between panels, of the picture's width: room for the numbers of the right one

# Role of a run → its name in the legend, colour, symbol and size.
_ROLES = {
    "run": ("other runs", "--run", "circle", 9),
    "tied": ("tied with the pick", "--tied", "circle", 9),
    "best": ("best by labels", "--best", "diamond", 13),
    "pick": ("the pick", "--pick", "star", 15),
}


def painted(figure: Any, colours: Mapping[str, str] = LIGHT) -> Any:
    """The figure with colours in the place of their names."""
    match figure:
        case dict():
            return {name: painted(value, colours) for name, value in figure.items()}
        case list() | tuple():
            return [painted(value, colours) for value in figure]
        case str() if figure in colours:
            return colours[figure]
    return figure


def scatter_figure(points: Sequence[ScatterPoint], metric: str, oracle: str, random: float) -> Figure:
    """Metric against oracle, with the regret drawn from the pick up to the best run, and chance as a line."""
    data: list[Figure] = []
    metric, oracle = escaped(metric), escaped(oracle)
    hover = f"%{{text}}<br>{metric} %{{x:.4g}}<br>{oracle} %{{y:.4g}}<extra></extra>"
    for role, (name, colour, symbol, size) in _ROLES.items():
        some = [point for point in points if point.role == role]
        if some:
            data.append(
                {
                    "type": "scatter",
                    "mode": "markers",
                    "name": name,
                    "x": [point.score for point in some],
                    "y": [point.accuracy for point in some],
                    "text": [escaped(point.run) for point in some],
                    "hovertemplate": hover,
                    "marker": {
                        "color": colour,
                        "symbol": symbol,
                        "size": size,
                        "line": {"color": "--paper", "width": 1},
                    },
                }
            )  # fmt: skip
    pick = next((point for point in points if point.role == "pick"), None)  # None: labels did not judge it
    best = max(point.accuracy for point in points)
    if pick and best > pick.accuracy:
        data.insert(
            0,
            {
                "type": "scatter", "mode": "lines", "name": "regret", "hoverinfo": "skip",
                "x": [pick.score, pick.score], "y": [pick.accuracy, best],
                "line": {"color": "--pick", "width": 3, "dash": "dot"},
            },
        )  # fmt: skip
    across = {"type": "line", "xref": "paper", "x0": 0, "x1": 1}
    layout = {
        "xaxis": {"title": {"text": f"{metric} (without labels)"}},
        "yaxis": _titled(oracle),
        "shapes": [
            {**across, "y0": best, "y1": best, "line": {"color": "--best", "width": 1}},
            {**across, "y0": random, "y1": random, "line": {"color": "--faint", "width": 1, "dash": "dash"}},
        ],
        "annotations": [
            _note("a random choice", random, "--faint", *free_corner(points, random, best)),
            _note("the best run", best, "--best", *free_corner(points, best)),
        ],
        "legend": _ABOVE,
    }
    return _figure(data, layout, 420)


def free_corner(points: Sequence[ScatterPoint], level: float, above: float | None = None) -> tuple[str, str]:
    """Where the words of a line across the scatter meet the fewest points: side and anchor.

    Args:
        points: All that are drawn.
        level: Of the line. The words are taken to be half as wide as the picture, as on a phone.
        above: A higher line with words of its own above it: then these may stand below their line, too.
    """
    scores = [point.score for point in points]
    accuracies = [point.accuracy for point in points]
    middle = (min(scores) + max(scores)) / 2
    text = (max(accuracies) - min(accuracies)) / 8  # one line of words and half a marker
    anchors = ["bottom"] if above is None else ["top", "bottom"]
    if above is not None and above - level < 2 * text:
        anchors.remove("bottom")  # between two lines so near there is no room

    def met(corner: tuple[str, str]) -> int:
        side, anchor = corner
        low, high = (level, level + text) if anchor == "bottom" else (level - text, level)
        return sum(
            low <= point.accuracy <= high
            and (point.score < middle if side == "left" else point.score > middle)
            for point in points
        )

    # The line of the best run prefers the left, the other the right: equally free corners are opposite.
    sides = ["left", "right"] if above is None else ["right", "left"]
    return min(((side, anchor) for anchor in anchors for side in sides), key=met)


def choices_figure(rows: Sequence[ChoiceRow], percent: bool = True) -> Figure:
    """Regret of every way of choosing, with its interval; the shortest is best. In points, or as logged."""
    scale, unit = (100, " points") if percent else (1, "")
    rows = [row for row in rows if row.regret is not None][::-1]
    names = [escaped(row.chosen_by) for row in rows]
    reach = 1.05 * scale * max([0.01, *(max(row.regret or 0.0, row.high or 0.0) for row in rows)])
    data = []
    kinds = (("metric", "--best", "label-free metrics"), ("baseline", "--run", "without a metric"))
    for kind, colour, name in kinds:
        some = [row for row in rows if row.kind == kind]
        regrets = [row.regret or 0.0 for row in some]
        lows = [regret if row.low is None else row.low for row, regret in zip(some, regrets, strict=True)]
        highs = [regret if row.high is None else row.high for row, regret in zip(some, regrets, strict=True)]
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": name,
                "y": [escaped(row.chosen_by) for row in some],
                "x": [scale * regret for regret in regrets],
                "text": [escaped(row.run) for row in some],
                "hovertemplate": f"%{{y}}: %{{x:.4g}}{unit}<br>%{{text}}<extra></extra>",
                "marker": {"color": colour, "size": 10, "symbol": "circle" if kind == "metric" else "square"},
                "error_x": {
                    "type": "data", "symmetric": False, "color": colour, "thickness": 1.5, "width": 3,
                    "array": [scale * max(0.0, high - r) for high, r in zip(highs, regrets, strict=True)],
                    "arrayminus": [scale * max(0.0, r - low) for low, r in zip(lows, regrets, strict=True)],
                },
            }
        )  # fmt: skip
    layout = {
        "xaxis": {
            "title": {"text": "regret in points" if percent else "regret"},
            "range": [-0.02 * reach, reach],
        },
        "yaxis": {"categoryorder": "array", "categoryarray": names, "automargin": True},
        "legend": _ABOVE,
    }
    return _figure(data, layout, 150 + 26 * len(rows))


def heatmap_figure(heatmap: Heatmap) -> Figure:
    """Spearman's ρ between metrics; its number in every cell, whose size page.js fits to the cell."""
    # + 0.0 after rounding: no cell says -0.00
    cells = [["" if v is None else f"{round(v, 2) + 0.0:.2f}" for v in row] for row in heatmap.values]
    if len(heatmap.names) > 16:  # cells of a few millimetres on paper: 0.45 is .45 there
        cells = [[cell.replace("0.", ".").replace("1.00", "1") for cell in row] for row in cells]
    data = [
        {
            "type": "heatmap",
            "x": list(heatmap.names),
            "y": list(heatmap.names),
            "z": [list(row) for row in heatmap.values],
            "text": cells,
            "texttemplate": "%{text}",
            "customdata": [list(row) for row in heatmap.counts],
            "hovertemplate": "%{y} and %{x}: ρ = %{z:.2f}, n = %{customdata}<extra></extra>",
            "zmin": -1,
            "zmax": 1,
            "xgap": 1,
            "ygap": 1,
            "colorscale": [[0, "--negative"], [0.5, "--paper"], [1, "--positive"]],
            "showscale": False,  # each cell says its number
        }
    ]
    names = {"automargin": True, "dtick": 1, "tickfont": {"size": 11}}  # every name, however near
    layout = {"yaxis": names | {"autorange": "reversed"}, "xaxis": names | {"tickangle": -45}}
    return _figure(data, layout, 180 + 24 * len(heatmap.names))  # 27 metrics fit a sheet


def stopping_figure(rows: Sequence[StopRow], percent: bool = True, axis: str = "epoch") -> Figure:
    """Regret of the choice made at each milestone, in points or as logged, and what stopping there saves."""
    scale, unit = (100, " points") if percent else (1, "")
    epochs = [row.epoch for row in rows]
    reach = 1.1 * scale * max([0.01, *(row.regret for row in rows)])
    name = "regret (points)" if percent else "regret"
    data: list[Figure] = [
        {
            "type": "scatter", "mode": "lines+markers", "name": name, "x": epochs,
            "y": [scale * row.regret for row in rows], "text": [escaped(row.run) for row in rows],
            "hovertemplate": f"{axis} %{{x}}: chooses %{{text}}, regret %{{y:.4g}}{unit}<extra></extra>",
            "line": {"color": "--pick", "shape": "hv"}, "marker": {"size": 7},
        },
        {
            "type": "scatter", "mode": "lines+markers", "name": "training saved (%)", "x": epochs,
            "y": [100 * row.saved for row in rows], "yaxis": "y2",
            "hovertemplate": f"stopping at {axis} %{{x}} saves %{{y:.0f}} %<extra></extra>",
            "line": {"color": "--best", "dash": "dot"}, "marker": {"size": 5},
        },
    ]  # fmt: skip
    layout = {
        "xaxis": {"title": {"text": f"{axis} at which the choice is made"}},
        "margin": {"l": 60, "r": 60, "t": 60, "b": 50},
        "yaxis": _titled("regret in points" if percent else "regret") | {"range": [0, reach]},
        "yaxis2": _titled("training saved (%)") | {
            "overlaying": "y", "side": "right", "range": [0, 100], "tickmode": "linear", "dtick": 20,
            "showgrid": False,
        },
        "legend": _ABOVE,
    }  # fmt: skip
    return _figure(data, layout, 370)


def parallel_figure(axes: Sequence[Axis], runs: Sequence[str], shades: Sequence[int]) -> Figure:
    """One line a run through its hyperparameters, its score and its accuracy; darker is a better rank.

    Drawn as ordinary lines, because Plotly's own parallel coordinates need WebGL.

    Args:
        axes: Left to right.
        runs: Labels, the pick first.
        shades: One a run, 0 (worst) to SHADES - 1.
    """
    data: list[Figure] = []
    for shade in range(SHADES):
        xs: list[float | None] = []
        ys: list[float | None] = []
        texts: list[str] = []
        for index, run in enumerate(runs):
            if shades[index] == shade and index:
                xs += [*range(len(axes)), None]
                ys += [*(axis.places[index] for axis in axes), None]
                texts += [escaped(run)] * (len(axes) + 1)
        if xs:
            data.append(_polyline(xs, ys, texts, f"--shade-{shade}", 1.6))
    pick = [axis.places[0] for axis in axes]
    data.append(_polyline(list(range(len(axes))), pick, [escaped(runs[0])] * len(axes), "--pick", 3.5))
    upright = {"type": "line", "y0": 0, "y1": 1, "line": {"color": "--faint", "width": 1}}
    widest = max(11, 80 // len(axes))  # characters of a line that has room beside its neighbours
    layout = {
        "xaxis": {
            "tickvals": list(range(len(axes))), "ticktext": [wrapped(axis.name, widest) for axis in axes],
            "tickfont": {"size": 11}, "automargin": True, "side": "top",
            "range": [-0.25, len(axes) - 0.4], "showgrid": False, "zeroline": False,
            "showline": False,
        },
        "yaxis": {"visible": False, "range": [-0.04, 1.04]},
        "shapes": [{**upright, "x0": i, "x1": i} for i in range(len(axes))],
        "annotations": [
            {
                "x": i, "y": place, "text": escaped(text), "showarrow": False, "xanchor": "left", "xshift": 4,
                "font": {"size": 11, "color": "--ink"}, "bgcolor": "--paper", "opacity": 0.85,
            }
            for i, axis in enumerate(axes)
            for place, text in axis.ticks
        ],
        "showlegend": False,
    }  # fmt: skip
    return _figure(data, layout, 360)


def spectra_figure(lines: Sequence[SpectrumLine]) -> Figure:
    """Singular values by rank, a panel a space; the darker, the later the milestone."""
    spaces = sorted({line.space for line in lines})
    epochs = sorted({line.epoch for line in lines})
    data = []
    for line in lines:
        place = spaces.index(line.space) + 1
        shade = (
            SHADES - 1 - round((len(epochs) - 1 - epochs.index(line.epoch)) * SHADES / max(1, len(epochs)))
        )
        data.append(
            {
                "type": "scatter", "mode": "lines", "x": list(line.ranks),
                "y": [value or None for value in line.values],
                "xaxis": f"x{place}" if place > 1 else "x", "yaxis": f"y{place}" if place > 1 else "y",
                "name": f"epoch {line.epoch}", "legendgroup": str(line.epoch), "showlegend": place == 1,
                "hovertemplate": f"epoch {line.epoch}, rank %{{x}}: %{{y:.3g}}<extra></extra>",
                "line": {"color": f"--shade-{max(0, shade)}", "width": 2},
            }
        )  # fmt: skip
    layout: Figure = {"legend": {"orientation": "h", "y": -0.25}, "annotations": []}
    for i, space in enumerate(spaces):
        end = "" if i == 0 else str(i + 1)
        wide = (1 + _GAP) / len(spaces)
        left, right = i * wide, (i + 1) * wide - _GAP
        layout[f"xaxis{end}"] = _lines(
            {"type": "log", "domain": [left, right], "title": {"text": "rank"}, "dtick": 1}
        )
        layout[f"yaxis{end}"] = _lines(
            {
                "type": "log", "anchor": f"x{end}", "exponentformat": "power", "dtick": 1,
                "tickfont": {"size": 11},
            }
        )  # fmt: skip
        layout["annotations"].append(
            {
                "xref": "paper", "yref": "paper", "x": (left + right) / 2, "y": 1.08, "showarrow": False,
                "text": escaped(space),
            }
        )  # fmt: skip
    return _figure(data, layout, 380)


def wrapped(name: str, widest: int) -> str:
    """A name in lines of at most `widest` characters, broken after _ . and / where it can be."""
    lines = textwrap.wrap(re.sub(r"(?<=[_./])(?=.)", " ", name), widest) or [""]
    return "<br>".join(escaped(re.sub(r"(?<=[_./]) ", "", line)) for line in lines)


def umap_figure(panels: Sequence[UmapPanel]) -> Figure:
    """The pick's images at some milestones, coloured by class where classes are known."""
    data = []
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    layout: Figure = {"annotations": [], "showlegend": False}
    for i, panel in enumerate(panels):
        end = "" if i == 0 else str(i + 1)
        marker: Figure = {"size": 4, "opacity": 0.75, "color": "--best"}
        if panel.labels is not None:
            classes = [label % 10 for label in panel.labels]
            marker |= {"color": classes, "cmin": 0, "cmax": 9, "colorscale": CLASS_COLOURS}
        data.append(
            {
                "type": "scatter", "mode": "markers", "x": [round(v, 3) for v in panel.x],
                "y": [round(v, 3) for v in panel.y], "xaxis": f"x{end}", "yaxis": f"y{end}", "marker": marker,
                "hovertemplate": f"epoch {panel.epoch}<extra></extra>",
            }
        )  # fmt: skip
        column, row = i % columns, i // columns
        left, right = column / columns, (column + 0.94) / columns
        low, high = 1 - (row + 0.88) / rows, 1 - row / rows
        bare = {"showticklabels": False, "showgrid": False, "zeroline": False, "showline": False}
        layout[f"xaxis{end}"] = bare | {"domain": [left, right], "anchor": f"y{end}"}
        layout[f"yaxis{end}"] = bare | {"domain": [low, high], "anchor": f"x{end}"}
        layout["annotations"].append(
            {
                "xref": "paper", "yref": "paper", "x": left, "y": high, "xanchor": "left", "yanchor": "top",
                "showarrow": False, "text": f"epoch {panel.epoch}",
            }
        )  # fmt: skip
    return _figure(data, layout, 290 * rows + 40)


def curve_layout(axis: str = "epoch") -> Figure:
    """The layout of the chart along epochs; page.js draws its lines from `Curves`, grey but for the pick."""
    layout = {"xaxis": {"title": {"text": axis}}, "legend": _ABOVE}
    return _figure([], layout, 380)


def curve_figure(curves: Curves, runs: Sequence[str]) -> Figure:
    """One metric along training: the pick, which comes first, above all other runs in grey."""
    xs: list[float | None] = []
    ys: list[float | None] = []
    texts: list[str] = []
    for run, values in zip(runs[1:], curves.values[1:], strict=True):
        xs += [*curves.epochs, None]
        ys += [*values, None]
        texts += [escaped(run)] * (len(values) + 1)
    pick = _polyline(curves.epochs, curves.values[0], [escaped(runs[0])] * len(curves.epochs), "--pick", 3)
    data = [_polyline(xs, ys, texts, "--run", 1) | {"name": "other runs"}] if xs else []
    figure = curve_layout()
    layout = figure["layout"] | {"yaxis": _lines({"title": {"text": escaped(curves.metric)}})}
    return {"data": [*data, pick | {"name": "the pick"}], "layout": layout}


def curve_data(curves: Curves) -> dict[str, Any]:
    """One metric's lines for page.js: 16 bits a number, because a large sweep has a million of them.

    The number of `bits` b is low + b (high - low) / 65534; 65535 stands for none. Run by run, in base64.
    """
    values = np.array([[np.nan if v is None else v for v in of_run] for of_run in curves.values], float)
    known = values[~np.isnan(values)]
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    scaled = np.nan_to_num((values - low) / ((high - low) or 1.0) * 65_534, nan=65_535)
    return {
        "metric": curves.metric,
        "direction": curves.direction,
        "epochs": list(curves.epochs),
        "low": low,
        "high": high,
        "bits": base64.b64encode(np.rint(scaled).astype("<u2").tobytes()).decode(),
    }


def _polyline(
    xs: Sequence[float | None], ys: Sequence[float | None], texts: Sequence[str], colour: str, width: float
) -> Figure:
    return {
        "type": "scatter", "mode": "lines", "x": list(xs), "y": list(ys), "text": list(texts),
        "hovertemplate": "%{text}<extra></extra>", "line": {"color": colour, "width": width},
    }  # fmt: skip


def _note(text: str, y: float, colour: str, side: str, anchor: str) -> Figure:
    return {
        "xref": "paper", "x": 0.01 if side == "left" else 0.99, "xanchor": side, "y": y, "yanchor": anchor,
        "yshift": 5 if anchor == "bottom" else -5,  # clear of a point on the line
        "text": text, "showarrow": False, "font": {"color": colour, "size": 11},
    }  # fmt: skip


def _titled(text: str) -> Figure:
    """An upright axis whose title keeps off its numbers, however many digits these have."""
    return {"title": {"text": text, "standoff": 10}, "automargin": True}


def _lines(axis: Figure) -> Figure:
    return {"gridcolor": "--line", "zerolinecolor": "--line", "linecolor": "--faint"} | axis


def _figure(data: list[Figure], layout: Figure, height: int) -> Figure:
    layout |= {name: _lines(layout[name]) for name in ("xaxis", "yaxis", "yaxis2") if name in layout}
    common = {
        "height": height,
        "margin": {"l": 60, "r": 20, "t": 30, "b": 50},
        "font": {"family": "system-ui, sans-serif", "size": 13, "color": "--ink"},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "hoverlabel": {"bgcolor": "--paper", "font": {"color": "--ink"}},
    }
    return {"data": data, "layout": common | layout}


def escaped(text: str) -> str:
    """Plotly reads a little HTML in texts: a name is data, and shows as it is."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
