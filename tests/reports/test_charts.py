"""Charts show their rows, in colours that the page can change, within any screen."""

import base64
import re
from dataclasses import replace
from importlib.resources import files
from math import inf, isfinite, log10, nan

import numpy as np
import pytest
from handmade import ACCURACY, RANKME, curve, run, sweep

from selector.metrics.arrays import Embeddings
from selector.reports import charts
from selector.reports.curves import Curves, curves, packed
from selector.reports.ink import CLASSES, LIGHT, PICK
from selector.reports.report import report_of
from selector.reports.write_back import charts_of
from selector.runs import Milestone
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


def group_of(*runs):
    (group,) = report_of(sweep(*runs), RANKME, ACCURACY).groups
    return group


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
        figure = drawn_for(*runs)["scatter"].figure
        assert [shape.y0 for shape in figure.layout.shapes] == [max(accuracies), 0.8]
        return [(trace.x, trace.y) for trace in figure.data if trace.name == "regret"]

    assert lines(0.7, 0.9) == [((3.0, 3.0), (0.7, 0.9))]
    assert lines(0.9, 0.7) == []  # no regret, no line


def test_intervals_reach_from_low_to_high_in_points():
    group = group_of(run("a", 2.0, 0.7), run("b", 1.0, 0.9))
    known = replace(group.judged.metrics[0], regret=0.02, interval=(0.01, 0.05))
    group = replace(group, judged=replace(group.judged, metrics=(known,)))
    metric, baseline = charts.choices(group).figure.data
    assert [metric.x[0], metric.error_x.array[0], metric.error_x.arrayminus[0]] == pytest.approx([2, 3, 1])
    assert [*baseline.error_x.array, *baseline.error_x.arrayminus] == [0.0] * 2 * len(baseline.x)


def test_the_pick_is_the_last_line_of_the_parallel_coordinates(drawn):
    *others, pick = drawn["parallel"].figure.data
    assert pick.line.color == PICK
    assert sum(trace.x.count(None) for trace in others) == len(RUNS) - 1  # a gap after each other run


def test_packed_curves_come_back_to_within_their_bits():
    data = packed(Curves("m", "higher is better", (0, 5), ((1.0, None), (3.0, 2.25))))
    codes = np.frombuffer(base64.b64decode(data["bits"]), "<u2").reshape(2, 2)
    assert codes[0, 1] == 65_535
    back = data["low"] + codes / 65_534 * (data["high"] - data["low"])
    assert back[[0, 1, 1], [0, 0, 1]] == pytest.approx([1.0, 3.0, 2.25], abs=2 / 65_534)
    assert codes[1, 0] == 65_534  # the highest value is not taken for a missing one


def test_correlations_are_short_and_never_minus_zero(monkeypatch):
    def heat(found):
        monkeypatch.setattr(charts, "correlations", lambda group: found)
        return charts.heatmap(None).figure

    (few,) = heat({"a": [(1.0, 3), (-0.001, 3)], "b": [(-0.001, 3), (None, 3)]}).data
    assert [list(row) for row in few.text] == [["1.00", "0.00"], ["0.00", ""]]
    names = tuple(f"m{i}" for i in range(17))
    many = heat({a: [(1.0 if a == b else -0.456, 17) for b in names] for a in names})
    assert list(many.data[0].text[0][:2]) == ["1", "-.46"]
    assert many.layout.xaxis.ticktext == many.layout.yaxis.ticktext == names


def test_correlations_are_spearmans_over_the_runs():
    # rankme 1 2 3 4 against accuracy .1 .3 .2 .4: one swap of neighbours, ρ = 1 - 6·2/(4·15) = 0.8.
    group = group_of(run("a", 1.0, 0.1), run("b", 2.0, 0.3), run("c", 3.0, 0.2), run("d", 4.0, 0.4))
    one, swapped = (pytest.approx(1.0), 4), (pytest.approx(0.8), 4)
    assert charts.correlations(group) == {"rankme": [one, swapped], "linear_probe_accuracy": [swapped, one]}


def test_correlations_leave_out_constant_metrics_and_say_how_many_runs_a_figure_has():
    flat = {"label_free/silhouette": 0.5}
    found = charts.correlations(
        group_of(
            run("a", 1.0, 0.1, values=flat | {"label_free/entropy": 1.0}),
            run("b", 2.0, 0.2, values=flat | {"label_free/entropy": 2.0}),
            run("c", 3.0, 0.3, values=flat | {"label_free/entropy": nan}),
        )
    )
    assert list(found) == ["rankme", "entropy", "linear_probe_accuracy"]
    assert found["entropy"] == [(None, 2)] * 3  # two pairs always correlate perfectly


def test_curves_align_runs_of_different_epochs_and_leave_gaps():
    group = group_of(
        run("a", milestones=curve((0, 1.0), (5, 2.0), (10, inf), (15, 9.0))),
        run("b", milestones=curve((0, 1.0), (10, 4.0))),
    )
    (lines,) = curves(group)
    assert (lines.metric, lines.direction) == ("rankme", "higher is better")
    assert lines.epochs == (0, 5, 10, 15)
    assert lines.values == ((1.0, 2.0, None, 9.0), (1.0, None, 4.0, None))


def test_numbers_that_span_decades_are_placed_by_their_logarithm():
    assert charts.placed([0.001, 0.1, None, 0.01])[0] == [0, 1, None, pytest.approx(0.5)]
    places, ticks = charts.placed([0.1, 0.2, 0.4])
    assert places == [0, pytest.approx(1 / 3), 1]
    assert ticks == [(0, "0.1"), (pytest.approx(1 / 3), "0.2"), (1, "0.4")]
    assert charts.placed([3, 2, 1, 0]) == (
        [1, pytest.approx(2 / 3), pytest.approx(1 / 3), 0],
        [(0, "0"), (1, "3")],
    )
    assert charts.placed(["b", "a"]) == ([1, 0], [(0, "a"), (1, "b")])


def test_lines_run_through_what_was_swept_then_the_score():
    (second, pick) = drawn_for(
        run("a", 3.0, learning_rate=0.001, temperature=0.1), run("b", 2.0, learning_rate=0.1, temperature=0.2)
    )["parallel"].figure.data
    assert (pick.x, second.x) == ((0, 0, 1), (1, 1, 0, None))


def with_spectra(*epochs):
    key = "spectrum/projector"
    return tuple(
        Milestone(e, {"label_free/rankme": 1.0 + e}, {key: (1.0, 0.5 / (1 + e)), key + "_ranks": (1.0, 2.0)})
        for e in epochs
    )


def test_spectra_are_those_of_the_pick():
    figure = drawn_for(run("a", milestones=with_spectra(0, 5)), run("b", 2.0))["spectra"].figure
    assert [(line.name, line.x, line.y) for line in figure.data] == [
        ("epoch 0", (1.0, 2.0), (1.0, 0.5)),
        ("epoch 5", (1.0, 2.0), (1.0, 0.5 / 6)),
    ]
    assert [title.text for title in figure.layout.annotations] == ["projector"]
    assert "spectra" not in drawn_for(run("a", 1.0), run("b", 2.0))


def test_umap_panels_are_the_two_longest_axes_of_the_picks_points(tmp_path):
    rng = np.random.default_rng(0)
    points = (rng.standard_normal((200, 3)) * [0.1, 5.0, 1.0]).astype(np.float32)
    embeddings = Embeddings(np.zeros((200, 2), np.float32), np.arange(200) % 3, "backbone", "test")
    write_umap(tmp_path / "runs" / "a", 5, points, embeddings)
    chosen = replace(run("a", 2.0), checkpoint=str(tmp_path / "runs" / "a" / "milestone-0005.ckpt"))
    (panel,) = drawn_for(chosen, run("b", 1.0))["umap"].figure.data
    assert panel.hovertemplate.startswith("epoch 5")
    assert list(panel.marker.color) == [CLASSES[i % 3] for i in range(200)]
    lengths = np.linalg.svd(points - points.mean(0))[1] / 200**0.5
    assert [np.std(panel.x), np.std(panel.y)] == pytest.approx(lengths[:2], rel=1e-3)


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
