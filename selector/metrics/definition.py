"""How the metrics of a run are computed: what may be chosen, and everything that came of it."""

from dataclasses import dataclass
from typing import Literal

from selector.metrics import (
    clid,
    clustering,
    compact_spectrum,
    hypersphere,
    idest,
    knn,
    lidar,
    rankme,
    spectral_metrics,
    umap_space,
)
from selector.metrics.embeddings import Embeddings, ViewEmbeddings

Probe = Literal["paper", "fast", "none"]

# The metrics that compare all pairs of images (CLID, IdEst, uniformity) take a random subset of more.
PAIRWISE_MAX_IMAGES = idest.MAX_IMAGES
PAIRWISE_SEED = 0
CLID_SEED = IDEST_SEED = 0


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
    and splits of what they were given. `metric_table` says which metric depends on which field.
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
    alpha_req_last: int
    clid_clusters: int
    lidar_images: int = 0
    lidar_views: int = 0
    view_source: str = ""
    dtype: str = "float32"
    rankme_eps: float = rankme.EPS
    rankme_centred: bool = False
    umap_components: int = umap_space.COMPONENTS
    umap_min_dist: float = umap_space.MIN_DIST
    umap_metric: str = "euclidean"
    kmeans_restarts: int = clustering.KMEANS_RESTARTS
    knn_neighbors: int = knn.NEIGHBORS
    knn_temperature: float = knn.TEMPERATURE
    alpha_req_first: int = spectral_metrics.FIRST_RANK
    pairwise_max_images: int = PAIRWISE_MAX_IMAGES
    pairwise_seed: int = PAIRWISE_SEED
    clid_neighbors: int = clid.NEIGHBORS
    clid_seed: int = CLID_SEED
    twonn_discard: float = clid.DISCARD
    idest_seed: int = IDEST_SEED
    uniformity_t: float = hypersphere.T
    alignment_alpha: float = hypersphere.ALPHA
    lidar_delta: float = lidar.DELTA
    lidar_eps: float = lidar.EPS
    spectrum_points: int = compact_spectrum.POINTS
    version: int = 3


def define(
    settings: MetricSettings,
    backbone: Embeddings,
    projector: Embeddings | None,
    views: ViewEmbeddings | None,
    rankme_images: int,
) -> MetricDefinition:
    """The definition of metrics that are computed from these embeddings under these settings."""
    images, dimension = backbone.vectors.shape
    return MetricDefinition(
        rankme_images=rankme_images,
        rankme_split="" if projector is None else projector.split,
        projector_dim=0 if projector is None else projector.vectors.shape[1],
        evaluation_images=images,
        evaluation_split=backbone.split,
        backbone_dim=dimension,
        umap_neighbors=umap_space.umap_neighbors(images),
        umap_seeds=settings.umap_seeds,
        entropy_bin_width=settings.entropy_bin_width,
        clusters=settings.clusters,
        probe=settings.probe,
        alpha_req_last=spectral_metrics.alpha_req_last_rank(images, dimension),
        clid_clusters=clid.default_clusters(min(images, PAIRWISE_MAX_IMAGES)),
        lidar_images=0 if views is None else views.vectors.shape[0],
        lidar_views=0 if views is None else views.vectors.shape[1],
        view_source="" if views is None else views.source,
    )
