"""Inputs: what the metrics of one milestone are computed from, and what several of them read."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from selector.metrics.arrays import (
    PAIRWISE_MAX_IMAGES,
    Checked,
    Embeddings,
    Space,
    ViewEmbeddings,
    one_thread,
    some_of,
)
from selector.metrics.clid import cluster_learnability, default_clusters, twonn
from selector.metrics.clusters import KMEANS_RESTARTS, cosine_clusterings, silhouettes
from selector.metrics.geometry import channel_std
from selector.metrics.metric import Registered, chosen, registered
from selector.metrics.neighbors import nearest_neighbors
from selector.metrics.pretext import Answers, Questions, bootstrap_scores, score_of
from selector.metrics.probes import fast_probe, paper_probe
from selector.metrics.spectral import alpha_req_last_rank
from selector.metrics.spectrum import POINTS, Spectrum
from selector.metrics.umap import COMPONENTS, FEWEST, MIN_DIST, umap_learn_points, umap_neighbors, umap_points

if TYPE_CHECKING:
    import torch

Probe = Literal["paper", "fast", "none"]
UmapEngine = Literal["fast", "umap-learn"]

# Raised when a formula changes under the same settings.
DEFINITION_VERSION = 3
PAIRWISE_SEED = 0  # of the images that the metrics of all pairs take
# √D · channel std of equal directions in float32 is its rounding, 1e-7.
_ONE_DIRECTION = 1e-6


class PerSeed(tuple[Any, ...]):
    """One value for each UMAP seed."""


@dataclass(frozen=True)
class MetricSettings:
    """What may be chosen about the metrics of a run; `Inputs.definition` says what came of it.

    Attributes:
        clusters: k1 of the clustering metrics, the number of classes where it is known; k2 is twice that.
        probe: "paper" (Adam, 20 augmented epochs), "fast" (logistic regression on fixed features) or "none".
        umap_seeds: UMAP layouts per milestone, with the seeds 0, 1, …; 0 computes nothing that needs UMAP.
        entropy_bin_width: In standard deviations.
        rankme_images: Training images that RankMe is computed from, if there are so many.
        umap_engine: "fast" is our layout, the same for any number of threads; "umap-learn" is that package's.
        metrics: Names or families of metrics (modules of this package, such as "spectral" or "views"); empty
            computes all.
    """

    clusters: int
    probe: Probe = "paper"
    umap_seeds: int = 1
    entropy_bin_width: float = 0.4
    rankme_images: int = 25_600
    umap_engine: UmapEngine = "fast"
    metrics: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, least in (("clusters", 2), ("umap_seeds", 0), ("rankme_images", 1)):
            if (value := getattr(self, name)) < least:
                raise ValueError(f"{name} must be at least {least}, got {value}")
        if self.umap_engine not in ("fast", "umap-learn"):
            raise ValueError(f"umap_engine must be fast or umap-learn, got {self.umap_engine!r}")
        _ = self.chosen  # refuses unknown names

    @cached_property
    def chosen(self) -> tuple[Registered, ...]:
        """The metrics that are to be computed, if there is what they read."""
        of_umap = {"points", "clusters", "finer_clusters"} if self.umap_seeds == 0 else set()
        without = of_umap | ({"probed"} if self.probe == "none" else set())
        return tuple(one for one in chosen(self.metrics) if without.isdisjoint(one.reads))

    def reads(self, *properties: str) -> bool:
        """Whether a chosen metric reads one of these properties of `Inputs`."""
        return any(not one.properties.isdisjoint(properties) for one in self.chosen)

    @property
    def asks(self) -> bool:
        """Whether a pretext criterion is chosen."""
        return any(one.family == "pretext" for one in self.chosen)


@dataclass(frozen=True, eq=False)
class Inputs:
    """Embeddings of one encoder, and what several metrics read of them, each computed when it is first read.

    A property that is None cannot be had of these embeddings: what reads it is not measured.

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
        view_embeddings: Projections of augmented views of training images, for LiDAR and alignment.
        predictor: What SimSiam's predictor makes of the projections, for its spectrum.
        streamed: Spectra of more embeddings than `projector` and `predictor` hold, in place of theirs.
        questions: What the pretext criteria read; without it none of them is measured.

    Raises:
        ValueError: Embeddings of the wrong space, or fewer evaluation images than 2 · clusters, or than 5.
    """

    backbone: Embeddings
    projector: Embeddings | None
    settings: MetricSettings
    train_backbone: Embeddings | None = None
    augmented: Callable[[int], Embeddings] | None = None
    correct: NDArray[np.bool_] | None = None
    view_embeddings: ViewEmbeddings | None = None
    predictor: Embeddings | None = None
    streamed: Mapping[Space, Spectrum] = field(default_factory=dict)
    questions: Questions | None = None

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

    # --- embeddings, checked once

    @property
    def backbone_vectors(self) -> Checked:
        """(N, D) representations."""
        return self.backbone.checked

    @property
    def projector_vectors(self) -> Checked | None:
        """(N, D) projections."""
        return None if self.projector is None else self.projector.checked

    @cached_property
    def some_backbone(self) -> Checked:
        """The same images at every milestone, few enough to compare all pairs of them."""
        return _subset(self.backbone_vectors)

    @cached_property
    def some_projector(self) -> Checked | None:
        """Likewise of the projections."""
        return None if self.projector_vectors is None else _subset(self.projector_vectors)

    @property
    def views(self) -> Checked | None:
        """(n, q, D) projections of views."""
        return None if self.view_embeddings is None else self.view_embeddings.checked

    @property
    def labels(self) -> NDArray[np.int64] | None:
        """(N,) classes of the evaluation images."""
        return self.backbone.labels

    @property
    def labelled_backbone(self) -> Embeddings | None:
        """The representations, if they have labels."""
        return None if self.labels is None else self.backbone

    # --- spectra

    @cached_property
    def backbone_spectrum(self) -> Spectrum:
        """Of the representations."""
        return self.streamed.get("backbone") or Spectrum(self.backbone_vectors)

    @cached_property
    def projector_spectrum(self) -> Spectrum | None:
        """Of the projections."""
        return self._streamed_or_of("projector", self.projector)

    @cached_property
    def predictor_spectrum(self) -> Spectrum | None:
        """Of the predictions."""
        return self._streamed_or_of("predictor", self.predictor)

    def _streamed_or_of(self, space: Space, held: Embeddings | None) -> Spectrum | None:
        return self.streamed.get(space) or (None if held is None else Spectrum(held.checked))

    # --- collapse

    @cached_property
    def one_point(self) -> bool:
        """Whether all representations are equal, up to rounding."""
        return not self.backbone_spectrum.centred.any()

    @cached_property
    def one_direction(self) -> bool:
        """Whether all representations have one direction from the origin, up to rounding, or are zero."""
        return _has_one_direction(self.some_backbone.tensor)

    @cached_property
    def views_have_one_direction(self) -> bool:
        """Likewise of the views."""
        return self.views is not None and _has_one_direction(self.views.tensor.flatten(0, 1))

    # --- UMAP and what is made of its points

    @cached_property
    def neighbors(self) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The neighbours that UMAP's graph is made of, and their distances."""
        return nearest_neighbors(self.backbone_vectors, umap_neighbors(len(self.backbone.vectors)) - 1)

    @cached_property
    def points(self) -> PerSeed:
        """(N, 3) UMAP points of the evaluation images, once per seed; none where all images are equal."""
        seeds = range(self.settings.umap_seeds)
        if not seeds or self.one_point:
            return PerSeed()
        if self.settings.umap_engine == "umap-learn":
            return PerSeed(umap_learn_points(self.backbone_vectors, seeds))
        return PerSeed(umap_points(self.backbone_vectors, seeds, self.neighbors))

    @cached_property
    def _clusterings(self) -> Sequence[PerSeed]:
        if not self.points:
            return [PerSeed(), PerSeed()]
        clusters = self.settings.clusters
        return [PerSeed(found) for found in cosine_clusterings(self.points, [clusters, 2 * clusters])]

    @property
    def clusters(self) -> PerSeed:
        """(N,) clusters of k-means, once per seed."""
        return self._clusterings[0]

    @property
    def finer_clusters(self) -> PerSeed:
        """(N,) clusters, twice as many."""
        return self._clusterings[1]

    @cached_property
    def _all_silhouettes(self) -> Sequence[float]:
        """Of the clusters, and last of the classes: one pass over the distances for all of them."""
        clusters = self.clusters if self.settings.reads("silhouettes") else ()
        classes = [] if self.labels is None or len(np.unique(self.labels)) < 2 else [self.labels]
        found = silhouettes(self.backbone_vectors, [*clusters, *classes])
        return found if classes else [*found, math.nan]

    @property
    def silhouettes(self) -> PerSeed:
        """Of the clusters, once per seed."""
        return PerSeed(self._all_silhouettes[:-1])

    @property
    def silhouette_of_labels(self) -> float:
        """Of the classes; NaN where there is only one."""
        return self._all_silhouettes[-1]

    # --- CLID

    @cached_property
    def learnability(self) -> float:
        """Of the clusters of some images."""
        return cluster_learnability(self.some_backbone)

    @cached_property
    def clid(self) -> float:
        """Learnability and intrinsic dimension of some images."""
        all_images = self.some_backbone is self.backbone_vectors
        # The neighbours that UMAP has asked for are those of all images.
        known = self.neighbors[1] if all_images and "neighbors" in vars(self) else None
        dimension: int = self.backbone.vectors.shape[1]
        return self.learnability + twonn(self.some_backbone, distances=known) / dimension

    # --- pretext criteria

    @cached_property
    def answers(self) -> Answers | None:
        """How each image was answered."""
        if self.questions is None:
            return None
        with one_thread():
            return self.questions.answers()

    @property
    def rotation_accuracy(self) -> float | None:
        """Share of the turns that were recognised."""
        return None if self.answers is None else _mean(self.answers.rotations)

    @property
    def retrieval(self) -> float | None:
        """Mean reciprocal rank."""
        return None if self.answers is None else _mean(self.answers.ranks)

    @property
    def hog_r2(self) -> float | None:
        """R² of the gradients; None where the images are too small for them."""
        if self.answers is None or self.answers.residuals is None:
            return None
        with one_thread():
            return score_of(Answers(residuals=self.answers.residuals, targets=self.answers.targets))

    @property
    def pretext(self) -> float | None:
        """The mean of the three."""
        if self.answers is None:
            return None
        with one_thread():
            return score_of(self.answers)

    @cached_property
    def pretext_resamples(self) -> tuple[float, ...]:
        """The score on resampled images, the same resamples in all runs."""
        if self.answers is None:
            return ()
        with one_thread():
            return bootstrap_scores(self.answers)

    # --- probes

    @cached_property
    def probed(self) -> NDArray[np.bool_] | None:
        """(N,) which evaluation images the linear probe gets right.

        Raises:
            ValueError: What the probe learns from is missing.
        """
        if self.labels is None:
            return None
        match self.settings.probe:
            case "none":
                return None
            case "fast":
                if self.train_backbone is None:
                    raise ValueError("the probe 'fast' learns from `train_backbone`, which is missing")
                return fast_probe(self.train_backbone, self.backbone)
        if self.correct is not None:
            return self.correct
        if self.augmented is None:
            raise ValueError(
                "the probe 'paper' learns from `augmented`, which is missing; 'fast' and 'none' do not"
            )
        return paper_probe(self.augmented, self.backbone)

    @cached_property
    def definition(self) -> dict[str, Any]:
        """Everything about the computation that changes a figure: runs that differ here are not compared.

        The keyword defaults of the metrics, what was chosen, and the shapes and splits of the embeddings.
        `umap_neighbors` counts a vector as its own neighbour, as umap-learn does.
        """
        settings, projector, views = self.settings, self.projector, self.view_embeddings
        images, dimension = self.backbone.vectors.shape
        engine = {} if settings.umap_engine == "fast" else {"umap_engine": settings.umap_engine}
        return {
            **{name: value for one in registered() for name, value in one.defaults.items()},
            "rankme_images": 0 if self.projector_spectrum is None else self.projector_spectrum.count,
            "rankme_split": "" if projector is None else projector.split,
            "projector_dim": 0 if projector is None else projector.vectors.shape[1],
            "evaluation_images": images,
            "evaluation_split": self.backbone.split,
            "backbone_dim": dimension,
            "umap_neighbors": umap_neighbors(images),
            "umap_seeds": settings.umap_seeds,
            "umap_components": COMPONENTS,
            "umap_min_dist": MIN_DIST,
            "umap_metric": "euclidean",
            **engine,
            "entropy_bin_width": settings.entropy_bin_width,
            "clusters": settings.clusters,
            "kmeans_restarts": KMEANS_RESTARTS,
            "probe": settings.probe,
            "alpha_req_last": alpha_req_last_rank(images, dimension),
            "clid_clusters": default_clusters(min(images, PAIRWISE_MAX_IMAGES)),
            "clid_neighbors": 1,
            "pairwise_max_images": PAIRWISE_MAX_IMAGES,
            "pairwise_seed": PAIRWISE_SEED,
            "lidar_images": 0 if views is None else views.vectors.shape[0],
            "lidar_views": 0 if views is None else views.vectors.shape[1],
            "view_source": "" if views is None else views.source,
            "pretext_images": 0 if self.questions is None else self.questions.images,
            "pretext_views": "" if self.questions is None else self.questions.views,
            "spectrum_points": POINTS,
            "dtype": "float32",
            "version": DEFINITION_VERSION,
        }


def _subset(vectors: Checked) -> Checked:
    some = some_of(vectors.tensor, PAIRWISE_MAX_IMAGES, PAIRWISE_SEED)
    return vectors if some is vectors.tensor else Checked(some)  # what is equal is searched once


def _mean(values: NDArray[np.float64] | None) -> float | None:
    return None if values is None else float(values.mean())


def _has_one_direction(vectors: torch.Tensor) -> bool:
    return channel_std(Checked(vectors)) < _ONE_DIRECTION / math.sqrt(vectors.shape[1])
