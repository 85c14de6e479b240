"""Numbers and series as people read them."""

from math import inf, nan

import pytest

from selector.reports.words import correlation, number, setting, share, sparkline


@pytest.mark.parametrize(
    ("write", "texts"),
    [
        (
            number,
            {
                None: "–",
                34.6: "34.60",
                0.00012345: "0.0001234",
                1e9: "1.000e+09",
                1234.0: "1234",
                0.0: "0.000",
            },
        ),
        (setting, {65536.0: "65536", 0.25: "0.25", 1e-7: "1e-07", 2e9: "2e+09", None: "None", "x": "x"}),
        (correlation, {-0.004: "0.00", -6.5e-17: "0.00", 0.465: "0.47", -1: "-1.00", None: "–"}),
        (lambda value: share(value, percent=True), {0.123: "12.3", None: "–"}),
        (lambda value: share(value, percent=False), {47.0: "47.00"}),
    ],
    ids=["numbers", "settings", "correlations", "percent", "as logged"],
)
def test_values(write, texts):
    assert [write(value) for value in texts] == list(texts.values())


@pytest.mark.parametrize(
    ("values", "options", "line"),
    [
        ([], {}, ""),
        ([1, 2, 3, 4, 5, 6, 7, 8], {}, "▁▂▃▄▅▆▇█"),
        ([3, 3, 3], {}, "▅▅▅"),  # a constant is neither high nor low
        ([1, nan, 8, inf, -inf], {}, "▁·█··"),
        ([nan, nan], {}, "··"),
        ([0, 4], {"low": 0, "high": 8}, "▁▅"),
        ([-5, 50], {"low": 0, "high": 8}, "▁█"),
        (list(range(1001)), {"width": 5}, "▁▃▅▇█"),  # thinned evenly, both ends kept
        ([0, 0, 0, 9], {"width": 2}, "▁█"),
    ],
)
def test_bars(values, options, line):
    assert sparkline(values, **options) == line
