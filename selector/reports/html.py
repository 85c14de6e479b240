"""The report as one self-contained HTML page: it asks no address for anything."""

import json
import shlex
from dataclasses import dataclass
from importlib.metadata import version
from importlib.resources import files
from typing import Any

from selector.metrics import LabelFreeMetric, LabelledMetric, Metric
from selector.reports import ink
from selector.reports.best import checkpoint_line
from selector.reports.charts import Chart, charts
from selector.reports.late_labels import points
from selector.reports.report import GroupReport, Report
from selector.reports.report_words import lead, next_steps, notes, source_name, threats, tiles, why
from selector.reports.rows import rank_rows
from selector.reports.tables import excluded_rows
from selector.reports.words import label, number
from selector.selection.comparability import describe, is_finite_number
from selector.selection.ranking import TIE_BREAK, TIE_RULE
from selector.text import escaped, printable


@dataclass(frozen=True)
class Cell:
    """A cell of the ranking, ordered by `sort`: "" where there is no value, None for its text."""

    text: str
    sort: float | str | None = None
    kind: str = ""  # "number", "bars" or ""


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
    versions = (one.run.versions for group in report.ranking.groups for one in group.ranking)
    settings = [
        *report.groups[0].definition.items(),
        *(("made by", text) for text in dict.fromkeys(versions) if text),
    ]
    return template.render(
        css=Markup((folder / "page.css").read_text("utf-8")),
        js=Markup((folder / "page.js").read_text("utf-8")),
        plotly=Markup(get_plotlyjs().replace("</script", r"<\/script")),
        colours=_json({colour: name for name, colour in ink.LIGHT.items()}),
        title=f"{source_name(report)}: the pick by {report.ranking.metric.name}",
        lead=lead(report),
        warnings=report.warnings,
        groups=[_section(group, report, place) for place, group in enumerate(report.groups)],
        excluded=excluded_rows(report.ranking.excluded),
        metrics=[_metric(metric) for metric in held.values()],
        settings=[(name, str(value)) for name, value in settings],
        footer=f"Made by selector {version('ssl-sweep-selector')}; {TIE_RULE}.",
    )


def _section(group: GroupReport, report: Report, place: int) -> dict[str, Any]:
    """One group's part of the page."""
    best = group.best
    shown = group.ranked.swept or tuple(best.hyperparameters)
    return {
        "title": describe(group.ranked.group),
        "threats": threats(group, report),
        "pick": label(best.run),
        "why": why(group, report.ranking),
        "verdict": group.verdicts[best.run.id].text,
        "hyperparameters": [(name, str(best.run.config.get(name))) for name in shown],
        "command": [shlex.quote(word) for word in shlex.split(best.command)],
        "checkpoint": checkpoint_line(best),
        "tiles": tiles(group),
        "opinions": group.opinions,
        "notes": notes(group),
        "next_steps": next_steps(group, report),
        "photos": group.photos,
        "columns": _columns(group),
        "rows": _rows(group, report),
        "tie_note": f"Coloured edge: the pick, and runs tied with it. Otherwise {TIE_BREAK}.",
        "charts": [_chart(chart, place) for chart in charts(group, report)],
    }


def _chart(chart: Chart, place: int) -> dict[str, Any]:
    figure = chart.figure.to_plotly_json()
    if chart.curves:
        figure["runs"] = [ink.plain(run) for run in chart.runs]
    return {
        "id": f"g{place}-{chart.name}",
        "title": chart.title,
        "caption": chart.caption,
        "height": figure["layout"]["height"],
        "json": _json(figure),
        "choices": [one.metric for one in chart.curves],
        "blocks": [_json(ink.curve_data(one)) for one in chart.curves],
    }


def _columns(group: GroupReport) -> list[tuple[str, bool]]:
    """Titles of the ranking's columns, and whether they hold numbers."""
    return [
        ("rank", True),
        ("run", False),
        *([("group", False)] if any(run.group for run in group.runs) else []),
        (group.held[0].name, True),
        ("along training", False),
        *([(group.held[-1].name, True)] if group.judged else []),
        *([(f"{group.late.labels} late labels, %", True)] if group.late else []),
        *((name, False) for name in group.ranked.swept),
        *([("training", False)] if _is_followed(group) else []),
    ]


def _is_followed(group: GroupReport) -> bool:
    """Whether of any training is known how it went."""
    return any(verdict.text for verdict in group.verdicts.values())


def _rows(group: GroupReport, report: Report) -> list[tuple[str, list[Cell]]]:
    """The ranking: the role of each run, and its cells."""
    grouped = any(run.group for run in group.runs)
    late = {run.run: run for run in group.late.runs} if group.late else {}
    found = []
    for row in rank_rows(group.ranked, report.ranking.metric.key, group.judged):
        accuracy = row.accuracy
        cells = [
            Cell(row.rank, row.ranked.rank, "number"),
            Cell(row.run),
            *([Cell(row.ranked.run.group)] if grouped else []),
            Cell(row.score, row.ranked.score, "number"),
            Cell(row.training, kind="bars"),
        ]
        if group.judged:
            cells.append(Cell(number(accuracy), "" if accuracy is None else accuracy, "number"))
        if group.late:
            by_late = late.get(row.ranked.run.id)
            text = f"{points(by_late.accuracy)} ±{points(by_late.standard_error)}" if by_late else "–"
            cells.append(Cell(text, by_late.accuracy if by_late else "", "number"))
        for value in row.settings.values():
            text = f"{value:.6g}" if isinstance(value, float) else str(value)
            empty = "" if value is None else None
            cells.append(Cell(text[:60], float(value) if is_finite_number(value) else empty))
        if _is_followed(group):
            cells.append(Cell(group.verdicts[row.ranked.run.id].short))
        found.append((row.role, cells))
    return found


def _metric(metric: Metric) -> dict[str, Any]:
    words = {"max": "higher", "min": "lower"}
    most, exceptions = metric.ways
    ways = [words[most], *(f"({method}: {words[way]})" for method, way in exceptions.items())]
    return {
        "name": metric.name,
        "labels": isinstance(metric, LabelledMetric) and not isinstance(metric, LabelFreeMetric),
        "better": " ".join(ways),
        "meaning": f"{metric.symbol}. {metric.meaning}",
        "space": metric.space,
        "source": metric.source,
    }


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
    from plotly.utils import PlotlyJSONEncoder

    made = json.dumps(value, cls=PlotlyJSONEncoder, ensure_ascii=False, separators=(",", ":"))
    text = escaped(made)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)
