"""Old paths of five metrics, for one release: use `selector.metrics` instead.

`selector.evaluation.<module>.<function>` of rankme, entropy.histogram_entropy, clustering.cosine_kmeans,
clustering.silhouette and lidar are the functions of `selector.metrics`, called as they were called before.
"""

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from numpy.typing import ArrayLike

from selector import metrics
from selector.metrics import cosine_kmeans, silhouette


def rankme(embeddings: ArrayLike, eps: float = 1e-7) -> float:
    """See `selector.metrics.rankme`."""
    return metrics.rankme(embeddings, eps=eps)


def histogram_entropy(points: ArrayLike, bin_width: float = 0.4) -> float:
    """See `selector.metrics.histogram_entropy`."""
    return metrics.histogram_entropy(points, bin_width=bin_width)


def lidar(views: ArrayLike, delta: float = 1e-4, eps: float = 1e-7) -> float:
    """See `selector.metrics.lidar`."""
    return metrics.lidar(views, delta=delta, eps=eps)


_MODULES: dict[str, list[Callable[..., Any]]] = {
    "rankme": [rankme],
    "entropy": [histogram_entropy],
    "clustering": [cosine_kmeans, silhouette],
    "lidar": [lidar],
}
for _module, _functions in _MODULES.items():
    _old = ModuleType(f"{__name__}.{_module}", __doc__)
    for _function in _functions:
        setattr(_old, _function.__name__, _function)
    sys.modules[_old.__name__] = _old
