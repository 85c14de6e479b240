"""Results on a terminal: at most 80 columns, from the rows that the page and W&B show too.

Whatever comes from W&B or a file is drawn as plain text: never markup, never terminal escapes.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import TextIO

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from selector.reports.opinions import Opinions
from selector.reports.rows import rank_rows
from selector.reports.words import label
from selector.selection.candidates import Excluded
from selector.selection.comparability import describe
from selector.selection.ranking import TIE_BREAK, Coverage, RankedGroup, Ranking
from selector.text import printable

WIDTH = 80
MOST_ALIKE = 5  # runs left out for one reason that are named one by one


class _Console(Console):
    """Rich's own would end the program with status 1 when its reader, such as `head`, has seen enough."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def open_console(file: TextIO | None = None) -> Console:
    """A console of at most 80 columns on a stream (None: stdout)."""
    console = _Console(file=file, highlight=False, markup=False, emoji=False)
    console.width = min(WIDTH, console.width)
    return console


def table_of(
    titles: Sequence[str], rows: Iterable[Sequence[str]], right: Collection[str] = (), after: int = 0
) -> Table:
    """A table of texts.

    Args:
        titles: Column heads.
        rows: One text per column.
        right: Titles of the columns that are aligned to the right.
        after: Rows above a dividing line; 0 draws none.
    """
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1), show_edge=False)
    for title in titles:
        table.add_column(_text(title), justify="right" if title in right else "left", overflow="fold")
    for index, row in enumerate(rows, start=1):
        table.add_row(*map(_text, row), end_section=index == after)
    return table


def _text(text: str) -> Text:
    return Text("\n".join(map(printable, text.split("\n"))))


def paragraph(console: Console, text: str) -> None:
    """A line of text, wrapped."""
    console.print(Text(printable(text)))


def print_ranking(ranking: Ranking, opinions: Sequence[Opinions], console: Console) -> None:
    """Draws a ranking, group by group, and what was not ranked; first of all, which metrics disagree.

    Args:
        ranking: What is drawn.
        opinions: What other metrics say of each group's pick.
        console: Where to.
    """
    metric = ranking.metric
    where = "last milestone" if ranking.milestone == "last" else f"epoch {ranking.milestone}"
    for group, said in zip(ranking.groups, opinions, strict=True):
        if said.others:
            paragraph(console, said.headline)
            heads = ("metric", "the pick is", "its own pick", "how firmly")
            console.print(table_of(heads, [row.cells for row in said.rows], right=("the pick is",)))
            paragraph(console, said.note)
            for line in said.settle:
                paragraph(console, f"To settle it, {line}.")
            console.print()
        better = "higher" if group.direction == "max" else "lower"
        paragraph(console, f"{metric.name}, {better} is better, {where}: {describe(group.group)}")
        rows = [
            (row.rank, row.run, row.score, row.training, row.hyperparameters)
            for row in rank_rows(group, metric.key)
        ]
        titles = ("rank", "run", metric.name, "training", "hyperparameters")
        console.print(table_of(titles, rows, right=("rank", metric.name)))
        paragraph(console, f"Chosen: {label(group.chosen)}{_tie_note(group)}")
        if said.headline and not said.others:
            paragraph(console, said.headline)
        console.print()
    if ranking.excluded:
        paragraph(console, "Not ranked, never chosen:")
        console.print(table_of(("run", "why"), excluded_rows(ranking.excluded)))
    paragraph(console, coverage_line(ranking.coverage))


def excluded_rows(excluded: Sequence[Excluded]) -> list[tuple[str, str]]:
    """What was not ranked, and why; many runs of one reason, such as a project's other runs, in one row."""
    alike: dict[str, list[str]] = {}
    for gone in excluded:
        alike.setdefault(gone.reason, []).append(gone.run)
    rows = []
    for reason, runs in alike.items():
        if len(runs) > MOST_ALIKE:
            rows.append((f"{len(runs)} runs", f"{reason} ({', '.join(runs[:3])}, …)"))
        else:
            rows += [(run, reason) for run in runs]
    return rows


def coverage_line(coverage: Coverage) -> str:
    """How much of the sweep was ranked, in a sentence."""
    parts = [f"{coverage.ranked} of {coverage.found} runs ranked"]
    if coverage.planned is not None:
        parts.append(f"{coverage.planned} planned")
    if coverage.not_started:
        parts.append(f"{coverage.not_started} not started")
    if coverage.finish_command and (coverage.ranked < coverage.found or coverage.not_started):
        parts.append(f"to finish: {coverage.finish_command}")
    return "; ".join(parts)


def _tie_note(group: RankedGroup) -> str:
    ties = len(group.tie_set)
    if ties < 2:
        return ""
    equal = sum(ranked.score == group.ranking[0].score for ranked in group.ranking)
    note = f", tied with {ties - 1} other{'s' if ties > 2 else ''} (=)"
    if equal < ties:
        note += " within what the metric's measured noise explains"
    return note + (f"; {TIE_BREAK}" if equal > 1 else "")
