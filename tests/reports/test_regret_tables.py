import io
from math import nan

from handmade import ACCURACY, ENTROPY, RANKME, curve, run, sweep

from selector.reports.regret_tables import accuracy_line, print_regret, run_rows, tie_lines, training_rows
from selector.reports.rows import choice_rows
from selector.reports.tables import open_console
from selector.runs import Milestone
from selector.selection.regret import regret

FOUR = (("a", 10.0, 0.2), ("b", 20.0, 0.9), ("c", 30.0, 0.6), ("d", 40.0, 0.7))


def judge(*rows, metrics=(RANKME,)):
    return regret(sweep(*(run(id, score, accuracy) for id, score, accuracy in rows)), metrics, ACCURACY)


def cells(group):
    return {row.chosen_by: row.cells for row in choice_rows(group)}


def test_rows_in_percent():
    # 0.9 and 0.7 of 400 images: standard error of the difference 0.0274, times Φ⁻¹(1 - 0.025 / 3) = 2.394.
    rows = cells(judge(*FOUR).groups[0])
    assert rows["rankme"] == ("rankme ↑", "d", "70.0", "20.0", "13.4–26.6", "0.40", "0.33")
    assert rows["random (expected)"] == ("random (expected)", "–", "60.0", "30.0", "", "", "")
    assert rows["label oracle"][3] == "0.0"
    assert rows["lowest loss"][2] == "–"  # no loss was logged


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
    assert training_rows(group) == [("rankme", "not by 20", "–", "–", "█▁")]
    (group,) = regret(sweep(b), [RANKME], ACCURACY).groups
    assert training_rows(group)[0][-1] == "▁▁"
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


def trained(id, scores, accuracies):
    rows = [
        Milestone(5 * i, {RANKME.key: score, ENTROPY.key: score, ACCURACY.key: accuracy})
        for i, (score, accuracy) in enumerate(zip(scores, accuracies, strict=True))
    ]
    return run(id, milestones=tuple(rows))


# Milestone 0 is the untrained network: it has the highest score of all, and must not stretch the scale.
ALONG = (
    trained("a", (99.0, 0.0, 7.0), (0.1, 0.0, 0.75)),
    trained("b", (99.0, 2.0, 4.0), (0.1, 0.4, 0.8)),
    trained("c", (99.0, 1.0, 2.0), (0.1, 0.35, 0.55)),
    trained("d", (99.0, 3.0, 3.0), (0.1, 0.6, 0.6)),
)


def test_chosen_best_and_worst_runs_on_one_scale():
    (group,) = regret(sweep(*ALONG), [RANKME], ACCURACY).groups
    # Scores 0 to 7 and accuracies 0 to 0.8, in eight steps.
    assert run_rows(group, ACCURACY) == [
        ("b", "80.0", "▅█", "4.000", "▃▅", "(best)"),
        ("a", "75.0", "▁█", "7.000", "▁█", "rankme"),
        ("c", "55.0", "▄▆", "2.000", "▂▃", "(worst)"),
    ]
    lacks = run("e", milestones=(Milestone(5, {ACCURACY.key: 0.95}),))
    (group,) = regret(sweep(*ALONG, lacks), [RANKME], ACCURACY).groups
    assert run_rows(group, ACCURACY)[0] == ("e", "95.0", "█", "–", "", "(best)")
