"""The paper's figures: rows first, then ink."""

from pathlib import Path

import pytest
from handmade import ACCURACY, ENTROPY, run, sweep
from test_table_two import study

from selector.errors import UserError
from selector.paper.figures import (
    FORMATS,
    OUTLIERS,
    caption_of,
    course_of,
    courses,
    draw_course,
    model_caption,
    model_points,
    picture,
    plain,
    refuse_format,
)
from selector.paper.table_two import ModelRow, Study
from selector.runs import Milestone

NAN = float("nan")
STARTS = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}


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
    assert (course.evaluation_images, course.left_out) == (400, 0)


def test_milestones_with_outliers_are_marked_and_others_not():
    course = course_of(trained(outliers=(0.0, 0.01, 0.0, NAN, 0.2)), ENTROPY, ACCURACY)
    assert [point.epoch for point in course.marked] == [20, 80]
    assert course.outliers_known
    assert "Rings: 2 milestones with UMAP points more than 4 median distances" in caption_of(course, ACCURACY)


def test_the_accuracys_error_is_that_of_a_share_of_the_evaluation_images():
    course = course_of(trained(), ENTROPY, ACCURACY)
    assert course.points[0].accuracy_error == pytest.approx(1.5)  # 90 % of 400: √(0.9 · 0.1 / 400)
    assert course_of(trained(definition={}), ENTROPY, ACCURACY).points[0].accuracy_error == 0


def test_without_labels_the_metric_alone_is_drawn():
    course = course_of(trained(accuracies=None), ENTROPY, ACCURACY)
    assert {point.accuracy for point in course.points} == {None}
    assert (course.with_init, course.without_init) == (None, None)
    assert "Pearson" not in caption_of(course, ACCURACY)


def test_fewer_than_three_milestones_are_no_course():
    with pytest.raises(UserError, match="run aa has 2 milestones with label_free/entropy, 3 are needed"):
        course_of(trained(values=(5.0, 1.0)), ENTROPY, ACCURACY)
    found, warnings = courses(sweep(trained("aa", values=(5.0, 1.0)), trained("bb")), ENTROPY, ACCURACY)
    assert [course.run.id for course in found] == ["bb"]
    assert "run aa has 2 milestones" in warnings[0]
    with pytest.raises(UserError, match=r"nothing in sweep/ can be drawn: run aa has 2"):
        courses(sweep(trained("aa", values=(5.0, 1.0))), ENTROPY, ACCURACY)
    with pytest.raises(UserError, match="it holds no run"):
        courses(sweep(), ENTROPY, ACCURACY)


def drawn(path, method="simclr"):
    marked = trained(outliers=(0.0, 0.01, 0.0, NAN, 0.2), method=method)
    draw_course(course_of(marked, ENTROPY, ACCURACY), ENTROPY, ACCURACY, path)
    return path


@pytest.mark.parametrize("format", FORMATS)
def test_each_format_is_written_and_the_same_rows_make_the_same_file(tmp_path, format):
    first, second = (drawn(tmp_path / "deep" / f"{name}.{format}").read_bytes() for name in "ab")
    assert first.startswith(STARTS[format])
    assert first == second


def test_words_of_the_picture_are_there(tmp_path):
    text = drawn(tmp_path / "a.svg").read_text()
    assert {
        words
        for words in (
            "entropy in nats",
            "linear probe accuracy in %",
            "epochs trained",
            "entropy over training: simclr, digits",
            "embedding with outliers (2)",
            "n = 5 milestones, 400 evaluation images",
        )
        if words not in text
    } == set()


def test_names_from_elsewhere_are_neither_mathematics_nor_markup(tmp_path):
    text = drawn(tmp_path / "a.svg", method="$\\frac{$ <script> \x1b[31m").read_text()
    assert "<script>" not in text
    assert "\x1b" not in text
    assert plain("a$b\n") == r"a\$b "


def test_a_file_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"cannot write .*file/a.png"), picture(tmp_path / "file" / "a.png"):
        pass
    with pytest.raises(UserError, match=r"must end in one of .png, .svg, .pdf, got 'a.gif'"):
        refuse_format(Path("a.gif"))


def test_points_are_models_with_both_values_family_by_family():
    rows = study().rows
    mixed = Study(
        "d", 1, 1, {}, False, (rows[4], *rows[:2], ModelRow("c", "b", "w", 1, {"label_free/entropy": 1.0}))
    )
    points = model_points(mixed, ENTROPY)
    assert [(p.family, p.model) for p in points] == [("b", "b1"), ("a", "a0"), ("a", "a1")]
    assert (points[1].accuracy, points[1].value, points[1].deviation) == (10.0, 1.0, 0.0)


def test_the_caption_says_how_many_how_sure_and_what_not_to_conclude():
    text = model_caption(study(), ENTROPY, model_points(study(), ENTROPY))
    assert text.startswith("n = 5 models on cifar10, 100 evaluation images; Pearson's r = 0.90, p = 0.0")
    assert "does not rank the next model" in text
    assert "UNTRAINED" in model_caption(study(untrained=True), ENTROPY, model_points(study(), ENTROPY))
