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

from selector.metrics.arrays import Embeddings as Embeddings, ViewEmbeddings as ViewEmbeddings
from selector.metrics.clid import clid as clid, twonn as twonn
from selector.metrics.clusters import cosine_kmeans as cosine_kmeans
from selector.metrics.evaluate import evaluate as evaluate
from selector.metrics.idest import idest as idest  # a module's name too: type checkers want to be told
from selector.metrics.inputs import (
    DEFINITION_VERSION as DEFINITION_VERSION,
    Inputs as Inputs,
    MetricSettings as MetricSettings,
)
from selector.metrics.metric import (
    AUGMENTATIONS as AUGMENTATIONS,
    CONFIG_FIELDS as CONFIG_FIELDS,
    CONSENSUS_KEY as CONSENSUS_KEY,
    LABEL_FREE_PREFIX as LABEL_FREE_PREFIX,
    LABELLED_PREFIX as LABELLED_PREFIX,
    NOISE_PREFIX as NOISE_PREFIX,
    SAME_TRAINING as SAME_TRAINING,
    SPECTRUM_PREFIX as SPECTRUM_PREFIX,
    Direction as Direction,
    LabelFreeMetric as LabelFreeMetric,
    LabelledMetric as LabelledMetric,
    Metric as Metric,
    UnknownDirection as UnknownDirection,
    declared_label_free as declared_label_free,
    declared_labelled as declared_labelled,
    label_free_metric as label_free_metric,
    labelled_metric as labelled_metric,
    registered as registered,
)
from selector.metrics.probes import fast_probe as fast_probe, paper_probe as paper_probe
from selector.metrics.spectral import alpha_req as alpha_req
from selector.metrics.spectrum import (
    Spectrum as Spectrum,
    SpectrumSums as SpectrumSums,
    spectrum_of as spectrum_of,
)
from selector.metrics.umap import umap_points as umap_points
from selector.milestone import Milestone as Milestone, correct_images as correct_images

if TYPE_CHECKING:
    from collections.abc import Callable

    def __getattr__(name: str) -> Callable[..., float]: ...


for _module in iter_modules(__path__):
    if _module.name != "umap_layout":  # which holds no metric, and takes numba and torch
        import_module(f"{__name__}.{_module.name}")
METRICS = tuple(one.metric for one in registered())
globals().update({one.function.__name__: one.function for one in registered()})
