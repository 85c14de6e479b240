"""Tables: the rows, and that whatever comes from elsewhere is plain text of at most 80 columns."""

import io
from math import nan

import pytest
from handmade import ENTROPY, RANKME, curve, run, sweep

from selector.reports.tables import (
    RankRow,
    _value,
    correlation,
    coverage_line,
    excluded_rows,
    number,
    open_console,
    print_ranking,
    ranking_rows,
)
from selector.runs import Milestone, Unreadable
from selector.selection.candidates import Excluded
from selector.selection.ranking import rank

EVIL = "[red]x[/red] \x1b[31m\x07[link=http://e]\n:smile: " + "w" * 120


def drawn(ranking):
    file = io.StringIO()
    print_ranking(ranking, open_console(file))
    return file.getvalue()


def test_rows_of_a_ranking():
    runs = [
        run("a", milestones=curve((0, 100.0), (5, 1.0), (10, 3.0)), name="first", temperature=0.1),
        run("b", milestones=curve((5, 8.0), (10, nan), (15, 8.0)), temperature=0.2),
    ]
    ranking = rank(sweep(*runs), RANKME)
    (first, second) = ranking_rows(ranking.groups[0], RANKME)
    assert first == RankRow("1", "b", "8.000", "█·█", "learning_rate=0.098 temperature=0.2")
    assert second == RankRow("2", "a first", "3.000", "▁▃", "learning_rate=0.097 temperature=0.1")


def test_rows_show_ties_and_noise():
    runs = [
        run(id, values={"label_free/entropy": h, "noise/entropy": 0.3}) for id, h in (("a", 3.0), ("b", 3.1))
    ]
    rows = ranking_rows(rank(sweep(*runs), ENTROPY).groups[0], ENTROPY)
    assert [(row.rank, row.score) for row in rows] == [("1=", "3.000 ±0.17"), ("2=", "3.100 ±0.17")]


def test_names_and_settings_are_never_markup_or_escapes():
    runs = [run("a", 1.0, name=EVIL, note=EVIL), run("b", 2.0, note=[EVIL])]
    text = drawn(rank(sweep(*runs, unreadable=(Unreadable(EVIL, EVIL),), finish_command=EVIL), RANKME))
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "[red]" in text  # shown as it is
    assert ":smile:" in text
    assert max(len(line) for line in text.splitlines()) <= 80


def test_drawing_says_what_was_not_ranked_and_how_to_finish():
    runs = sweep(
        run("a", 1.0), run("b", 2.0), run("c", 3.0, state="diverged", detail="loss became nan in epoch 3"),
        planned=5, finish_command="selector sweep s.yaml",
    )  # fmt: skip
    text = drawn(rank(runs, RANKME))
    assert "Chosen: b" in text
    assert text.index("loss became nan in epoch 3") > text.index("Chosen")
    assert "2 of 3 runs ranked; 5 planned; 2 not started; to finish: selector sweep s.yaml" in text


def test_a_finished_sweep_has_nothing_to_finish():
    ranking = rank(sweep(run("a", 1.0), run("b", 2.0), planned=2, finish_command="no need"), RANKME)
    assert coverage_line(ranking.coverage) == "2 of 2 runs ranked; 2 planned"


def test_ties_are_explained():
    text = " ".join(drawn(rank(sweep(run("a", 1.0), run("b", 1.0)), RANKME)).split())
    assert "tied with 1 other (=); of equal scores the run with the fewest epochs is chosen" in text


def test_a_console_is_never_wider_than_80(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert open_console(io.StringIO()).width == 80
    monkeypatch.setenv("COLUMNS", "60")
    assert open_console(io.StringIO()).width == 60


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (34.6, "34.60"),
        (0.00012345, "0.0001234"),
        (1e9, "1.000e+09"),
        (1234.0, "1234"),
        (0.0, "0.000"),
    ],
)
def test_numbers(value, text):
    assert number(value) == text


def test_only_trained_milestones_are_drawn():
    only = run("a", milestones=(Milestone(0, {RANKME.key: 99.0}), Milestone(5, {RANKME.key: 1.0})))
    (row,) = ranking_rows(rank(sweep(only), RANKME).groups[0], RANKME)
    assert row.training == "▅"


def test_many_runs_left_out_for_one_reason_share_a_row():
    gone = [Excluded(f"r{n}", "", "missing", "logged no x") for n in range(6)]
    other = Excluded("s", "", "failed", "failed")
    assert [(row.run, row.reason) for row in excluded_rows([*gone[:3], other, *gone[3:]])] == [
        ("6 runs", "logged no x (r0, r1, r2, …)"),
        ("s", "failed"),
    ]
    assert [row.run for row in excluded_rows(gone[:5])] == ["r0", "r1", "r2", "r3", "r4"]


def test_whole_numbers_are_written_whole_and_no_correlation_is_minus_zero():
    assert [_value(65536.0), _value(0.25), _value(1e-7), _value(2e9)] == ["65536", "0.25", "1e-07", "2e+09"]
    assert [correlation(v) for v in (-0.004, -6.5e-17, 0.465, -1, None)] == [
        "0.00",
        "0.00",
        "0.47",
        "-1.00",
        "–",
    ]
