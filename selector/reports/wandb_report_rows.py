"""What a report in W&B says, as data: text as Markdown, and which of the runs' keys its panels draw."""

import re
from dataclasses import dataclass

from selector.reports.report import GroupReport, Report
from selector.reports.report_rows import cost
from selector.reports.report_words import lead, next_steps, notes, tiles, why
from selector.reports.tables import label, number
from selector.selection.comparability import describe
from selector.selection.consensus import CONSENSUS, PARTS
from selector.text import printable

MOST_ROWS = 20  # of the ranking
_TITLE = 128  # characters that W&B takes


@dataclass(frozen=True)
class LinePanel:
    """A logged key along epochs, a line a run."""

    title: str
    key: str


@dataclass(frozen=True)
class ScatterPanel:
    """Two keys of the summary, a point a run."""

    title: str
    x: str
    y: str


@dataclass(frozen=True)
class ParallelPanel:
    """Hyperparameters, then keys of the summary, a line a run."""

    title: str
    hyperparameters: tuple[str, ...]
    keys: tuple[str, ...]


Panel = LinePanel | ScatterPanel | ParallelPanel


@dataclass(frozen=True)
class WandbSection:
    """One group of runs that may be compared.

    Attributes:
        title: What they share.
        text: Why the pick is the pick and what the choice cost, as Markdown.
        command: What repeats the pick, or "".
        ranking: The first MOST_ROWS of the ranking, as a table in Markdown.
        pick: Id of the chosen run.
        runs: Ids of the ranked runs, best first.
        panels: Drawn by W&B from the runs themselves.
        next_steps: What to do now, as Markdown.
    """

    title: str
    text: str
    command: str
    ranking: str
    pick: str
    runs: tuple[str, ...]
    panels: tuple[Panel, ...]
    next_steps: str


@dataclass(frozen=True)
class WandbReport:
    """The whole report.

    Attributes:
        title: At most 128 characters.
        description: One paragraph.
        warnings: As Markdown, or "".
        sections: One a group.
    """

    title: str
    description: str
    warnings: str
    sections: tuple[WandbSection, ...]


def wandb_report_of(report: Report) -> WandbReport:
    """A report's words and panels; names from elsewhere are text, and never Markdown."""
    name = report.source.rstrip("/").rpartition("/")[2]  # a slash of a title would be one of the report's URL
    title = printable(f"{name}: the pick by {report.ranking.metric.name}")
    warnings = "\n".join(f"- {plain(warning)}" for warning in report.warnings)
    return WandbReport(
        title if len(title) <= _TITLE else f"{title[: _TITLE - 1]}…",
        printable(lead(report)),
        warnings,
        tuple(_section(group, report) for group in report.groups),
    )


def plain(text: str) -> str:
    """Text that Markdown shows as it stands."""
    return re.sub(r"([\\`*_{}\[\]()<>#+.!|~$-])", r"\\\1", printable(text))


def _section(group: GroupReport, report: Report) -> WandbSection:
    steps = [f"- {plain(step.text)}" + (f" `{_code(step.command)}`" if step.command else "")
             for step in next_steps(group, report)]  # fmt: skip
    return WandbSection(
        title=printable(describe(group.ranked.group)) or "All runs",
        text=_text(group, report),
        command=printable(group.best.command or ""),
        ranking=_ranking(group),
        pick=group.best.run.id,
        runs=tuple(run.id for run in group.runs),
        panels=tuple(_panels(group, report)),
        next_steps="\n".join(steps),
    )


def _text(group: GroupReport, report: Report) -> str:
    config = group.best.run.config
    shown = group.ranked.swept or tuple(group.best.hyperparameters)
    settings = [f"- {plain(name)}: {plain(str(config.get(name)))}" for name in shown]
    figures = [
        f"- **{plain(tile.value)}** {plain(tile.name)} ({plain(tile.note)})"
        for tile in tiles(group, cost(group))
    ]
    said = [plain(note) for note in notes(group)]
    pick = f"**{plain(label(group.best.run))}**: {plain(why(group, report.ranking))}"
    return "\n\n".join([pick, "\n".join(settings), "\n".join(figures), *said])


def _ranking(group: GroupReport) -> str:
    """rank, run, score, accuracy where known, hyperparameters."""
    accuracy = group.judged.mean_accuracies if group.judged else {}
    titles = [
        "rank",
        "run",
        group.held[0].name,
        *([group.held[-1].name] if accuracy else []),
        *group.ranked.swept,
    ]
    lines = [_line([plain(title) for title in titles]), _line(["---"] * len(titles))]
    for ranked in group.ranked.ranking[:MOST_ROWS]:
        cells = [f"{ranked.rank}{'=' if ranked.tied else ''}", label(ranked.run), number(ranked.score)]
        if accuracy:
            cells.append(number(accuracy.get(ranked.run.id)))
        cells += [str(ranked.run.config.get(name)) for name in group.ranked.swept]
        lines.append(_line([plain(cell) for cell in cells]))
    more = len(group.ranked.ranking) - MOST_ROWS
    return "\n".join(lines) + (f"\n\n… and {more} more" if more > 0 else "")


def _panels(group: GroupReport, report: Report) -> list[Panel]:
    metric, oracle = report.ranking.metric, report.oracle
    # W&B draws what the runs logged: of the consensus, its parts.
    logged = (
        [(part, part.direction) for part in PARTS]
        if metric is CONSENSUS
        else [(metric, group.ranked.direction)]
    )
    panels: list[Panel] = [
        LinePanel(f"{one.name} along training ({'higher' if way == 'max' else 'lower'} is better)", one.key)
        for one, way in logged
    ]
    keys = [one.key for one, _ in logged]
    if group.judged:
        panels.append(LinePanel(f"{oracle.name} along training", oracle.key))
        panels += [
            ScatterPanel(f"What {one.name} saw, and what labels say", one.key, oracle.key)
            for one, _ in logged
        ]
        keys.append(oracle.key)
    if group.ranked.swept:
        panels.append(ParallelPanel("Hyperparameters", tuple(group.ranked.swept), tuple(keys)))
    return panels


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _code(command: str) -> str:
    return printable(command).replace("`", "'")
