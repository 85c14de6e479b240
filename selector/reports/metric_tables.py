"""The table of metrics: an overview in one line each, and then what each one is."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from selector.metrics.metric_table import SAME_TRAINING
from selector.metrics.metrics import LabelFreeMetric, Metric
from selector.reports.tables import draw, paragraph
from selector.text import printable

_ONE_TRAINING = f"one training = same {', '.join(SAME_TRAINING)}"


@dataclass(frozen=True)
class MetricRow:
    """One line of the overview."""

    metric: str
    better: str
    cost: str


@dataclass(frozen=True)
class MetricEntry:
    """What there is to know about one metric, in lines of text."""

    title: str
    meaning: str
    formula: str
    compare: str
    source: str


def metric_rows(metrics: Iterable[Metric]) -> list[MetricRow]:
    """The overview."""
    return [MetricRow(metric.name, _better(metric), metric.cost) for metric in metrics]


def metric_entries(metrics: Iterable[Metric]) -> list[MetricEntry]:
    """All the rest."""
    return [
        MetricEntry(
            f"{metric.name}, {metric.symbol}" if metric.symbol != metric.name else metric.name,
            metric.meaning,
            metric.formula,
            _compare(metric),
            metric.source,
        )
        for metric in metrics
    ]


def print_metrics(metrics: Sequence[Metric], console: Console) -> None:
    """Draws the table of metrics: what may choose, then what reads labels and may only judge."""
    label_free = [metric for metric in metrics if isinstance(metric, LabelFreeMetric)]
    labelled = [metric for metric in metrics if not isinstance(metric, LabelFreeMetric)]
    for title, some in (("Without labels: these choose", label_free), ("With labels: these judge", labelled)):
        for space in dict.fromkeys(metric.space for metric in some):
            paragraph(console, f"{title}. Space: {space}")
            of_space = [metric for metric in some if metric.space == space]
            draw(console, metric_rows(of_space), ("metric", "better", "cost"))
            console.print()
    for entry in metric_entries([*label_free, *labelled]):
        paragraph(console, entry.title)
        for line in (
            entry.meaning,
            f"= {entry.formula}",
            f"Compare within {entry.compare}.",
            f"Source: {entry.source}.",
        ):
            console.print(Padding(Text(printable(line)), (0, 0, 0, 4)))
    console.print()
    paragraph(console, f"({_ONE_TRAINING})")


def _better(metric: Metric) -> str:
    exceptions = (f"{method}: {direction}" for method, direction in metric.direction_for.items())
    return " ".join([metric.direction, *(f"({exception})" for exception in exceptions)])


def _compare(metric: Metric) -> str:
    if set(SAME_TRAINING) <= set(metric.comparable):
        return ", ".join(["one training", *(f for f in metric.comparable if f not in SAME_TRAINING)])
    return f"one {', '.join(metric.comparable)}"
