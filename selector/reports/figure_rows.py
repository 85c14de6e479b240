"""Figures 2 to 4 of the paper as rows: a metric over training beside probe accuracy, run by run."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import isfinite, sqrt
from pathlib import Path
from typing import Any

from selector.errors import UserError
from selector.metrics.metrics import NOISE_PREFIX, LabelFreeMetric, LabelledMetric
from selector.runs import Run, RunSet
from selector.selection.correlation import pearson
from selector.selection.hyperparameters import is_finite_number

OUTLIERS = "label_free/outlier_share"
LEAST_MILESTONES = 3  # fewer are no course of training

Metric = LabelFreeMetric | LabelledMetric


@dataclass(frozen=True)
class Point:
    """One milestone.

    Attributes:
        epoch: Epochs trained.
        value: Of the metric.
        accuracy: Of the oracle, in percent where it is a share; None without one.
        deviation: Standard deviation of the value over UMAP seeds, 0 where it has none.
        outliers: Share of the UMAP points that are outliers; None where that was not logged.
        accuracy_error: Standard error of the accuracy from the number of images, in percent, 0 where that is
            not known or the oracle is no accuracy.
    """

    epoch: int
    value: float
    accuracy: float | None
    deviation: float
    outliers: float | None
    accuracy_error: float


@dataclass(frozen=True)
class Course:
    """One run's picture.

    Attributes:
        run: Its id.
        title: Method and data set, as far as known.
        points: Milestones with a finite value, by epoch.
        left_out: Milestones without one.
        with_init: Pearson's r with the oracle over all points; None where it is undefined.
        without_init: The same without the untrained network.
        evaluation_images: That the metric was computed from, or None where that is not known.
        in_percent: Whether the oracle is a share, which is drawn in percent; else it is drawn as logged.
        axis: What the milestones are counted by.
    """

    run: str
    title: str
    points: tuple[Point, ...]
    left_out: int
    with_init: float | None
    without_init: float | None
    evaluation_images: int | None
    in_percent: bool
    axis: str

    @property
    def marked(self) -> tuple[Point, ...]:
        """Milestones whose embedding has outliers."""
        return tuple(point for point in self.points if point.outliers)

    @property
    def outliers_known(self) -> bool:
        """Whether any milestone says how many outliers it has."""
        return any(point.outliers is not None for point in self.points)


def course_of(run: Run, metric: Metric, oracle: Metric) -> Course:
    """The rows of one run's picture.

    Raises:
        UserError: The run logged the metric at fewer than three milestones.
    """
    images = run.definition.get("evaluation_images")
    images = images if is_finite_number(images) and isinstance(images, int) and images > 0 else None
    accuracies = [row.values[oracle.key] for row in run.milestones if oracle.key in row.values]
    percent = oracle.name.endswith("accuracy") and all(0 <= a <= 1 for a in accuracies if isfinite(a))
    points = [
        _point(row.epoch, row.values, metric, oracle, images, percent)
        for row in run.milestones
        if isfinite(row.values.get(metric.key, float("nan")))
    ]
    if len(points) < LEAST_MILESTONES:
        raise UserError(
            f"run {run.id} has {len(points)} milestones with {metric.key}, {LEAST_MILESTONES} are the least"
            " for a course of training: train it with a smaller --milestone-every"
        )
    trained = [point for point in points if point.epoch > 0 or run.counted_by != "epoch"]
    return Course(
        run=run.id,
        title=", ".join(str(run.config[name]) for name in ("method", "dataset") if run.config.get(name)),
        points=tuple(points),
        left_out=len(run.milestones) - len(points),
        with_init=_correlation(points) if len(trained) < len(points) else None,
        without_init=_correlation(trained),
        evaluation_images=images,
        in_percent=percent,
        axis=run.counted_by,
    )


def courses(runs: RunSet, metric: Metric, oracle: Metric) -> tuple[list[Course], list[str]]:
    """The rows of all runs that have any, and a line on each that has not.

    Raises:
        UserError: No run has any.
    """
    found, warnings = [], [*runs.warnings]
    for run in runs.runs:
        try:
            found.append(course_of(run, metric, oracle))
        except UserError as error:
            warnings.append(str(error))
    if not found:
        reason = warnings[-1] if runs.runs else "it holds no run"
        raise UserError(f"nothing of {runs.source} can be drawn: {reason}")
    warnings += _outlier_warnings(found, runs.source)
    return found, warnings


def caption_of(course: Course, oracle: Metric, threshold: float) -> str:
    """What stands under a picture: counts, correlations, what is marked, and what not to read into it."""
    images = f", {course.evaluation_images} evaluation images" if course.evaluation_images else ""
    text = f"Run {course.run}: n = {len(course.points)} milestones{images}."
    figures = [
        f"{value:.2f} {how} the untrained network"
        for value, how in ((course.with_init, "with"), (course.without_init, "without"))
        if value is not None
    ]
    if figures:
        text += f" Pearson's r with {oracle.name}: {', '.join(figures)}."
    bands = ["±1 standard deviation over UMAP seeds"] if any(p.deviation for p in course.points) else []
    if any(point.accuracy_error for point in course.points):
        bands.append("±1 standard error of the accuracy")
    if bands:
        text += f" Bands: {', '.join(bands)}."
    if course.outliers_known:
        far = f"UMAP points more than {threshold:g} median distances from the centre"
        marked = len(course.marked)
        text += f" Rings: {marked} milestones with {far}." if marked else f" No milestone has {far}."
    else:
        text += " Outliers were not logged."
    if course.left_out:
        text += f" {course.left_out} milestones without a finite value are left out."
    return text + " One run, whose milestones are no independent observations: no evidence for another."


def _point(
    epoch: int, row: Mapping[str, float], metric: Metric, oracle: Metric, images: int | None, percent: bool
) -> Point:
    accuracy = row.get(oracle.key, float("nan"))
    outliers = row.get(OUTLIERS, float("nan"))
    return Point(
        epoch=epoch,
        value=row[metric.key],
        accuracy=accuracy * (100 if percent else 1) if isfinite(accuracy) else None,
        deviation=row.get(NOISE_PREFIX + metric.name, 0.0),
        outliers=outliers if isfinite(outliers) else None,
        accuracy_error=_error(accuracy, images) if images and percent else 0.0,
    )


def _error(accuracy: float, images: int) -> float:
    """Of a share of independent images, in percent: 100 sqrt(a (1 - a) / N)."""
    return 100 * sqrt(accuracy * (1 - accuracy) / images) if 0 <= accuracy <= 1 else 0.0


def _correlation(points: Sequence[Point]) -> float | None:
    pairs = [(point.value, point.accuracy) for point in points if point.accuracy is not None]
    if len(pairs) < LEAST_MILESTONES:
        return None
    return pearson(*zip(*pairs, strict=True))


def _outlier_warnings(found: Sequence[Course], source: str) -> list[str]:
    unknown = [course.run for course in found if not course.outliers_known]
    if not unknown:
        return []
    return [
        f"{len(unknown)} of {len(found)} runs logged no outliers, so none are marked:"
        f" selector evaluate {source} adds them where checkpoints are left"
    ]


def course_object(course: Course, metric: Metric, path: Path) -> dict[str, Any]:
    """One picture for `--json`."""
    return {
        "file": str(path),
        "run": course.run,
        "metric": metric.name,
        "evaluation_images": course.evaluation_images,
        "with_init": course.with_init,
        "without_init": course.without_init,
        "left_out": course.left_out,
        "points": [asdict(point) for point in course.points],
    }
