"""The paper's figures: a metric over training (2 to 4), and against linear-probe accuracy over models (5, 6).

Rows first, which tests read; then ink, by matplotlib, legible without colour.
"""

import re
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import count
from math import isfinite, nan, sqrt
from pathlib import Path
from typing import Any, NamedTuple

from selector.errors import UserError, writing
from selector.metrics import NOISE_PREFIX
from selector.metrics.entropy import THRESHOLD
from selector.paper.association import LEAST_PAIRS, Metric
from selector.paper.table_two import ACCURACY, OVERALL, Study, correlate_models
from selector.runs import Milestone, Run, RunSet
from selector.selection.comparability import is_finite_number
from selector.selection.correlation import pearson
from selector.text import counted, printable

# Okabe & Ito 2008, Color Universal Design: told apart with every kind of colour blindness.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
FORMATS = ("png", "svg", "pdf")
_SMALL: dict[str, Any] = {"fontsize": 8, "color": "#444444"}
_BARS: dict[str, Any] = {"linestyle": "none", "markersize": 7, "elinewidth": 1, "capsize": 2}
_RING: dict[str, Any] = {"linestyle": "none", "marker": "o", "markersize": 11, "markerfacecolor": "none"}
_RING |= {"markeredgecolor": "black", "markeredgewidth": 1.5}
OUTLIERS = "label_free/outlier_share"


@dataclass(frozen=True)
class Point:
    """One milestone; the fields are keys of `--json`, None where they are not known.

    The oracle's `accuracy` is in percent where it is a share, and so is its standard error from the number of
    images, which is 0 where it is not known. `deviation`: standard deviation over UMAP seeds, 0 without any.
    `outliers`: share of the UMAP points.
    """

    epoch: int
    value: float
    accuracy: float | None
    deviation: float
    outliers: float | None
    accuracy_error: float


@dataclass(frozen=True)
class Course:
    """One run's picture: milestones with a finite value, by epoch, and how many have none.

    `with_init` and `without_init` are Pearson's r with the oracle over all points and without the untrained
    network, None where undefined. `in_percent`: whether the oracle is a share, which is drawn in percent;
    else it is drawn as logged.
    """

    run: Run
    points: tuple[Point, ...]
    with_init: float | None
    without_init: float | None
    evaluation_images: int | None
    in_percent: bool

    @property
    def left_out(self) -> int:
        """Milestones without a finite value."""
        return len(self.run.milestones) - len(self.points)

    @property
    def marked(self) -> list[Point]:
        """Milestones whose embedding has outliers."""
        return [point for point in self.points if point.outliers]

    @property
    def outliers_known(self) -> bool:
        """Whether any milestone says how many outliers it has."""
        return any(point.outliers is not None for point in self.points)


class ModelPoint(NamedTuple):
    """One model in the picture, accuracy and both errors as of a Point; its family has colour and marker."""

    family: str
    model: str
    accuracy: float
    value: float
    deviation: float
    accuracy_error: float


def draw_courses(
    runs: RunSet, metrics: Sequence[Metric], oracle: Metric, folder: Path, suffix: str
) -> tuple[list[dict[str, Any]], list[str]]:
    """Write a picture for each metric and run.

    Returns:
        What `figures --json` says of each picture, its file first, and warnings.

    Raises:
        UserError: Of some metric no run has a course, or a file cannot be written.
    """
    pictures: dict[Path, dict[str, Any]] = {}
    warnings: list[str] = []
    for metric in metrics:
        found, said = courses(runs, metric, oracle)
        warnings += said
        for course in found:
            # Names from a server are no paths, and different ids can be alike as file names.
            stem = "-".join(
                re.sub(r"[^A-Za-z0-9_-]", "_", text)[:100] for text in (course.run.id, metric.name)
            )
            names = (f"{stem}{f'-{number}' * (number > 1)}.{suffix}" for number in count(1))
            path = next(folder / name for name in names if folder / name not in pictures)
            draw_course(course, metric, oracle, path)
            pictures[path] = {
                "file": str(path),
                "run": course.run.id,
                "metric": metric.name,
                "evaluation_images": course.evaluation_images,
                "with_init": course.with_init,
                "without_init": course.without_init,
                "left_out": course.left_out,
                "points": [asdict(point) for point in course.points],
            }
    return list(pictures.values()), list(dict.fromkeys(warnings))


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
        raise UserError(f"nothing in {runs.source} can be drawn: {reason}")
    if unknown := [course.run.id for course in found if not course.outliers_known]:
        warnings.append(
            f"{len(unknown)} of {len(found)} runs logged no outliers, so none are marked:"
            f" selector evaluate {runs.source} adds them where checkpoints are left"
        )
    return found, warnings


def course_of(run: Run, metric: Metric, oracle: Metric) -> Course:
    """The rows of one run's picture.

    Raises:
        UserError: The run logged the metric at fewer than three milestones.
    """
    images = run.definition.get("evaluation_images")
    images = images if is_finite_number(images) and isinstance(images, int) and images > 0 else None
    accuracies = [row.values[oracle.key] for row in run.milestones if oracle.key in row.values]
    percent = oracle.name.endswith("accuracy") and all(0 <= a <= 1 for a in accuracies if isfinite(a))
    found = [row for row in run.milestones if isfinite(row.values.get(metric.key, nan))]
    points = [_point(row, metric, oracle, images if percent else None, percent) for row in found]
    if len(points) < LEAST_PAIRS:
        raise UserError(
            f"run {run.id} has {len(points)} milestones with {metric.key}, {LEAST_PAIRS} are needed to"
            " draw its course: train it with a smaller --milestone-every"
        )
    trained = [point for point in points if point.epoch > 0 or run.counted_by != "epoch"]
    return Course(
        run=run,
        points=tuple(points),
        with_init=_correlation(points) if len(trained) < len(points) else None,
        without_init=_correlation(trained),
        evaluation_images=images,
        in_percent=percent,
    )


def caption_of(course: Course, oracle: Metric) -> str:
    """What stands under a picture: counts, correlations, what is marked, and what not to read into it."""
    images = f", {course.evaluation_images} evaluation images" if course.evaluation_images else ""
    text = f"Run {course.run.id}: n = {counted(len(course.points), 'milestone')}{images}."
    both = ((course.with_init, "with"), (course.without_init, "without"))
    if figures := [f"{value:.2f} {how} the untrained network" for value, how in both if value is not None]:
        text += f" Pearson's r with {oracle.name}: {', '.join(figures)}."
    bands = ["±1 standard deviation over UMAP seeds"] if any(p.deviation for p in course.points) else []
    bands += ["±1 standard error of the accuracy"] if any(p.accuracy_error for p in course.points) else []
    if bands:
        text += f" Bands: {', '.join(bands)}."
    far = f"UMAP points more than {THRESHOLD:g} median distances from the centre"
    if not course.outliers_known:
        text += " Outliers were not logged."
    elif course.marked:
        text += f" Rings: {counted(len(course.marked), 'milestone')} with {far}."
    else:
        text += f" No milestone has {far}."
    if course.left_out:
        text += f" {course.left_out} milestones without a finite value are left out."
    return text + " This is one run, whose milestones are not independent: it is no evidence for other runs."


def model_points(study: Study, metric: Metric) -> list[ModelPoint]:
    """Models with finite values of both, family by family."""
    points = []
    for row in study.rows:
        accuracy, value = row.values.get(ACCURACY.key, nan), row.values.get(metric.key, nan)
        if isfinite(accuracy) and isfinite(value):
            deviation = row.values.get(f"{NOISE_PREFIX}{metric.name}", 0.0)
            error = _error(accuracy, study.evaluation_images)
            points.append(ModelPoint(row.family, row.model, 100 * accuracy, value, deviation, error))
    families = list(dict.fromkeys(point.family for point in points))
    return sorted(points, key=lambda point: families.index(point.family))


def model_caption(study: Study, metric: Metric, points: Sequence[ModelPoint]) -> str:
    """What stands under the picture: how many models and images, and what not to read into it."""
    text = f"n = {len(points)} models on {study.dataset}, {study.evaluation_images} evaluation images"
    found = [one for one in correlate_models(study) if one.key == metric.key and not one.reason]
    # Models of one family alone have no figure over all: theirs is that.
    over_all = [one for one in found if one.group == OVERALL] or (found if len(found) == 1 else [])
    if over_all:
        text += f"; Pearson's r = {over_all[0].pearson:.2f}, p = {over_all[0].pearson_p:.2g}"
    text += ". Bars: ±1 standard error of the accuracy"
    text += ", ±1 standard deviation over UMAP seeds." if any(p.deviation for p in points) else "."
    if study.untrained:
        text += " UNTRAINED networks with random weights: nothing here is about pretrained models."
    return text + " A trend over so few models on one data set does not rank the next model."


def short_names(points: Sequence[ModelPoint]) -> list[str]:
    """What sets each model of a family apart: 18 of resnet18, lite0 of tf_efficientnet_lite0.

    Of checkpoints the run's folder, and the milestone too where those differ.
    """
    milestones = {point.model.partition("/")[2] for point in points}
    names = [point.model.partition("/")[0] if len(milestones) == 1 else point.model for point in points]
    sizes = [name.removeprefix(point.family).strip("_-") for name, point in zip(names, points, strict=True)]
    # A single letter or digit says little by itself.
    return [size if len(size) > 1 else name.split("_")[-1] for size, name in zip(sizes, names, strict=True)]


def draw_course(course: Course, metric: Metric, oracle: Metric, path: Path) -> None:
    """Write one run's picture: the metric above, the oracle below where there is one.

    There are two panels, not two scales on one: where curves on different scales cross means nothing.
    """
    judged = [point for point in course.points if point.accuracy is not None]
    with picture(path, height=5.6 if judged else 4.0) as figure:
        panels = figure.subplots(2 if judged else 1, sharex=True, squeeze=False)[:, 0]
        values = [(p.epoch, p.value, p.deviation) for p in course.points]
        _band(panels[0], values, COLOURS[0], "o", _named(metric))
        if marked := course.marked:
            places = [p.epoch for p in marked], [p.value for p in marked]
            panels[0].plot(*places, label=f"embedding with outliers ({len(marked)})", **_RING)
            panels[0].legend(frameon=False)
        if judged:
            accuracies = [(p.epoch, p.accuracy or 0.0, p.accuracy_error) for p in judged]
            _band(panels[1], accuracies, COLOURS[1], "s", _named(oracle) + " in %" * course.in_percent)
        panels[-1].xaxis.get_major_locator().set_params(integer=True)
        figure.align_ylabels()
        axis = course.run.counted_by
        panels[-1].set_xlabel(plain("epochs trained" if axis == "epoch" else axis))
        names = [course.run.config.get(name) for name in ("method", "dataset")]
        title = ", ".join(str(name) for name in names if name) or course.run.id
        panels[0].set_title(plain(f"{metric.name} over training: {title}"))
        caption(figure, caption_of(course, oracle))


def draw_models(study: Study, metric: Metric, path: Path) -> None:
    """Write the picture of a metric against the linear probe, one point per model.

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
                [p.accuracy for p in own],
                [p.value for p in own],
                yerr=[p.deviation for p in own],
                xerr=[p.accuracy_error for p in own],
                label=f"{plain(family)} ({len(own)})",
                marker=MARKERS[number % len(MARKERS)],
                color=COLOURS[number % len(COLOURS)],
                **_BARS,
            )
            for p, name in zip(own, short_names(own), strict=True):
                place = (6, 4 if order.index(p) % 2 == 0 else -11)  # neighbours' names on different sides
                axes.annotate(plain(name), (p.accuracy, p.value), place, textcoords="offset points", **_SMALL)
        axes.margins(0.12)
        axes.set_xlabel("linear-probe accuracy in %")
        axes.set_ylabel(plain(_named(metric)))
        title = f"{metric.name} against the linear probe, {study.dataset}"
        axes.set_title(plain(title + " (UNTRAINED)" * study.untrained))
        axes.legend(frameon=False)
        caption(figure, model_caption(study, metric, points))


def plain(text: str) -> str:
    """Text from elsewhere for a picture: never matplotlib's mathematics, never control characters."""
    return printable(text).replace("$", r"\$")


def refuse_format(path: Path) -> None:
    """Stops before any work is done for a picture that could not be written.

    Raises:
        UserError: The file's name does not end in one of FORMATS.
    """
    if path.suffix.lower().lstrip(".") not in FORMATS:
        endings = ", ".join(f".{format}" for format in FORMATS)
        raise UserError(f"a picture's name must end in one of {endings}, got '{path}'")


@contextmanager
def picture(path: Path, height: float = 4.5) -> Iterator[Any]:
    """An empty figure, 7 inches wide, that is written to `path` at the end.

    Raises:
        UserError: The file cannot be written, or its ending is unknown.
    """
    refuse_format(path)
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    style = {
        "font.size": 10,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "grid.color": "#E3E3E3",
        "axes.axisbelow": True,
        "svg.hashsalt": "selector",  # the same rows make the same file
        "svg.fonttype": "none",
    }
    with rc_context(style):
        figure = Figure(figsize=(7.0, height), dpi=150, layout="constrained")
        FigureCanvasAgg(figure)
        yield figure
        dated = {"png": {}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            figure.savefig(path, metadata=dated[path.suffix.lower().lstrip(".")])


def caption(figure: Any, text: str) -> None:
    """Small print under a picture, wrapped to its width."""
    lines = textwrap.wrap(plain(text), int(figure.get_figwidth() * 15))
    figure.supxlabel("\n".join(lines), x=0.02, ha="left", **_SMALL)


def _band(axes: Any, points: Sequence[tuple[int, float, float]], colour: str, marker: str, name: str) -> None:
    """A line through (epoch, value, deviation), in a band of the deviations where there are any."""
    epochs, values, deviations = zip(*points, strict=True)
    if any(deviations):
        low = [value - deviation for _, value, deviation in points]
        high = [value + deviation for _, value, deviation in points]
        axes.fill_between(epochs, low, high, color=colour, alpha=0.2, linewidth=0)
    axes.plot(epochs, values, color=colour, marker=marker, markersize=4, linewidth=1.5, label=plain(name))
    axes.set_ylabel(plain(name))


def _named(metric: Metric) -> str:
    unit = " in nats" if metric.name.startswith("entropy") else ""
    return metric.name.replace("_", " ") + unit


def _point(row: Milestone, metric: Metric, oracle: Metric, images: int | None, percent: bool) -> Point:
    accuracy, outliers = row.values.get(oracle.key, nan), row.values.get(OUTLIERS, nan)
    return Point(
        epoch=row.epoch,
        value=row.values[metric.key],
        accuracy=accuracy * (100 if percent else 1) if isfinite(accuracy) else None,
        deviation=row.values.get(f"{NOISE_PREFIX}{metric.name}", 0.0),
        outliers=outliers if isfinite(outliers) else None,
        accuracy_error=_error(accuracy, images) if images else 0.0,
    )


def _error(accuracy: float, images: int) -> float:
    """Of a share of independent images, in percent: 100 sqrt(a (1 - a) / N)."""
    return 100 * sqrt(accuracy * (1 - accuracy) / images) if 0 <= accuracy <= 1 else 0.0


def _correlation(points: Sequence[Point]) -> float | None:
    pairs = [(point.value, point.accuracy) for point in points if point.accuracy is not None]
    return pearson(*zip(*pairs, strict=True)) if len(pairs) >= LEAST_PAIRS else None
