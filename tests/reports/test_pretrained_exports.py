"""Table II for other programs."""

import csv
import io
import json

import pytest
from test_pretrained_tables import study

from selector.reports.objects import as_json
from selector.reports.pretrained_exports import csv_rows, study_csv, study_latex, study_object


def test_csv_holds_values_correlations_and_the_papers():
    rows = list(csv.DictReader(io.StringIO(study_csv([study()], published=True))))
    kinds = [row["kind"] for row in rows]
    assert [kinds.count(kind) for kind in ("model", "correlation", "paper")] == [5 * 3, 2 * 3, 5 * 4 * 2]
    (value,) = [r for r in rows if r["model"] == "a1" and r["metric"] == "entropy"]
    assert (value["value"], value["group"], value["weights"]) == ("3.0", "a", "w.pth")
    (figure,) = [r for r in rows if (r["kind"], r["group"], r["metric"]) == ("correlation", "a", "entropy")]
    assert (float(figure["value"]), figure["n"], figure["marked"]) == (pytest.approx(0.8), "4", "False")
    undefined = [r for r in rows if (r["kind"], r["group"], r["metric"]) == ("correlation", "b", "entropy")]
    assert (undefined[0]["value"], undefined[0]["reason"]) == ("", "1 model with both values, 3 are needed")


def test_untrained_is_in_every_correlation():
    rows = [row for row in csv_rows([study(untrained=True)]) if row.kind == "correlation"]
    assert {row.weights for row in rows} == {"untrained"}
    assert "UNTRAINED" in study_latex([study(untrained=True)])
    assert study_object([study(untrained=True)])["untrained"]


def test_latex_is_a_tabular_of_equal_rows():
    text = study_latex([study(), study(dataset="digits")], published=True)
    lines = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert {line.count("&") for line in lines} == {1 + 2 * 3 + 2 * 4}
    (entropy,) = [line for line in lines if line.startswith("entropy &")]
    assert r"\textcolor{gray}{$0.80$}" in entropy  # p = 0.33
    assert r"\textcolor{red}{$-0.52$}" in entropy  # the paper's, over all, CIFAR-100
    assert r"& $0.90$" in entropy
    assert r"clustering\_agreement & $\checkmark$" in text


def test_the_object_is_json_with_null_and_a_reason_for_what_is_undefined():
    found = json.loads(as_json(study_object([study()], published=True)))
    (dataset,) = found["datasets"]
    assert (dataset["dataset"], dataset["evaluation_images"], len(dataset["models"])) == ("cifar10", 100, 5)
    figures = {(one["group"], one["metric"]): one for one in dataset["correlations"]}
    assert figures["a", "entropy"]["pearson"] == pytest.approx(0.8)
    assert (figures["a", "entropy"]["models"], figures["a", "entropy"]["interval"]) == (4, None)
    assert figures["b", "entropy"]["pearson"] is None
    assert figures["b", "entropy"]["reason"] == "1 model with both values, 3 are needed"
    assert len(found["published"]) == 40
    assert study_object([study()])["published"] is None
