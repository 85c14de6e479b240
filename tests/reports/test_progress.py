"""Progress is for terminals, and gone in the end."""

import io

from rich.console import Console

from selector.reports.progress import progress


def shown(terminal: bool = True, quiet: bool = False, after: float = 0.0, unit: str = "runs") -> str:
    file = io.StringIO()
    with progress(quiet, unit, after, Console(file=file, force_terminal=terminal, width=80)) as show:
        show("reading\x1b[31m [red]", 0, None)
        show("reading", 3, 12)
    return file.getvalue()


def test_a_line_that_is_gone_in_the_end():
    text = shown()
    assert "reading [31m [red]" in text  # an escape or markup from elsewhere is none any more
    assert "3/12" in text
    assert text.rstrip().endswith("\x1b[2K")


def test_no_line_where_nobody_looks_or_wants_one_or_nothing_takes_long():
    assert shown(terminal=False) == shown(quiet=True) == shown(after=60.0) == ""


def test_what_is_left_is_judged_by_what_is_done():
    now = 100.0
    file = io.StringIO()
    with progress(
        unit="images", console=Console(file=file, force_terminal=True, get_time=lambda: now)
    ) as show:
        show("embedding", 0, 40)
        now = 130.0  # 10 of 40 took 30 s: 30 more take 90 s
        show("embedding", 10, 40)
    assert "10/40, 0.333 images/s 0:01:30 left" in file.getvalue()
