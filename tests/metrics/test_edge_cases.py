"""Every metric on embeddings that go wrong: a finite value with a stated meaning, or a stated error.

Values are worked out in the comments; the metrics' own tests hold the rest.
"""

import math

import numpy as np
import pytest

from selector.metrics import METRICS, LabelFreeMetric, alignment, lidar, registered
from selector.metrics.clusters import clustering_agreement, cosine_kmeans, silhouette
from selector.metrics.spectral import LARGEST_CONDITION_NUMBER


def clusters_of(x):
    return cosine_kmeans(x, 4 if len(x) > 3 and x.shape[1] > 1 else 2, seed=0)


def agreement(x):
    return clustering_agreement(cosine_kmeans(x, 2, seed=0), clusters_of(x))


def silhouette_of_kmeans(x):
    return silhouette(x, clusters_of(x))


def views_of(x):
    """Three views of each image, the same for equal seeds."""
    noise = np.random.default_rng(1).standard_normal((len(x), 3, x.shape[1]))
    return x[:, None] + 0.1 * x.astype(np.float64).std() * noise


def of_embeddings(one):
    """A metric's function, of (N, D) embeddings."""
    match one.reads:
        case ("views",):
            return lambda x: one.function(views_of(x))
        case (_, "clusters"):
            return silhouette_of_kmeans
        case ("clusters", "finer_clusters"):
            return agreement
    return one.function


FUNCTIONS = {
    one.metric.name: of_embeddings(one)
    for one in registered()
    if isinstance(one.metric, LabelFreeMetric) and one.family != "pretext"  # which asks about images
}
OF_VIEWS = {"alignment", "lidar"}

rng = np.random.default_rng(0)
# Four clear groups, a spectrum that falls off, and a mean.
GROUPS = 4 * np.random.default_rng(2).standard_normal((4, 40))[np.arange(300) % 4]
SOUND = GROUPS + rng.standard_normal((300, 40)) * np.arange(1, 41) ** -0.4 + 0.5

EDGES = {
    "constant": np.full((300, 40), 0.3),
    "zero": np.zeros((300, 40)),
    "one direction": np.outer(rng.uniform(1, 2, 300), np.ones(40)),
    "rank 3": rng.standard_normal((300, 3)) @ rng.standard_normal((3, 40)),
    "one image": SOUND[:1],
    "two images": SOUND[:2],
    "fewer images than dimensions": SOUND[:25],
    "one dimension": SOUND[:, :1] - 0.5,
    "every image twice": np.repeat(SOUND[:150], 2, axis=0),
    "far from the origin": SOUND + 1e6,
    "huge": SOUND * 1e100,
    "tiny": SOUND * 1e-100,
    "float16": SOUND.astype(np.float16),
}
# (metric, edge) → part of the ValueError. What is not here is finite.
NO_CLUSTERS = ("silhouette", "silhouette_umap", "clustering_agreement")
OF_PAIRS = ("self_clustering", "uniformity", "channel_std", "collapse_level", "lidar", "cluster_learnability")
REFUSALS = [
    (NO_CLUSTERS, ("constant", "zero", "one direction", "one image"), "clusters need as many distinct"),
    (("alpha_req_score",), ("one image", "two images", "one dimension"), "leave ranks 11 to"),
    (("alpha_req_score",), ("constant", "zero", "one direction", "rank 3"), "the embeddings have rank"),
    ((*OF_PAIRS, "clid", "idest"), ("one image",), "at least"),
    (("clid", "idest"), ("two images",), "at least"),
]
REFUSED = {(name, edge): text for names, edges, text in REFUSALS for name in names for edge in edges}


# Six points on the axes without a mean: singular values 4, 2, 2, covariance eigenvalues as 4 : 1 : 1.
CROSS = np.array([[8, 0, 0], [-8, 0, 0], [0, 4, 0], [0, -4, 0], [0, 0, 4], [0, 0, -4]]) / 8**0.5
# Of every label-free metric: which way is better for every method, its value of CROSS worked out by hand, and
# its value where all images are equal. None: not known for every method, and held by the metric's own tests.
ROWS = {
    "rankme": ("max", 2**1.5, pytest.approx(1, abs=1e-4)),  # p = 1/2, 1/4, 1/4; one direction, 39 times eps
    "rankme_backbone": ("max", 2**1.5, pytest.approx(1, abs=1e-4)),
    "alpha_req_score": ("max", None, None),
    "nesum": ("max", 1.5, 1.0),  # (4 + 1 + 1) / 4
    "stable_rank": ("max", 1.5, pytest.approx(1)),  # the mean is zero, so nothing differs
    "participation_ratio": ("max", 2.0, 1.0),  # (4 + 1 + 1)² / (16 + 1 + 1)
    "condition_number": ("min", 2.0, LARGEST_CONDITION_NUMBER),  # 4 / 2
    "spectrum_auc": ("min", 0.75, 1.0),  # (1/2 + 3/4 + 1) / 3
    "entropy": (None, None, 0.0),  # one box
    "entropy_robust": (None, None, None),
    "outlier_share": ("min", None, None),
    "silhouette": ("max", None, None),
    "silhouette_umap": ("max", None, None),
    "clustering_agreement": ("max", None, None),
    "self_clustering": ("min", None, pytest.approx(1)),  # all squared cosines are 1
    # 3 of 15 pairs are opposite, squared distance 4; of all others it is 2
    "uniformity": ("min", math.log((3 * math.exp(-8) + 12 * math.exp(-4)) / 15), pytest.approx(0, abs=1e-12)),
    "channel_std": ("max", None, 0.0),
    "collapse_level": ("min", None, 1.0),
    "cluster_learnability": ("max", None, 1.0),  # one cluster
    "clid": ("max", None, 1.0),  # … of dimension 0
    "idest": ("min", None, 0.0),
    "alignment": ("min", None, pytest.approx(0, abs=1e-12)),
    "lidar": ("max", None, pytest.approx(1, abs=1e-3)),
    "rotation_probe": ("max", None, None),
    "view_retrieval": ("max", None, None),
    "hog_probe": ("max", None, None),
    "pretext_score": ("max", None, None),
}


def test_every_label_free_metric_has_its_row():
    assert set(ROWS) == {metric.name for metric in METRICS if isinstance(metric, LabelFreeMetric)}


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_which_way_is_better(metric):
    # Tsitsulin et al.: a lower condition number and less self-clustering are better; Wang and Isola minimise
    # both; IdEst: lower; lightly's collapse level: 0 is none.
    expected = ROWS[metric.name][0] if isinstance(metric, LabelFreeMetric) else "max"
    assert metric.direction == expected
    assert bool(metric.direction_for) == (expected is None)


@pytest.mark.parametrize("name", [name for name, (_, value, _) in ROWS.items() if value is not None])
def test_value_worked_out_by_hand(name):
    assert FUNCTIONS[name](CROSS) == pytest.approx(ROWS[name][1], rel=1e-5)


@pytest.mark.parametrize("name", [name for name, (*_, value) in ROWS.items() if value is not None])
def test_complete_collapse(name):
    assert FUNCTIONS[name](EDGES["constant"]) == ROWS[name][2]


@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_finite_value_or_a_stated_error(name, edge):
    with np.errstate(all="raise"):
        if (name, edge) in REFUSED:
            with pytest.raises(ValueError, match=REFUSED[name, edge]):
                FUNCTIONS[name](EDGES[edge])
        else:
            value = FUNCTIONS[name](EDGES[edge])
            assert type(value) is float
            assert math.isfinite(value)


def rotated(x):
    return x @ np.linalg.qr(np.random.default_rng(3).standard_normal((x.shape[1], x.shape[1])))[0]


CHANGES = {
    "rotation": rotated,
    "scale": lambda x: 1000 * x,
    "offset": lambda x: x + 1e6,
    "order of the images": lambda x: x[np.random.default_rng(4).permutation(len(x))],
    "order of the dimensions": lambda x: x[:, ::-1],
}
# An offset moves directions from the origin, and the spectrum with its mean.
WITH_MEAN = {*NO_CLUSTERS, "rankme", "rankme_backbone", "stable_rank", "self_clustering", "uniformity"}
MOVED = {
    "rotation": {"entropy", "entropy_robust", "channel_std", "collapse_level"},  # of axes
    "scale": set(),
    "offset": WITH_MEAN | {"channel_std", "collapse_level", "cluster_learnability", "clid"},
    "order of the images": {"cluster_learnability", "clid", "idest"},  # of random subsets of the images
    "order of the dimensions": set(),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("name", sorted(FUNCTIONS.keys() - OF_VIEWS))
def test_what_leaves_a_metric_alone(name, change):
    before, after = FUNCTIONS[name](SOUND), FUNCTIONS[name](np.ascontiguousarray(CHANGES[change](SOUND)))
    if name not in MOVED[change]:
        # An offset of 1e6 costs float64 six of its digits.
        assert after == pytest.approx(before, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize(
    ("change", "alignment_stays", "lidar_stays"),
    [
        ("rotation", True, True),
        ("scale", True, False),  # delta of LiDAR has a scale
        ("offset", False, True),
        ("order of the images", True, True),
    ],
)
def test_what_leaves_metrics_of_views_alone(change, alignment_stays, lidar_stays):
    views = views_of(SOUND)
    n, q, d = views.shape
    if change == "order of the images":
        changed = CHANGES[change](views)
    else:
        changed = CHANGES[change](views.reshape(-1, d)).reshape(n, q, d)
    if alignment_stays:
        assert alignment(changed) == pytest.approx(alignment(views))
    if lidar_stays:
        assert lidar(changed) == pytest.approx(lidar(views), rel=1e-5)
