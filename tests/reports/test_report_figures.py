"""Figures are valid Plotly, show their rows, and hold no colour but by name."""

import json
import re
from dataclasses import replace

import numpy as np
import plotly.graph_objects as go
import pytest
from handmade import ACCURACY, RANKME, curve, run, sweep

from selector.metrics.embeddings import Embeddings
from selector.reports import figures
from selector.reports.html import charts, shades
from selector.reports.report import report_of
from selector.reports.report_rows import ChoiceRow, Curves, Heatmap, ScatterPoint, SpectrumLine
from selector.training.umap_file import write_umap

RUNS = [
    run(
        f"r{i}",
        milestones=curve((5, 1.0 + i), (10, 2.0 + 3 * i % 7), accuracy=0.5 + i % 4 / 10),
        temperature=i / 10,
    )
    for i in range(1, 7)
]


SPECTRUM = {"spectrum/projector": (1.0, 0.1), "spectrum/projector_ranks": (1.0, 2.0)}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    points = np.random.default_rng(0).standard_normal((30, 3)).astype(np.float32)
    write_umap(folder, 5, points, Embeddings(points, np.arange(30) % 12, "backbone", "test"))
    runs = [
        replace(
            one,
            checkpoint=str(folder / "milestone-0010.ckpt"),
            milestones=tuple(replace(row, lists=SPECTRUM) for row in one.milestones),
        )
        for one in RUNS
    ]
    report = report_of(sweep(*runs), RANKME, ACCURACY)
    return {chart.id: json.loads(chart.json) for chart in charts(report.groups[0], report, 0)}


def test_every_chart_is_drawn(drawn):
    assert {id.removeprefix("g0-") for id in drawn} == {
        "scatter", "choices", "curves", "stopping", "parallel", "heatmap", "spectra", "umap",
    }  # fmt: skip


def test_plotly_takes_every_figure(drawn):
    for figure in drawn.values():
        ink = figures.painted({"data": figure["data"], "layout": figure["layout"]})
        go.Figure(ink)  # raises for an unknown or invalid property
        assert '"--' not in json.dumps(ink)


def test_colours_are_named_so_that_the_page_can_change_them(drawn):
    for figure in drawn.values():
        assert not re.search(r"#[0-9a-f]{6}", json.dumps(figure))


def test_the_page_knows_every_colour_in_both_schemes():
    from importlib.resources import files

    css = (files("selector.reports") / "page" / "page.css").read_text("utf-8")
    light, dark = css.split("prefers-color-scheme: dark")
    for name, colour in figures.LIGHT.items():
        assert f"{name}: {colour}" in light
        assert f"{name}: #" in dark


def test_regret_is_a_line_from_the_pick_to_the_best():
    points = [ScatterPoint("a", 3.0, 0.7, "pick"), ScatterPoint("b", 1.0, 0.9, "best")]
    figure = figures.scatter_figure(points, "rankme", "accuracy", 0.8)
    (line,) = [trace for trace in figure["data"] if trace["name"] == "regret"]
    assert (line["x"], line["y"]) == ([3.0, 3.0], [0.7, 0.9])
    assert [shape["y0"] for shape in figure["layout"]["shapes"]] == [0.9, 0.8]


def test_no_regret_draws_no_line():
    figure = figures.scatter_figure([ScatterPoint("a", 3.0, 0.9, "pick")], "rankme", "accuracy", 0.9)
    assert [trace["name"] for trace in figure["data"]] == ["the pick"]


def test_intervals_reach_from_low_to_high_in_points():
    row = ChoiceRow("rankme", "metric", "a", 0.9, 0.02, 0.01, 0.05, None)
    figure = figures.choices_figure([row, ChoiceRow("random", "baseline", "", 0.8, 0.1, None, None, None)])
    metric, baseline = figure["data"]
    assert metric["x"] == [pytest.approx(2.0)]
    assert metric["error_x"]["array"] == [pytest.approx(3.0)]
    assert metric["error_x"]["arrayminus"] == [pytest.approx(1.0)]
    assert baseline["error_x"]["array"] == baseline["error_x"]["arrayminus"] == [0.0]


def test_the_pick_is_the_last_line_of_the_parallel_coordinates(drawn):
    *others, pick = drawn["g0-parallel"]["data"]
    assert pick["line"]["color"] == "--pick"
    assert sum(trace["x"].count(None) for trace in others) == len(RUNS) - 1  # a gap after each other run


def test_shades_fall_from_the_first_to_the_last_place():
    assert shades(1) == [6]
    assert shades(3) == [6, 3, 0]
    assert shades(1000)[0] == 6
    assert shades(1000)[-1] == 0


def test_names_are_text_not_markup():
    points = [ScatterPoint("<b>&x", 3.0, 0.9, "pick")]
    figure = figures.scatter_figure(points, "<i>m", "o", 0.9)
    assert figure["data"][0]["text"] == ["&lt;b&gt;&amp;x"]
    assert "<i>" not in json.dumps(figure)


def test_packed_curves_come_back_to_within_their_bits():
    import base64

    import numpy as np

    lines = Curves("m", "higher is better", (0, 5), ((1.0, None), (3.0, 2.25)))
    data = figures.curve_data(lines)
    codes = np.frombuffer(base64.b64decode(data["bits"]), "<u2").reshape(2, 2)
    assert codes[0, 1] == 65_535
    back = data["low"] + codes / 65_534 * (data["high"] - data["low"])
    assert back[[0, 1, 1], [0, 0, 1]] == pytest.approx([1.0, 3.0, 2.25], abs=2 / 65_534)
    assert codes[1, 0] == 65_534  # the highest value is not taken for a missing one


def test_a_correlation_of_nearly_nothing_has_no_sign():
    cells = ((1.0, -0.001), (-0.001, 1.0))
    figure = figures.heatmap_figure(Heatmap(("a", "b"), cells, ((3, 3), (3, 3))))
    assert figure["data"][0]["text"] == [["1.00", "0.00"], ["0.00", "1.00"]]


def test_many_correlations_are_short_and_every_metric_is_named():
    names = tuple(f"m{i}" for i in range(17))
    cells = tuple(tuple(1.0 if a == b else -0.456 for a in names) for b in names)
    figure = figures.heatmap_figure(Heatmap(names, cells, ((17,) * 17,) * 17))
    assert figure["data"][0]["texttemplate"] == "%{text}"
    assert figure["data"][0]["text"][0][:2] == ["1", "-.46"]
    assert figure["layout"]["xaxis"]["dtick"] == figure["layout"]["yaxis"]["dtick"] == 1


def test_two_runs_have_no_correlations_to_draw():
    report = report_of(sweep(*RUNS[:2]), RANKME, ACCURACY)
    assert "g0-heatmap" not in [chart.id for chart in charts(report.groups[0], report, 0)]


def test_the_heat_map_says_from_how_many_runs():
    report = report_of(sweep(*RUNS), RANKME, ACCURACY)
    (chart,) = [chart for chart in charts(report.groups[0], report, 0) if chart.id == "g0-heatmap"]
    assert "over the runs (n = 6)" in chart.caption


def test_long_names_are_broken_after_underscores():
    assert figures.wrapped("linear_probe_accuracy", 14) == "linear_probe_<br>accuracy"
    assert figures.wrapped("optimizer.lr", 20) == "optimizer.lr"
    assert figures.wrapped("averylongname", 8) == "averylon<br>gname"
    assert figures.wrapped("<b>", 8) == "&lt;b&gt;"


def test_words_of_one_run_stand_in_opposite_corners():
    only = [ScatterPoint("a", 3.0, 0.9, "pick")]
    assert figures.free_corner(only, 0.9) == ("left", "bottom")
    assert figures.free_corner(only, 0.9, 0.9) == ("right", "top")


def test_words_of_a_line_keep_off_the_points():
    points = [
        ScatterPoint("a", 0.0, 0.9, "best"),
        ScatterPoint("b", 0.9, 0.49, "run"),
        ScatterPoint("c", 1.0, 0.1, "pick"),
    ]
    assert figures.free_corner(points, 0.9) == ("right", "bottom")  # the best run is at the left
    assert figures.free_corner(points, 0.5, 0.9) == ("left", "top")  # b is at the right


def test_panels_of_singular_values_leave_room_for_numbers():
    lines = [SpectrumLine(space, 5, (1.0, 2.0), (1.0, 0.1)) for space in ("backbone", "projector")]
    layout = figures.spectra_figure(lines)["layout"]
    (_, end), (start, last) = layout["xaxis"]["domain"], layout["xaxis2"]["domain"]
    assert start - end == pytest.approx(0.13)
    assert last == pytest.approx(1.0)
