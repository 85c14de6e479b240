"""Metrics of embeddings: arrays in, floats out.

A metric lives in the module of its family: `selector.evaluation.rankme.rankme(embeddings)`. Modules and the
names below are imported when they are first used, because torch and umap-learn take seconds to import, and
who only reads the table of metrics needs neither. A function that is called like its module (`rankme`,
`lidar`) is not among the names: here that name is the module, whatever was imported before.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from selector.evaluation.clustering import clustering_agreement, cosine_kmeans, silhouette
    from selector.evaluation.embeddings import Embeddings
    from selector.evaluation.entropy import histogram_entropy, robust_histogram_entropy
    from selector.evaluation.knn import knn_accuracy
    from selector.evaluation.linear_probe import fast_probe, paper_probe
    from selector.evaluation.milestone import MetricSettings, MilestoneMetrics, evaluate
    from selector.evaluation.umap_space import umap_points

__all__ = [
    "Embeddings",
    "MetricSettings",
    "MilestoneMetrics",
    "clustering_agreement",
    "cosine_kmeans",
    "evaluate",
    "fast_probe",
    "histogram_entropy",
    "knn_accuracy",
    "paper_probe",
    "robust_histogram_entropy",
    "silhouette",
    "umap_points",
]

_MODULE_OF = {
    "Embeddings": "embeddings",
    "MetricSettings": "milestone",
    "MilestoneMetrics": "milestone",
    "clustering_agreement": "clustering",
    "cosine_kmeans": "clustering",
    "evaluate": "milestone",
    "fast_probe": "linear_probe",
    "histogram_entropy": "entropy",
    "knn_accuracy": "knn",
    "paper_probe": "linear_probe",
    "robust_histogram_entropy": "entropy",
    "silhouette": "clustering",
    "umap_points": "umap_space",
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
