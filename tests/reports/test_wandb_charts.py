"""The report's charts without its page."""

import json
from dataclasses import replace

import plotly.graph_objects as go
from handmade import ACCURACY, DEFINITION, RANKME, curve, run, sweep

from selector.reports.report import report_of
from selector.reports.wandb_charts import charts_of

SPECTRUM = {"spectrum/projector": (1.0, 0.1), "spectrum/projector_ranks": (1.0, 2.0)}


def trained(id, score, accuracy=None, **more):
    built = curve((0, 99.0), (5, 1.0), (10, score), accuracy=accuracy)
    rows = tuple(replace(row, lists=SPECTRUM) for row in built)
    return run(id, milestones=rows, **more)


def charts_for(*runs):
    return charts_of(report_of(sweep(*runs), RANKME, ACCURACY))


def test_charts_stand_alone():
    charts = charts_for(
        trained("a", 2.0, 0.5), trained("b", 9.0, 0.7, name="<b>b</b>"), trained("c", 4.0, 0.6)
    )
    assert list(charts) == [
        f"charts/rankme/{name}"
        for name in ("scatter", "choices", "stopping", "parallel", "spectra", "heatmap",
                     "along-training/rankme", "along-training/linear_probe_accuracy")
    ]  # fmt: skip
    for figure in charts.values():
        go.Figure(figure)  # raises for an unknown or invalid property
        assert figure["layout"]["title"]["text"]
        assert figure["layout"]["paper_bgcolor"] == "#ffffff"
        assert '"--' not in json.dumps(figure)
        assert "<b>b</b>" not in json.dumps(figure)


def test_the_pick_along_training_stands_out():
    others, pick = charts_for(trained("a", 2.0), trained("b", 9.0), trained("c", 4.0))[
        "charts/rankme/along-training/rankme"
    ]["data"]
    assert (pick["name"], pick["x"], pick["y"]) == ("the pick", [0, 5, 10], [99.0, 1.0, 9.0])
    assert others["x"] == [0, 5, 10, None] * 2
    assert others["y"] == [99.0, 1.0, 4.0, None, 99.0, 1.0, 2.0, None]
    assert len(others["text"]) == 8


def test_without_labels_and_with_two_groups():
    wider = DEFINITION | {"projector_dim": 256}
    charts = charts_for(
        trained("a", 2.0),
        trained("b", 9.0),
        trained("c", 3.0, definition=wider),
        trained("d", 4.0, definition=wider),
    )
    assert {name.removeprefix("charts/rankme/") for name in charts} == {
        "spectra", "along-training/rankme", "spectra-2", "along-training/rankme-2",
    }  # fmt: skip
    assert charts["charts/rankme/along-training/rankme-2"]["data"][1]["y"][-1] == 4.0


def test_one_run_has_nothing_beside_it():
    (pick,) = charts_for(trained("a", 2.0))["charts/rankme/along-training/rankme"]["data"]
    assert pick["name"] == "the pick"
