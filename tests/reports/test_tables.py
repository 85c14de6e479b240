"""Tables: the rows, and that whatever comes from elsewhere is plain text of at most 80 columns."""

import io

from handmade import RANKME, run, sweep

from selector.reports.opinions import Opinions
from selector.reports.tables import excluded_rows, open_console, print_ranking
from selector.runs import Unreadable
from selector.selection.candidates import Excluded
from selector.selection.ranking import rank

EVIL = "[red]x[/red] \x1b[31m\x07[link=http://e]\n:smile: " + "w" * 120


def drawn(ranking):
    file = io.StringIO()
    print_ranking(ranking, [Opinions()] * len(ranking.groups), open_console(file))
    return file.getvalue()


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
        run("a", 1.0),
        run("b", 2.0),
        run("c", 3.0, state="diverged", detail="loss became nan in epoch 3"),
        planned=5,
        finish_command="selector sweep s.yaml",
    )
    text = drawn(rank(runs, RANKME))
    assert "Chosen: b" in text
    assert text.index("loss became nan in epoch 3") > text.index("Chosen")
    assert "2 of 3 runs ranked; 5 planned; 2 not started; to finish: selector sweep s.yaml" in text


def test_ties_are_explained():
    text = " ".join(drawn(rank(sweep(run("a", 1.0), run("b", 1.0)), RANKME)).split())
    assert "tied with 1 other (=); among equal scores, the run with the fewest epochs is chosen" in text


def test_many_runs_left_out_for_one_reason_share_a_row():
    gone = [Excluded(f"r{n}", "", "missing", "logged no x") for n in range(6)]
    other = Excluded("s", "", "failed", "failed")
    assert excluded_rows([*gone[:3], other, *gone[3:]]) == [
        ("6 runs", "logged no x (r0, r1, r2, …)"),
        ("s", "failed"),
    ]
    assert [run for run, _ in excluded_rows(gone[:5])] == ["r0", "r1", "r2", "r3", "r4"]
