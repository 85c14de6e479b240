import io

from selector.reports.step_line import StepLine


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(stream: io.StringIO, quiet: bool = False) -> str:
    with StepLine(quiet, stream) as line:
        line("[1/2] first\x1b[31m")
        line("x" * 300)
    return stream.getvalue()


def test_one_line_that_is_gone_in_the_end(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    texts = shown(Terminal()).split("\r\x1b[K")
    # 80 columns hold 79 characters and the cursor; an escape from elsewhere is none any more
    assert texts == ["", "[1/2] first [31m", "x" * 79, ""]


def test_nothing_where_nobody_looks_or_wants_to():
    assert shown(io.StringIO()) == ""
    assert shown(Terminal(), quiet=True) == ""
    unused = Terminal()
    with StepLine(stream=unused):
        pass
    assert unused.getvalue() == ""
