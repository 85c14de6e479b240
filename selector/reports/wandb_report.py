"""A report in W&B by its own client, wandb-workspaces: the extra `wandb-report`."""

import re
from typing import Any

from selector.errors import UserError
from selector.reports.figures import LIGHT
from selector.reports.wandb_report_rows import (
    LinePanel,
    Panel,
    ParallelPanel,
    ScatterPanel,
    WandbReport,
    WandbSection,
)
from selector.runs import SELECTION_JOB
from selector.text import printable
from selector.tracking.connection import find
from selector.tracking.place import Place

MOST_NAMED = 500  # ranked runs that a panel names one by one


def save_report(source: str, report: WandbReport) -> str:
    """Save a report in the project that the runs are in; each call makes a new one.

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
    blocks = [wr.MarkdownBlock(report.warnings)] if report.warnings else []
    try:
        for section in report.sections:
            blocks += _blocks(section, place, wr)
        saved = wr.Report(
            project=place.project,
            entity=place.entity,
            title=report.title,
            description=report.description,
            blocks=blocks,
            width="fixed",
        ).save()
    except Exception as error:  # it raises what its parts raise: pydantic's, requests' and W&B's own errors
        reason = " ".join(printable(str(error)).split())[:300]
        raise UserError(f"{found.server} did not take the report: {reason}") from error
    return str(saved.url)


def _blocks(section: WandbSection, place: Place, wr: Any) -> list[Any]:
    blocks = [wr.H2(section.title), wr.MarkdownBlock(section.text)]
    if section.command:
        blocks.append(wr.CodeBlock(section.command, language=None))
    blocks += [wr.PanelGrid(runsets=[_runset(section, place, wr)], panels=_panels(section.panels, wr))]
    blocks += [wr.H3("Ranking"), wr.MarkdownBlock(section.ranking)]
    return [*blocks, wr.H3("What to do next"), wr.MarkdownBlock(section.next_steps)]


def _runset(section: WandbSection, place: Place, wr: Any) -> Any:
    """The ranked runs, the pick in its colour; of very many, all trainings of the sweep or the project."""
    ids = [run for run in section.runs if re.fullmatch(r"[\w-]+", run)]  # what W&B allows in an id
    if len(ids) <= MOST_NAMED:
        filters = f"Metric('ID') in {ids!r}"
    elif place.sweep:
        filters = f"Metric('Sweep') == {place.sweep!r}"
    else:
        filters = f"Metric('JobType') != {SELECTION_JOB!r}"
    colours = {section.pick: wr.RunSettings(color=LIGHT["--pick"])}
    return wr.Runset(
        entity=place.entity, project=place.project, name="ranked runs", filters=filters, run_settings=colours
    )


def _panels(panels: tuple[Panel, ...], wr: Any) -> list[Any]:
    made = []
    for place, panel in enumerate(panels):
        layout = wr.Layout(x=12 * (place % 2), y=8 * (place // 2), w=12, h=8)
        match panel:
            case LinePanel(title, key):
                made.append(wr.LinePlot(title=title, x="epoch", y=[key], layout=layout))
            case ScatterPanel(title, x, y):
                x, y = wr.SummaryMetric(x), wr.SummaryMetric(y)
                made.append(wr.ScatterPlot(title=title, x=x, y=y, layout=layout))
            case ParallelPanel(title, hyperparameters, keys):
                named = [wr.Config(name) for name in hyperparameters]
                scores = [wr.SummaryMetric(key) for key in keys]
                columns = [wr.ParallelCoordinatesPlotColumn(one) for one in [*named, *scores]]
                made.append(wr.ParallelCoordinatesPlot(title=title, columns=columns, layout=layout))
    return made
