"""Metrics of embeddings: numpy arrays, nested lists or tensors in, floats out.

    from selector.metrics import rankme, lidar, nesum

Importing this takes numpy alone; torch, scikit-learn, numba and umap-learn are imported by the functions that
need them. Work on tensors is done on their device, except for what scikit-learn and UMAP do, and for
spanning trees and silhouettes.
"""

from selector.metrics.clid import clid, cluster_learnability, twonn
from selector.metrics.clusters import clustering_agreement, cosine_kmeans, silhouette
from selector.metrics.embeddings import Embeddings, ViewEmbeddings
from selector.metrics.entropy import histogram_entropy, outlier_share, robust_histogram_entropy
from selector.metrics.evaluate import evaluate
from selector.metrics.geometry import channel_std, collapse_level, self_clustering, uniformity
from selector.metrics.idest import idest
from selector.metrics.inputs import DEFINITION_VERSION, Inputs, MetricSettings
from selector.metrics.metric import (
    AUGMENTATIONS,
    CONFIG_FIELDS,
    CONSENSUS_KEY,
    LABEL_FREE_PREFIX,
    LABELLED_PREFIX,
    NOISE_PREFIX,
    SAME_TRAINING,
    SPECTRUM_PREFIX,
    Direction,
    LabelFreeMetric,
    LabelledMetric,
    Metric,
    UnknownDirection,
    declared_label_free,
    declared_labelled,
    label_free_metric,
    labelled_metric,
    registered,
)
from selector.metrics.pretext import hog_probe, pretext_score, rotation_probe, view_retrieval
from selector.metrics.probes import fast_probe, knn_accuracy, linear_probe_accuracy, paper_probe
from selector.metrics.spectral import (
    alpha_req,
    alpha_req_score,
    condition_number,
    nesum,
    participation_ratio,
    rankme,
    stable_rank,
)
from selector.metrics.spectrum import Spectrum, SpectrumSums, spectrum_of
from selector.metrics.umap import umap_points
from selector.metrics.views import alignment, lidar
from selector.milestone import Milestone, correct_images

METRICS = tuple(one.metric for one in registered())

__all__ = [
    "AUGMENTATIONS",
    "CONFIG_FIELDS",
    "CONSENSUS_KEY",
    "DEFINITION_VERSION",
    "LABELLED_PREFIX",
    "LABEL_FREE_PREFIX",
    "METRICS",
    "NOISE_PREFIX",
    "SAME_TRAINING",
    "SPECTRUM_PREFIX",
    "Direction",
    "Embeddings",
    "Inputs",
    "LabelFreeMetric",
    "LabelledMetric",
    "Metric",
    "MetricSettings",
    "Milestone",
    "Spectrum",
    "SpectrumSums",
    "UnknownDirection",
    "ViewEmbeddings",
    "alignment",
    "alpha_req",
    "alpha_req_score",
    "channel_std",
    "clid",
    "cluster_learnability",
    "clustering_agreement",
    "collapse_level",
    "condition_number",
    "correct_images",
    "cosine_kmeans",
    "declared_label_free",
    "declared_labelled",
    "evaluate",
    "fast_probe",
    "histogram_entropy",
    "hog_probe",
    "idest",
    "knn_accuracy",
    "label_free_metric",
    "labelled_metric",
    "lidar",
    "linear_probe_accuracy",
    "nesum",
    "outlier_share",
    "paper_probe",
    "participation_ratio",
    "pretext_score",
    "rankme",
    "registered",
    "robust_histogram_entropy",
    "rotation_probe",
    "self_clustering",
    "silhouette",
    "spectrum_of",
    "stable_rank",
    "twonn",
    "umap_points",
    "uniformity",
    "view_retrieval",
]  # fmt: skip
