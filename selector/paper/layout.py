"""Tables of correlations: columns of figures for terminal and LaTeX, rows for CSV."""

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, Literal

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from selector.metrics import METRICS, LabelFreeMetric
from selector.text import csv_cell, printable

UNKNOWN = "–"
_LATEX = str.maketrans(
    {character: f"\\{character}" for character in "{}$&#%_"}
    | {"\\": r"\textbackslash{}", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}"}
)


@dataclass(frozen=True)
class Figure:
    """A correlation, and whether its p-value is below 0.05."""

    value: float | None = None
    marked: bool = False

    def __str__(self) -> str:
        return two_decimals(self.value) + "*" * (self.marked and self.value is not None)

    def latex(self) -> str:
        """As in the paper: gray without significance, red below zero."""
        if self.value is None or not self.marked:
            text = "--" if self.value is None else f"${two_decimals(self.value)}$"
            return rf"\textcolor{{gray}}{{{text}}}"
        text = f"${two_decimals(self.value)}$"
        return rf"\textcolor{{red}}{{{text}}}" if self.value < 0 else text


@dataclass(frozen=True)
class Column:
    """One column of figures.

    Attributes:
        heads: Lines above it.
        cells: By name of the metric.
    """

    heads: tuple[str, ...]
    cells: Mapping[str, Figure]


def two_decimals(value: float | None) -> str:
    """A correlation, never as -0.00; a dash where there is none."""
    return UNKNOWN if value is None else f"{round(value, 2) + 0.0:.2f}"


def interval_text(interval: tuple[float, float] | None) -> str:
    """Both ends of an interval; a dash where there is none."""
    return UNKNOWN if interval is None else "…".join(map(two_decimals, interval))


def draw_columns(console: Console, columns: Sequence[Column], label_free: Set[str]) -> None:
    """The metrics as rows; a tick at those that read no labels, beside the paper's own."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=0, show_edge=False)  # the box parts by a space
    table.add_column("metric", overflow="fold")
    table.add_column("no\nlabels", overflow="fold")
    for column in columns:
        head = Text("\n".join(map(printable, column.heads)))
        table.add_column(head, justify="right", overflow="fold", max_width=8)
    for name, mark, cells in _rows(columns, label_free):
        table.add_row(*map(Text, (printable(name), "✓" if mark else "", *map(str, cells))))
    console.print(table)


def draw_rows(console: Console, titles: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> None:
    """A table of texts; columns from number `left` on are aligned to the right."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1), show_edge=False)
    for number, title in enumerate(titles):
        side: Literal["left", "right"] = "left" if number < left else "right"
        table.add_column(Text(printable(title)), justify=side, overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable(text)) for text in row))
    console.print(table)


def to_latex(columns: Sequence[Column], label_free: Set[str], comments: Sequence[str]) -> str:
    r"""A tabular for \usepackage{booktabs,xcolor}; gray: p >= 0.05, red: r < 0."""
    import pandas as pd

    unlike = list(dict.fromkeys((column.heads, tuple(column.cells.items())) for column in columns))
    columns = [Column(heads, dict(cells)) for heads, cells in unlike]
    depth = len(columns[0].heads)
    heads = [("",) * (depth - 1) + ("Label-free",), *(column.heads for column in columns)]
    frame = pd.DataFrame(
        [
            [r"$\checkmark$" if mark else r"$\times$", *(cell.latex() for cell in cells)]
            for _, mark, cells in _rows(columns, label_free)
        ],
        index=[latex(name) for name, _, _ in _rows(columns, label_free)],
        columns=pd.MultiIndex.from_tuples([tuple(map(latex, names)) for names in heads]),
    )
    shape = "lc" + "r" * len(columns)
    table: str = frame.to_latex(escape=False, column_format=shape, multicolumn_format="c")
    return "".join(f"% {' '.join(printable(line).split())}\n" for line in comments) + table


def latex(text: str) -> str:
    """Text from elsewhere for LaTeX: never a command."""
    return printable(text).translate(_LATEX)


def to_csv(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], renamed: Mapping[str, str]) -> str:
    """A line a row; text is never a formula to a spreadsheet.

    Args:
        rows: An interval becomes two columns, and a reason for its absence stands in for any other.
        columns: In their order; what a row lacks is empty.
        renamed: Keys of the rows that are called otherwise in the file.
    """
    import pandas as pd

    cells = []
    for row in rows:
        low, high = row.get("interval") or (None, None)
        reason = row.get("reason") or row.get("interval_reason")
        named = {renamed.get(name, name): csv_cell(value) for name, value in row.items()}
        cells.append(named | {"interval_low": low, "interval_high": high, "reason": csv_cell(reason)})
    frame = pd.DataFrame(cells, dtype=object).reindex(columns=columns)
    table: str = frame.to_csv(index=False, lineterminator="\n")
    return table


def _rows(columns: Sequence[Column], label_free: Set[str]) -> Iterator[tuple[str, bool, tuple[Figure, ...]]]:
    """Of each metric its name, whether it is label-free, and its figures."""
    label_free = label_free | {metric.name for metric in METRICS if isinstance(metric, LabelFreeMetric)}
    for name in dict.fromkeys(name for column in columns for name in column.cells):
        yield name, name in label_free, tuple(column.cells.get(name, Figure()) for column in columns)
