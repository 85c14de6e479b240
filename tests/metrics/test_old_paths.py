"""The paths of the first edition, which work for one release."""

import numpy as np

from selector import metrics


def test_old_paths_are_the_same_functions_called_as_before():
    from selector.evaluation.clustering import cosine_kmeans, silhouette
    from selector.evaluation.entropy import histogram_entropy
    from selector.evaluation.lidar import lidar
    from selector.evaluation.rankme import rankme

    points = np.random.default_rng(0).standard_normal((60, 3))
    views = points.reshape(20, 3, 3)
    assert rankme(points, 1e-3) == metrics.rankme(points, eps=1e-3) != rankme(points)
    assert histogram_entropy(points, 0.8) == metrics.histogram_entropy(points, bin_width=0.8)
    assert lidar(views, 1e-2, 1e-8) == metrics.lidar(views, delta=1e-2, eps=1e-8) != lidar(views)
    assert silhouette(points, cosine_kmeans(points, 2, 0)) == metrics.silhouette(
        points, metrics.cosine_kmeans(points, 2, 0)
    )
