import csv
import io
import json

import pytest
from handmade import ACCURACY, RANKME, run, sweep

from selector.reports.correlation_exports import (
    correlations_csv,
    correlations_latex,
    correlations_object,
    latex,
)
from selector.reports.objects import as_json
from selector.runs import Milestone
from selector.selection.milestone_correlation import correlate_milestones

AMI = "labelled/ami_labels"
FOUR = (1.0, 3.0, 2.0, 4.0)  # against 1, 2, 3, 4: r = ρ = 0.8, τ = 4/6; without the first 0.5, 0.5 and 1/3


def trained(id, rankme, **more):
    rows = [Milestone(5 * e, {RANKME.key: x, AMI: 0.5, ACCURACY.key: e / 10}) for e, x in enumerate(rankme)]
    return run(id, milestones=tuple(rows), **more)


def report(*runs):
    return correlate_milestones(sweep(*runs), ACCURACY)


def lines(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_csv_of_one_run():
    rows = lines(correlations_csv(report(trained("a", FOUR))))
    assert len(rows) == 4  # two metrics, with and without the initial network
    first = rows[0]
    assert (first["source"], first["method"], first["dataset"], first["run"]) == (
        "run",
        "simclr",
        "digits",
        "a",
    )
    assert (first["metric"], first["label_free"], first["initial_network"]) == ("rankme", "True", "with")
    assert (first["n"], float(first["pearson"]), float(first["spearman"])) == ("4", pytest.approx(0.8), 0.8)
    # Of 24 orders 8 give 0.8 or 1 or their negatives.
    assert float(first["p_optimistic"]) == pytest.approx(8 / 24)
    assert (first["interval_low"], first["reason"]) == ("", "4 milestones, an interval needs 12")
    constant = rows[1]
    assert (constant["metric"], constant["pearson"], constant["marked"]) == ("ami_labels", "", "False")
    assert constant["reason"] == "ami_labels the same at all 4 milestones"
    assert (rows[2]["initial_network"], float(rows[2]["pearson"])) == ("without", pytest.approx(0.5))


def test_csv_of_several_runs_ends_with_their_median():
    rows = lines(correlations_csv(report(trained("a", FOUR), trained("b", FOUR[::-1]), trained("c", FOUR))))
    first = [row for row in rows if row["metric"] == "rankme" and row["initial_network"] == "with"]
    assert [(row["source"], row["run"]) for row in first] == [
        ("run", "a"), ("run", "b"), ("run", "c"), ("median", ""),
    ]  # fmt: skip
    assert [float(row["pearson"]) for row in first] == pytest.approx([0.8, -0.8, 0.8, 0.8])


def test_csv_with_the_papers_figures():
    rows = lines(correlations_csv(report(trained("a", FOUR)), published=True))
    paper = [row for row in rows if row["source"] == "paper"]
    assert len(paper) == 5 * 2 * 2
    assert {
        (row["dataset"], row["initial_network"], row["pearson"], row["marked"], row["n"])
        for row in paper
        if row["metric"] == "silhouette"
    } == {
        ("cifar10", "with", "0.59", "True", "51"),
        ("cifar10", "without", "-0.07", "False", "50"),
        ("cifar100", "with", "0.28", "True", "51"),
        ("cifar100", "without", "-0.78", "True", "50"),
    }


def test_json_holds_nulls_with_reasons():
    text = as_json(correlations_object(report(trained("a", (1.0, 2.0))), published=False))
    (group,) = json.loads(text)["groups"]
    rankme = group["metrics"][0]
    assert (rankme["metric"], rankme["published"]) == ("rankme", None)
    assert rankme["with_init"]["pearson"] is None
    assert rankme["with_init"]["reason"] == "2 milestones with both values, 3 are needed"
    assert rankme["with_init"]["runs"][0]["pearson_p"] is None
    assert "NaN" not in text


def test_json_of_a_long_run():
    found = json.loads(as_json(correlations_object(report(trained("a", range(15))), published=True)))
    rankme = found["groups"][0]["metrics"][0]["with_init"]
    assert rankme["pearson"] == pytest.approx(1)
    assert rankme["interval"] == pytest.approx([1, 1])
    assert (rankme["marked"], rankme["runs_with_value"], rankme["runs_significant"]) == (True, 1, 1)
    assert rankme["runs"][0]["milestones"] == 15
    assert rankme["runs"][0]["block_length"] >= 3
    assert "optimistic" in found["p_values"]
    assert found["bootstrap"]["seed"] == 0
    published = {row["metric"]: row["published"] for row in found["groups"][0]["metrics"]}
    assert published["rankme"] == {}
    assert published["ami_labels"]["cifar100"]["without_init"] == {
        "pearson": 0.97, "milestones": 50, "marked": True,
    }  # fmt: skip


def test_latex_laid_out_like_the_paper():
    falls = [10.0 - x for x in range(10)]
    text = correlations_latex(report(trained("a", falls)))
    assert text.splitlines()[2:] == [
        r"\begin{tabular}{lcrr}",
        r"\toprule",
        r" &  & \multicolumn{2}{c}{simclr} \\",
        r" &  & \multicolumn{2}{c}{digits} \\",
        r"Metric & Label-free & w/ init & w/o \\",
        r"\midrule",
        r"rankme & $\checkmark$ & \textcolor{red}{$-1.00$} & \textcolor{red}{$-1.00$} \\",
        r"ami\_labels & $\times$ & \textcolor{gray}{--} & \textcolor{gray}{--} \\",
        r"\bottomrule",
        r"\end{tabular}",
    ]


def test_latex_shows_the_paper_once():
    runs = trained("a", FOUR), trained("b", FOUR, dataset="cifar10")
    text = correlations_latex(report(*runs), published=True)
    assert text.count("cifar10 (paper)") == 1
    assert r"\begin{tabular}{lcrrrrrrrr}" in text
    (entropy,) = [line for line in text.splitlines() if line.startswith("entropy")]
    assert entropy.count("&") == 9
    assert r"\textcolor{red}{$-0.57$} & \textcolor{red}{$-0.83$}" in entropy


def test_names_are_never_commands_of_latex():
    assert latex("a_b\\input{x}%$^~&#\n") == (
        r"a\_b\textbackslash{}input\{x\}\%\$\textasciicircum{}\textasciitilde{}\&\# "
    )
