"""A report in W&B by its client, wandb-workspaces (extra `wandb-report`): panels draw from the runs."""

import re
from collections.abc import Sequence
from typing import Any

from selector.errors import UserError
from selector.reports.best import command_line, repeated
from selector.reports.ink import PICK
from selector.reports.report import GroupReport, Report
from selector.reports.report_words import lead, next_steps, notes, source_name, threats, tiles, why
from selector.reports.rows import rank_rows
from selector.reports.words import label, number
from selector.runs import SELECTION_JOB
from selector.selection.comparability import describe
from selector.selection.consensus import CONSENSUS, PARTS
from selector.text import printable
from selector.tracking.connection import Place, find

MOST_ROWS = 20  # of the ranking
MOST_NAMED = 500  # ranked runs that a panel names one by one
_TITLE = 128  # characters that W&B takes


def save_report(source: str, report: Report) -> str:
    """Save a report in the project that the runs are in; each call makes a new one.

    Names from elsewhere are text, and never Markdown.

    Args:
        source: What the runs were read from.
        report: What it says.

    Returns:
        Its URL.

    Raises:
        ImportError: wandb-workspaces is not installed.
        UserError: The server cannot be reached, or refused.
    """
    import wandb_workspaces.reports.v2 as wr

    found = find(source)
    place = found.place
    title = f"{source_name(report)}: the pick by {report.ranking.metric.name}"
    warnings = "\n".join(f"- {plain(warning)}" for warning in report.warnings)
    blocks = [wr.MarkdownBlock(warnings)] if warnings else []
    try:
        for group in report.groups:
            blocks += _blocks(group, report, place, wr)
        saved = wr.Report(
            project=place.project,
            entity=place.entity,
            title=title if len(title) <= _TITLE else f"{title[: _TITLE - 1]}…",
            description=printable(lead(report)),
            blocks=blocks,
            width="fixed",
        ).save()
    except Exception as error:  # it raises what its parts raise: pydantic's, requests' and W&B's own errors
        reason = " ".join(printable(str(error)).split())[:300]
        raise UserError(f"{found.server} did not take the report: {reason}") from error
    return str(saved.url)


def plain(text: str) -> str:
    """Text that Markdown shows as it stands."""
    return re.sub(r"([\\`*_{}\[\]()<>#+.!|~$-])", r"\\\1", printable(text))


def _blocks(group: GroupReport, report: Report, place: Place, wr: Any) -> list[Any]:
    """All that is said of one group of runs."""
    pick = f"**{plain(label(group.pick))}**: {plain(why(group, report.ranking))}"
    shown = group.ranked.swept or tuple(repeated(group.pick))
    settings = [f"- {plain(name)}: {plain(str(group.pick.config.get(name)))}" for name in shown]
    figures = [f"- **{plain(tile.value)}** {plain(tile.name)} ({plain(tile.note)})" for tile in tiles(group)]
    said = [f"- {plain(threat)}" for threat in threats(group, report)]
    text = [pick, "\n".join(said), "\n".join(settings), "\n".join(figures), *map(plain, notes(group))]
    steps, again = [], command_line(group.pick)
    for step in next_steps(group, report):
        command = printable(step.command).replace("`", "'")
        steps.append(f"- {plain(step.text)}" + (f" `{command}`" if command else ""))
    return [
        wr.H2(printable(describe(group.ranked.group)) or "All runs"),
        wr.MarkdownBlock("\n\n".join(part for part in text if part)),
        *([wr.CodeBlock(printable(again), language=None)] if again else []),
        wr.PanelGrid(runsets=[_runset(group, place, wr)], panels=_panels(group, report, wr)),
        wr.H3("Ranking"),
        wr.MarkdownBlock(ranking_table(group, report.ranking.metric.key)),
        wr.H3("What to do next"),
        wr.MarkdownBlock("\n".join(steps)),
    ]


def ranking_table(group: GroupReport, key: str) -> str:
    """rank, run, score, accuracy where known, hyperparameters: the first rows, in Markdown."""
    oracle = [group.held[-1].name] if group.judged else []
    lines = [["rank", "run", group.held[0].name, *oracle, *group.ranked.swept]]
    rows = rank_rows(group.ranked, key, group.judged)
    for row in rows[:MOST_ROWS]:
        accuracy = [number(row.accuracy)] if group.judged else []
        lines.append([row.rank, row.run, row.score, *accuracy, *map(str, row.settings.values())])
    texts = [f"| {' | '.join(map(plain, cells))} |" for cells in lines]
    texts.insert(1, f"| {' | '.join(['---'] * len(lines[0]))} |")
    more = len(rows) - MOST_ROWS
    return "\n".join(texts) + (f"\n\n… and {more} more" if more > 0 else "")


def _runset(group: GroupReport, place: Place, wr: Any) -> Any:
    """The ranked runs, the pick in its colour; of very many, all trainings of the sweep or the project."""
    ids = [run.id for run in group.runs if re.fullmatch(r"[\w-]+", run.id)]  # what W&B allows in an id
    if len(ids) <= MOST_NAMED:
        filters = f"Metric('ID') in {ids!r}"
    elif place.sweep:
        filters = f"Metric('Sweep') == {place.sweep!r}"
    else:
        filters = f"Metric('JobType') != {SELECTION_JOB!r}"
    colours = {group.pick.id: wr.RunSettings(color=PICK)}
    return wr.Runset(
        entity=place.entity, project=place.project, name="ranked runs", filters=filters, run_settings=colours
    )


def drawn_keys(group: GroupReport, report: Report) -> Sequence[tuple[str, str, str]]:
    """Name, W&B key and better direction of what the choice was made by: of the consensus, its parts."""
    metric = report.ranking.metric
    if metric is CONSENSUS:
        return [(part.name, part.key, part.ways[0]) for part in PARTS]
    return [(metric.name, metric.key, group.ranked.direction)]


def _panels(group: GroupReport, report: Report, wr: Any) -> list[Any]:
    """What W&B draws from the keys that the runs logged."""
    oracle, logged = report.oracle, drawn_keys(group, report)
    made: list[tuple[Any, dict[str, Any]]] = []
    for name, key, way in logged:
        better = "higher" if way == "max" else "lower"
        title = f"{name} along training ({better} is better)"
        made.append((wr.LinePlot, {"title": title, "x": "epoch", "y": [key]}))
    if group.judged:
        title = f"{oracle.name} along training"
        made.append((wr.LinePlot, {"title": title, "x": "epoch", "y": [oracle.key]}))
        for name, key, _ in logged:
            title = f"{name} and the labels"
            ends = {"x": wr.SummaryMetric(key), "y": wr.SummaryMetric(oracle.key)}
            made.append((wr.ScatterPlot, {"title": title, **ends}))
    if group.ranked.swept:
        keys = [key for _, key, _ in logged] + ([oracle.key] if group.judged else [])
        shown = [*map(wr.Config, group.ranked.swept), *map(wr.SummaryMetric, keys)]
        columns = [wr.ParallelCoordinatesPlotColumn(one) for one in shown]
        made.append((wr.ParallelCoordinatesPlot, {"title": "Hyperparameters", "columns": columns}))
    return [
        panel(**more, layout=wr.Layout(x=12 * (i % 2), y=8 * (i // 2), w=12, h=8))
        for i, (panel, more) in enumerate(made)
    ]
