"""One milestone: all metrics of one encoder."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selector.metrics import knn, label_free
from selector.metrics.clustering import clustering_agreement, cosine_clusterings, silhouette, silhouettes
from selector.metrics.compact_spectrum import CompactSpectrum, compact_spectrum
from selector.metrics.definition import MetricDefinition, MetricSettings, Probe, define
from selector.metrics.embeddings import Embeddings, Space, ViewEmbeddings
from selector.metrics.entropy import histogram_entropy, robust_histogram_entropy
from selector.metrics.linear_probe import fast_probe, paper_probe
from selector.metrics.milestone_metrics import (
    LabelFreeMetrics,
    LabelledMetrics,
    MilestoneMetrics,
    Row,
    from_row,
    to_row,
)
from selector.metrics.outliers import outlier_share
from selector.metrics.spectrum import Spectrum
from selector.metrics.umap_space import FEWEST, umap_points

__all__ = [
    "LabelFreeMetrics",
    "LabelledMetrics",
    "MetricDefinition",
    "MetricSettings",
    "MilestoneMetrics",
    "Probe",
    "Row",
    "evaluate",
    "from_row",
    "to_row",
]


def evaluate(
    epoch: int,
    *,
    backbone: Embeddings,
    projector: Embeddings,
    settings: MetricSettings,
    train_backbone: Embeddings | None = None,
    augmented: Callable[[int], Embeddings] | None = None,
    accuracy: float | None = None,
    views: ViewEmbeddings | None = None,
    predictor: Embeddings | None = None,
    streamed: Mapping[Space, Spectrum] = MappingProxyType({}),
    at: Callable[[str], None] = lambda _step: None,
) -> MilestoneMetrics:
    """All metrics of one encoder. Neither reads nor changes any global random state.

    Args:
        epoch: Epochs trained.
        backbone: Representations of the evaluation split; labelled metrics are computed if it has labels.
        projector: Projections of training images, for RankMe.
        settings: What was chosen.
        train_backbone: Representations of the training split with labels, which the fast probe and kNN learn
            from; without them neither is measured.
        augmented: Epoch from 0 on → representations of the training split, freshly augmented, which the
            paper's probe learns from.
        accuracy: Of the paper's probe where it has been trained already, in place of `augmented`.
        views: Projections of augmented views of training images, for LiDAR and alignment; without them
            neither is measured.
        predictor: What SimSiam's predictor makes of the projections, for its spectrum.
        streamed: Spectra of more embeddings than `projector` and `predictor` hold, in place of theirs.
        at: Called with the name of each step before it: "spectra", "UMAP", "clusters", "linear probe",
            "other metrics"; the default tells nobody.

    Raises:
        ValueError: Embeddings that are not finite or of the wrong space; fewer evaluation images than
            2 · clusters, or than 5; or labels, and a probe that was asked for, but not what it learns from.
    """
    if (backbone.space, projector.space) != ("backbone", "projector"):
        raise ValueError(f"expected backbone and projector space, got {backbone.space} and {projector.space}")
    fewest = max(FEWEST, 2 * settings.clusters)
    if len(backbone.vectors) < fewest:
        raise ValueError(
            f"{settings.clusters} clusters, and twice as many, need at least {fewest} evaluation images,"
            f" got {len(backbone.vectors)}"
        )
    at("spectra")
    spectra: dict[Space, Spectrum] = {
        embeddings.space: Spectrum(embeddings.vectors)
        for embeddings in (backbone, projector, predictor)
        if embeddings is not None and embeddings.space not in streamed
    }
    spectra |= streamed
    at("UMAP")
    points = (
        []
        if label_free.is_one_point(spectra["backbone"])
        else umap_points(backbone.vectors, range(settings.umap_seeds))
    )
    at("clusters")
    values = _values_by_seed(backbone, points, settings)
    means: dict[str, Any] = {name: float(np.mean(of_seeds)) for name, of_seeds in values.items()}
    noise = {name: float(np.std(of_seeds, ddof=1)) for name, of_seeds in values.items() if len(of_seeds) > 1}
    labelled = None
    if backbone.labels is not None:
        at("linear probe")
        labelled = LabelledMetrics(
            linear_probe_accuracy=accuracy
            if settings.probe == "paper" and accuracy is not None
            else _linear_probe(backbone, settings.probe, train_backbone, augmented),
            knn_accuracy=None if train_backbone is None else knn.knn_accuracy(train_backbone, backbone),
            ami_labels=means.pop("ami_labels"),
            silhouette_labels=means.pop("silhouette_labels"),
        )
    at("other metrics")
    return MilestoneMetrics(
        epoch,
        LabelFreeMetrics(
            **means,
            **label_free.of_backbone(backbone.vectors, spectra["backbone"]),
            **label_free.of_projector(projector.vectors, spectra["projector"]),
            **({} if views is None else label_free.of_views(views.vectors)),
        ),
        labelled,
        noise,
        define(settings, backbone, projector, views, spectra["projector"].count),
        {space: _logged(spectrum) for space, spectrum in spectra.items()},
        points[0] if points else None,
    )


def _values_by_seed(
    backbone: Embeddings, points: Sequence[NDArray[np.float32]], settings: MetricSettings
) -> dict[str, list[float]]:
    """One value a UMAP seed of each metric that depends on it; a single value of those that do not.

    There are no points where the encoder has collapsed.
    """
    vectors, labels = backbone.vectors, backbone.labels
    if not points:
        undefined = (
            "entropy", "entropy_robust", "outlier_share", "silhouette", "silhouette_umap",
            "clustering_agreement",
        )  # fmt: skip
        constant = {} if labels is None else {"ami_labels": [0.0], "silhouette_labels": [0.0]}
        return {name: [np.nan] for name in undefined} | constant
    c1, c2 = cosine_clusterings(points, [settings.clusters, 2 * settings.clusters])
    truth = [] if labels is None or len(np.unique(labels)) < 2 else [labels]
    s = silhouettes(vectors, [*c1, *truth])  # one pass over the distances for all of them
    values = {
        "entropy": [histogram_entropy(z3, settings.entropy_bin_width) for z3 in points],
        "entropy_robust": [robust_histogram_entropy(z3, settings.entropy_bin_width) for z3 in points],
        "outlier_share": [outlier_share(z3) for z3 in points],
        "silhouette": s[: len(c1)],
        "silhouette_umap": [silhouette(z3, clusters) for z3, clusters in zip(points, c1, strict=True)],
        "clustering_agreement": [clustering_agreement(*pair) for pair in zip(c1, c2, strict=True)],
    }
    if labels is not None:
        values["ami_labels"] = [clustering_agreement(clusters, labels) for clusters in c1]
        values["silhouette_labels"] = s[len(c1) :] or [np.nan]
    return values


def _linear_probe(
    test: Embeddings,
    probe: Probe,
    train: Embeddings | None,
    augmented: Callable[[int], Embeddings] | None,
) -> float | None:
    match probe:
        case "paper":
            if augmented is None:
                raise ValueError(
                    "the probe 'paper' learns from `augmented`, which is missing; 'fast' and 'none' do not"
                )
            return paper_probe(augmented, test)
        case "fast":
            if train is None:
                raise ValueError("the probe 'fast' learns from `train_backbone`, which is missing")
            return fast_probe(train, test)
        case "none":
            return None


def _logged(spectrum: Spectrum) -> CompactSpectrum:
    """Four digits of at most 64 values: a row is read again and again."""
    compact = compact_spectrum(spectrum.centred)
    different = compact.ranks[-1]  # a shorter spectrum is filled up with repetitions
    values = tuple(float(f"{value:.4g}") for value in compact.values[:different])
    return CompactSpectrum(compact.ranks[:different], values)
