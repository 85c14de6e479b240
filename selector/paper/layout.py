"""Tables of correlations: columns of figures for terminal and LaTeX, rows for CSV."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from selector.metrics import METRICS, LabelFreeMetric
from selector.paper.association import Entry
from selector.reports.words import correlation
from selector.text import csv_cell, printable

Column = tuple[tuple[str, ...], Mapping[str, Entry]]  # the lines above it, and its entries by metric
UNKNOWN = "–"
_LATEX = str.maketrans(
    {character: f"\\{character}" for character in "{}$&#%_"}
    | {"\\": r"\textbackslash{}", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}"}
)


def columns_of(entries: Iterable[Entry], lines: int | None = None) -> list[Column]:
    """A column for each of the entries' heads, of which the first `lines` are kept (None: all)."""
    columns: dict[tuple[str, ...], dict[str, Entry]] = {}
    for entry in entries:
        columns.setdefault(entry.heads[:lines], {})[entry.metric] = entry
    return list(columns.items())


def shown(entry: Entry | None) -> str:
    """With two decimals, and a star if it is marked."""
    if entry is None or entry.pearson is None:
        return UNKNOWN
    return correlation(entry.pearson) + "*" * entry.marked


def shown_in_latex(entry: Entry | None) -> str:
    """As in the paper: gray without significance, red below zero."""
    value = None if entry is None else entry.pearson
    text = "--" if value is None else f"${correlation(value)}$"
    if entry is None or value is None or not entry.marked:
        return rf"\textcolor{{gray}}{{{text}}}"
    return rf"\textcolor{{red}}{{{text}}}" if value < 0 else text


def interval_text(interval: tuple[float, float] | None) -> str:
    """Both ends of an interval; a dash where there is none."""
    return UNKNOWN if interval is None else "…".join(map(correlation, interval))


def reason_lines(entries: Sequence[Entry], head: int) -> list[str]:
    """Why entries are missing, each reason once with its columns and metrics; "all" where it concerns all.

    `head` is the place of the line that tells the columns apart.
    """
    concerned: dict[tuple[str, str], list[str]] = {}
    for entry in entries:
        if entry.reason:
            concerned.setdefault((entry.heads[head], entry.reason), []).append(entry.metric)
    metrics = len({entry.metric for entry in entries})
    return [
        f"{UNKNOWN} {column} ({', '.join(names) if len(names) < metrics else 'all'}): {reason}"
        for (column, reason), names in concerned.items()
    ]


def draw_columns(console: Console, columns: Sequence[Column]) -> None:
    """The metrics as rows, with a tick at those that read no labels, on at most 80 columns of text."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=0, show_edge=False)  # the box parts by a space
    table.add_column("metric", overflow="fold")
    table.add_column("no\nlabels", overflow="fold")
    for heads, _ in columns:
        head = Text("\n".join(map(printable, heads)))
        table.add_column(head, justify="right", overflow="fold", max_width=8)
    for name, mark, cells in _rows(columns):
        table.add_row(*map(Text, (printable(name), "✓" if mark else "", *map(shown, cells))))
    console.print(table)


def to_latex(columns: Sequence[Column], comments: Sequence[str]) -> str:
    r"""A tabular for \usepackage{booktabs,xcolor}; gray: p >= 0.05, red: r < 0."""
    import pandas as pd

    columns = [column for place, column in enumerate(columns) if column not in columns[:place]]
    rows = _rows(columns)
    marks = [r"$\checkmark$" if mark else r"$\times$" for _, mark, _ in rows]
    heads = [("",) * (len(columns[0][0]) - 1) + ("Label-free",), *(heads for heads, _ in columns)]
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


def _rows(columns: Sequence[Column]) -> list[tuple[str, bool, list[Entry | None]]]:
    """Of each metric its name, whether it is label-free, and its entries."""
    label_free = {metric.name for metric in METRICS if isinstance(metric, LabelFreeMetric)}
    label_free |= {entry.metric for _, own in columns for entry in own.values() if entry.label_free}
    names = dict.fromkeys(name for _, own in columns for name in own)
    return [(name, name in label_free, [own.get(name) for _, own in columns]) for name in names]
