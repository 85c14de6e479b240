"""Metrics of embeddings: numpy arrays, nested lists or tensors in, floats out.

    from selector.metrics import rankme, lidar, nesum

The function of every registered metric is a name of this package; only what is not a metric is listed here.
Each raises a ValueError for input that is not finite, has another shape, or is too small to have a value.
What the decorator says of a metric (formula, better direction, source) ends its docstring.

Importing this takes numpy alone; torch, scikit-learn, numba and umap-learn are imported by the functions that
need them. Work on tensors is done on their device, except for what scikit-learn and UMAP do, and for
spanning trees and silhouettes.
"""

from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING

from selector.metrics.clid import clid, twonn
from selector.metrics.clusters import cosine_kmeans
from selector.metrics.embeddings import Embeddings, ViewEmbeddings
from selector.metrics.evaluate import evaluate
from selector.metrics.idest import idest  # as `clid`, a module's name too: type checkers want to be told
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
from selector.metrics.probes import fast_probe, paper_probe
from selector.metrics.spectral import alpha_req
from selector.metrics.spectrum import Spectrum, SpectrumSums, spectrum_of
from selector.metrics.umap import umap_points
from selector.milestone import Milestone, correct_images

if TYPE_CHECKING:
    from collections.abc import Callable

    def __getattr__(name: str) -> Callable[..., float]: ...


for _module in iter_modules(__path__):
    if _module.name != "umap_layout":  # which holds no metric, and takes numba and torch
        import_module(f"{__name__}.{_module.name}")
METRICS = tuple(one.metric for one in registered())
globals().update({one.function.__name__: one.function for one in registered()})

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
    "alpha_req",
    "clid",
    "correct_images",
    "cosine_kmeans",
    "declared_label_free",
    "declared_labelled",
    "evaluate",
    "fast_probe",
    "idest",
    "label_free_metric",
    "labelled_metric",
    "paper_probe",
    "registered",
    "spectrum_of",
    "twonn",
    "umap_points",
]
__all__ += sorted({one.function.__name__ for one in registered()} - set(__all__))
