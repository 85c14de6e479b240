"""Figures 2 to 4 of the paper, drawn: a metric and probe accuracy over the epochs of one run."""

from pathlib import Path

from selector.metrics.outliers import THRESHOLD
from selector.reports.figure_rows import Course, Metric, caption_of
from selector.reports.plots import COLOURS, caption, picture, plain


def draw_course(course: Course, metric: Metric, oracle: Metric, path: Path) -> None:
    """Write one run's picture: the metric above, the oracle below where there is one.

    Two panels in place of two scales on one: where two curves with scales of their own cross means nothing.

    Raises:
        UserError: The file cannot be written.
    """
    judged = [point for point in course.points if point.accuracy is not None]
    with picture(path, height=5.6 if judged else 4.0) as figure:
        panels = figure.subplots(2 if judged else 1, sharex=True, squeeze=False)[:, 0]
        _draw_metric(panels[0], course, metric)
        if judged:
            panels[1].fill_between(
                [p.epoch for p in judged],
                [(p.accuracy or 0) - p.accuracy_error for p in judged],
                [(p.accuracy or 0) + p.accuracy_error for p in judged],
                color=COLOURS[1], alpha=0.2, linewidth=0,
            )  # fmt: skip
            panels[1].plot(
                [p.epoch for p in judged], [p.accuracy for p in judged], color=COLOURS[1], marker="s",
                markersize=4, linewidth=1.5,
            )  # fmt: skip
            unit = " in %" if course.in_percent else ""
            panels[1].set_ylabel(plain(oracle.name.replace("_", " ") + unit))
        panels[-1].xaxis.get_major_locator().set_params(integer=True)
        figure.align_ylabels()
        panels[-1].set_xlabel(plain("epochs trained" if course.axis == "epoch" else course.axis))
        panels[0].set_title(plain(f"{metric.name} over training: {course.title or course.run}"))
        caption(figure, plain(caption_of(course, oracle, THRESHOLD)))


def _draw_metric(axes: object, course: Course, metric: Metric) -> None:
    from matplotlib.axes import Axes

    assert isinstance(axes, Axes)
    epochs, values = [p.epoch for p in course.points], [p.value for p in course.points]
    if any(point.deviation for point in course.points):
        low = [p.value - p.deviation for p in course.points]
        high = [p.value + p.deviation for p in course.points]
        axes.fill_between(epochs, low, high, color=COLOURS[0], alpha=0.2, linewidth=0)
    axes.plot(
        epochs, values, color=COLOURS[0], marker="o", markersize=4, linewidth=1.5, label=plain(metric.name)
    )
    if marked := course.marked:
        axes.plot(
            [p.epoch for p in marked], [p.value for p in marked], linestyle="none", marker="o", markersize=11,
            markerfacecolor="none", markeredgecolor="black", markeredgewidth=1.5,
            label=f"embedding with outliers ({len(marked)})",
        )  # fmt: skip
        axes.legend(frameon=False)
    unit = " in nats" if metric.name.startswith("entropy") else ""
    axes.set_ylabel(plain(metric.name.replace("_", " ") + unit))
