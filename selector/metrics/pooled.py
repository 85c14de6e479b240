"""The pooled probe: how much of what the runs of a sweep have in common can be read off one of them.

It needs the other runs, so it is no metric of one run. What it needs of a run is its fingerprint: a small,
compressed part of its representations of images that are the same for all runs of a data set.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from selector.metrics.pretext import standardised

FINGERPRINT = "fingerprint.npz"
DIMENSIONS = 32  # of a fingerprint
COMPONENTS = 30  # of what the other runs have in common
TRAIN, HELD_OUT = 1000, 500  # images of a fingerprint: 96 kB

_Array = NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class Fingerprint:
    """A run's representations of fixed images, compressed.

    Attributes:
        train: (N, K) float16, principal components of the standardised representations of training images.
        held_out: (M, K) float16, evaluation images on the same components.
    """

    train: _Array
    held_out: _Array

    @classmethod
    def of(cls, train: _Array, held_out: _Array) -> "Fingerprint":
        """That of (N, D) and (M, D) representations; K is 32, or D where that is less.

        Only the first 1,000 and 500 rows are taken. Channels that do not vary count nothing.
        """
        first, other = standardised(train[:TRAIN], held_out[:HELD_OUT])
        axes = np.linalg.eigh(first.T @ first)[1][:, ::-1][:, :DIMENSIONS]  # eigh has the largest last
        return cls((first @ axes).astype(np.float16), (other @ axes).astype(np.float16))

    def content(self) -> memoryview:
        """The bytes of its file, which is one of numpy."""
        buffer = BytesIO()
        np.savez(buffer, train=self.train, held_out=self.held_out)
        return buffer.getbuffer()

    @classmethod
    def read(cls, file: Path | BytesIO) -> "Fingerprint | None":
        """That of a file; None where there is none, or what is there is none."""
        try:
            with np.load(file, allow_pickle=False) as stored:
                found = cls(stored["train"], stored["held_out"])
        except (OSError, ValueError, KeyError, BadZipFile):
            return None
        parts = (found.train, found.held_out)
        sound = all(x.ndim == 2 and x.dtype == np.float16 and np.isfinite(x).all() for x in parts)
        return found if sound and parts[0].shape[1] == parts[1].shape[1] else None


def pooled_probe(own: Fingerprint, others: Sequence[Fingerprint], *, ridge: float = 1e-2) -> float:
    """Held-out R² of what the other runs have in common, predicted from a run; 0 to 1, higher is better.

    What they have in common are the first 30 principal components of all their fingerprints side by side,
    each scaled to variance 1. They are predicted by ridge regression in closed form, and R² is averaged over
    the components and clipped to [0, 1]. A collapsed run predicts nothing and has 0.

    Args:
        own: The run's fingerprint.
        others: Those of the other runs of its pool.
        ridge: Penalty per row of the training part.

    Raises:
        ValueError: No other run, fingerprints of unlike numbers of images, or values that are not finite.
    """
    if not others:
        raise ValueError("the pooled probe needs the fingerprint of another run")
    if len({(len(one.train), len(one.held_out)) for one in (own, *others)}) > 1:
        raise ValueError("expected fingerprints of the same images in all runs")
    train, held_out = (
        np.concatenate([np.asarray(part, np.float64) for part in parts], axis=1)
        for parts in zip(*((one.train, one.held_out) for one in others), strict=True)
    )
    middle = train.mean(axis=0)
    _, scale, axes = np.linalg.svd(train - middle, full_matrices=False)
    kept = scale[:COMPONENTS] > 1e-3  # below is the rounding of float16
    if not kept.any():
        return 0.0
    axes = (axes[:COMPONENTS][kept] / scale[:COMPONENTS][kept, None]).T * len(train) ** 0.5
    targets, truth = (train - middle) @ axes, (held_out - middle) @ axes
    x, new = (np.asarray(part, np.float64) for part in (own.train, own.held_out))
    gram = x.T @ x + ridge * len(x) * np.eye(x.shape[1])
    residuals = truth - (new - x.mean(axis=0)) @ np.linalg.solve(gram, x.T @ targets)
    spread = ((truth - truth.mean(axis=0)) ** 2).sum(axis=0)
    r2 = 1 - (residuals**2).sum(axis=0) / np.where(spread > 0, spread, np.inf)
    return float(np.clip(r2.mean(), 0.0, 1.0))
