"""Metrics along training: the lines of every run, for the page, which draws them itself, and for W&B."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from selector.reports import ink
from selector.reports.ink import plain
from selector.reports.report import GroupReport
from selector.reports.rows import finite, is_better_high
from selector.reports.words import axis_of, label, thinned

MOST_EPOCHS = 100  # a run of somebody else may have logged at each of a million steps


@dataclass(frozen=True)
class Curves:
    """One metric along training.

    Attributes:
        metric: Name.
        direction: Which way is better, in words.
        epochs: Of all runs, ascending.
        values: One row per run in the order of the ranking; None where a run has no finite value there.
    """

    metric: str
    direction: str
    epochs: tuple[int, ...]
    values: tuple[tuple[float | None, ...], ...]


def frame(epochs: Sequence[int], axis: str) -> go.Figure:
    """The chart without its lines."""
    figure = ink.blank(380)
    figure.update_xaxes(title_text=axis, **ink.whole_numbers(epochs))
    return figure


def curves(group: GroupReport) -> tuple[Curves, ...]:
    """Every held metric along training; of more than 100 epochs, 100 are taken at even distances."""
    found = []
    for metric in group.held:
        series = [
            {row.epoch: row.values[metric.key] for row in run.milestones if metric.key in row.values}
            for run in group.runs
        ]
        epochs = thinned(sorted({epoch for of_run in series for epoch in of_run}), MOST_EPOCHS)
        values = tuple(tuple(finite(of_run.get(epoch)) for epoch in epochs) for of_run in series)
        better = "higher" if is_better_high(metric, group.runs) else "lower"
        found.append(Curves(metric.name, f"{better} is better", tuple(epochs), values))
    return tuple(found)


def curve_figure(one: Curves, group: GroupReport) -> go.Figure:
    """One metric along training, for W&B: the pick, which comes first, above all other runs in grey."""
    figure, runs = frame(one.epochs, axis_of(group.runs[0])), [plain(label(run)) for run in group.runs]
    gap = [*one.epochs, None]
    if len(runs) > 1:
        values = [value for of_run in one.values[1:] for value in (*of_run, None)]
        texts = [run for run in runs[1:] for _ in gap]
        figure.add_trace(ink.line_of(gap * (len(runs) - 1), values, texts, ink.RUN, 1, "other runs"))
    texts = [runs[0]] * len(one.epochs)
    figure.add_trace(ink.line_of(one.epochs, one.values[0], texts, ink.PICK, 3, "the pick"))
    figure.update_yaxes(title_text=plain(one.metric))
    return figure


def packed(one: Curves) -> dict[str, Any]:
    """One metric's lines for page.js: 16 bits a number, because a large sweep has a million of them.

    The number of `bits` b is low + b (high - low) / 65534; 65535 stands for none. Run by run, in base64.
    """
    values = np.array([[np.nan if v is None else v for v in of_run] for of_run in one.values], float)
    known = values[~np.isnan(values)]
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    scaled = np.nan_to_num((values - low) / ((high - low) or 1.0) * 65_534, nan=65_535)
    return {
        "metric": one.metric,
        "direction": one.direction,
        "epochs": list(one.epochs),
        "low": low,
        "high": high,
        "bits": base64.b64encode(np.rint(scaled).astype("<u2").tobytes()).decode(),
    }
