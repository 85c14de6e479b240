"""Figures 5 and 6 of the paper: a metric against linear-probe accuracy, a point a model."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite, sqrt
from pathlib import Path

from selector.errors import UserError
from selector.metrics.metrics import labelled_metric
from selector.paper.model_correlation import OVERALL, Metric, Study, correlate_models
from selector.reports.plots import COLOURS, MARKERS, caption, picture, plain


@dataclass(frozen=True)
class ModelPoint:
    """One model in the picture.

    Attributes:
        family: Gives colour and marker.
        model: Its name.
        accuracy: Of the linear probe, in percent; along the horizontal axis.
        value: Of the metric; along the vertical axis.
        deviation: Standard deviation of the value over UMAP seeds, or 0.
        accuracy_error: Standard error of the accuracy from the number of evaluation images, in percent.
    """

    family: str
    model: str
    accuracy: float
    value: float
    deviation: float
    accuracy_error: float


def model_points(study: Study, metric: Metric) -> list[ModelPoint]:
    """Models with finite values of both, family by family."""
    oracle = labelled_metric("linear_probe_accuracy")
    points = [
        ModelPoint(
            row.family, row.model, 100 * row.values[oracle.key], row.values[metric.key],
            row.values.get(f"noise/{metric.name}", 0.0),
            _error(row.values[oracle.key], study.evaluation_images),
        )
        for row in study.rows
        if isfinite(row.values.get(oracle.key, float("nan")))
        and isfinite(row.values.get(metric.key, float("nan")))
    ]  # fmt: skip
    families = list(dict.fromkeys(point.family for point in points))
    return sorted(points, key=lambda point: families.index(point.family))


def model_caption(study: Study, metric: Metric, points: Sequence[ModelPoint]) -> str:
    """What stands under the picture: how many models and images, and what not to read into it."""
    text = f"n = {len(points)} models on {study.dataset}, {study.evaluation_images} evaluation images"
    found = [one for one in correlate_models(study) if one.metric == metric and one.pearson.value is not None]
    # Models of one family alone have no figure over all: theirs is that.
    over_all = [one for one in found if one.group == OVERALL] or (found if len(found) == 1 else [])
    if over_all:
        test = over_all[0].pearson
        text += f"; Pearson's r = {test.value:.2f}, p = {test.p_value:.2g}"
    text += ". Bars: ±1 standard error of the accuracy"
    text += ", ±1 standard deviation over UMAP seeds." if any(p.deviation for p in points) else "."
    if study.untrained:
        text += " UNTRAINED networks with random weights: nothing here is about pretrained models."
    return text + " A trend over so few models on one data set does not rank the next model."


def _error(accuracy: float, images: int) -> float:
    """Of a share of independent images, in percent: 100 sqrt(a (1 - a) / N)."""
    return 100 * sqrt(accuracy * (1 - accuracy) / images)


def short_names(points: Sequence[ModelPoint]) -> list[str]:
    """What sets each model of a family apart: 18 of resnet18, lite0 of tf_efficientnet_lite0.

    Of checkpoints the run's folder, and the milestone too where those differ.
    """
    milestones = {point.model.partition("/")[2] for point in points}
    names = [point.model.partition("/")[0] if len(milestones) == 1 else point.model for point in points]
    sizes = [name.removeprefix(point.family).strip("_-") for name, point in zip(names, points, strict=True)]
    # A single letter or digit says little by itself.
    return [size if len(size) > 1 else name.split("_")[-1] for size, name in zip(sizes, names, strict=True)]


def draw_models(study: Study, metric: Metric, path: Path) -> None:
    """Write the picture.

    Raises:
        UserError: There is no point to draw, or the file cannot be written.
    """
    points = model_points(study, metric)
    if not points:
        raise UserError(
            f"no model has both {metric.name} and a linear probe on {study.dataset}: nothing to draw"
        )
    with picture(path, height=5.0) as figure:
        axes = figure.subplots()
        order = sorted(points, key=lambda point: point.accuracy)
        for number, family in enumerate(dict.fromkeys(point.family for point in points)):
            own = [point for point in points if point.family == family]
            axes.errorbar(
                [p.accuracy for p in own], [p.value for p in own], yerr=[p.deviation for p in own],
                xerr=[p.accuracy_error for p in own],
                linestyle="none", marker=MARKERS[number % len(MARKERS)], color=COLOURS[number % len(COLOURS)],
                markersize=7, elinewidth=1, capsize=2, label=f"{plain(family)} ({len(own)})",
            )  # fmt: skip
            for p, name in zip(own, short_names(own), strict=True):
                above = order.index(p) % 2 == 0  # neighbours get their names on different sides
                axes.annotate(
                    plain(name), (p.accuracy, p.value), xytext=(6, 4 if above else -11),
                    textcoords="offset points", fontsize=8, color="#444444",
                )  # fmt: skip
        axes.margins(0.12)
        unit = " in nats" if metric.name.startswith("entropy") else ""
        axes.set_xlabel("linear-probe accuracy in %")
        axes.set_ylabel(f"{plain(metric.name)}{unit}")
        title = f"{metric.name} against the linear probe, {study.dataset}"
        axes.set_title(plain(title + (" (UNTRAINED)" if study.untrained else "")))
        axes.legend(frameon=False)
        caption(figure, plain(model_caption(study, metric, points)))
