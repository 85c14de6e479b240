"""The singular values of a milestone as a chart in W&B."""

import math
from collections.abc import Mapping
from typing import Any

import wandb

from selector.metrics.metrics import SPECTRUM_PREFIX
from selector.metrics.milestone_metrics import spectra_of

_LEAST_SHARE = 1e-16  # where singular values that are 0 are drawn


def with_chart(row: Mapping[str, Any]) -> dict[str, Any]:
    """A history row with a chart of the spectra in it: a line a space, singular values over their ranks.

    Logarithms of the values, because W&B's line chart has linear axes. A row without spectra stays as it is.
    """
    points = [
        [rank, math.log10(max(value, _LEAST_SHARE)), space]
        for space, spectrum in spectra_of(row).items()
        for rank, value in zip(spectrum.ranks, spectrum.values, strict=True)
    ]
    if not points:
        return dict(row)
    x, y = "rank", "log10 of the share of the largest"
    table = wandb.Table(columns=[x, y, "space"], data=points)
    chart = wandb.plot.line(table, x, y, stroke="space", title="Singular values, centred")
    return {**row, f"{SPECTRUM_PREFIX}chart": chart}
