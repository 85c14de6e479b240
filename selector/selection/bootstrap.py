"""How far a regret could have come out otherwise: bootstrap over configurations."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2000
SEED = 0
LEVEL = 0.95
LEAST_CONFIGURATIONS = 8  # with fewer, resamples are too alike for an interval to mean anything


def regret_interval(
    place: Sequence[float], quality: Sequence[float], configurations: Sequence[str]
) -> tuple[float, float] | None:
    """Percentile interval (95 %) of a selection's regret; None for fewer than 8 configurations.

    Each of 2,000 resamples draws as many configurations as there are, with replacement, and within each as
    many of its runs (seeds) as it has, with replacement; the metric then chooses, and the best is found,
    among what was drawn.

    What another seed would change is in it only where configurations have several. With one seed each it
    held 33 of 63 regrets of a repetition (docs/results.md): read it as the least uncertainty.

    Args:
        place: (N,) place of each run in the metric's ranking, lower chosen first; inf: never chosen.
        quality: (N,) accuracy, larger is better.
        configurations: (N,) equal for runs that differ in their seed alone.
    """
    if len(set(configurations)) < LEAST_CONFIGURATIONS:
        return None
    drawn, empty = nested_resamples(configurations, RESAMPLES, SEED)
    places = np.where(empty, np.inf, np.asarray(place, dtype=np.float64)[drawn])
    qualities = np.where(empty, -np.inf, np.asarray(quality, dtype=np.float64)[drawn])
    first = places.argmin(axis=1)[:, None]
    regrets = qualities.max(axis=1) - np.take_along_axis(qualities, first, axis=1)[:, 0]
    chosen = np.isfinite(np.take_along_axis(places, first, axis=1)[:, 0])  # else nothing could be chosen
    low, high = np.percentile(regrets[chosen], [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
    return float(low), float(high)


def nested_resamples(
    configurations: Sequence[str], resamples: int, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Draws of runs: configurations with replacement, then seeds within each with replacement.

    Returns:
        Indices (resamples, slots) into the runs, and the same shape of True where a slot holds no run,
        because its configuration has fewer seeds than another.
    """
    rng = np.random.default_rng(seed)
    _, labels, sizes = np.unique(np.asarray(configurations), return_inverse=True, return_counts=True)
    members = np.zeros((len(sizes), sizes.max()), dtype=np.int64)
    for label in range(len(sizes)):
        members[label, : sizes[label]] = np.flatnonzero(labels == label)
    drawn = rng.integers(0, len(sizes), (resamples, len(sizes)))[:, :, None]
    within = rng.integers(0, sizes[drawn], (resamples, len(sizes), sizes.max()))
    empty = np.arange(sizes.max()) >= sizes[drawn]
    return members[drawn, within].reshape(resamples, -1), empty.reshape(resamples, -1)
