import io
from math import nan

from handmade import ACCURACY, ENTROPY, RANKME, curve, run, sweep

from selector.reports.regret_tables import (
    RegretRow,
    TrainingRow,
    accuracy_line,
    print_regret,
    regret_rows,
    tie_lines,
    training_rows,
)
from selector.reports.tables import open_console
from selector.selection.regret import regret

FOUR = (("a", 10.0, 0.2), ("b", 20.0, 0.9), ("c", 30.0, 0.6), ("d", 40.0, 0.7))


def judge(*rows, metrics=(RANKME,)):
    return regret(sweep(*(run(id, score, accuracy) for id, score, accuracy in rows)), metrics, ACCURACY)


def test_rows_in_percent():
    # 0.9 and 0.7 of 400 images: standard error of the difference 0.0274, times Φ⁻¹(1 - 0.025 / 3) = 2.394.
    rows = {row.chosen_by: row for row in regret_rows(judge(*FOUR).groups[0])}
    assert rows["rankme ↑"] == RegretRow("rankme ↑", "d", "70.0", "20.0", "13.4–26.6", "0.40", "0.33")
    assert rows["random (expected)"] == RegretRow("random (expected)", "–", "60.0", "30.0", "", "", "")
    assert rows["label oracle"].regret == "0.0"
    assert rows["lowest loss"].accuracy == "–"  # no loss was logged


def test_what_is_no_fraction_is_shown_as_logged():
    rows = regret_rows(judge(("a", 1.0, 50.0), ("b", 2.0, 47.0)).groups[0])
    assert (rows[0].accuracy, rows[0].regret) == ("47.00", "3.000")


def test_a_star_marks_what_chance_would_rarely_do():
    rows = regret_rows(judge(*((f"r{i}", float(i), i / 10) for i in range(9))).groups[0])
    assert (rows[0].spearman, rows[0].kendall, rows[0].interval) == ("1.00*", "1.00*", "0.0–0.0")


def test_no_star_where_chance_would_do_as_well():
    # Three runs in perfect order: p = 2/6.
    rows = regret_rows(judge(("a", 1.0, 0.1), ("b", 2.0, 0.2), ("c", 3.0, 0.3)).groups[0])
    assert (rows[0].spearman, rows[0].kendall) == ("1.00", "1.00")


def test_what_there_was_to_win():
    # 0.9 of 400 images: ± 1.5 points; 0.2, 0.6 and 0.7 are further away.
    assert accuracy_line(judge(*FOUR).groups[0]) == (
        "4 runs, 4 configurations: best 90.0 ± 1.5 (b), mean 60.0, worst 20.0"
    )
    near = judge(("a", 1.0, 0.9), ("b", 2.0, 0.89)).groups[0]
    assert accuracy_line(near).endswith("; the oracle cannot tell 2 of them from the best")


def test_ties_in_words():
    tied = judge(("a", 1.0, 0.9), ("b", 1.0, 0.7), ("c", 0.0, 0.5)).groups[0]
    assert tie_lines(tied) == ["rankme: 2 runs tied; expected regret 10.0, worst 20.0"]
    assert tie_lines(judge(*FOUR).groups[0]) == []


def test_rows_along_training():
    a = run("a", milestones=curve((10, 5.0), (20, 1.0), accuracy=0.4))
    b = run("b", milestones=curve((10, 4.0), (20, 4.0), accuracy=0.8))
    (group,) = regret(sweep(a, b), [RANKME], ACCURACY).groups
    assert training_rows(group) == [TrainingRow("rankme", "not by 20", "–", "–", "█▁")]
    (group,) = regret(sweep(b), [RANKME], ACCURACY).groups
    assert training_rows(group)[0].regrets == "▁▁"
    assert training_rows(judge(*FOUR).groups[0]) == []  # one milestone: nothing to see


def test_drawing():
    runs = [
        run(id, score, accuracy, name="[red]\x1b[31m" + "w" * 90, values={"label_free/entropy": nan})
        for id, score, accuracy in FOUR
    ]
    file = io.StringIO()
    print_regret(regret(sweep(*runs), [RANKME, ENTROPY], ACCURACY), open_console(file))
    text = file.getvalue()
    assert "\x1b" not in text
    assert "random (expected)" in text
    assert max(len(line) for line in text.splitlines()) <= 80
