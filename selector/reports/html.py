"""The report as one self-contained HTML page: it asks no address for anything."""

import json
import shlex
from importlib.metadata import version
from importlib.resources import files
from typing import Any

from selector.metrics import LabelFreeMetric, LabelledMetric, Metric
from selector.reports import ink
from selector.reports.best import checkpoint_line, command_line, repeated
from selector.reports.charts import Chart, charts
from selector.reports.curves import packed
from selector.reports.late_labels import points
from selector.reports.report import GroupReport, Report
from selector.reports.report_words import lead, next_steps, notes, source_name, threats, tiles, why
from selector.reports.rows import rank_rows
from selector.reports.tables import excluded_rows
from selector.reports.words import label, number
from selector.selection.comparability import describe, is_finite_number
from selector.selection.ranking import TIE_BREAK, TIE_RULE
from selector.text import printable


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
        *report.groups[0].pick.definition.items(),
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
    pick = group.pick
    shown = group.ranked.swept or tuple(repeated(pick))
    return {
        "title": describe(group.ranked.group),
        "threats": list(threats(group, report)),
        "pick": label(pick),
        "why": why(group, report.ranking),
        "verdict": group.verdicts[pick.id].text,
        "hyperparameters": [(name, str(pick.config.get(name))) for name in shown],
        "command": [shlex.quote(word) for word in shlex.split(command_line(pick))],
        "checkpoint": checkpoint_line(pick),
        "tiles": tiles(group),
        "opinions": group.opinions,
        "notes": notes(group),
        "next_steps": next_steps(group, report),
        "photos": group.photos,
        **_ranking(group, report),
        "tie_note": f"Coloured edge: the pick, and runs tied with it. Otherwise {TIE_BREAK}.",
        "charts": [_chart(chart, place, group) for chart in charts(group, report)],
    }


def _chart(chart: Chart, place: int, group: GroupReport) -> dict[str, Any]:
    figure = chart.figure.to_plotly_json()
    if chart.curves:
        figure["runs"] = [ink.plain(label(run)) for run in group.runs]
    return {
        "id": f"g{place}-{chart.name}",
        "title": chart.title,
        "caption": chart.caption,
        "height": figure["layout"]["height"],
        "json": _json(figure),
        "choices": [one.metric for one in chart.curves],
        "blocks": [_json(packed(one)) for one in chart.curves],
    }


def _ranking(group: GroupReport, report: Report) -> dict[str, Any]:
    """Columns of the ranking as (title, kind), and its rows as (role, cells).

    A cell is its text and what it is ordered by: "" where there is no value, None for the text.
    """
    late, grouped = group.late, any(run.group for run in group.runs)
    judged_later = {run.run: run for run in late.runs} if late else {}
    followed = any(verdict.text for verdict in group.verdicts.values())
    columns = [
        ("rank", "number"),
        ("run", ""),
        *([("group", "")] if grouped else []),
        (group.held[0].name, "number"),
        ("along training", "bars"),
        *([(group.held[-1].name, "number")] if group.judged else []),
        *([(f"{late.labels} late labels, %", "number")] if late else []),
        *((name, "") for name in group.ranked.swept),
        *([("training", "")] if followed else []),
    ]
    rows = []
    for row in rank_rows(group.ranked, report.ranking.metric.key, group.judged):
        run = row.ranked.run
        cells: list[tuple[str, Any]] = [(row.rank, row.ranked.rank), (row.run, None)]
        if grouped:
            cells.append((run.group, None))
        cells += [(row.score, row.ranked.score), (row.training, None)]
        if group.judged:
            cells.append((number(row.accuracy), "" if row.accuracy is None else row.accuracy))
        if late:
            found = judged_later.get(run.id)
            text = f"{points(found.accuracy)} ±{points(found.standard_error)}" if found else "–"
            cells.append((text, found.accuracy if found else ""))
        cells += map(_setting, row.settings.values())
        if followed:
            cells.append((group.verdicts[run.id].short, None))
        rows.append((row.role, cells))
    return {"columns": columns, "rows": rows}


def _setting(value: Any) -> tuple[str, Any]:
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return text[:60], float(value) if is_finite_number(value) else "" if value is None else None


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

    text = json.dumps(value, cls=PlotlyJSONEncoder, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)
