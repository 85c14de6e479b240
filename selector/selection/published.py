"""The paper's figures, to lay beside one's own: Table I.

Source: Xu, Lowe & Trappenberg 2022, arXiv:2409.06612, Table I.
"""

from collections.abc import Mapping
from dataclasses import dataclass

TABLE_I_SOURCE = "Xu, Lowe & Trappenberg 2022, arXiv:2409.06612, Table I"
METHODS = ("simsiam", "simclr", "moco_v2")
DATASETS = ("cifar10", "cifar100")

# Smallest |r| with p < 0.05, two-sided, by milestones: the paper evaluated each 20 of 800 (SimCLR: 1,000)
# epochs, and the initial network. The table's colours follow this rule.
_LEAST_SIGNIFICANT = {40: 0.312, 41: 0.308, 50: 0.279, 51: 0.276}
_TRAINED_MILESTONES = {"simsiam": 40, "simclr": 50, "moco_v2": 40}

# By metric: with and without the initial network, for SimSiam, SimCLR, MoCo-v2, on CIFAR-10, CIFAR-100 each.
_TABLE_I: Mapping[str, tuple[float, ...]] = {
    "ami_labels": (0.97, 0.96, 0.98, 0.98, 0.93, 0.97, 0.93, 0.97, 0.92, 0.95, 0.88, 0.91),
    "clustering_agreement": (0.00, -0.21, -0.62, -0.71, 0.71, 0.91, 0.76, 0.90, 0.64, 0.80, 0.47, 0.61),
    "silhouette_labels": (0.93, 0.97, 0.94, 0.96, 0.89, 0.62, 0.95, 0.91, 0.37, -0.29, 0.51, -0.11),
    "silhouette": (0.05, -0.59, 0.16, -0.57, 0.59, -0.07, 0.28, -0.78, -0.09, -0.78, -0.47, -0.85),
    "entropy": (0.82, 0.92, 0.86, 0.87, -0.57, -0.83, 0.18, -0.20, -0.26, -0.62, 0.60, 0.47),
}
PUBLISHED_METRICS = tuple(_TABLE_I)


@dataclass(frozen=True)
class PublishedCorrelation:
    """One figure of Table I.

    Attributes:
        value: Pearson's r with linear-probe accuracy over milestones, two decimals.
        milestones: How many.
        significant: Whether p < 0.05, by the number of milestones.
    """

    value: float
    milestones: int
    significant: bool


def published_correlation(
    metric: str, method: str, dataset: str, initial: bool
) -> PublishedCorrelation | None:
    """The paper's figure for a metric, with the initial network or without; None where it has none."""
    if metric not in _TABLE_I or method not in METHODS or dataset not in DATASETS:
        return None
    place = 4 * METHODS.index(method) + 2 * DATASETS.index(dataset) + (0 if initial else 1)
    value, milestones = _TABLE_I[metric][place], _TRAINED_MILESTONES[method] + initial
    return PublishedCorrelation(value, milestones, abs(value) >= _LEAST_SIGNIFICANT[milestones])
