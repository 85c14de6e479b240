import io
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from selector.reports.sweep_progress import SweepBar
from selector.sweeping.ledger import Ledger, LedgerRun
from selector.sweeping.reporter import SweepProgress
from selector.sweeping.sweep_file import Objective


def tell(bar: SweepBar) -> None:
    run = LedgerRun(index=0, id="abcd1234", config={"temperature": 0.5}, status="running", started=0.0)
    ledger = Ledger(sweep="sweep123", seed=0, planned=3, sweep_file={}, runs=(run,))
    ended = replace(run, status="failed", ended=1.0, reason="[red]bad\x1b[31m thing")
    with bar:
        bar.sweep_started(SweepProgress(Path("dir"), replace(ledger, runs=()), None))
        bar.run_started(run, SweepProgress(Path("dir"), ledger, None))
        bar.run_advanced(run, [1.0, 2.0])
        bar.run_ended(ended, SweepProgress(Path("dir"), replace(ledger, runs=(ended,)), None))
        done = replace(run, status="finished", objective=3.25)
        bar.run_ended(done, SweepProgress(Path("dir"), replace(ledger, runs=(done,)), None))
        bar.note("a note")


def test_events_are_lines_and_the_bar_counts():
    file = io.StringIO()
    tell(SweepBar(Console(file=file, width=200, markup=False)))
    text = file.getvalue()
    assert "sweep sweep123 in dir" in text
    assert "abcd1234 started: temperature=0.5" in text
    assert "abcd1234 failed: [red]bad [31m thing" in text
    assert "abcd1234 finished, 3.25" in text
    assert "a note" in text
    assert "1/3" in text
    assert "\x1b" not in text
    assert max(len(line) for line in text.splitlines()) <= 80


def test_a_terminal_shows_the_best_so_far_the_run_that_goes_and_the_time_left():
    file = io.StringIO()
    console = Console(file=file, width=80, markup=False, force_terminal=True, color_system=None)
    first = LedgerRun(index=0, id="first", config={}, status="finished", started=0.0, objective=3.25)
    second = LedgerRun(index=1, id="second", config={}, status="running", started=0.0)
    ledger = Ledger(sweep="s", seed=0, planned=3, sweep_file={}, runs=(first,))
    bar = SweepBar(console)
    now = iter([0.0, *[60.0] * 20])
    bar._bar.get_time = lambda: next(now, 100.0)
    with bar:
        objective = Objective("rankme", "maximize", None)
        bar.sweep_started(SweepProgress(Path("dir"), replace(ledger, runs=()), objective))
        bar.run_ended(first, SweepProgress(Path("dir"), ledger, objective))
        bar.run_advanced(second, [1.0, 2.0])
        for _ in range(20):
            bar._bar.get_time()
        line = "".join(segment.text for segment in console.render(bar._bar.get_renderable()))
    # One of three took 60 s, so two take 120 s, of which 40 s are over.
    assert "1/3 0:01:40 0:01:20 left best 3.25 second ▁█" in line
    assert len(line.splitlines()[0]) <= 80


def test_quiet_says_what_went_wrong_alone():
    file = io.StringIO()
    tell(SweepBar(Console(file=file, width=200, markup=False), quiet=True))
    assert file.getvalue() == "abcd1234 failed: [red]bad [31m thing\na note\n"
