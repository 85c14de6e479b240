import io

import pytest
from rich.console import Console

from selector.reports.reading_bar import ReadingBar


def read(terminal: bool) -> str:
    shown = io.StringIO()
    with ReadingBar(Console(file=shown, force_terminal=terminal, width=80)) as bar:
        bar(0, 0)
        bar(3, 12)
    return shown.getvalue()


def test_a_bar_on_a_terminal_that_is_gone_in_the_end(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("selector.reports.reading_bar._AFTER_SECONDS", 0.0)
    shown = read(terminal=True)
    assert "reading runs" in shown
    assert "3/12" in shown
    assert shown.rstrip().endswith("\x1b[2K")  # its line is erased


def test_nothing_for_a_quick_read_or_elsewhere(monkeypatch: pytest.MonkeyPatch):
    assert read(terminal=True) == ""
    monkeypatch.setattr("selector.reports.reading_bar._AFTER_SECONDS", 0.0)
    assert read(terminal=False) == ""
