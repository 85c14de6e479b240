"""Inputs: what the metrics of one milestone are computed from."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from selector.metrics.definition import MetricDefinition, MetricSettings, define
from selector.metrics.embeddings import Embeddings, Space, ViewEmbeddings
from selector.metrics.label_free import is_one_point
from selector.metrics.spectrum import Spectrum
from selector.metrics.umap_space import FEWEST, umap_points


@dataclass(frozen=True, eq=False)
class Inputs:
    """Embeddings of one encoder, and what several metrics read of them, each computed once.

    Attributes:
        backbone: Representations of the evaluation split; labelled metrics are computed if it has labels.
        projector: Projections of training images, for RankMe; None where the encoder has no projector.
        settings: What was chosen.
        train_backbone: Representations of the training split with labels, which the fast probe and kNN learn
            from; without them neither is measured.
        augmented: Epoch from 0 on → representations of the training split, freshly augmented, which the
            paper's probe learns from.
        correct: (N,) which evaluation images the paper's probe gets right, where it has been trained already,
            in place of `augmented`.
        views: Projections of augmented views of training images, for LiDAR and alignment; without them
            neither is measured.
        predictor: What SimSiam's predictor makes of the projections, for its spectrum.
        streamed: Spectra of more embeddings than `projector` and `predictor` hold, in place of theirs.

    Raises:
        ValueError: Embeddings of the wrong space, or fewer evaluation images than 2 · clusters, or than 5.
    """

    backbone: Embeddings
    projector: Embeddings | None
    settings: MetricSettings
    train_backbone: Embeddings | None = None
    augmented: Callable[[int], Embeddings] | None = None
    correct: NDArray[np.bool_] | None = None
    views: ViewEmbeddings | None = None
    predictor: Embeddings | None = None
    streamed: Mapping[Space, Spectrum] = field(default_factory=dict)

    def __post_init__(self) -> None:
        spaces = self.backbone.space, "projector" if self.projector is None else self.projector.space
        if spaces != ("backbone", "projector"):
            raise ValueError(f"expected backbone and projector space, got {spaces[0]} and {spaces[1]}")
        fewest = max(FEWEST, 2 * self.settings.clusters)
        if len(self.backbone.vectors) < fewest:
            raise ValueError(
                f"{self.settings.clusters} clusters, and twice as many, need at least {fewest} evaluation"
                f" images, got {len(self.backbone.vectors)}"
            )

    @cached_property
    def spectra(self) -> Mapping[Space, Spectrum]:
        """The singular values of each space."""
        given = (self.backbone, self.projector, self.predictor)
        return {
            embeddings.space: self.streamed.get(embeddings.space) or Spectrum(embeddings.vectors)
            for embeddings in given
            if embeddings is not None
        }

    @cached_property
    def points(self) -> Sequence[NDArray[np.float32]]:
        """(N, 3) UMAP points of the evaluation images, once per seed; none where all images are equal."""
        if is_one_point(self.spectra["backbone"]):
            return ()
        return umap_points(self.backbone.vectors, range(self.settings.umap_seeds))

    @cached_property
    def definition(self) -> MetricDefinition:
        """How the metrics are computed from these embeddings under these settings."""
        projections = self.spectra.get("projector")
        count = 0 if projections is None else projections.count
        return define(self.settings, self.backbone, self.projector, self.views, count)
