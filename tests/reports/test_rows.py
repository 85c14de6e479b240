"""What tables and charts show, worked out by hand on small sweeps."""

from dataclasses import replace
from math import inf, nan

import numpy as np
import pytest
from handmade import ACCURACY, ENTROPY, RANKME, curve, run, sweep

from selector.metrics.embeddings import Embeddings
from selector.reports.report import report_of
from selector.reports.rows import (
    Axis,
    SpectrumLine,
    axes,
    choice_rows,
    curves,
    heatmap,
    rank_rows,
    spectrum_lines,
    umap_panels,
)
from selector.runs import Milestone
from selector.tracking.umap_files import write_umap


def group_of(*runs, **options):
    (group,) = report_of(sweep(*runs), RANKME, ACCURACY, **options).groups
    return group


def ranked(group, metric=RANKME):
    return rank_rows(group.ranked, metric.key, group.judged)


def test_rows_of_a_ranking():
    group = group_of(
        run("a", milestones=curve((0, 100.0), (5, 1.0), (10, 3.0)), name="first", temperature=0.1),
        run("b", milestones=curve((5, 8.0), (10, nan), (15, 8.0)), temperature=0.2),
    )
    # One scale for both, without the untrained network: 1 to 8 in eight bars.
    assert [(row.rank, row.run, row.score, row.training, row.hyperparameters) for row in ranked(group)] == [
        ("1", "b", "8.000", "█·█", "learning_rate=0.098 temperature=0.2"),
        ("2", "a first", "3.000", "▁▃", "learning_rate=0.097 temperature=0.1"),
    ]


def test_rows_show_roles_and_accuracies():
    group = group_of(run("a", 30.0, 0.7), run("b", 20.0, 0.9), run("c", 10.0, 0.6), run("d", 5.0))
    assert [(row.ranked.run.id, row.role, row.accuracy) for row in ranked(group)] == [
        ("a", "pick", 0.7),
        ("b", "best", 0.9),
        ("c", "run", 0.6),
        ("d", "run", None),
    ]


def test_runs_within_the_metrics_noise_are_tied():
    rows = [{"label_free/entropy": h, "noise/entropy": 0.3} for h in (3.0, 3.1)]
    runs = [run("a", accuracy=0.9, values=rows[0]), run("b", accuracy=0.8, values=rows[1])]
    (group,) = report_of(sweep(*runs), ENTROPY, ACCURACY).groups
    # 0.3 / √3 seeds
    assert [(row.rank, row.role, row.score) for row in ranked(group, ENTROPY)] == [
        ("1=", "pick", "3.000 ±0.17"),
        ("2=", "tied", "3.100 ±0.17"),
    ]


def test_every_way_of_choosing_and_what_it_costs():
    values = [
        {"label_free/entropy": e, "train/loss": loss} for e, loss in ((1.0, 3.0), (2.0, 1.0), (3.0, 2.0))
    ]
    group = group_of(
        run("a", 10.0, 0.9, values=values[0]),  # lowest entropy, best accuracy
        run("b", 30.0, 0.7, values=values[1]),  # highest rankme, lowest loss
        run("c", 20.0, 0.8, values=values[2]),
    )
    found = choice_rows(group.judged, group.metrics)
    assert [(row.chosen_by, row.arrow, row.run, row.regret) for row in found[:4]] == [
        ("rankme", "↑", "b", pytest.approx(0.2)),
        ("entropy", "↓", "a", pytest.approx(0.0)),
        ("random (expected)", "", "", pytest.approx(0.1)),  # (0.0 + 0.2 + 0.1) / 3
        ("lowest loss", "", "b", pytest.approx(0.2)),
    ]


def test_heatmap_is_spearman_over_the_runs():
    # rankme 1 2 3 4 against accuracy .1 .3 .2 .4: one swap of neighbours, ρ = 1 - 6·2/(4·15) = 0.8.
    group = group_of(run("a", 1.0, 0.1), run("b", 2.0, 0.3), run("c", 3.0, 0.2), run("d", 4.0, 0.4))
    matrix = heatmap(group)
    assert matrix.names == ("rankme", "linear_probe_accuracy")
    assert matrix.values == (
        (pytest.approx(1.0), pytest.approx(0.8)),
        (pytest.approx(0.8), pytest.approx(1.0)),
    )
    assert matrix.counts == ((4, 4), (4, 4))


def test_heatmap_leaves_out_constant_metrics_and_says_how_many_runs_a_figure_has():
    flat = {"label_free/silhouette": 0.5}
    group = group_of(
        run("a", 1.0, 0.1, values=flat | {"label_free/entropy": 1.0}),
        run("b", 2.0, 0.2, values=flat | {"label_free/entropy": 2.0}),
        run("c", 3.0, 0.3, values=flat | {"label_free/entropy": nan}),
    )
    matrix = heatmap(group)
    assert matrix.names == ("rankme", "entropy", "linear_probe_accuracy")
    assert matrix.counts[1] == (2, 2, 2)
    assert matrix.values[1] == (None, None, None)  # two pairs always correlate perfectly


def test_curves_align_runs_of_different_epochs_and_leave_gaps():
    group = group_of(
        run("a", milestones=curve((0, 1.0), (5, 2.0), (10, inf), (15, 9.0))),
        run("b", milestones=curve((0, 1.0), (10, 4.0))),
    )
    (lines,) = curves(group)
    assert (lines.metric, lines.direction) == ("rankme", "higher is better")
    assert lines.epochs == (0, 5, 10, 15)
    assert lines.values == ((1.0, 2.0, None, 9.0), (1.0, None, 4.0, None))


def test_axes_place_numbers_by_logarithm_where_they_span_decades():
    group = group_of(
        run("a", 3.0, learning_rate=0.001, temperature=0.1),
        run("b", 2.0, learning_rate=0.1, temperature=0.2),
        run("c", 1.0, learning_rate=0.01, temperature=0.4),
    )
    rate, temperature, score = axes(group)
    assert rate.name == "learning_rate"
    assert rate.places == (pytest.approx(0.0), pytest.approx(1.0), pytest.approx(0.5))
    assert temperature.places == (pytest.approx(0.0), pytest.approx(1 / 3), pytest.approx(1.0))
    assert temperature.ticks[1] == (pytest.approx(1 / 3), "0.2")
    assert score == Axis("rankme", ((0.0, "1"), (0.5, "2"), (1.0, "3")), (1.0, 0.5, 0.0))


def with_spectra(*epochs):
    key = "spectrum/projector"
    return tuple(
        Milestone(e, {"label_free/rankme": 1.0 + e}, {key: (1.0, 0.5 / (1 + e)), key + "_ranks": (1.0, 2.0)})
        for e in epochs
    )


def test_spectra_are_those_of_the_pick():
    group = group_of(run("a", milestones=with_spectra(0, 5)), run("b", 2.0))
    assert spectrum_lines(group) == [
        SpectrumLine("projector", 0, (1.0, 2.0), (1.0, 0.5)),
        SpectrumLine("projector", 5, (1.0, 2.0), (1.0, 0.5 / 6)),
    ]
    assert spectrum_lines(group_of(run("a", 1.0), run("b", 2.0))) == []


def test_umap_panels_are_the_two_longest_axes_of_the_picks_points(tmp_path):
    rng = np.random.default_rng(0)
    points = (rng.standard_normal((200, 3)) * [0.1, 5.0, 1.0]).astype(np.float32)
    labels = np.arange(200) % 3
    embeddings = Embeddings(np.zeros((200, 2), np.float32), labels, "backbone", "test")
    write_umap(tmp_path / "runs" / "a", 5, points, embeddings)
    chosen = replace(run("a", 2.0), checkpoint=str(tmp_path / "runs" / "a" / "milestone-0005.ckpt"))
    (panel,) = umap_panels(group_of(chosen, run("b", 1.0)))
    assert panel.epoch == 5
    assert list(panel.labels) == list(labels)
    centred = points - points.mean(0)
    assert np.std(panel.points[:, 0]) == pytest.approx(np.linalg.svd(centred)[1][0] / 200**0.5, rel=1e-5)
    assert np.std(panel.points[:, 1]) == pytest.approx(np.linalg.svd(centred)[1][1] / 200**0.5, rel=1e-5)
