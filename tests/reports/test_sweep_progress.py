import io
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from selector.reports.sweep_progress import SweepBar
from selector.sweeping.ledger import Ledger, LedgerRun
from selector.sweeping.reporter import SweepProgress


def test_events_are_lines_and_the_bar_counts():
    file = io.StringIO()
    run = LedgerRun(index=0, id="abcd1234", config={"temperature": 0.5}, status="running", started=0.0)
    ledger = Ledger(sweep="sweep123", seed=0, planned=3, sweep_file={}, runs=(run,))
    ended = replace(run, status="failed", ended=1.0, reason="[red]bad\x1b[31m thing")
    with SweepBar(Console(file=file, width=200, markup=False)) as bar:
        bar.sweep_started(SweepProgress(Path("dir"), replace(ledger, runs=()), None))
        bar.run_started(run, SweepProgress(Path("dir"), ledger, None))
        bar.run_advanced(run, [1.0, 2.0])
        bar.run_ended(ended, SweepProgress(Path("dir"), replace(ledger, runs=(ended,)), None))
        done = replace(run, status="finished", objective=3.25)
        bar.run_ended(done, SweepProgress(Path("dir"), replace(ledger, runs=(done,)), None))
        bar.note("a note")
    text = file.getvalue()
    assert "sweep sweep123 in dir" in text
    assert "abcd1234 started: temperature=0.5" in text
    assert "abcd1234 failed: [red]bad [31m thing" in text
    assert "abcd1234 finished, 3.25" in text
    assert "a note" in text
    assert "1/3" in text
    assert "\x1b" not in text
    assert max(len(line) for line in text.splitlines()) <= 80
