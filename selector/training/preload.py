"""Imports that cost seconds, for a process that will fork: see selector/sweeping/processes.py."""

import kornia.augmentation  # noqa: F401
import lightly.loss
import lightly.models.modules  # noqa: F401
import pytorch_lightning  # noqa: F401
import sklearn.cluster
import sklearn.datasets  # noqa: F401
import umap  # noqa: F401


def _load_compiled() -> None:
    """Lay out a ring, so that no forked process has to load compiled code itself."""
    import numpy as np

    from selector.metrics.umap_layout import fuzzy_graph, layouts

    indices = (np.arange(60)[:, None] + np.arange(1, 8)) % 60
    graph = fuzzy_graph(indices, np.ones(indices.shape, np.float32).cumsum(1))
    layouts(graph, [np.random.default_rng(0).normal(size=(60, 3))], [0])


_load_compiled()
