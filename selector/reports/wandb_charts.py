"""The report's charts as figures that stand alone, for a run of W&B."""

import json

from selector.reports.figures import LIGHT, Figure, curve_figure, painted
from selector.reports.html import charts
from selector.reports.report import Report
from selector.reports.report_rows import curves
from selector.reports.tables import label

_TITLE_ROOM = 40  # pixels


def charts_of(report: Report) -> dict[str, Figure]:
    """Name → Plotly figure as plain data, on white; a second group's names end in -2.

    They are the charts of the HTML page. In the place of its chart along training, where one chooses a
    metric, there are two: of the ranking metric and, where labels exist, of the oracle.
    """
    metric = report.ranking.metric.name
    found: dict[str, Figure] = {}
    for place, group in enumerate(report.groups):
        end = f"-{place + 1}" if place else ""
        runs = [label(run) for run in group.runs]
        for chart in charts(group, report, place):
            if chart.kind == "figure":
                name = chart.id.partition("-")[2]
                found[f"charts/{metric}/{name}{end}"] = _alone(json.loads(chart.json), chart.title)
        shown = {report.ranking.metric.name, report.oracle.name}
        for lines in curves(group):
            if lines.metric in shown:
                figure = curve_figure(lines, runs)
                found[f"charts/{metric}/along-training/{lines.metric}{end}"] = _alone(
                    figure, f"{lines.metric} along training ({lines.direction})"
                )
    return found


def _alone(figure: Figure, title: str) -> Figure:
    """With colours and a title, which the page has around it."""
    layout = figure["layout"]
    layout = layout | {
        "title": {"text": title, "font": {"size": 15}},
        "height": layout["height"] + _TITLE_ROOM,
        "margin": layout["margin"] | {"t": layout["margin"]["t"] + _TITLE_ROOM},
        "paper_bgcolor": "--paper",
        "plot_bgcolor": "--paper",
    }
    alone: Figure = painted({"data": figure["data"], "layout": layout}, LIGHT)
    return alone
