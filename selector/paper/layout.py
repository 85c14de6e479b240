"""Tables of correlations: columns of figures for terminal and LaTeX, rows for CSV."""

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from selector.metrics import METRICS, LabelFreeMetric
from selector.paper.along_training import Cell
from selector.paper.association import Association
from selector.paper.published import Published
from selector.reports.words import correlation
from selector.text import csv_cell, printable

Figure = Association | Cell | Published  # has Pearson's r, and whether its p-value is below 0.05
UNKNOWN = "–"
_LATEX = str.maketrans(
    {character: f"\\{character}" for character in "{}$&#%_"}
    | {"\\": r"\textbackslash{}", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}"}
)


@dataclass(frozen=True)
class Column:
    """The lines above a column of a table, and its figures by name of the metric."""

    heads: tuple[str, ...]
    cells: Mapping[str, Figure]


def shown(figure: Figure | None) -> str:
    """With two decimals, and a star if it is marked."""
    if figure is None or figure.pearson is None:
        return UNKNOWN
    return correlation(figure.pearson) + "*" * figure.marked


def shown_in_latex(figure: Figure | None) -> str:
    """As in the paper: gray without significance, red below zero."""
    value = None if figure is None else figure.pearson
    text = "--" if value is None else f"${correlation(value)}$"
    if figure is None or value is None or not figure.marked:
        return rf"\textcolor{{gray}}{{{text}}}"
    return rf"\textcolor{{red}}{{{text}}}" if value < 0 else text


def interval_text(interval: tuple[float, float] | None) -> str:
    """Both ends of an interval; a dash where there is none."""
    return UNKNOWN if interval is None else "…".join(map(correlation, interval))


def reason_lines(undefined: Iterable[tuple[str, str, str]], metrics: int) -> list[str]:
    """Why figures are missing, each reason once with what it concerns.

    Args:
        undefined: Column, metric and reason of each figure that is missing.
        metrics: How many the table has: where a reason concerns so many they are not named.
    """
    concerned: dict[tuple[str, str], list[str]] = {}
    for column, metric, reason in undefined:
        concerned.setdefault((column, reason), []).append(metric)
    return [
        f"{UNKNOWN} {column} ({', '.join(names) if len(names) < metrics else 'all'}): {reason}"
        for (column, reason), names in concerned.items()
    ]


def draw_columns(console: Console, columns: Sequence[Column], label_free: Set[str] = frozenset()) -> None:
    """The metrics as rows; a tick at those that read no labels, beside the paper's own.

    Args:
        console: At most 80 columns wide.
        columns: At least one.
        label_free: Names of label-free metrics beside ours.
    """
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=0, show_edge=False)  # the box parts by a space
    table.add_column("metric", overflow="fold")
    table.add_column("no\nlabels", overflow="fold")
    for column in columns:
        head = Text("\n".join(map(printable, column.heads)))
        table.add_column(head, justify="right", overflow="fold", max_width=8)
    for name, mark, cells in _rows(columns, label_free):
        table.add_row(*map(Text, (printable(name), "✓" if mark else "", *map(shown, cells))))
    console.print(table)


def to_latex(columns: Sequence[Column], label_free: Set[str], comments: Sequence[str]) -> str:
    r"""A tabular for \usepackage{booktabs,xcolor}; gray: p >= 0.05, red: r < 0."""
    import pandas as pd

    columns = [column for place, column in enumerate(columns) if column not in columns[:place]]
    rows = _rows(columns, label_free)
    marks = [r"$\checkmark$" if mark else r"$\times$" for _, mark, _ in rows]
    heads = [("",) * (len(columns[0].heads) - 1) + ("Label-free",), *(column.heads for column in columns)]
    frame = pd.DataFrame(
        [[mark, *map(shown_in_latex, cells)] for mark, (_, _, cells) in zip(marks, rows, strict=True)],
        index=[latex(name) for name, _, _ in rows],
        columns=pd.MultiIndex.from_tuples([tuple(map(latex, names)) for names in heads]),
    )
    shape = "lc" + "r" * len(columns)
    table: str = frame.to_latex(escape=False, column_format=shape, multicolumn_format="c")
    return "".join(f"% {' '.join(printable(line).split())}\n" for line in comments) + table


def latex(text: str) -> str:
    """Text from elsewhere for LaTeX: never a command."""
    return printable(text).translate(_LATEX)


def to_csv(rows: Iterable[Mapping[str, Any]], columns: Sequence[str], renamed: Mapping[str, str]) -> str:
    """One line per row; text is never a formula to a spreadsheet.

    Args:
        rows: An interval becomes two columns, and a reason for its absence stands in for any other.
        columns: In their order; what a row lacks is empty.
        renamed: Keys of the rows that are called otherwise in the file.
    """
    import pandas as pd

    cells = []
    for row in rows:
        low, high = row.get("interval") or (None, None)
        ends = {"interval_low": low, "interval_high": high}
        ends["reason"] = row.get("reason") or row.get("interval_reason")
        cells.append({renamed.get(name, name): csv_cell(value) for name, value in {**row, **ends}.items()})
    table: str = pd.DataFrame(cells, columns=columns, dtype=object).to_csv(index=False, lineterminator="\n")
    return table


def _rows(
    columns: Sequence[Column], label_free: Set[str]
) -> list[tuple[str, bool, tuple[Figure | None, ...]]]:
    """Of each metric its name, whether it is label-free, and its figures."""
    label_free = label_free | {metric.name for metric in METRICS if isinstance(metric, LabelFreeMetric)}
    return [
        (name, name in label_free, tuple(column.cells.get(name) for column in columns))
        for name in dict.fromkeys(name for column in columns for name in column.cells)
    ]
