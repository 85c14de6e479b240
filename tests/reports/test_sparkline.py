from math import inf, nan

import pytest

from selector.reports.sparkline import sparkline


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ([], ""),
        ([1, 2, 3, 4, 5, 6, 7, 8], "▁▂▃▄▅▆▇█"),
        ([3, 3, 3], "▅▅▅"),  # a constant is neither high nor low
        ([1, nan, 8, inf, -inf], "▁·█··"),
        ([nan, nan], "··"),
    ],
)
def test_bars(values, line):
    assert sparkline(values) == line


def test_a_common_scale():
    assert sparkline([0, 4], low=0, high=8) == "▁▅"
    assert sparkline([-5, 50], low=0, high=8) == "▁█"


def test_long_series_are_thinned_and_keep_both_ends():
    line = sparkline(list(range(1001)), width=5)
    assert line == "▁▃▅▇█"
    assert sparkline([0, 0, 0, 9], width=2) == "▁█"
