"""What is said of runs before a choice, on runs written out by hand."""

import pytest
from handmade import run, sweep

from selector.metrics import label_free_metric
from selector.selection.consensus import prepared

SCORE = label_free_metric("pretext_score")


def said(*runs, metric=SCORE):
    return " | ".join(prepared(sweep(*runs), metric)[0].warnings)


def test_a_collapsed_run_is_named():
    values = {"label_free/rankme": 1.0, SCORE.key: 0.0}
    assert "1 of 2 runs collapsed (dead)" in said(run("a", 30.0), run("dead", values=values))


@pytest.mark.parametrize(
    ("method", "metric", "warned"),
    [("vicreg", "rankme", True), ("vicreg", "hog_probe", False), ("simclr", "rankme", False)],
)
def test_a_loss_that_contains_the_metric_is_named(method, metric, warned):
    runs = run("a", 30.0, method=method), run("b", 20.0, method=method)
    assert ("loss contains" in said(*runs, metric=label_free_metric(metric))) == warned
