"""Progress is for terminals, and gone in the end."""

import io

import pytest
from rich.console import Console

from selector.reports.progress import reading_bar, step_line


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def steps(stream: io.StringIO, quiet: bool = False) -> str:
    with step_line(quiet, stream) as line:
        line("[1/2] first\x1b[31m")
        line("x" * 300)
    return stream.getvalue()


def test_one_line_that_is_gone_in_the_end(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    # 80 columns hold 79 characters and the cursor; an escape from elsewhere is none any more
    assert steps(Terminal()).split("\r\x1b[K") == ["", "[1/2] first [31m", "x" * 79, ""]


def test_no_line_where_nobody_looks_or_wants_one():
    assert steps(io.StringIO()) == steps(Terminal(), quiet=True) == ""
    unused = Terminal()
    with step_line(stream=unused):
        pass
    assert unused.getvalue() == ""


def reading(terminal: bool) -> str:
    shown = io.StringIO()
    with reading_bar(Console(file=shown, force_terminal=terminal, width=80)) as bar:
        bar(0, 0)
        bar(3, 12)
    return shown.getvalue()


def test_a_bar_while_runs_are_read(monkeypatch: pytest.MonkeyPatch):
    assert reading(terminal=True) == ""  # what is quick needs none
    monkeypatch.setattr("selector.reports.progress._AFTER_SECONDS", 0.0)
    shown = reading(terminal=True)
    assert "reading runs" in shown
    assert "3/12" in shown
    assert shown.rstrip().endswith("\x1b[2K")  # its line is erased
    assert reading(terminal=False) == ""
