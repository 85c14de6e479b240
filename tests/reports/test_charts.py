"""Charts show their rows, in colours that the page can change, within any screen."""

import base64
import re
from dataclasses import replace
from importlib.resources import files
from math import isfinite, log10

import numpy as np
import pytest
from handmade import ACCURACY, RANKME, curve, run, sweep

from selector.metrics.embeddings import Embeddings
from selector.reports import charts
from selector.reports.ink import LIGHT, PICK, choices, curve_data, heat, scatter
from selector.reports.report import report_of
from selector.reports.rows import ChoiceRow, Curves, Heatmap, rank_rows
from selector.reports.write_back import charts_of
from selector.tracking.umap_files import write_umap

SPECTRUM = {"spectrum/projector": (1.0, 0.1), "spectrum/projector_ranks": (1.0, 2.0)}
RUNS = [
    run(
        f"r{i}",
        milestones=tuple(
            replace(row, lists=SPECTRUM)
            for row in curve((0, 99.0), (5, 1.0 + i), (10, 2.0 + 3 * i % 7), accuracy=0.5 + i % 4 / 10)
        ),
        name="<b>&" if i == 2 else "",
        temperature=i / 10,
        a_very_long_name_of_a_hyperparameter_in_somebody_elses_sweep=f"{'w' * 30}{i}",
    )
    for i in range(1, 7)
]


def drawn_for(*runs):
    report = report_of(sweep(*runs), RANKME, ACCURACY)
    return {chart.name: chart for chart in charts.charts(report.groups[0], report)}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    points = np.random.default_rng(0).standard_normal((30, 3)).astype(np.float32)
    write_umap(folder, 5, points, Embeddings(points, np.arange(30) % 12, "backbone", "test"))
    return drawn_for(*(replace(one, checkpoint=str(folder / "milestone-0010.ckpt")) for one in RUNS))


NAMES = ("scatter", "choices", "curves", "stopping", "parallel", "spectra", "umap", "heatmap")


def test_every_chart_is_drawn(drawn):
    assert tuple(drawn) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_every_colour_is_one_that_the_page_can_change(drawn, name):
    used = set(re.findall(r"#[0-9a-f]{6}", drawn[name].figure.to_json()))
    assert used <= set(LIGHT.values())


def test_the_page_knows_every_colour_in_both_schemes():
    css = (files("selector.reports") / "page" / "page.css").read_text("utf-8")
    light, dark = css.split("prefers-color-scheme: dark")
    for name, colour in LIGHT.items():
        assert f"{name}: {colour}" in light
        assert f"{name}: #" in dark


@pytest.mark.parametrize("name", NAMES)
def test_no_mark_lies_outside_the_visible_box_of_a_phone(drawn, name):
    """At 390 px a card is 338 px wide: charts have no width of their own, and their axes reach all marks."""
    figure = drawn[name].figure
    assert figure.layout.width is None
    margin = figure.layout.margin
    assert (margin.l or 80) + (margin.r or 80) < 338 / 2 or figure.layout.template.layout.margin.l == 10
    for trace in figure.data:
        for letter, values in (("x", trace.x), ("y", trace.y)):
            axis = figure.layout[(getattr(trace, f"{letter}axis") or letter).replace(letter, f"{letter}axis")]
            if values is None or axis.range is None:
                continue  # Plotly's own range holds all marks
            known = [value for value in values if value is not None and isfinite(value)]
            known = [log10(value) for value in known] if axis.type == "log" else known
            low, high = sorted(axis.range)
            assert all(low <= value <= high for value in known), (name, letter)
    for note in figure.layout.annotations:
        if note.xref == "paper" or figure.layout.xaxis.range is None:
            assert note.xref.endswith("domain") or 0 <= note.x <= 1
        assert len(note.text) <= 60
    for axis in [figure.layout.xaxis, figure.layout.yaxis]:
        assert all(len(text) <= 24 for text in axis.ticktext or ())


def test_names_are_text_not_markup(drawn):
    assert all("<b>&" not in chart.figure.to_json() for chart in drawn.values())
    texts = [text for trace in drawn["scatter"].figure.data for text in trace.text or ()]
    assert any("&lt;b&gt;&amp;" in text for text in texts)


def test_regret_is_a_line_from_the_pick_to_the_best():
    def lines(*accuracies):
        runs = (run(id, s, a) for id, s, a in zip("ab", (3.0, 1.0), accuracies, strict=True))
        (group,) = report_of(sweep(*runs), RANKME, ACCURACY).groups
        rows = rank_rows(group.ranked, RANKME.key, group.judged)
        figure = scatter(rows, "rankme", "accuracy", max(accuracies), 0.8)
        assert [shape.y0 for shape in figure.layout.shapes] == [max(accuracies), 0.8]
        return [(trace.x, trace.y) for trace in figure.data if trace.name == "regret"]

    assert lines(0.7, 0.9) == [((3.0, 3.0), (0.7, 0.9))]
    assert lines(0.9, 0.7) == []  # no regret, no line


def test_intervals_reach_from_low_to_high_in_points():
    rows = [ChoiceRow("rankme", "↑", "a", 0.9, 0.02, 0.01, 0.05), ChoiceRow("random", "", "", 0.8, 0.1)]
    metric, baseline = choices(rows).data
    assert [metric.x[0], metric.error_x.array[0], metric.error_x.arrayminus[0]] == pytest.approx([2, 3, 1])
    assert [*baseline.error_x.array, *baseline.error_x.arrayminus] == [0.0, 0.0]


def test_the_pick_is_the_last_line_of_the_parallel_coordinates(drawn):
    *others, pick = drawn["parallel"].figure.data
    assert pick.line.color == PICK
    assert sum(trace.x.count(None) for trace in others) == len(RUNS) - 1  # a gap after each other run


def test_packed_curves_come_back_to_within_their_bits():
    data = curve_data(Curves("m", "higher is better", (0, 5), ((1.0, None), (3.0, 2.25))))
    codes = np.frombuffer(base64.b64decode(data["bits"]), "<u2").reshape(2, 2)
    assert codes[0, 1] == 65_535
    back = data["low"] + codes / 65_534 * (data["high"] - data["low"])
    assert back[[0, 1, 1], [0, 0, 1]] == pytest.approx([1.0, 3.0, 2.25], abs=2 / 65_534)
    assert codes[1, 0] == 65_534  # the highest value is not taken for a missing one


def test_correlations_are_short_and_never_minus_zero():
    few = heat(Heatmap(("a", "b"), ((1.0, -0.001), (-0.001, None)), ((3, 3), (3, 3)))).data[0]
    assert [list(row) for row in few.text] == [["1.00", "0.00"], ["0.00", ""]]
    names = tuple(f"m{i}" for i in range(17))
    cells = tuple(tuple(1.0 if a == b else -0.456 for a in names) for b in names)
    many = heat(Heatmap(names, cells, ((17,) * 17,) * 17))
    assert list(many.data[0].text[0][:2]) == ["1", "-.46"]
    assert many.layout.xaxis.ticktext == many.layout.yaxis.ticktext == names


# In W&B


def alone(*runs):
    return charts_of(report_of(sweep(*runs), RANKME, ACCURACY))


def test_the_pick_along_training_stands_out():
    def trained(id, score):
        return run(id, milestones=curve((0, 99.0), (5, 1.0), (10, score)))

    name = "charts/rankme/along-training/rankme"
    others, pick = alone(trained("a", 2.0), trained("b", 9.0), trained("c", 4.0))[name]["data"]
    assert (pick["name"], list(pick["x"]), list(pick["y"])) == ("the pick", [0, 5, 10], [99.0, 1.0, 9.0])
    assert list(others["x"]) == [0, 5, 10, None] * 2
    assert list(others["y"]) == [99.0, 1.0, 4.0, None, 99.0, 1.0, 2.0, None]
    (only,) = alone(trained("a", 2.0))[name]["data"]
    assert only["name"] == "the pick"
