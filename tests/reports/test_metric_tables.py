import io

from handmade import ACCURACY, ENTROPY
from rich.console import Console

from selector.metrics import METRICS
from selector.reports.metric_tables import metric_entry, print_metrics
from selector.reports.tables import open_console


def printed(metrics, console=open_console):
    file = io.StringIO()
    print_metrics(metrics, console(file))
    return file.getvalue()


def test_entries_say_what_may_be_compared():
    title, _, _, compare, _ = metric_entry(ENTROPY)
    assert title == "entropy, H(Z3)"
    assert compare == "Compare within one training, backbone_dim, evaluation_images."
    assert metric_entry(ACCURACY)[3] == "Compare within one dataset, evaluation_images."


def test_what_chooses_comes_before_what_judges():
    text = printed([ACCURACY, ENTROPY])
    words = ["these choose", "entropy", "these judge", "linear_probe", "H(Z3)", "LP"]
    assert [text.index(word) for word in words] == sorted(text.index(word) for word in words)


def test_the_whole_table_fits_eighty_columns_and_says_everything():
    text = printed(METRICS)
    assert max(map(len, text.splitlines())) <= 80
    unwrapped = printed(METRICS, lambda file: Console(file=file, width=400))
    for metric in METRICS:
        for said in (metric.name, metric.symbol, metric.meaning, metric.formula, metric.space, metric.cost):
            assert said in unwrapped
        assert f"Source: {metric.source}." in unwrapped
