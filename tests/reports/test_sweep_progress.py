import io
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from selector.reports.sweep_progress import SweepBar
from selector.sweeping.state import SweepRun, SweepState


def tell(bar: SweepBar) -> None:
    run = SweepRun(index=0, id="abcd1234", config={"temperature": 0.5}, status="running")
    file = {"metric": {"name": "label_free/rankme", "goal": "maximize"}}
    state = SweepState(Path("dir"), "sweep123", seed=0, planned=3, sweep_file=file, runs=(run,))
    ended = replace(run, status="failed", reason="[red]bad\x1b[31m thing")
    with bar:
        bar.sweep_started(replace(state, runs=()))
        bar.run_started(run, state)
        bar.run_advanced(run, [1.0, 2.0])
        bar.run_ended(ended, replace(state, runs=(ended,)))
        done = replace(run, status="finished", objective=3.25)
        bar.run_ended(done, replace(state, runs=(done,)))
        bar.note("a note")


def test_events_are_lines_and_the_bar_counts():
    file = io.StringIO()
    tell(SweepBar(Console(file=file, width=200, markup=False)))
    text = file.getvalue()
    assert "sweep sweep123 in dir" in text
    assert "abcd1234 started: temperature=0.5" in text
    assert "abcd1234 failed: [red]bad [31m thing" in text
    assert "abcd1234 finished: rankme 3.25" in text
    assert "a note" in text
    assert "1/3" in text
    assert "\x1b" not in text
    assert max(len(line) for line in text.splitlines()) <= 80


def test_a_terminal_shows_the_best_so_far_the_run_that_goes_and_the_time_left():
    file = io.StringIO()
    console = Console(file=file, width=80, markup=False, force_terminal=True, color_system=None)
    first = SweepRun(index=0, id="first", config={}, status="finished", objective=3.25)
    second = SweepRun(index=1, id="second", config={}, status="running")
    file_content = {"metric": {"name": "label_free/rankme"}}
    state = SweepState(Path("dir"), "s", seed=0, planned=3, sweep_file=file_content, runs=(first,))
    bar = SweepBar(console)
    clock = [0.0]
    bar._bar.get_time = lambda: clock[0]
    with bar:
        bar.sweep_started(replace(state, runs=()))
        clock[0] = 60.0
        bar.run_ended(first, state)
        bar.run_advanced(second, [1.0, 2.0])
        clock[0] = 100.0
        line = "".join(segment.text for segment in console.render(bar._bar.get_renderable()))
    # One of three took 60 s, so two take 120 s, of which 40 s are over.
    assert "1/3 0:01:40 0:01:20 left best rankme 3.25 second ▁█" in line
    assert len(line.splitlines()[0]) <= 80
