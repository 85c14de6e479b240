"""The report as one self-contained HTML page: it asks no address for anything."""

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from importlib.resources import files
from math import isfinite
from typing import Any

from selector.metrics.metrics import LabelFreeMetric, LabelledMetric, Metric
from selector.reports import figures
from selector.reports.best import checkpoint_line
from selector.reports.report import GroupReport, Report
from selector.reports.report_rows import (
    axes,
    choice_rows,
    cost,
    curves,
    heatmap,
    mean_accuracy,
    scatter_points,
    spectrum_lines,
    stop_rows,
    umap_panels,
)
from selector.reports.report_words import Step, Tile, axis_of, lead, next_steps, notes, tiles, why
from selector.reports.tables import label, number, score_text
from selector.runs import Run
from selector.selection.comparability import describe
from selector.selection.hyperparameters import is_finite_number
from selector.selection.ranking import TIE_BREAK, TIE_RULE, Ranked
from selector.text import escaped, printable


@dataclass(frozen=True)
class Chart:
    """One chart of the page: `json` is its figure, `blocks` the data that it reads on demand.

    A page that is narrower than `width` pixels scrolls the chart; paper shrinks it.
    """

    id: str
    kind: str  # "figure" or "curves"
    title: str
    caption: str
    height: int
    json: Any
    choices: tuple[str, ...] = ()
    blocks: tuple[Any, ...] = ()
    width: int = 0


@dataclass(frozen=True)
class Column:
    """A column of the ranking."""

    title: str
    number: bool


@dataclass(frozen=True)
class Cell:
    """A cell of the ranking: text, or points of a small line.

    `sort` is what it is ordered by: "" where there is no value, None for its text.
    """

    text: str = ""
    sort: float | str | None = None
    number: bool = False
    line: str = ""


@dataclass(frozen=True)
class Row:
    """A run's line in the ranking."""

    role: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class GroupSection:
    """All that the page says of one group."""

    title: str
    pick: str
    why: str
    hyperparameters: tuple[tuple[str, str], ...]
    command: tuple[str, ...]
    checkpoint: str
    cost_title: str
    tiles: tuple[Tile, ...]
    notes: tuple[str, ...]
    next_steps: tuple[Step, ...]
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    tie_note: str
    charts: tuple[Chart, ...]


def page_of(report: Report) -> str:
    """The whole page as text. Names from elsewhere are escaped; nothing in them becomes markup or script."""
    from jinja2 import Environment
    from markupsafe import Markup
    from plotly.offline import get_plotlyjs

    folder = files("selector.reports") / "page"
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, finalize=_shown)
    environment.filters["breakable"] = _breakable
    template = environment.from_string((folder / "page.html").read_text("utf-8"))
    held = {metric.name: metric for group in report.groups for metric in group.held}
    definition = report.groups[0].definition
    return template.render(
        css=Markup((folder / "page.css").read_text("utf-8")),
        js=Markup((folder / "page.js").read_text("utf-8")),
        plotly=Markup(get_plotlyjs().replace("</script", r"<\/script")),
        page={
            "title": f"{report.source}: the pick by {report.ranking.metric.name}",
            "lead": lead(report),
            "warnings": [printable(warning) for warning in report.warnings],
            "groups": [section(group, report, place) for place, group in enumerate(report.groups)],
            "excluded": report.ranking.excluded,
            "metrics": [_metric(metric) for metric in held.values()],
            "settings": [(name, printable(str(value))) for name, value in definition.items()]
            + [("made by", printable(text)) for text in _versions(report)],
            "footer": f"Made by selector {version('ssl-sweep-selector')}; {TIE_RULE}.",
        },
    )


def _versions(report: Report) -> list[str]:
    """The software that made the ranked runs, each once."""
    ranked = (one.run.versions for group in report.ranking.groups for one in group.ranking)
    return [text for text in dict.fromkeys(ranked) if text]


def section(group: GroupReport, report: Report, place: int) -> GroupSection:
    """One group's part of the page."""
    best = group.best
    shown = group.ranked.swept or tuple(best.hyperparameters)
    low, high = _bounds(group)
    return GroupSection(
        title=describe(group.ranked.group),
        pick=label(best.run),
        why=why(group, report.ranking),
        hyperparameters=tuple((name, printable(str(best.run.config.get(name)))) for name in shown),
        command=tuple(map(shlex.quote, shlex.split(best.command))),
        checkpoint=printable(checkpoint_line(best)),
        cost_title="What the choice cost" if group.judged else "No labels here",
        tiles=tuple(tiles(group, cost(group))),
        notes=tuple(notes(group)),
        next_steps=tuple(next_steps(group, report)),
        columns=tuple(_columns(group)),
        rows=tuple(_row(group, ranked, low, high) for ranked in group.ranked.ranking),
        tie_note=f"Coloured edge: the pick, and runs tied with it. Otherwise {TIE_BREAK}.",
        charts=tuple(charts(group, report, place)),
    )


def charts(group: GroupReport, report: Report, place: int) -> list[Chart]:
    """The charts that this group has data for."""
    metric, oracle = report.ranking.metric.name, report.oracle.name
    runs = [label(run) for run in group.runs]
    found: list[Chart] = []

    def add(name: str, title: str, caption: str, figure: figures.Figure, width: int = 0) -> None:
        found.append(_chart(f"g{place}-{name}", title, caption, figure, width))

    points = scatter_points(group)
    random = mean_accuracy(group)
    if points and random is not None:
        add(
            "scatter",
            "What the metric saw, and what labels say",
            f"One point a run (n = {len(points)}). The dotted line is the regret: from the pick to the"
            " best run.",
            figures.scatter_figure(points, metric, oracle, random),
        )
    percent = group.judged is None or group.judged.in_percent
    several = group.judged is not None and len(group.judged.judged) > 1
    if several:
        add(
            "choices",
            "Had you chosen by something else",
            "Regret of each metric's choice among the same runs, with the 95 % interval of the true regret"
            " among these checkpoints, as far as the number of evaluation images tells it. To choose a metric"
            " by this chart and quote its regret afterwards would be choosing with labels.",
            figures.choices_figure(choice_rows(group), percent),
        )
    found.append(_curves_chart(group, place, runs))
    stops = stop_rows(group)
    if several and len(stops) > 1:
        add(
            "stopping",
            "Could the sweep have stopped earlier?",
            f"The choice that {metric} makes at each milestone, judged by the run's final accuracy: the"
            " chosen run is still trained to its end, the others stop there.",
            figures.stopping_figure(stops, percent, axis_of(group.runs[0])),
        )
    coordinates = axes(group)
    if len(coordinates) > 2 and len(runs) > 1:
        add(
            "parallel",
            "Hyperparameters",
            f"A line a run; the stronger its colour, the better its rank by {metric}; the thick one is the"
            " pick.",
            figures.parallel_figure(coordinates, runs, shades(len(runs))),
            max(620, 90 * len(coordinates)),
        )
    lines = spectrum_lines(group)
    if lines:
        add(
            "spectra",
            "Singular values of the pick",
            "Centred, over the largest; the stronger the colour, the later the milestone. A cliff is a"
            " collapse to fewer dimensions; RankMe counts how many directions carry weight.",
            figures.spectra_figure(lines),
            300 * len({line.space for line in lines}),
        )
    panels = umap_panels(group)
    if panels:
        coloured = "; colours are classes" if panels[0].labels is not None else ""
        add(
            "umap",
            "The pick's images, by UMAP",
            f"Up to 1,000 evaluation images at some milestones, the first seed{coloured}. Distances between"
            " far groups mean little, and each picture has axes of its own.",
            figures.umap_figure(panels),
            200 * min(3, len(panels)),
        )
    matrix = heatmap(group)
    known = [
        count
        for i, (row, counts) in enumerate(zip(matrix.values, matrix.counts, strict=True))
        for value, count in zip(row[:i], counts[:i], strict=True)
        if value is not None
    ]
    if known:
        few = f"{min(known)} to " if min(known) < max(known) else ""
        add(
            "heatmap",
            "Do the metrics agree?",
            f"Spearman's ρ between metrics over the runs (n = {few}{max(known)}), at the last milestone, as"
            " logged (for some metrics lower is better); empty where it is not known. With few runs large"
            " values come by chance.",
            figures.heatmap_figure(matrix),
            160 + 30 * len(matrix.names),
        )
    return found


def shades(count: int) -> list[int]:
    """A shade for each place of a ranking of `count` runs, SHADES - 1 for the first, 0 for the last."""
    last = figures.SHADES - 1
    return [last - round(place * last / max(1, count - 1)) for place in range(count)]


def _curves_chart(group: GroupReport, place: int, runs: Sequence[str]) -> Chart:
    lines = curves(group)
    axis = axis_of(group.runs[0])
    untrained = " Epoch 0 is the untrained network, which is never chosen." if axis == "epoch" else ""
    figure = figures.curve_layout(axis)
    return Chart(
        f"g{place}-curves",
        "curves",
        "Along training",
        f"Grey: all other ranked runs.{untrained}",
        figure["layout"]["height"],
        _json(figure | {"runs": [figures.escaped(run) for run in runs]}),
        tuple(line.metric for line in lines),
        tuple(_json(figures.curve_data(line)) for line in lines),
    )


def _chart(id: str, title: str, caption: str, figure: figures.Figure, width: int) -> Chart:
    height = figure["layout"]["height"]
    return Chart(id, "figure", title, caption, height, _json(figure), width=width)


def _shown(value: Any) -> Any:
    """What stands between tags: text without control characters, and markup of our own as it is."""
    return printable(value) if type(value) is str else value


def _breakable(name: str) -> Any:
    """A column's name, which on paper may be broken after each underscore."""
    from markupsafe import Markup, escape

    return escape(printable(name)).replace("_", Markup("_<wbr>"))


def _json(value: Any) -> Any:
    """JSON that may stand within a script element: no text in it can end the element."""
    from markupsafe import Markup

    text = escaped(json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":")))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def _columns(group: GroupReport) -> list[Column]:
    columns = [Column("rank", True), Column("run", False)]
    if any(run.group for run in group.runs):
        columns.append(Column("group", False))
    columns += [Column(group.held[0].name, True), Column("along training", False)]
    if group.judged:
        columns.append(Column(group.held[-1].name, True))
    return columns + [Column(name, False) for name in group.ranked.swept]


def _bounds(group: GroupReport) -> tuple[float, float]:
    """The lowest and highest value of the ranking metric: small lines of all runs have one scale."""
    values = [value for run in group.runs for value in _along(run, group) if isfinite(value)]
    return min(values, default=0.0), max(values, default=0.0)


def _along(run: Run, group: GroupReport) -> list[float]:
    key = group.held[0].key
    return [m.values[key] for m in run.trained_milestones if key in m.values]


def _row(group: GroupReport, ranked: Ranked, low: float, high: float) -> Row:
    run = ranked.run
    cells = [Cell(f"{ranked.rank}{'=' if ranked.tied else ''}", ranked.rank, True), Cell(label(run))]
    if any(other.group for other in group.runs):
        cells.append(Cell(run.group))
    cells += [
        Cell(score_text(ranked), ranked.score, True),
        Cell(sort=None, line=spark_points(_along(run, group), low, high)),
    ]
    if group.judged:
        accuracy = group.judged.mean_accuracies.get(run.id)
        cells.append(Cell(number(accuracy), "" if accuracy is None else accuracy, True))
    for name in group.ranked.swept:
        value = run.config.get(name)
        empty = "" if value is None else None
        cells.append(Cell(_short(value), float(value) if is_finite_number(value) else empty))
    role = "pick" if run.id == group.ranked.chosen.id else "tied" if ranked.tied else ""
    return Row(role, tuple(cells))


def spark_points(values: Sequence[float], low: float, high: float, most: int = 60) -> str:
    """Points of a polyline in a box of 100 × 24, whose floor is the value `low` and whose top is `high`."""
    finite = [value for value in values if isfinite(value)]
    if len(finite) > most:
        finite = [finite[round(i * (len(finite) - 1) / (most - 1))] for i in range(most)]
    if len(finite) < 2:
        return ""
    height = high - low or 1.0
    step = 100 / (len(finite) - 1)
    return " ".join(
        f"{i * step:.4g},{22 - 20 * (value - low) / height:.4g}" for i, value in enumerate(finite)
    )


def _short(value: Any) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return printable(text)[:60]


def _metric(metric: Metric) -> dict[str, Any]:
    words = {"max": "higher", "min": "lower"}
    better = words[metric.direction] + "".join(
        f" ({method}: {words[direction]})" for method, direction in metric.direction_for.items()
    )
    return {
        "name": metric.name,
        "labels": isinstance(metric, LabelledMetric) and not isinstance(metric, LabelFreeMetric),
        "better": better,
        "meaning": f"{metric.symbol}. {metric.meaning}",
        "space": metric.space,
        "source": metric.source,
    }
