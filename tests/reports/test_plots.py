"""Ink: that there is some, that it is the same each time, and what names may do to it."""

import pytest
from handmade import ACCURACY, ENTROPY, run
from matplotlib.colors import to_rgb

from selector.errors import UserError
from selector.reports.figure_rows import course_of
from selector.reports.plots import COLOURS, FORMATS, MARKERS, caption, picture, plain, refuse_format
from selector.reports.training_figure import draw_course
from selector.runs import Milestone

STARTS = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}


def course(name="simclr"):
    rows = [
        {"label_free/entropy": 5.0 - e, ACCURACY.key: e / 9, "label_free/outlier_share": e / 50}
        for e in range(4)
    ]
    milestones = tuple(Milestone(10 * epoch, row) for epoch, row in enumerate(rows))
    return course_of(run("aa", milestones=milestones, method=name), ENTROPY, ACCURACY)


@pytest.mark.parametrize("format", FORMATS)
def test_each_format_is_written_and_the_same_rows_make_the_same_file(tmp_path, format):
    files = [tmp_path / "deep" / f"{name}.{format}" for name in "ab"]
    for file in files:
        draw_course(course(), ENTROPY, ACCURACY, file)
    first, second = (file.read_bytes() for file in files)
    assert first.startswith(STARTS[format])
    assert first == second


def test_words_of_the_picture_are_there(tmp_path):
    draw_course(course(), ENTROPY, ACCURACY, tmp_path / "a.svg")
    text = (tmp_path / "a.svg").read_text()
    for words in (
        "entropy in nats",
        "linear probe accuracy in %",
        "epochs trained",
        "embedding with outliers (3)",
    ):
        assert words in text, words
    assert "n = 4 milestones, 400 evaluation images" in text


def test_names_from_elsewhere_are_neither_mathematics_nor_markup(tmp_path):
    hostile = "$\\frac{$ <script> \x1b[31m"
    draw_course(course(hostile), ENTROPY, ACCURACY, tmp_path / "a.svg")
    text = (tmp_path / "a.svg").read_text()
    assert "<script>" not in text
    assert "\x1b" not in text
    assert plain("a$b\n") == r"a\$b "


def test_a_file_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"cannot write .*file/a.png"), picture(tmp_path / "file" / "a.png"):
        pass
    with pytest.raises(UserError, match=r"must end in one of .png, .svg, .pdf, got 'a.gif'"):
        refuse_format(tmp_path.__class__("a.gif"))


def test_a_caption_is_wrapped_to_the_picture(tmp_path):
    with picture(tmp_path / "a.png") as figure:
        caption(figure, "word " * 60)
        figure.subplots()
        figure.draw_without_rendering()
        box = figure._supxlabel.get_window_extent()
        assert box.x1 <= figure.bbox.x1
        assert box.y0 >= figure.bbox.y0


def test_colours_differ_in_lightness_too_or_in_their_markers():
    assert len(set(COLOURS)) == len(set(MARKERS)) == 8

    def luminance(colour):
        red, green, blue = to_rgb(colour)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    # The two that share a picture of training must be told apart in grey print.
    assert abs(luminance(COLOURS[0]) - luminance(COLOURS[1])) > 0.05
