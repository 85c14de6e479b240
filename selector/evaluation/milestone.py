"""One milestone: all metrics of one encoder, how they were computed, and their W&B keys."""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from typing import Literal, TypeVar

import numpy as np

from selector.evaluation import knn
from selector.evaluation.clustering import KMEANS_RESTARTS, clustering_agreement, cosine_kmeans, silhouettes
from selector.evaluation.embeddings import Embeddings
from selector.evaluation.entropy import histogram_entropy, robust_histogram_entropy
from selector.evaluation.linear_probe import fast_probe, paper_probe
from selector.evaluation.metrics import LABEL_FREE_PREFIX, LABELLED_PREFIX, NOISE_PREFIX
from selector.evaluation.rankme import rankme
from selector.evaluation.umap_space import COMPONENTS, FEWEST, MIN_DIST, umap_neighbors, umap_points

Probe = Literal["paper", "fast", "none"]

_RANKME_EPS = 1e-7


@dataclass(frozen=True)
class MetricSettings:
    """What may be chosen about the metrics of a run; `MetricDefinition` says what came of it.

    Attributes:
        clusters: k1 of the clustering metrics, the number of classes where it is known; k2 is twice that.
        probe: "paper" (Adam, 20 augmented epochs), "fast" (logistic regression on fixed features) or "none".
        umap_seeds: UMAP layouts a milestone, with the seeds 0, 1, …
        entropy_bin_width: In standard deviations.
        rankme_images: Training images that RankMe is computed from, if there are so many.
    """

    clusters: int
    probe: Probe = "paper"
    umap_seeds: int = 3
    entropy_bin_width: float = 0.4
    rankme_images: int = 25_600

    def __post_init__(self) -> None:
        if self.clusters < 2:
            raise ValueError(f"clusters must be at least 2, got {self.clusters}")
        if self.umap_seeds < 1:
            raise ValueError(f"umap_seeds must be at least 1, got {self.umap_seeds}")
        if self.rankme_images < 1:
            raise ValueError(f"rankme_images must be at least 1, got {self.rankme_images}")


@dataclass(frozen=True)
class MetricDefinition:
    """Everything about the computation that changes a figure: runs that differ here are not compared.

    `version` is raised when a formula changes under the same settings. `umap_neighbors` counts a vector as
    its own neighbour, as umap-learn does. The other fields are the arguments of the metrics, and the shapes
    and splits of what they were given.
    """

    rankme_images: int
    rankme_split: str
    projector_dim: int
    evaluation_images: int
    evaluation_split: str
    backbone_dim: int
    umap_neighbors: int
    umap_seeds: int
    entropy_bin_width: float
    clusters: int
    probe: Probe
    dtype: str = "float32"
    rankme_eps: float = _RANKME_EPS
    rankme_centred: bool = False
    umap_components: int = COMPONENTS
    umap_min_dist: float = MIN_DIST
    umap_metric: str = "euclidean"
    kmeans_restarts: int = KMEANS_RESTARTS
    knn_neighbors: int = knn.NEIGHBORS
    knn_temperature: float = knn.TEMPERATURE
    version: int = 1


@dataclass(frozen=True)
class LabelFreeMetrics:
    """What no label went into; the names are W&B keys. See `metrics.METRICS` for what each one means.

    Where all embeddings of the evaluation split are equal (complete collapse) there is nothing to lay
    out or to cluster: entropy, entropy_robust, silhouette and clustering_agreement are NaN, so that a
    collapsed run cannot win by the entropy 0 or the agreement 1 of a single point. rankme_backbone is
    then about 1.
    """

    rankme: float
    rankme_backbone: float
    entropy: float
    entropy_robust: float
    silhouette: float
    clustering_agreement: float


@dataclass(frozen=True)
class LabelledMetrics:
    """What labels went into: for judging a choice, never for choosing. None was not measured.

    Where all embeddings are equal, ami_labels and silhouette_labels are 0: one cluster says nothing about
    labels. silhouette_labels is NaN where the evaluation images are all of one class.
    """

    ami_labels: float
    silhouette_labels: float
    linear_probe_accuracy: float | None = None
    knn_accuracy: float | None = None


@dataclass(frozen=True)
class MilestoneMetrics:
    """All metrics of one encoder at one point of its training.

    Attributes:
        epoch: Epochs trained; 0 is the untrained network.
        label_free: Means over the UMAP seeds, where UMAP has a part in them.
        labelled: Likewise; None for images without labels.
        noise: Metric → standard deviation (divisor S - 1) over S UMAP seeds of one seed's value; the mean's
            standard error is that over √S. Empty for one seed, and for metrics that are not defined.
        definition: How the metrics were computed.
    """

    epoch: int
    label_free: LabelFreeMetrics
    labelled: LabelledMetrics | None
    noise: Mapping[str, float]
    definition: MetricDefinition


def evaluate(
    epoch: int,
    *,
    backbone: Embeddings,
    projector: Embeddings,
    settings: MetricSettings,
    train_backbone: Embeddings | None = None,
    augmented: Callable[[int], Embeddings] | None = None,
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
    values = _values_by_seed(backbone, settings)
    means = {name: float(np.mean(of_seeds)) for name, of_seeds in values.items()}
    label_free = LabelFreeMetrics(
        rankme=rankme(projector.vectors, _RANKME_EPS),
        rankme_backbone=rankme(backbone.vectors, _RANKME_EPS),
        entropy=means["entropy"],
        entropy_robust=means["entropy_robust"],
        silhouette=means["silhouette"],
        clustering_agreement=means["clustering_agreement"],
    )
    labelled = None
    if backbone.labels is not None:
        labelled = LabelledMetrics(
            linear_probe_accuracy=_linear_probe(backbone, settings.probe, train_backbone, augmented),
            knn_accuracy=None if train_backbone is None else knn.knn_accuracy(train_backbone, backbone),
            ami_labels=means["ami_labels"],
            silhouette_labels=means["silhouette_labels"],
        )
    noise = {name: float(np.std(of_seeds, ddof=1)) for name, of_seeds in values.items() if len(of_seeds) > 1}
    return MilestoneMetrics(epoch, label_free, labelled, noise, _definition(backbone, projector, settings))


def _values_by_seed(backbone: Embeddings, settings: MetricSettings) -> dict[str, list[float]]:
    """One value a UMAP seed of each metric that depends on it; a single value of those that do not."""
    vectors, labels = backbone.vectors, backbone.labels
    if (vectors == vectors[0]).all():
        undefined = ("entropy", "entropy_robust", "silhouette", "clustering_agreement")
        return {name: [np.nan] for name in undefined} | {"ami_labels": [0.0], "silhouette_labels": [0.0]}
    points = umap_points(vectors, range(settings.umap_seeds))
    c1 = [cosine_kmeans(z3, settings.clusters, seed) for seed, z3 in enumerate(points)]
    c2 = [cosine_kmeans(z3, 2 * settings.clusters, seed) for seed, z3 in enumerate(points)]
    truth = [] if labels is None or len(np.unique(labels)) < 2 else [labels]
    s = silhouettes(vectors, [*c1, *truth])  # one pass over the distances for all of them
    values = {
        "entropy": [histogram_entropy(z3, settings.entropy_bin_width) for z3 in points],
        "entropy_robust": [robust_histogram_entropy(z3, settings.entropy_bin_width) for z3 in points],
        "silhouette": s[: len(c1)],
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
                raise ValueError("the probe 'paper' learns from `augmented`, which is missing")
            return paper_probe(augmented, test)
        case "fast":
            if train is None:
                raise ValueError("the probe 'fast' learns from `train_backbone`, which is missing")
            return fast_probe(train, test)
        case "none":
            return None


def _definition(backbone: Embeddings, projector: Embeddings, settings: MetricSettings) -> MetricDefinition:
    return MetricDefinition(
        rankme_images=len(projector.vectors),
        rankme_split=projector.split,
        projector_dim=projector.vectors.shape[1],
        evaluation_images=len(backbone.vectors),
        evaluation_split=backbone.split,
        backbone_dim=backbone.vectors.shape[1],
        umap_neighbors=umap_neighbors(len(backbone.vectors)),
        umap_seeds=settings.umap_seeds,
        entropy_bin_width=settings.entropy_bin_width,
        clusters=settings.clusters,
        probe=settings.probe,
    )


def to_row(metrics: MilestoneMetrics) -> dict[str, float]:
    """The W&B history row of a milestone; what was not measured is left out, NaN stays NaN."""
    row: dict[str, float] = {"epoch": metrics.epoch}
    row |= {LABEL_FREE_PREFIX + name: value for name, value in asdict(metrics.label_free).items()}
    if metrics.labelled is not None:
        labelled = asdict(metrics.labelled)
        row |= {LABELLED_PREFIX + name: value for name, value in labelled.items() if value is not None}
    return row | {NOISE_PREFIX + name: value for name, value in metrics.noise.items()}


def from_row(row: Mapping[str, float], definition: MetricDefinition) -> MilestoneMetrics:
    """The milestone that `to_row` wrote; other keys of the row are passed over.

    Raises:
        ValueError: The row lacks a metric that every milestone has.
    """
    labelled = any(key.startswith(LABELLED_PREFIX) for key in row)
    return MilestoneMetrics(
        epoch=int(row["epoch"]),
        label_free=_read(LabelFreeMetrics, LABEL_FREE_PREFIX, row),
        labelled=_read(LabelledMetrics, LABELLED_PREFIX, row) if labelled else None,
        noise={key.removeprefix(NOISE_PREFIX): row[key] for key in row if key.startswith(NOISE_PREFIX)},
        definition=definition,
    )


_Metrics = TypeVar("_Metrics", LabelFreeMetrics, LabelledMetrics)


def _read(kind: type[_Metrics], prefix: str, row: Mapping[str, float]) -> _Metrics:
    held = {field.name: row[prefix + field.name] for field in fields(kind) if prefix + field.name in row}
    missing = [field.name for field in fields(kind) if field.default is MISSING and field.name not in held]
    if missing:
        raise ValueError(f"the row of epoch {row['epoch']} lacks {prefix}{missing[0]}")
    return kind(**held)
