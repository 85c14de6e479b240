"""Table II: how well each metric follows the linear probe over models, by family and over all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from rich.console import Console

from selector.errors import UserError
from selector.metrics import METRICS, labelled_metric
from selector.paper import published as paper
from selector.paper.association import (
    DRAWS,
    LEAST_MODELS,
    LEAST_PAIRS,
    RESAMPLES,
    SEED,
    SIGNIFICANT,
    STATISTICS,
    Entry,
    Metric,
    associate,
    percentile_interval,
    resampled_pearson,
)
from selector.paper.layout import (
    UNKNOWN,
    columns_of,
    draw_columns,
    interval_text,
    reason_lines,
    to_csv,
    to_latex,
)
from selector.reports.tables import paragraph, table_of
from selector.reports.words import correlation, number
from selector.selection.correlation import EXACT_BELOW

OVERALL = "overall"
UNTRAINED = "UNTRAINED networks with random weights: these figures say nothing about pretrained models"
ACCURACY = labelled_metric("linear_probe_accuracy")
_CSV = (
    "kind dataset group model weights metric value n p marked interval_low interval_high spearman spearman_p"
    " reason"
)
_JSON = f"{STATISTICS} metric key label_free group n"
_PAPER = "dataset group metric pearson n marked"


@dataclass(frozen=True)
class ModelRow:
    """What was measured on one model; the fields are keys of `--json`.

    `weights` says what they are, `resolution` is the side of its images in pixels, and `values` has W&B keys.
    """

    model: str
    family: str
    weights: str
    resolution: int
    values: Mapping[str, float]


@dataclass(frozen=True)
class Study:
    """Models on one data set, or on a folder of images, which is named with its path.

    The probe learns from the training images; the metrics are computed from the evaluation images.
    `untrained`: whether the networks had random weights.
    """

    dataset: str
    train_images: int
    evaluation_images: int
    settings: Mapping[str, Any]
    untrained: bool
    rows: tuple[ModelRow, ...]
    warnings: tuple[str, ...] = ()

    @property
    def metrics(self) -> list[Metric]:
        """Metrics of the table that some model has."""
        keys = {key for row in self.rows for key in row.values}
        return [metric for metric in METRICS if metric.key in keys]


def correlate_models(study: Study) -> list[Entry]:
    """Every metric with linear-probe accuracy: an entry per family, then one over all models.

    Empty where no model has an accuracy. Where all models are of one family there is no `overall`. Intervals
    resample the models one by one.
    """
    if not any(ACCURACY.key in row.values for row in study.rows):
        return []
    groups: dict[str, list[Mapping[str, float]]] = {}
    for row in study.rows:
        groups.setdefault(row.family, []).append(row.values)
    if len(groups) > 1:
        groups[OVERALL] = [row.values for row in study.rows]
    found = []
    for metric, (group, rows) in product(study.metrics, groups.items()):
        if metric.key == ACCURACY.key:
            continue
        fields, x, y = associate(rows, metric, ACCURACY, "model")
        interval = None
        if not fields["reason"] and len(x) >= LEAST_MODELS:
            interval = percentile_interval(resampled_pearson(x, y, 1, f"{group} {metric.name}"))
        found.append(Entry(source="models", group=group, dataset=study.dataset, interval=interval, **fields))
    return found


def print_study(study: Study, console: Console, published: bool = False) -> None:
    """Draws what was measured of each model, Table II, and all statistics."""
    count, probe = len(study.rows), study.settings["probe"]
    paragraph(
        console,
        f"{count} model{'' if count == 1 else 's'} on {study.dataset}: {study.evaluation_images} evaluation"
        f" images, {study.train_images} training images for the probe '{probe}'",
    )
    if study.untrained:
        paragraph(console, UNTRAINED)
    titles = ("model", "px", "acc.", "entropy", "agreement", "silhouette")
    console.print(table_of(titles, model_rows(study), right=titles[1:]))
    kinds = list(dict.fromkeys(row.weights for row in study.rows))
    more = f" and {len(kinds) - 5} more" if len(kinds) > 5 else ""
    paragraph(console, f"Weights: {', '.join(kinds[:5])}{more}")
    console.print()
    correlations = correlate_models(study)
    if correlations:
        paragraph(console, f"Pearson's r of each metric with {ACCURACY.key} over models")
        draw_columns(console, columns_of(correlations, lines=1))
    for group in dict.fromkeys(one.group for one in correlations if not one.reason):
        console.print()
        paragraph(console, f"{group}:")
        heads = ("metric", "n", "r", "p", "ρ", "p", "95 % of r")
        console.print(table_of(heads, statistics_rows(correlations, group), right=heads[1:]))
    for line in reason_lines(correlations, head=0):
        paragraph(console, line)
    beside = (study.dataset,) if study.dataset in paper.DATASETS else paper.DATASETS
    for dataset in beside if published else ():
        console.print()
        paragraph(console, f"The paper's, {dataset}: 17 models pretrained on ImageNet")
        draw_columns(console, columns_of(paper.table_two(dataset), lines=1))
    console.print()
    for line in notes(study, correlations, published):
        paragraph(console, line)


def model_rows(study: Study) -> list[tuple[str, ...]]:
    """Of each model, as they were named: name, pixels, accuracy in percent, three metrics."""
    keys = ("label_free/entropy", "label_free/clustering_agreement", "label_free/silhouette")
    rows = []
    for row in study.rows:
        accuracy = row.values.get(ACCURACY.key)
        shown = UNKNOWN if accuracy is None else f"{100 * accuracy:.1f}"
        rows.append((row.model, str(row.resolution), shown, *(number(row.values.get(key)) for key in keys)))
    return rows


def statistics_rows(correlations: Sequence[Entry], group: str) -> list[tuple[str, ...]]:
    """A group's figures with number of models, significance and interval; what is undefined is left out."""
    rows: list[tuple[str, ...]] = []
    for one in correlations:
        if one.group == group and not one.reason:
            r, rho = correlation(one.pearson), correlation(one.spearman)
            texts = (str(one.n), r, _p(one.pearson_p), rho, _p(one.spearman_p))
            rows.append((one.metric, *texts, interval_text(one.interval)))
    return rows


def notes(study: Study, correlations: Sequence[Entry], published: bool) -> list[str]:
    """What is printed below the tables."""
    lines = ["No linear probe was trained, so there is nothing to correlate the metrics with."]
    if correlations:
        lines = [
            f"n: models. * p < {SIGNIFICANT} (from all orders for n < {EXACT_BELOW}, else Student's t; not"
            " corrected for the number of metrics)."
            f" 95 %: models resampled with replacement ({RESAMPLES} resamples, seed {SEED}), from"
            f" {LEAST_MODELS} models on. ρ: Spearman."
        ]
        most = max(one.n or 0 for one in correlations)
        if most < 4:
            lines.append(f"At most {most} models: no order of so few models is rare enough for p < 0.05.")
        elif most < 17:
            lines.append(f"At most {most} models: only a strong correlation can be told from chance.")
    settings = study.settings
    lines.append(
        f"Entropy in bins of {settings['bin_width']:g} σ; {settings['clusters']} clusters; means over"
        f" {settings['umap_seeds']} UMAP seeds. Images are scaled to each model's own resolution (px)."
    )
    if published:
        lines.append(f"Paper: {paper.TABLE_II_SOURCE}; * from the number of its models.")
    return lines


def study_csv(studies: Sequence[Study], published: bool = False) -> str:
    """Values of the models, then correlations over models, then the paper's."""
    rows: list[Mapping[str, Any]] = []
    for study in studies:
        for row in study.rows:
            model = {"kind": "model", "dataset": study.dataset, "group": row.family} | vars(row)
            for metric in study.metrics:
                rows.append(model | {"metric": metric.name, "value": row.values.get(metric.key)})
        head = {"kind": "correlation", "weights": "untrained" if study.untrained else ""}
        rows += [head | vars(one) for one in correlate_models(study)]
    rows += [{"kind": "paper"} | vars(one) for one in _published() if published]
    return to_csv(rows, _CSV.split(), {"pearson": "value", "pearson_p": "p"})


def study_latex(studies: Sequence[Study], published: bool = False) -> str:
    r"""Table II as a tabular, for \usepackage{booktabs,xcolor}.

    Raises:
        UserError: No model has an accuracy.
    """
    entries = [entry for study in studies for entry in correlate_models(study)]
    entries += _published() if published else []
    if not entries:
        raise UserError("no model has a linear-probe accuracy, so there is no table to print")
    comments = ["Pearson's r of each metric with linear-probe accuracy over models; gray: p >= 0.05"]
    comments += [UNTRAINED] if any(study.untrained for study in studies) else []
    return to_latex(columns_of(entries), comments)


def study_object(studies: Sequence[Study], published: bool = False) -> dict[str, Any]:
    """What `pretrained --json` prints: null, with a reason beside it, for what is undefined."""
    datasets = [
        {
            "dataset": study.dataset,
            "train_images": study.train_images,
            "evaluation_images": study.evaluation_images,
            "settings": dict(study.settings),
            "models": [vars(row) for row in study.rows],
            "correlations": [one.object(_JSON, n="models") for one in correlate_models(study)],
        }
        for study in studies
    ]
    return {
        "oracle": "linear_probe_accuracy",
        "untrained": any(study.untrained for study in studies),
        "datasets": datasets,
        "least_models": LEAST_PAIRS,
        "significant_below": SIGNIFICANT,
        "bootstrap": {"over": "models, with replacement", **DRAWS, "least_models": LEAST_MODELS},
        "published": [one.object(_PAPER, n="models") for one in _published()] if published else None,
        "published_source": paper.TABLE_II_SOURCE if published else None,
        "warnings": [warning for study in studies for warning in study.warnings],
    }


def _published() -> list[Entry]:
    return [entry for dataset in paper.DATASETS for entry in paper.table_two(dataset)]


def _p(value: float | None) -> str:
    if value is None:
        return UNKNOWN
    return "<0.001" if value < 0.001 else f"{value:.3f}"
