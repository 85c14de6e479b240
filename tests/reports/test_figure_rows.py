"""The rows of Figures 2 to 4."""

import pytest
from handmade import ACCURACY, ENTROPY, run, sweep

from selector.errors import UserError
from selector.reports.figure_rows import OUTLIERS, caption_of, course_object, course_of, courses
from selector.runs import Milestone

NAN = float("nan")


def trained(
    id="aa", values=(5.0, 1.0, 3.0, 2.0, 4.0), accuracies=(0.9, 0.1, 0.2, 0.3, 0.4), outliers=None, **more
):
    """Milestone 0 stands apart: without it entropy goes as 1, 3, 2, 4 against 1, 2, 3, 4, so r = 0.8."""
    rows = []
    for place, value in enumerate(values):
        row = {"label_free/entropy": value, "noise/entropy": 0.1}
        row |= {ACCURACY.key: accuracies[place]} if accuracies else {}
        row |= {OUTLIERS: outliers[place]} if outliers else {}
        rows.append(Milestone(20 * place, row))
    return run(id, milestones=tuple(rows), **more)


def test_points_are_the_milestones_and_correlations_are_with_and_without_the_first():
    course = course_of(trained(), ENTROPY, ACCURACY)
    assert [(p.epoch, p.value, p.accuracy) for p in course.points][:2] == [(0, 5.0, 90.0), (20, 1.0, 10.0)]
    assert course.points[0].deviation == 0.1
    assert course.without_init == pytest.approx(0.8)
    # Deviations of 5 1 3 2 4: 2 -2 0 -1 1; of .9 .1 .2 .3 .4 (mean .38): .52 -.28 -.18 -.08 .02.
    # Sum of products 1.04 + .56 + .08 + .02 = 1.7; squares 10 and .388: 1.7 / √3.88 = 0.863.
    assert course.with_init == pytest.approx(0.863, abs=5e-4)
    assert (course.title, course.evaluation_images, course.left_out) == ("simclr, digits", 400, 0)


def test_milestones_with_outliers_are_marked_and_others_not():
    course = course_of(trained(outliers=(0.0, 0.01, 0.0, NAN, 0.2)), ENTROPY, ACCURACY)
    assert [point.epoch for point in course.marked] == [20, 80]
    assert course.outliers_known
    assert "Rings: 2 milestones with UMAP points more than 4 median distances" in caption_of(
        course, ACCURACY, 4.0
    )


def test_no_outliers_anywhere_is_said_in_words():
    course = course_of(trained(outliers=(0.0,) * 5), ENTROPY, ACCURACY)
    assert "No milestone has UMAP points more than 4 median" in caption_of(course, ACCURACY, 4.0)


def test_the_accuracys_error_is_that_of_a_share_of_the_evaluation_images():
    course = course_of(trained(), ENTROPY, ACCURACY)
    assert course.points[0].accuracy_error == pytest.approx(1.5)  # 90 % of 400: √(0.9 · 0.1 / 400)
    assert course_of(trained(definition={}), ENTROPY, ACCURACY).points[0].accuracy_error == 0


def test_runs_that_logged_no_outliers_say_so_and_what_to_do():
    found, warnings = courses(sweep(trained("aa"), trained("bb", outliers=(0.0,) * 5)), ENTROPY, ACCURACY)
    assert [course.outliers_known for course in found] == [False, True]
    assert warnings == [
        "1 of 2 runs logged no outliers, so none are marked:"
        " selector evaluate sweep/ adds them where checkpoints are left"
    ]
    assert "Outliers were not logged" in caption_of(found[0], ACCURACY, 4.0)


def test_without_labels_the_metric_alone_is_drawn():
    course = course_of(trained(accuracies=None), ENTROPY, ACCURACY)
    assert {point.accuracy for point in course.points} == {None}
    assert (course.with_init, course.without_init) == (None, None)
    assert "Pearson" not in caption_of(course, ACCURACY, 4.0)


def test_values_that_are_not_finite_are_left_out_and_counted():
    course = course_of(trained(values=(5.0, NAN, 3.0, float("inf"), 4.0)), ENTROPY, ACCURACY)
    assert ([point.epoch for point in course.points], course.left_out) == ([0, 40, 80], 2)
    assert "2 milestones without a finite value are left out" in caption_of(course, ACCURACY, 4.0)


def test_a_constant_series_has_no_correlation():
    course = course_of(trained(values=(2.0,) * 5), ENTROPY, ACCURACY)
    assert (course.with_init, course.without_init) == (None, None)


def test_fewer_than_three_milestones_are_no_course():
    with pytest.raises(UserError, match="run aa has 2 milestones with label_free/entropy, 3 are the least"):
        course_of(trained(values=(5.0, 1.0)), ENTROPY, ACCURACY)
    found, warnings = courses(sweep(trained("aa", values=(5.0, 1.0)), trained("bb")), ENTROPY, ACCURACY)
    assert [course.run for course in found] == ["bb"]
    assert "run aa has 2 milestones" in warnings[0]
    with pytest.raises(UserError, match=r"nothing of sweep/ can be drawn: run aa has 2"):
        courses(sweep(trained("aa", values=(5.0, 1.0))), ENTROPY, ACCURACY)
    with pytest.raises(UserError, match="it holds no run"):
        courses(sweep(), ENTROPY, ACCURACY)


def test_a_run_without_milestone_0_has_one_correlation():
    late = trained()
    late = run("aa", milestones=late.milestones[1:])
    course = course_of(late, ENTROPY, ACCURACY)
    assert (course.with_init, course.without_init) == (None, pytest.approx(0.8))


def test_as_an_object(tmp_path):
    found = course_object(course_of(trained(), ENTROPY, ACCURACY), ENTROPY, tmp_path / "a.png")
    assert (found["run"], found["metric"], found["points"][1]["value"]) == ("aa", "entropy", 1.0)
