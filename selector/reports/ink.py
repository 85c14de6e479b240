"""The look of the charts: colours, a template, and what axes, lines and names have in common.

Figures hold the colours of the light page, and stand alone as they are. On the page, page.js puts in the
colours of the present scheme: each colour of `LIGHT` has a name there.
"""

from collections.abc import Sequence
from math import ceil
from typing import Any

import plotly.graph_objects as go

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
BARE = {"showticklabels": False, "showgrid": False, "zeroline": False, "showline": False}


def blank(height: int) -> go.Figure:
    """A figure without marks, as wide as its place."""
    return go.Figure(layout={"template": _TEMPLATE, "height": height})


def line_of(
    x: Sequence[Any], y: Sequence[Any], texts: Sequence[str], colour: str, width: float, name: str = ""
) -> go.Scatter:
    """A line that says one of the texts where it is pointed at."""
    line = {"color": colour, "width": width}
    hover = "%{text}<extra></extra>"
    return go.Scatter(
        x=list(x), y=list(y), text=list(texts), mode="lines", name=name, hovertemplate=hover, line=line
    )


def named_axis(names: Sequence[str]) -> dict[str, Any]:
    """An axis of names, however near they stand, with half a place of room at both ends."""
    ticks = [shortened(name, 24) for name in names]
    places = [*range(len(names))]
    bounds = [-0.5, len(names) - 0.5]
    return {"tickvals": places, "ticktext": ticks, "range": bounds, "showgrid": False, "zeroline": False}


def whole_numbers(epochs: Sequence[int]) -> dict[str, Any]:
    """Ticks of an axis of epochs: the epochs themselves if there are few, and never half epochs."""
    some = sorted(set(epochs))
    if len(some) <= MOST_TICKS:
        return {"tickvals": some}
    reach = some[-1] - some[0]
    return {"tickformat": "d", **({"dtick": ceil(reach / 10)} if reach < 30 else {})}


def shortened(name: str, most: int = 40) -> str:
    """A name that fits a phone: of a long one its last characters, which tell it apart."""
    return plain(name if len(name) <= most else f"…{name[1 - most :]}")


def plain(text: str) -> str:
    """Plotly reads a little HTML in texts: a name is data, and shows as it is."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
