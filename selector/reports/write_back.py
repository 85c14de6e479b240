"""A ranking as notes for W&B, and what was written of them, in words."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from selector.reports.charts import charts
from selector.reports.ink import curve_figure
from selector.reports.report import Report
from selector.reports.rows import curves, rank_rows
from selector.reports.words import axis_of, label
from selector.selection.comparability import describe
from selector.selection.ranking import Ranking
from selector.selection.regret import RegretReport
from selector.tracking.notes import MARK, Changes, Notes, NotesTable, Pick

_RANKING = ("group", "rank", "run", "name", "score", "standard error", "tied", "epoch", "hyperparameters")
_REGRET = (
    "group", "chosen by", "run", "accuracy", "best accuracy", "regret", "normalised regret",
    "expected random regret", "spearman", "kendall",
)  # fmt: skip


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
    tables = {f"ranking/{ranking.metric.name}": NotesTable(_RANKING, tuple(_ranking_rows(ranking)))}
    if regret is not None:
        tables[f"regret/{ranking.metric.name}"] = NotesTable(_REGRET, tuple(_regret_rows(regret)))
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
    charts = list(notes.charts) if changes.tables else []
    return {"dry_run": dry_run, "mark": MARK, **asdict(changes), "charts": charts}


def _changed(changes: Changes, notes: Notes) -> Iterator[str]:
    if changes.noted:
        yield f"{notes.prefix}rank, score, … of {len(changes.noted)} runs"
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
                figure = curve_figure(one, [label(run) for run in group.runs], axis_of(group.runs[0]))
                title = f"{one.metric} along training ({one.direction})"
                figures[f"along-training/{one.metric}"] = title, figure
        for name, (title, figure) in figures.items():
            top = 40 + (figure.layout.margin.t or 30)
            figure.update_layout(
                title={"text": title, "font": {"size": 15}}, height=figure.layout.height + 40, margin_t=top
            )
            found[f"charts/{metric}/{name}{end}"] = figure.to_plotly_json()
    return found


def _ranking_rows(ranking: Ranking) -> Iterator[tuple[Any, ...]]:
    for group in ranking.groups:
        for row in rank_rows(group, ranking.metric.key):
            ranked = row.ranked
            yield (
                describe(group.group), ranked.rank, ranked.run.id, ranked.run.name, ranked.score,
                ranked.standard_error or None, ranked.tied, ranked.epoch, row.hyperparameters,
            )  # fmt: skip


def _regret_rows(report: RegretReport) -> Iterator[tuple[Any, ...]]:
    for group in report.groups:
        best, name = group.best.accuracy, describe(group.group)
        for regret in group.metrics:
            yield (
                name, regret.metric.name, regret.chosen.id if regret.chosen else None, regret.chosen_accuracy,
                best, regret.regret, regret.normalised, group.expected_random, regret.spearman.value,
                regret.kendall.value,
            )  # fmt: skip
        for baseline in group.baselines:
            run = baseline.run.id if baseline.run else None
            yield (
                name, baseline.name, run, baseline.accuracy, best, baseline.regret, None, None, None, None,
            )  # fmt: skip
