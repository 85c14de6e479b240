"""Which software made a run's figures."""

import platform
from importlib.metadata import version

# What the figures are computed with; a metric that is computed otherwise raises MetricDefinition.version.
_PACKAGES = (
    "ssl-sweep-selector", "torch", "torchvision", "pytorch-lightning", "lightly", "numpy", "scipy",
    "scikit-learn", "numba", "wandb",
)  # fmt: skip


def versions() -> str:
    """Names and versions on one line, such as "ssl-sweep-selector 0.1.0, torch 2.15.0, …, Python 3.11.7"."""
    named = [f"{package} {version(package)}" for package in _PACKAGES]
    return ", ".join([*named, f"Python {platform.python_version()}"])
