import io

from handmade import ACCURACY, ENTROPY, RANKME, run, sweep

from selector.reports.along_training import RunRow, _listed, run_rows
from selector.reports.regret_tables import print_regret
from selector.reports.tables import open_console
from selector.runs import Milestone
from selector.selection.regret import regret


def trained(id, scores, accuracies, **more):
    rows = [
        Milestone(5 * i, {RANKME.key: score, ENTROPY.key: score, ACCURACY.key: accuracy})
        for i, (score, accuracy) in enumerate(zip(scores, accuracies, strict=True))
    ]
    return run(id, milestones=tuple(rows), **more)


# Milestone 0 is the untrained network: it has the highest score of all, and must not stretch the scale.
RUNS = (
    trained("a", (99.0, 0.0, 7.0), (0.1, 0.0, 0.75)),
    trained("b", (99.0, 2.0, 4.0), (0.1, 0.4, 0.8)),
    trained("c", (99.0, 1.0, 2.0), (0.1, 0.35, 0.55)),
    trained("d", (99.0, 3.0, 3.0), (0.1, 0.6, 0.6)),
)


def test_chosen_best_and_worst_runs_on_one_scale():
    (group,) = regret(sweep(*RUNS), [RANKME], ACCURACY).groups
    # Scores 0 to 7 and accuracies 0 to 0.8, in eight steps.
    assert run_rows(group, ACCURACY) == [
        RunRow("b", "80.0", "▅█", "4.000", "▃▅", "(best)"),
        RunRow("a", "75.0", "▁█", "7.000", "▁█", "rankme"),
        RunRow("c", "55.0", "▄▆", "2.000", "▂▃", "(worst)"),
    ]


def test_one_run_that_several_metrics_choose():
    (group,) = regret(sweep(*RUNS), [RANKME, ENTROPY], ACCURACY, direction="max").groups
    assert {row.run: row.chosen_by for row in run_rows(group, ACCURACY)}["a"] == "rankme, entropy"
    (group,) = regret(sweep(*RUNS[:2]), [RANKME, ENTROPY], ACCURACY, direction="max").groups
    assert {row.run: row.chosen_by for row in run_rows(group, ACCURACY)}["a"] == "(worst), rankme, entropy"


def test_names_that_do_not_fit_are_counted():
    assert _listed(["rankme", "entropy", "clustering_agreement"]) == "rankme, entropy, 1 more"
    assert (
        _listed(["clustering_agreement", "silhouette_umap"]) == "clustering_agreement, 1 more"
    )  # one always
    assert _listed(["rankme"]) == "rankme"


def test_a_run_without_the_metric():
    lacks = run("e", milestones=(Milestone(5, {ACCURACY.key: 0.95}),))
    (group,) = regret(sweep(*RUNS, lacks), [RANKME], ACCURACY).groups
    assert run_rows(group, ACCURACY)[0] == RunRow("e", "95.0", "█", "–", "", "(best)")


def test_it_is_drawn_within_80_columns():
    many = tuple(float(i) for i in range(40))
    runs = [trained(id, many, [i / 40 for i in range(40)], name="[red]\x1b[31m" + "w" * 30) for id in "abcd"]
    file = io.StringIO()
    print_regret(regret(sweep(*runs), [RANKME, ENTROPY], ACCURACY), open_console(file))
    text = file.getvalue()
    assert "linear_probe_accuracy and rankme along training:" in text
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 80
