import pytest

from selector.milestone import Milestone, correct_images, correct_text

KEY = "correct/linear_probe_accuracy"


def test_a_row_is_read_back_and_what_is_neither_number_nor_list_nor_text_is_left_out():
    milestone = Milestone(3, {"a": 1.5, "b": 2.0}, {"spectrum/a": (1.0, 0.5)}, {KEY: "/w=="})
    assert milestone.row == {"epoch": 3, "a": 1.5, "b": 2.0, "spectrum/a": [1.0, 0.5], KEY: "/w=="}
    odd = {"c": None, "d": {"e": 1}, "f": [1, "g"], "h": True}
    assert Milestone.of_row(milestone.row | {"b": 2} | odd) == milestone


@pytest.mark.parametrize(
    ("correct", "text"),
    [
        # 1011 0000 = 0xb0, in base64 101100 000000 = "sA"
        ([True, False, True, True], "sA=="),
        ([True] * 9, "/4A="),  # 0xff 0x80: 111111 111000 000000
        ([False] * 8, "AA=="),
    ],
)
def test_truths_about_images_as_text_and_back(correct, text):
    assert correct_text(correct) == text
    read = correct_images(Milestone(1, texts={KEY: text}), KEY, len(correct))
    assert read.dtype == bool
    assert read.tolist() == correct


@pytest.mark.parametrize("text", ["", "AA==", "no base64!", "AAAA", "Aé=="])
def test_a_text_that_is_not_about_so_many_images_says_nothing(text):
    assert correct_images(Milestone(1, texts={KEY: text}), KEY, 9) is None
