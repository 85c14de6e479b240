"""Table I on the terminal, as CSV, JSON and LaTeX."""

import csv
import io
import json

import pytest
from handmade import ACCURACY, ENTROPY, RANKME, run, sweep

from selector.paper.along_training import correlate_milestones
from selector.paper.association import Entry
from selector.paper.layout import latex, reason_lines, shown, shown_in_latex
from selector.paper.table_one import (
    association_rows,
    correlations_csv,
    correlations_latex,
    correlations_object,
    group_line,
    notes,
    print_correlations,
    table_columns,
)
from selector.reports.objects import as_json
from selector.reports.tables import open_console
from selector.runs import Milestone

AMI = "labelled/ami_labels"
# Ranks 1, 3, 2, 4 against 1, 2, 3, 4: r = ρ = 1 - 6 (1 + 1) / 60 = 0.8, τ = (5 - 1) / 6. Without the first
# 3, 2, 4: r = ρ = 0.5, τ = 1/3.
FOUR = (1.0, 3.0, 2.0, 4.0)


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


def lines(text):
    return list(csv.DictReader(io.StringIO(text)))


def entry(pearson, marked):
    return Entry(source="models", group="", dataset="", metric="m", pearson=pearson, marked=marked)


@pytest.mark.parametrize(
    ("figure", "text", "in_latex"),
    [
        (entry(0.876, True), "0.88*", "$0.88$"),
        (entry(-0.2, False), "-0.20", r"\textcolor{gray}{$-0.20$}"),
        (entry(-0.2, True), "-0.20*", r"\textcolor{red}{$-0.20$}"),
        (entry(-0.001, False), "0.00", r"\textcolor{gray}{$0.00$}"),
        (None, "–", r"\textcolor{gray}{--}"),
    ],
)
def test_a_correlation_in_two_decimals(figure, text, in_latex):
    assert (shown(figure), shown_in_latex(figure)) == (text, in_latex)


def test_all_statistics_of_one_run():
    (group,) = report(trained("a", FOUR)).groups
    rows = association_rows(group)
    assert rows[:2] == [
        ("rankme", "w/", "0.80", "0.80", "0.67", "–", "–"),
        ("", "w/o", "0.50", "0.50", "0.33", "–", "–"),
    ]
    assert [row[:3] for row in rows[2::2]] == [("entropy", "w/", "-0.80"), ("ami_labels", "w/", "–")]
    assert group_line(group) == "simclr, digits: 1 run, 4 milestones w/, 3 w/o"
    assert reason_lines(group.entries, head=-1) == [
        "– w/ (ami_labels): ami_labels the same at all 4 milestones",
        "– w/o (ami_labels): ami_labels the same at all 3 milestones",
    ]
    (two,) = report(trained("a", (1.0, 2.0))).groups
    assert reason_lines(two.entries, head=-1) == [
        "– w/ (all): 2 milestones with both values, 3 are needed",
        "– w/o (all): 1 milestone with both values, 3 are needed",
    ]


def test_columns_of_table_one():
    runs = trained("a", FOUR), trained("b", FOUR, method="byol")
    assert [heads for heads, _ in table_columns(report(*runs), published=False)] == [
        ("byol", "digits", "w/"),
        ("byol", "digits", "w/o"),
        ("simclr", "digits", "w/"),
        ("simclr", "digits", "w/o"),
    ]
    columns = dict(table_columns(report(*runs), published=True))
    assert [shown(columns["simclr", "digits", init]["rankme"]) for init in ("w/", "w/o")] == ["0.80", "0.50"]
    papers = [(data, init) for data in ("cifar10 (paper)", "cifar100 (paper)") for init in ("w/", "w/o")]
    assert list(columns)[4:] == [("simclr", *place) for place in papers]
    assert [shown(columns["simclr", *place]["entropy"]) for place in papers] == [
        "-0.57*",
        "-0.83*",
        "0.18",
        "-0.20",
    ]


def test_notes_say_what_the_figures_are_not():
    found = report(trained("a", FOUR, method="byol"), trained("b", FOUR, state="crashed"))
    text = " ".join(notes(found, published=True))
    for said in (
        "takes milestones for independent",
        "not corrected for the number of metrics",
        "milestone 0 stands in every resample of w/",
        "holds the true correlation in 80 to 91 % of cases",
        "The paper has no figures for method byol.",
        "arXiv:2409.06612, Table I",
        "Left out: b (crashed).",
    ):
        assert said in text, said
    assert "paper" not in " ".join(notes(found, published=False))


def test_drawn_within_80_columns_with_names_as_data():
    runs = [
        trained(str(id), FOUR, method=method, dataset=dataset)
        for id, (method, dataset) in enumerate(
            [("simclr", "fashion_mnist"), ("simsiam", "digits"), ("moco_v2", "cifar100"), ("x", "y")]
        )
    ]
    hostile = trained("e", FOUR, method="[red]\x1b[31m" + "w" * 90, dataset="d\n" * 50)
    text = drawn(*runs, hostile, published=True)
    assert max(map(len, text.splitlines())) <= 80
    assert all(figure in text for figure in ("0.80", "0.50", "-0.57*", "0.60*", "(paper)", "[red]"))
    assert "clustering_agreement" in text  # the paper's metrics that the runs have not
    assert "\x1b" not in text
    many = drawn(*(trained(id, range(40), name="[red]\x1b[31m" + "w" * 30) for id in "abcd"))
    assert "Along training of the first 3 runs" in many
    assert max(map(len, many.splitlines())) <= 80


def test_csv_of_several_runs_ends_with_their_median_and_the_papers_figures():
    found = report(trained("a", FOUR), trained("b", FOUR[::-1]), trained("c", FOUR))
    rows = lines(correlations_csv(found, published=True))
    first = [row for row in rows if row["metric"] == "rankme" and row["initial_network"] == "with"]
    assert [(row["source"], row["run"]) for row in first] == [
        ("run", "a"),
        ("run", "b"),
        ("run", "c"),
        ("median", ""),
    ]
    assert [float(row["pearson"]) for row in first] == pytest.approx([0.8, -0.8, 0.8, 0.8])
    paper = [row for row in rows if row["source"] == "paper"]
    assert len(paper) == 5 * 2 * 2
    columns = ("dataset", "initial_network", "pearson", "marked", "n")
    assert {tuple(row[name] for name in columns) for row in paper if row["metric"] == "silhouette"} == {
        ("cifar10", "with", "0.59", "True", "51"),
        ("cifar10", "without", "-0.07", "False", "50"),
        ("cifar100", "with", "0.28", "True", "51"),
        ("cifar100", "without", "-0.78", "True", "50"),
    }


def test_json_of_a_long_run():
    found = json.loads(as_json(correlations_object(report(trained("a", range(15))), published=True)))
    metrics = {row["metric"]: row for row in found["groups"][0]["metrics"]}
    rankme = metrics["rankme"]["with_init"]
    assert (rankme["pearson"], *rankme["interval"]) == pytest.approx((1, 1, 1))
    assert (rankme["marked"], rankme["runs_with_value"], rankme["runs_significant"]) == (True, 1, 1)
    assert (rankme["runs"][0]["run"], rankme["runs"][0]["milestones"]) == ("a", 15)
    assert rankme["runs"][0]["block_length"] >= 3
    assert "optimistic" in found["p_values"]
    assert "80 to 91 %" in found["bootstrap"]["coverage"]
    assert metrics["rankme"]["published"] == {}
    assert metrics["ami_labels"]["published"]["cifar100"]["without_init"] == {
        "pearson": 0.97,
        "milestones": 50,
        "marked": True,
    }


def test_latex_laid_out_like_the_paper():
    text = correlations_latex(report(trained("a", [10.0 - x for x in range(10)])))
    assert [line for line in text.splitlines() if not line.startswith("%")] == [
        r"\begin{tabular}{lcrr}",
        r"\toprule",
        r" &  & \multicolumn{2}{c}{simclr} \\",
        r" &  & \multicolumn{2}{c}{digits} \\",
        r" & Label-free & w/ & w/o \\",
        r"\midrule",
        r"rankme & $\checkmark$ & \textcolor{red}{$-1.00$} & \textcolor{red}{$-1.00$} \\",
        r"entropy & $\checkmark$ & $1.00$ & $1.00$ \\",
        r"ami\_labels & $\times$ & \textcolor{gray}{--} & \textcolor{gray}{--} \\",
        r"\bottomrule",
        r"\end{tabular}",
    ]


def test_names_are_never_commands_of_latex():
    assert latex("a_b\\input{x}%$^~&#\n") == (
        r"a\_b\textbackslash{}input\{x\}\%\$\textasciicircum{}\textasciitilde{}\&\# "
    )
