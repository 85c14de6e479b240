"""Table II for people: how well metrics follow the linear probe over pretrained models."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from selector.metrics.metrics import LabelFreeMetric, labelled_metric
from selector.paper.model_correlation import (
    LEAST_FOR_INTERVAL,
    ModelCorrelation,
    Study,
    correlate_models,
)
from selector.paper.published_models import (
    DATASETS,
    FAMILIES,
    PUBLISHED_METRICS,
    TABLE_II_SOURCE,
    published_models,
)
from selector.reports.tables import correlation, draw, number, paragraph
from selector.selection.bootstrap import RESAMPLES, SEED
from selector.selection.correlation import EXACT_BELOW
from selector.text import printable

SIGNIFICANT = 0.05
UNTRAINED = "UNTRAINED networks with random weights: these figures say nothing about pretrained models"
_UNKNOWN = "–"
_ACCURACY = labelled_metric("linear_probe_accuracy")


@dataclass(frozen=True)
class ModelTableRow:
    """One model."""

    model: str
    pixels: str
    accuracy: str
    entropy: str
    agreement: str
    silhouette: str


@dataclass(frozen=True)
class StatisticsRow:
    """All statistics of one metric over one group of models."""

    metric: str
    n: str
    pearson: str
    p: str
    spearman: str
    spearman_p: str
    interval: str


@dataclass(frozen=True)
class TableTwo:
    """Table II for one data set.

    Attributes:
        groups: Families, then "overall"; the columns.
        cells: By metric, a text a group: r in two decimals with a star for p < 0.05, or a dash.
    """

    groups: tuple[str, ...]
    cells: dict[str, tuple[str, ...]]


def model_rows(study: Study) -> list[ModelTableRow]:
    """What was measured of each model, in the order in which they were named."""
    keys = ("label_free/entropy", "label_free/clustering_agreement", "label_free/silhouette")
    return [
        ModelTableRow(
            row.model,
            str(row.resolution),
            f"{100 * row.values[_ACCURACY.key]:.1f}" if _ACCURACY.key in row.values else _UNKNOWN,
            *(number(row.values[key]) if key in row.values else _UNKNOWN for key in keys),
        )
        for row in study.rows
    ]


def table_two(correlations: Sequence[ModelCorrelation]) -> TableTwo:
    """Our Table II."""
    groups = tuple(dict.fromkeys(one.group for one in correlations))
    cells: dict[str, list[str]] = {}
    for one in correlations:
        cells.setdefault(one.metric.name, []).append(shown(one.pearson.value, marked(one)))
    return TableTwo(groups, {name: tuple(texts) for name, texts in cells.items()})


def published_table(dataset: str) -> TableTwo:
    """The paper's Table II for one of its data sets."""
    cells = {}
    for name in PUBLISHED_METRICS:
        figures = [published_models(name, family, dataset) for family in FAMILIES]
        cells[name] = tuple(shown(f.value, f.significant) if f else _UNKNOWN for f in figures)
    return TableTwo(FAMILIES, cells)


def statistics_rows(correlations: Sequence[ModelCorrelation], group: str) -> list[StatisticsRow]:
    """A group's figures with number of models, significance and interval; what is undefined is left out."""
    return [
        StatisticsRow(
            one.metric.name,
            str(one.pearson.n),
            shown(one.pearson.value, False),
            _p(one.pearson.p_value),
            shown(one.spearman.value, False),
            _p(one.spearman.p_value),
            _UNKNOWN if one.interval is None else "…".join(map(correlation, one.interval)),
        )
        for one in correlations
        if one.group == group and not one.reason
    ]


def print_study(study: Study, console: Console, published: bool = False) -> None:
    """Draws what was measured of each model, Table II, and all statistics."""
    paragraph(console, study_line(study))
    if study.untrained:
        paragraph(console, UNTRAINED)
    draw(
        console,
        model_rows(study),
        ("model", "px", "acc.", "entropy", "agreement", "silhouette"),
        right=("pixels", "accuracy", "entropy", "agreement", "silhouette"),
    )
    paragraph(console, weights_line(study))
    console.print()
    correlations = correlate_models(study)
    if correlations:
        paragraph(console, f"Pearson's r of each metric with {_ACCURACY.key} over models")
        _draw_table(console, table_two(correlations))
        for group in dict.fromkeys(one.group for one in correlations):
            if rows := statistics_rows(correlations, group):
                console.print()
                paragraph(console, f"{group}:")
                draw(
                    console,
                    rows,
                    ("metric", "n", "r", "p", "ρ", "p", "95 % of r"),
                    right=("n", "pearson", "p", "spearman", "spearman_p", "interval"),
                )
        for line in reason_lines(correlations):
            paragraph(console, line)
    for dataset in _paper_datasets(study) if published else ():
        console.print()
        paragraph(console, f"The paper's, {dataset}: 17 models pretrained on ImageNet")
        _draw_table(console, published_table(dataset))
    console.print()
    for line in notes(study, correlations, published):
        paragraph(console, line)


def study_line(study: Study) -> str:
    """What was studied, in a sentence."""
    count = len(study.rows)
    return (
        f"{count} model{'' if count == 1 else 's'} on {study.dataset}: {study.evaluation_images} evaluation"
        f" images, {study.train_images} training images for the probe '{study.settings['probe']}'"
    )


def weights_line(study: Study) -> str:
    """What the weights of the models are, each kind once."""
    kinds = list(dict.fromkeys(row.weights for row in study.rows))
    more = f" and {len(kinds) - 5} more" if len(kinds) > 5 else ""
    return f"Weights: {', '.join(kinds[:5])}{more}"


def reason_lines(correlations: Sequence[ModelCorrelation]) -> list[str]:
    """Why figures are missing, each reason once with what it concerns."""
    concerned: dict[tuple[str, str], list[str]] = {}
    for one in correlations:
        if one.reason:
            concerned.setdefault((one.group, one.reason), []).append(one.metric.name)
    metrics = len({one.metric.name for one in correlations})
    return [
        f"{_UNKNOWN} {group} ({', '.join(names) if len(names) < metrics else 'all'}): {reason}"
        for (group, reason), names in concerned.items()
    ]


def notes(study: Study, correlations: Sequence[ModelCorrelation], published: bool) -> list[str]:
    """What stands below the tables."""
    lines = []
    if correlations:
        lines.append(
            f"n: models. * p < {SIGNIFICANT} (from all orders for n < {EXACT_BELOW}, else Student's t; not"
            " corrected for the number of metrics)."
            f" 95 %: models resampled with replacement ({RESAMPLES} resamples, seed {SEED}), from"
            f" {LEAST_FOR_INTERVAL} models on. ρ: Spearman."
        )
        small = max(one.pearson.n for one in correlations)
        if small < 17:
            least = "no order of so few models is rare enough for p < 0.05" if small < 4 else "only a strong"
            least += "" if small < 4 else " correlation can be told from chance"
            lines.append(f"At most {small} models: {least}.")
    else:
        lines.append("No linear probe was trained, so there is nothing to correlate the metrics with.")
    settings = study.settings
    lines.append(
        f"Entropy in bins of {settings['bin_width']:g} σ; {settings['clusters']} clusters; means over"
        f" {settings['umap_seeds']} UMAP seeds. Images are scaled to each model's own resolution (px)."
    )
    if published:
        lines.append(f"Paper: {TABLE_II_SOURCE}; * from the number of its models.")
    return lines


def shown(value: float | None, star: bool) -> str:
    """A correlation in two decimals, with a star where it is marked; a dash where there is none."""
    return _UNKNOWN if value is None else correlation(value) + "*" * star


def marked(one: ModelCorrelation) -> bool:
    """Whether p < 0.05."""
    return one.pearson.p_value is not None and one.pearson.p_value < SIGNIFICANT


def _draw_table(console: Console, content: TableTwo) -> None:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1), show_edge=False)
    label_free = {metric for metric in content.cells if _is_label_free(metric)}
    table.add_column("metric", no_wrap=True)
    table.add_column("no\nlabels")
    for group in content.groups:
        table.add_column(Text(printable(group)), justify="right", overflow="fold", max_width=8)
    for name, texts in content.cells.items():
        table.add_row(*map(Text, (printable(name), "✓" if name in label_free else "", *texts)))
    console.print(table)


def _is_label_free(name: str) -> bool:
    from selector.metrics.metrics import METRICS

    return any(metric.name == name and isinstance(metric, LabelFreeMetric) for metric in METRICS)


def _paper_datasets(study: Study) -> tuple[str, ...]:
    return (study.dataset,) if study.dataset in DATASETS else DATASETS


def _p(value: float | None) -> str:
    if value is None:
        return _UNKNOWN
    return "<0.001" if value < 0.001 else f"{value:.3f}"
