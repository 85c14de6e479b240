"""Ink for rows that are tested elsewhere: static pictures by matplotlib, legible without colour."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selector.errors import UserError, writing
from selector.text import printable

# Okabe & Ito 2008, Color Universal Design: told apart with every kind of colour blindness.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
FORMATS = ("png", "svg", "pdf")


def plain(text: str) -> str:
    """Text from elsewhere for a picture: never matplotlib's mathematics, never control characters."""
    return printable(text).replace("$", r"\$")


def refuse_format(path: Path) -> None:
    """Stops before any work is done for a picture that could not be written.

    Raises:
        UserError: The file's name does not end in one of FORMATS.
    """
    if path.suffix.lower().lstrip(".") not in FORMATS:
        endings = ", ".join(f".{format}" for format in FORMATS)
        raise UserError(f"a picture's name must end in one of {endings}, got '{path}'")


@contextmanager
def picture(path: Path, width: float = 7.0, height: float = 4.5) -> Iterator[Any]:
    """An empty figure, in inches, that is written to `path` at the end.

    Raises:
        UserError: The file cannot be written, or its ending is unknown.
    """
    refuse_format(path)
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    style = {
        "font.size": 10,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "grid.color": "#E3E3E3",
        "axes.axisbelow": True,
        "svg.hashsalt": "selector",  # the same rows make the same file
        "svg.fonttype": "none",
    }
    with rc_context(style):
        figure = Figure(figsize=(width, height), dpi=150, layout="constrained")
        FigureCanvasAgg(figure)
        yield figure
        dated = {"png": {}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            figure.savefig(path, metadata=dated[path.suffix.lower().lstrip(".")])


def caption(figure: Any, text: str) -> None:
    """Small print under a picture, wrapped to its width."""
    import textwrap

    columns = int(figure.get_figwidth() * 15)
    figure.supxlabel("\n".join(textwrap.wrap(text, columns)), fontsize=8, color="#444444", x=0.02, ha="left")
