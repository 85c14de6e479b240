"""What the choice of a run cost, by labels that came later, and whether so few labels can tell."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray

from selector.selection.intervals import LEVEL, distance_from_best, t_quantile

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class JudgedRun:
    """One run by late labels; the fields are keys of `--json`.

    Attributes:
        accuracy, standard_error: Of the probe, cross-validated, 0 to 1; the error is over images.
        knn_accuracy: Of the nearest neighbours.
        pick: Whether the label-free metric chose it.
        told_from_pick: Whether so many labels can tell it from the pick.
    """

    run: str
    name: str
    accuracy: float
    standard_error: float
    knn_accuracy: float
    pick: bool
    told_from_pick: bool


@dataclass(frozen=True)
class Judgement:
    """Runs that a metric may compare, by late labels, the best first.

    Attributes:
        labels: Number of labelled images.
        pick, best: Ids of the runs that the label-free metric chose and that the labels place highest.
        regret: Accuracy of the best less that of the pick.
        interval: 95 % interval of the true regret (multiple comparisons with the best), or None for one run.
        told_apart: Whether the labels can tell the pick from the best, or from the second where it is best.
        labels_needed: About how many labels could, or None where the two are equal.
    """

    labels: int
    pick: str
    best: str
    regret: float
    interval: tuple[float, float] | None
    told_apart: bool
    labels_needed: int | None
    runs: tuple[JudgedRun, ...]


def judge(
    right: Mapping[str, Floats], knn: Mapping[str, float], names: Mapping[str, str], pick: str
) -> Judgement:
    """Holds each run against the pick, image by image.

    The same images judge all runs, so the standard error of a difference is that of the paired differences.
    It counts the images; that other images would have trained another probe is not in it.

    Args:
        right: Of each run, how often each image was told right, (N,) from 0 to 1.
        knn: Of each run, the accuracy of the nearest neighbours.
        names: Of each run, its display name.
        pick: The chosen run, one of these.
    """
    ids = sorted(right, key=lambda id: -right[id].mean())
    shares = np.array([right[id] for id in ids])
    n = shares.shape[1]
    accuracy, chosen = shares.mean(axis=1), ids.index(pick)
    errors = (shares - shares[chosen]).std(axis=1, ddof=1) / np.sqrt(n)
    reach = t_quantile(1 - (1 - LEVEL) / 2 / max(1, len(ids) - 1)) * errors
    gaps = np.abs(accuracy - accuracy[chosen])
    told, rival = gaps > reach, int(chosen == 0)  # the best run that was not chosen
    tied = len(ids) == 1 or gaps[rival] == 0
    return Judgement(
        labels=n,
        pick=pick,
        best=ids[0],
        regret=float(gaps[0]),
        interval=distance_from_best(accuracy, chosen, errors),
        told_apart=not tied and bool(told[rival]),
        labels_needed=None if tied else ceil(n * (reach[rival] / gaps[rival]) ** 2),
        runs=tuple(
            JudgedRun(
                run=id,
                name=names[id],
                accuracy=float(accuracy[place]),
                standard_error=float(shares[place].std(ddof=1) / np.sqrt(n)),
                knn_accuracy=knn[id],
                pick=id == pick,
                told_from_pick=bool(told[place]),
            )
            for place, id in enumerate(ids)
        ),
    )
