"""Metrics of embeddings: numpy arrays or tensors in, floats out.

    from selector.metrics import rankme, lidar, nesum

Modules and names are imported when they are first used, because torch and umap-learn take seconds to import,
and who only reads the table of metrics needs neither. Where a metric has the name of its module, the name is
the module, and the module is called like the metric: `rankme(x)`, `rankme.rankme(x)` and
`from selector.metrics.rankme import rankme` are one function. Work on tensors is done on their device,
except for what scikit-learn and umap-learn do, and for spanning trees and silhouettes.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from selector.metrics.clid import cluster_learnability, twonn
    from selector.metrics.clustering import clustering_agreement, cosine_kmeans, silhouette
    from selector.metrics.collapse import channel_std, collapse_level
    from selector.metrics.definition import MetricSettings
    from selector.metrics.embeddings import Embeddings, ViewEmbeddings
    from selector.metrics.entropy import histogram_entropy, robust_histogram_entropy
    from selector.metrics.evaluate import evaluate
    from selector.metrics.hypersphere import alignment, uniformity
    from selector.metrics.inputs import Inputs
    from selector.metrics.knn import knn_accuracy
    from selector.metrics.linear_probe import fast_probe, paper_probe
    from selector.metrics.milestone import Milestone
    from selector.metrics.outliers import outlier_share
    from selector.metrics.spectral_metrics import (
        alpha_req,
        alpha_req_score,
        condition_number,
        nesum,
        participation_ratio,
        stable_rank,
    )
    from selector.metrics.spectrum import Spectrum, spectrum_of
    from selector.metrics.streamed_spectrum import SpectrumSums
    from selector.metrics.umap_space import umap_points

__all__ = [
    "Embeddings",
    "Inputs",
    "MetricSettings",
    "Milestone",
    "Spectrum",
    "SpectrumSums",
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
    "cosine_kmeans",
    "evaluate",
    "fast_probe",
    "histogram_entropy",
    "idest",
    "knn_accuracy",
    "lidar",
    "nesum",
    "outlier_share",
    "paper_probe",
    "participation_ratio",
    "rankme",
    "robust_histogram_entropy",
    "self_clustering",
    "silhouette",
    "spectrum_of",
    "stable_rank",
    "twonn",
    "umap_points",
    "uniformity",
]

_MODULE_OF = {
    "Embeddings": "embeddings",
    "Inputs": "inputs",
    "MetricSettings": "definition",
    "Milestone": "milestone",
    "Spectrum": "spectrum",
    "SpectrumSums": "streamed_spectrum",
    "ViewEmbeddings": "embeddings",
    "alignment": "hypersphere",
    "alpha_req": "spectral_metrics",
    "alpha_req_score": "spectral_metrics",
    "channel_std": "collapse",
    "cluster_learnability": "clid",
    "clustering_agreement": "clustering",
    "collapse_level": "collapse",
    "condition_number": "spectral_metrics",
    "cosine_kmeans": "clustering",
    "fast_probe": "linear_probe",
    "histogram_entropy": "entropy",
    "knn_accuracy": "knn",
    "nesum": "spectral_metrics",
    "outlier_share": "outliers",
    "paper_probe": "linear_probe",
    "participation_ratio": "spectral_metrics",
    "robust_histogram_entropy": "entropy",
    "silhouette": "clustering",
    "spectrum_of": "spectrum",
    "stable_rank": "spectral_metrics",
    "twonn": "clid",
    "umap_points": "umap_space",
    "uniformity": "hypersphere",
}


def __getattr__(name: str) -> Any:
    if name in _MODULE_OF:
        return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    module = f"{__name__}.{name}"
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
