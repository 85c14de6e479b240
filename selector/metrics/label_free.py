"""The label-free metrics of one milestone that need no UMAP, by what they are computed from.

None is a metric that the shape does not allow, NaN one that the embeddings leave undefined: where a collapsed
encoder would have the best of all values, it has none.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selector.metrics import spectral_metrics
from selector.metrics.clid import cluster_learnability, twonn
from selector.metrics.collapse import channel_std, collapse_level
from selector.metrics.definition import CLID_SEED, IDEST_SEED, PAIRWISE_MAX_IMAGES, PAIRWISE_SEED
from selector.metrics.hypersphere import alignment, uniformity
from selector.metrics.idest import idest
from selector.metrics.lidar import lidar
from selector.metrics.rankme import rankme
from selector.metrics.self_clustering import self_clustering
from selector.metrics.spectrum import Spectrum

Values = dict[str, Any]  # metric → float or None

_NAN = float("nan")
# √D · channel std of equal directions in float32 is its rounding, 1e-7.
_ONE_DIRECTION = 1e-6


def of_backbone(vectors: NDArray[np.float32], spectrum: Spectrum) -> Values:
    """Metrics of the representations of the evaluation images, N ≥ 5 of them, and of their spectrum."""
    some = _subset(vectors)
    learnable = _NAN if has_one_direction(some) else cluster_learnability(some, seed=CLID_SEED)
    return {
        "rankme_backbone": rankme(spectrum),
        "alpha_req_score": _alpha_req_score(spectrum),
        "nesum": spectral_metrics.nesum(spectrum),
        "stable_rank": spectral_metrics.stable_rank(spectrum),
        "participation_ratio": spectral_metrics.participation_ratio(spectrum),
        "condition_number": spectral_metrics.condition_number(spectrum),
        "self_clustering": self_clustering(vectors),
        "cluster_learnability": learnable,
        "clid": learnable + twonn(some) / some.shape[1],
        "idest": _NAN if is_one_point(spectrum) else idest(some, seed=IDEST_SEED),
    }


def of_projector(vectors: NDArray[np.float32], spectrum: Spectrum) -> Values:
    """Metrics of the projections of the training images, and of their spectrum."""
    values: Values = {"rankme": rankme(spectrum)}
    if len(vectors) > 1:
        values["uniformity"] = uniformity(_subset(vectors))
        values["channel_std"] = channel_std(vectors)
        values["collapse_level"] = collapse_level(vectors)
    return values


def of_views(views: NDArray[np.float32]) -> Values:
    """Metrics of the projections of (n, q, D) views."""
    one_direction = has_one_direction(views.reshape(-1, views.shape[2]))
    return {
        "alignment": _NAN if one_direction else alignment(views),
        # Worst, as of equal views: of rounding alone LiDAR counts all directions, delta being above all.
        "lidar": 1.0 if one_direction and len(views) > 1 else _lidar(views),
    }


def is_one_point(spectrum: Spectrum) -> bool:
    """Whether all embeddings are equal, up to rounding."""
    return not spectrum.centred.any()


def has_one_direction(vectors: NDArray[np.float32]) -> bool:
    """Whether all of N ≥ 2 embeddings have one direction from the origin, up to rounding, or are zero."""
    return channel_std(vectors) < _ONE_DIRECTION / math.sqrt(vectors.shape[1])


def _alpha_req_score(spectrum: Spectrum) -> float | None:
    last = spectral_metrics.alpha_req_last_rank(spectrum.count, spectrum.dimension)
    if last - spectral_metrics.FIRST_RANK + 1 < spectral_metrics.FEWEST_RANKS:
        return None
    if spectrum.centred[last - 1] == 0:
        return _NAN  # collapsed to fewer dimensions: no power law describes them
    return spectral_metrics.alpha_req_score(spectrum)


def _lidar(views: NDArray[np.float32]) -> float | None:
    if len(views) < 2:
        return None
    try:
        return lidar(views)
    except ValueError:  # views so large that delta means nothing beside their covariance
        return _NAN


def _subset(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """The same images at every milestone, few enough to compare all pairs of them."""
    if len(vectors) <= PAIRWISE_MAX_IMAGES:
        return vectors
    rng = np.random.default_rng(PAIRWISE_SEED)
    return vectors[rng.choice(len(vectors), PAIRWISE_MAX_IMAGES, replace=False)]
