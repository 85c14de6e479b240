"""Embeddings: what the metrics are computed from."""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from selector.metrics.arrays import Checked, as_vectors, as_views, refuse_masked

Space = Literal["backbone", "projector", "predictor"]


@dataclass(frozen=True, eq=False)
class Embeddings:
    """One vector per image, in the order of the data set.

    Attributes:
        vectors: (N, D) float32, finite.
        labels: (N,) int64 class indices, or None where the images have no labels.
        space: "backbone" (representations, what a probe reads) or "projector" (what the loss reads)
            or "predictor" (what SimSiam compares with projections).
        split: Name of the data split that the images are from, such as "train" or "test".
    """

    vectors: NDArray[np.float32]
    labels: NDArray[np.int64] | None
    space: Space
    split: str

    def __post_init__(self) -> None:
        refuse_masked(self.vectors)
        refuse_masked(self.labels)
        if self.vectors.ndim != 2 or self.vectors.dtype != np.float32:
            raise ValueError(
                f"expected (N, D) float32 vectors, got {self.vectors.dtype} of shape {self.vectors.shape}"
            )
        if self.labels is not None and self.labels.shape != self.vectors.shape[:1]:
            raise ValueError(f"got {self.labels.shape} labels for {len(self.vectors)} vectors")

    @cached_property
    def checked(self) -> Checked:
        """The vectors, looked through once for all who read them; a ValueError if one is not finite."""
        return Checked(as_vectors(self.vectors))


@dataclass(frozen=True, eq=False)
class ViewEmbeddings:
    """Projections of several augmented views of each image.

    Attributes:
        vectors: (n, q, D) float32: n images, q views of each.
        source: Where the views come from, in a few words; runs that differ here are not compared.
    """

    vectors: NDArray[np.float32]
    source: str

    def __post_init__(self) -> None:
        refuse_masked(self.vectors)
        if self.vectors.ndim != 3 or self.vectors.dtype != np.float32:
            raise ValueError(
                f"expected (n, q, D) float32 views, got {self.vectors.dtype} of shape {self.vectors.shape}"
            )

    @cached_property
    def checked(self) -> Checked:
        """As of `Embeddings`."""
        return Checked(as_views(self.vectors))
