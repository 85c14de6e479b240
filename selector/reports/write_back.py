"""A ranking as notes for W&B, and what was written of them, in words."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any

from selector.reports.charts import charts
from selector.reports.curves import curve_figure, curves
from selector.reports.report import Report
from selector.reports.rows import rank_rows
from selector.selection.comparability import describe
from selector.selection.ranking import Ranking
from selector.selection.regret import RegretReport
from selector.text import counted
from selector.tracking.write_back import MARK, Changes, Notes, NotesTable, Pick


def notes_of(ranking: Ranking, regret: RegretReport | None, report: Report) -> Notes:
    """What to note about the ranked runs; the regret only where an accuracy is known."""
    fields = {
        run.id: {
            "rank": ranked.rank,
            "score": ranked.score,
            "epoch": ranked.epoch,
            "tied": ranked.tied,
            "picked": run is group.chosen,
        }
        for group in ranking.groups
        for ranked in group.ranking
        for run in ranked.runs
    }
    picks = tuple(Pick(group.chosen.id, group.ranking[0].epoch) for group in ranking.groups)
    tables = {f"ranking/{ranking.metric.name}": _table(_ranking_rows(ranking))}
    if regret is not None:
        tables[f"regret/{ranking.metric.name}"] = _table(_regret_rows(regret))
    return Notes(ranking.metric.name, fields, picks, tables, charts_of(report))


def change_lines(changes: Changes, notes: Notes, dry_run: bool) -> list[str]:
    """What was, or would be, changed; one line each."""
    if not changes:
        lines = ["nothing to write back: W&B already has all of it"]
    else:
        lines = ["would be written back (dry run, nothing is sent):" if dry_run else "written back:"]
        lines += [f"  {line}" for line in _changed(changes, notes)]
    if changes.no_checkpoint:
        runs = ", ".join(changes.no_checkpoint)
        lines.append(f"alias {MARK}: no checkpoint of {runs} is an artifact in W&B")
    return lines


def change_object(changes: Changes, notes: Notes, dry_run: bool) -> dict[str, Any]:
    """The same for --json."""
    drawn = list(notes.charts) if changes.tables else []
    return {"dry_run": dry_run, "mark": MARK, **asdict(changes), "charts": drawn}


def _changed(changes: Changes, notes: Notes) -> Iterator[str]:
    if changes.noted:
        yield f"{notes.prefix}rank, score, … of {counted(len(changes.noted), 'run')}"
    for what, on, off in (
        ("tag", changes.tag_on, changes.tag_off),
        ("alias", changes.alias_on, changes.alias_off),
    ):
        moves = [f"on {', '.join(on)}"] if on else []
        moves += [f"off {', '.join(off)}"] if off else []
        if moves:
            yield f"{what} {MARK}: {'; '.join(moves)}"
    if changes.tables:
        yield f"tables {' and '.join(notes.tables)} in {changes.place}"
        prefix = f"charts/{notes.metric}/"
        names = ", ".join(name.removeprefix(prefix) for name in notes.charts)
        yield f"charts {prefix} {names} in {changes.place}"


def charts_of(report: Report) -> dict[str, dict[str, Any]]:
    """Name → Plotly figure as plain data; a second group's names end in -2.

    They are the charts of the HTML page. In the place of its chart along training, where one chooses a
    metric, there are two: of the ranking metric and, where labels exist, of the oracle.
    """
    metric = report.ranking.metric.name
    found = {}
    for place, group in enumerate(report.groups):
        end = f"-{place + 1}" if place else ""
        figures = {
            chart.name: (chart.title, chart.figure) for chart in charts(group, report) if not chart.curves
        }
        for one in curves(group):
            if one.metric in (metric, report.oracle.name):
                title = f"{one.metric} along training ({one.direction})"
                figures[f"along-training/{one.metric}"] = title, curve_figure(one, group)
        for name, (title, figure) in figures.items():
            top = 40 + (figure.layout.margin.t or 30)
            figure.update_layout(
                title={"text": title, "font": {"size": 15}}, height=figure.layout.height + 40, margin_t=top
            )
            found[f"charts/{metric}/{name}{end}"] = figure.to_plotly_json()
    return found


def _table(rows: Iterable[dict[str, Any]]) -> NotesTable:
    found = list(rows)
    return NotesTable(tuple(found[0]), tuple(tuple(row.values()) for row in found))


def _ranking_rows(ranking: Ranking) -> Iterator[dict[str, Any]]:
    for group in ranking.groups:
        for row in rank_rows(group, ranking.metric.key):
            ranked = row.ranked
            yield {
                "group": describe(group.group),
                "rank": ranked.rank,
                "run": ranked.run.id,
                "name": ranked.run.name,
                "score": ranked.score,
                "standard error": ranked.standard_error or None,
                "tied": ranked.tied,
                "epoch": ranked.epoch,
                "hyperparameters": row.hyperparameters,
            }


def _regret_rows(report: RegretReport) -> Iterator[dict[str, Any]]:
    for group in report.groups:
        for one in group.metrics:
            yield {
                "group": describe(group.group),
                "chosen by": one.metric.name,
                "run": one.chosen.id if one.chosen else None,
                "accuracy": one.chosen_accuracy,
                "best accuracy": group.best.accuracy,
                "regret": one.regret,
                "normalised regret": one.normalised,
                "expected random regret": group.expected_random,
                "spearman": one.spearman.value,
                "kendall": one.kendall.value,
            }
        unknown = ("normalised regret", "expected random regret", "spearman", "kendall")
        for baseline in group.baselines:
            yield {
                "group": describe(group.group),
                "chosen by": baseline.name,
                "run": baseline.run.id if baseline.run else None,
                "accuracy": baseline.accuracy,
                "best accuracy": group.best.accuracy,
                "regret": baseline.regret,
                **dict.fromkeys(unknown),
            }
