"""The table of metrics: an overview in one line each, and then what each one is."""

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from selector.metrics import SAME_TRAINING, LabelFreeMetric, LabelledMetric, Metric
from selector.reports.tables import paragraph, table_of
from selector.text import printable

_ONE_TRAINING = f"one training = same {', '.join(SAME_TRAINING)}"


def metric_rows(metrics: Iterable[Metric]) -> list[tuple[str, str, str]]:
    """The overview: name, which way is better, cost."""
    return [(metric.name, _better(metric), metric.cost) for metric in metrics]


def metric_entry(metric: Metric) -> tuple[str, ...]:
    """What there is to know about one metric, in lines of text; the first one is its title."""
    return (
        f"{metric.name}, {metric.symbol}" if metric.symbol != metric.name else metric.name,
        metric.meaning,
        f"= {metric.formula}",
        f"Compare within {_compare(metric)}.",
        f"Source: {metric.source}.",
    )


def print_metrics(metrics: Sequence[Metric], console: Console) -> None:
    """Draws the table of metrics: what may choose, then what reads labels and may only judge."""
    label_free = [metric for metric in metrics if isinstance(metric, LabelFreeMetric)]
    labelled = [metric for metric in metrics if not isinstance(metric, LabelFreeMetric)]
    for title, some in (("Without labels: these choose", label_free), ("With labels: these judge", labelled)):
        for space in dict.fromkeys(metric.space for metric in some):
            paragraph(console, f"{title}. Space: {space}")
            rows = metric_rows(metric for metric in some if metric.space == space)
            console.print(table_of(("metric", "better", "cost"), rows))
            console.print()
    for metric in [*label_free, *labelled]:
        title, *lines = metric_entry(metric)
        paragraph(console, title)
        for line in lines:
            console.print(Padding(Text(printable(line)), (0, 0, 0, 4)))
    console.print()
    paragraph(console, f"({_ONE_TRAINING})")


def metrics_page(metrics: Sequence[Metric]) -> str:
    """docs/metrics.md: what may choose, then what reads labels and may only judge."""
    blocks = [
        "# Metrics",
        "`selector metrics --markdown` writes this page. Every milestone of a run holds these figures under"
        " their keys, if the run has the data they need. The docstrings of `selector.metrics` define them in"
        f" full. Below, {_ONE_TRAINING}.",
    ]
    for title, kind in (("Without labels", LabelFreeMetric), ("With labels", LabelledMetric)):
        blocks.append(f"## {title}")
        for metric in metrics:
            if isinstance(metric, kind):
                _, meaning, formula, compare, source = metric_entry(metric)
                blocks += [
                    f"### {metric.name}",
                    meaning,
                    f"- `{metric.symbol} {formula}`\n- Key: `{metric.key}`\n- Better: {_better(metric)}\n"
                    f"- Space: {metric.space}\n- Cost: {metric.cost}\n- {compare}\n- {source}",
                ]
    return "\n\n".join(blocks) + "\n"


def _better(metric: Metric) -> str:
    most, exceptions = metric.ways
    return " ".join([most, *(f"({method}: {direction})" for method, direction in exceptions.items())])


def _compare(metric: Metric) -> str:
    if set(SAME_TRAINING) <= set(metric.comparable):
        return ", ".join(["one training", *(f for f in metric.comparable if f not in SAME_TRAINING)])
    return f"one {', '.join(metric.comparable)}"
