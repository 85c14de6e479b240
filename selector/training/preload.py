"""Imports that cost seconds, for a process that will fork: see selector/sweeping/processes.py."""

import kornia.augmentation  # noqa: F401
import lightly.loss
import lightly.models.modules  # noqa: F401
import pytorch_lightning  # noqa: F401
import sklearn.cluster
import sklearn.datasets  # noqa: F401
import umap  # noqa: F401
