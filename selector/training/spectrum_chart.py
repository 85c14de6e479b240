"""The singular values of a milestone as a chart in W&B."""

import math
from typing import Any

import wandb

from selector.metrics.compact_spectrum import spectra_of
from selector.metrics.metrics import SPECTRUM_PREFIX
from selector.metrics.milestone import Milestone

_LEAST_SHARE = 1e-16  # where singular values that are 0 are drawn


def with_chart(milestone: Milestone) -> dict[str, Any]:
    """The history row of a milestone, with a chart of its spectra: singular values over their ranks.

    Logarithms of the values, because W&B's line chart has linear axes. A row without spectra has no chart.
    """
    points = [
        [rank, math.log10(max(value, _LEAST_SHARE)), space]
        for space, spectrum in spectra_of(milestone.lists).items()
        for rank, value in zip(spectrum.ranks, spectrum.values, strict=True)
    ]
    if not points:
        return milestone.row
    x, y = "rank", "log10 of the share of the largest"
    table = wandb.Table(columns=[x, y, "space"], data=points)
    chart = wandb.plot.line(table, x, y, stroke="space", title="Singular values, centred")
    return milestone.row | {f"{SPECTRUM_PREFIX}chart": chart}
