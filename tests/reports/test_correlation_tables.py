import io

from handmade import ACCURACY, ENTROPY, RANKME, run, sweep

from selector.reports.correlation_tables import (
    AssociationRow,
    Cell,
    association_rows,
    group_line,
    notes,
    print_correlations,
    reason_lines,
    shown,
    table_columns,
)
from selector.reports.tables import open_console
from selector.runs import Milestone
from selector.selection.milestone_correlation import correlate_milestones

AMI = "labelled/ami_labels"


def trained(id, rankme, **more):
    """Accuracies 0.0, 0.1, … at epochs 0, 5, …; the entropy falls, the labels' AMI stands still."""
    rows = [
        Milestone(5 * e, {RANKME.key: x, ENTROPY.key: -x, AMI: 0.5, ACCURACY.key: e / 10})
        for e, x in enumerate(rankme)
    ]
    return run(id, milestones=tuple(rows), **more)


def report(*runs):
    return correlate_milestones(sweep(*runs), ACCURACY)


def drawn(*runs, published=False):
    file = io.StringIO()
    print_correlations(report(*runs), open_console(file), published)
    return file.getvalue()


FOUR = (1.0, 3.0, 2.0, 4.0)


def test_a_correlation_in_two_decimals():
    assert shown(Cell(0.876, True)) == "0.88*"
    assert shown(Cell(-0.2, False)) == "-0.20"
    assert shown(Cell(None, False)) == "–"


def test_all_statistics_of_one_run():
    # Ranks 1, 3, 2, 4 against 1, 2, 3, 4: r = ρ = 1 - 6 (1 + 1) / 60 = 0.8, τ = (5 - 1) / 6. Without the
    # first 3, 2, 4: r = ρ = 0.5, τ = 1/3.
    (group,) = report(trained("a", FOUR)).groups
    rows = association_rows(group)
    assert rows[:2] == [
        AssociationRow("rankme", "w/", "0.80", "0.80", "0.67", "–", "–"),
        AssociationRow("", "w/o", "0.50", "0.50", "0.33", "–", "–"),
    ]
    assert (rows[2].metric, rows[2].pearson) == ("entropy", "-0.80")
    assert (rows[4].metric, rows[4].pearson) == ("ami_labels", "–")
    assert group_line(group) == "simclr, digits: 1 run, 4 milestones w/, 3 w/o"
    assert reason_lines(group) == [
        "– w/ (ami_labels): ami_labels the same at all 4 milestones",
        "– w/o (ami_labels): ami_labels the same at all 3 milestones",
    ]


def test_several_runs_show_their_range():
    (group,) = report(trained("a", FOUR), trained("b", (4.0, 3.0, 2.0, 1.0, 0.0)), trained("c", FOUR)).groups
    assert association_rows(group)[0] == AssociationRow(
        "rankme", "w/", "0.80", "0.80", "0.67", "–", "-1.00…0.80"
    )
    assert group_line(group) == "simclr, digits: medians of 3 runs, 4–5 milestones w/, 3–4 w/o"


def test_intervals_and_stars():
    (group,) = report(trained("a", range(15))).groups
    assert association_rows(group)[0] == AssociationRow(
        "rankme", "w/", "1.00*", "1.00", "1.00", "1.00…1.00", "–"
    )


def test_two_milestones():
    (group,) = report(trained("a", (1.0, 2.0))).groups
    assert reason_lines(group) == [
        "– w/ (all): 2 milestones with both values, 3 are needed",
        "– w/o (all): 1 milestone with both values, 3 are needed",
    ]


def test_columns_of_table_one():
    runs = trained("a", FOUR), trained("b", FOUR, method="byol")
    ours, other = table_columns(report(*runs), published=False)
    assert (ours.method, ours.dataset, ours.paper) == ("byol", "digits", False)
    assert [shown(cell) for cell in other.cells["rankme"]] == ["0.80", "0.50"]
    columns = table_columns(report(*runs), published=True)
    assert [(c.method, c.dataset, c.paper) for c in columns] == [
        ("byol", "digits", False),
        ("simclr", "digits", False),
        ("simclr", "cifar10", True),
        ("simclr", "cifar100", True),
    ]
    assert columns[2].cells["entropy"] == (Cell(-0.57, True), Cell(-0.83, True))
    assert columns[3].cells["entropy"] == (Cell(0.18, False), Cell(-0.20, False))


def test_notes_say_what_the_figures_are_not():
    found = report(trained("a", FOUR, method="byol"), trained("b", FOUR, state="crashed"))
    text = " ".join(notes(found, published=True))
    assert "optimistic" in text
    assert "The paper has no figures for method byol." in text
    assert "arXiv:2409.06612, Table I" in text
    assert "Left out: b (crashed)." in text
    assert "paper" not in " ".join(notes(found, published=False))


def test_drawing():
    runs = [
        trained(str(id), FOUR, method=method, dataset=dataset)
        for id, (method, dataset) in enumerate(
            [("simclr", "fashion_mnist"), ("simsiam", "digits"), ("moco_v2", "cifar100"), ("x", "y")]
        )
    ]
    text = drawn(*runs, published=True)
    assert max(map(len, text.splitlines())) <= 80
    assert all(figure in text for figure in ("0.80", "0.50", "-0.57*", "0.60*", "paper w/"))
    assert text.index("clustering_agreement") > 0  # the paper's metrics that the runs have not


def test_names_are_data():
    text = drawn(trained("a", FOUR, method="[red]\x1b[31m" + "w" * 90, dataset="d\n" * 50))
    assert "\x1b" not in text
    assert "[red]" in text
    assert max(map(len, text.splitlines())) <= 80
