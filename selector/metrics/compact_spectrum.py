"""A singular value spectrum as a short list of fixed length, to log at each milestone, and back for plots."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from selector.metrics.embeddings import Space
from selector.metrics.metric import SPECTRUM_PREFIX

_SMALLEST = float(np.finfo(np.float64).eps)  # a logarithm for the value 0; spectra hold nothing between
POINTS = 64
_RANKS = "_ranks"


@dataclass(frozen=True)
class CompactSpectrum:
    """Some values of a spectrum, over the largest, with the ranks they stand for.

    Attributes:
        ranks: Ranks counted from 1, never falling, log-spaced; the last is the number of singular values.
            They depend on that number and on the length alone, so they are the same at every milestone.
        values: σ_rank / σ₁ at these ranks, from 1 down; all 0 when every singular value is.
    """

    ranks: tuple[int, ...]
    values: tuple[float, ...]


def compact_spectrum(singular_values: ArrayLike, points: int = POINTS) -> CompactSpectrum:
    """The spectrum at `points` log-spaced ranks, over its largest value.

    Values are taken at whole ranks, not averaged: exact where they are taken. The first ranks are 1, 2, 3, …
    until log-spacing takes steps above 1. A spectrum shorter than `points` is kept whole, its last
    value repeated.

    Args:
        singular_values: (K,) singular values, descending, such as `Spectrum.centred`.
        points: Length of the result, at least 2.

    Raises:
        ValueError: When the values are not a descending, finite, non-negative (K,) array with K ≥ 1,
            or `points` is below 2.
    """
    values = np.asarray(singular_values, dtype=np.float64)
    if values.ndim != 1 or len(values) == 0:
        raise ValueError(f"expected (K,) singular values, got shape {values.shape}")
    if not np.isfinite(values).all() or values[-1] < 0 or (np.diff(values) > 0).any():
        raise ValueError("expected singular values that are finite, descending and at least 0")
    if points < 2:
        raise ValueError(f"expected at least 2 points, got {points}")
    ranks = _log_spaced_ranks(len(values), points)
    shares = values[ranks - 1] / (values[0] or 1.0)
    return CompactSpectrum(tuple(ranks.tolist()), tuple(shares.tolist()))


def expand_spectrum(compact: CompactSpectrum) -> NDArray[np.float64]:
    """σ_k / σ₁ at every rank k: the inverse of `compact_spectrum`, for plots.

    Exact at the ranks that were kept; between them a straight line in log-log axes. A value of 0 is
    drawn towards as 2e-16, and returned as 0 where it was kept.

    Returns:
        (K,) values, K the last of the ranks.
    """
    ranks, values = np.array(compact.ranks), np.array(compact.values)
    every = np.arange(1, ranks[-1] + 1)
    logs = np.interp(np.log(every), np.log(ranks), np.log(np.maximum(values, _SMALLEST)))
    expanded: NDArray[np.float64] = np.exp(logs)
    expanded[ranks - 1] = values
    return expanded


def logged_spectrum(space: Space, singular_values: ArrayLike) -> dict[str, tuple[float, ...]]:
    """`compact_spectrum` under its W&B keys: spectrum/<space>, and its ranks under spectrum/<space>_ranks.

    Four digits of at most 64 values, because a row is read again and again.
    """
    compact = compact_spectrum(singular_values)
    different = compact.ranks[-1]  # a shorter spectrum is filled up with repetitions
    values = tuple(float(f"{value:.4g}") for value in compact.values[:different])
    key = SPECTRUM_PREFIX + space
    return {key: values, key + _RANKS: tuple(map(float, compact.ranks[:different]))}


def spectra_of(lists: Mapping[str, Any]) -> dict[Space, CompactSpectrum]:
    """The spectra in `Milestone.lists`, by space; what is not there is left out."""
    spectra: dict[Space, CompactSpectrum] = {}
    for space in get_args(Space):
        values = lists.get(SPECTRUM_PREFIX + space)
        ranks = lists.get(SPECTRUM_PREFIX + space + _RANKS)
        if values and ranks and len(values) == len(ranks):
            spectra[space] = CompactSpectrum(tuple(map(int, ranks)), tuple(map(float, values)))
    return spectra


def _log_spaced_ranks(count: int, points: int) -> NDArray[np.int64]:
    log_spaced = np.rint(np.geomspace(1, count, points)).astype(np.int64)
    return np.minimum(np.maximum(log_spaced, np.arange(1, points + 1)), count)
