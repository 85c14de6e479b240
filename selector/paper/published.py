"""The paper's own figures, to compare with yours: Tables I and II.

Source: Xu, Lowe & Trappenberg 2022, arXiv:2409.06612.
"""

from dataclasses import dataclass
from typing import Literal

Initial = Literal["with_init", "without_init"]  # with the untrained network, milestone 0, or without it
INITIAL: tuple[Initial, ...] = ("with_init", "without_init")

TABLE_I_SOURCE = "Xu, Lowe & Trappenberg 2022, arXiv:2409.06612, Table I"
TABLE_II_SOURCE = "Xu, Lowe & Trappenberg 2022, arXiv:2409.06612, Table II"
METHODS = ("simsiam", "simclr", "moco_v2")
DATASETS = ("cifar10", "cifar100")
FAMILIES = ("resnet", "densenet", "efficientnet", "overall")

# Smallest |r| with p < 0.05, two-sided (Student's t), by the number of pairs: the tables' colours follow it.
_LEAST_SIGNIFICANT = {
    **{4: 0.950, 5: 0.878, 8: 0.707, 17: 0.482},
    **{40: 0.312, 41: 0.308, 50: 0.279, 51: 0.276},
}
# The paper evaluated each 20 of 800 (SimCLR: 1,000) epochs, and the initial network.
_TRAINED_MILESTONES = {"simsiam": 40, "simclr": 50, "moco_v2": 40}
_MODELS = {"resnet": 5, "densenet": 4, "efficientnet": 8, "overall": 17}

# With and without the initial network, for SimSiam, SimCLR, MoCo-v2, on CIFAR-10 and CIFAR-100 each.
_TABLE_I = {
    "ami_labels": (0.97, 0.96, 0.98, 0.98, 0.93, 0.97, 0.93, 0.97, 0.92, 0.95, 0.88, 0.91),
    "clustering_agreement": (0.00, -0.21, -0.62, -0.71, 0.71, 0.91, 0.76, 0.90, 0.64, 0.80, 0.47, 0.61),
    "silhouette_labels": (0.93, 0.97, 0.94, 0.96, 0.89, 0.62, 0.95, 0.91, 0.37, -0.29, 0.51, -0.11),
    "silhouette": (0.05, -0.59, 0.16, -0.57, 0.59, -0.07, 0.28, -0.78, -0.09, -0.78, -0.47, -0.85),
    "entropy": (0.82, 0.92, 0.86, 0.87, -0.57, -0.83, 0.18, -0.20, -0.26, -0.62, 0.60, 0.47),
}
# ResNet, DenseNet, EfficientNet, overall, on CIFAR-10 and CIFAR-100 each.
_TABLE_II = {
    "ami_labels": (0.86, 0.92, 0.73, 0.69, 0.80, 0.72, 0.20, 0.38),
    "clustering_agreement": (0.83, 0.96, -0.67, 0.32, 0.38, 0.45, 0.03, 0.23),
    "silhouette_labels": (0.95, 0.97, -0.15, 0.10, 0.24, 0.83, 0.16, 0.21),
    "silhouette": (0.95, 0.99, 0.44, -0.06, -0.16, -0.12, -0.06, 0.13),
    "entropy": (-0.19, -0.87, 0.75, -0.89, -0.85, -0.54, -0.34, -0.52),
}


@dataclass(frozen=True)
class Published:
    """Pearson's r with linear-probe accuracy over n pairs, two decimals, and whether its p < 0.05."""

    pearson: float
    n: int
    marked: bool


def table_one(method: str | None) -> dict[tuple[str, Initial], dict[str, Published]]:
    """Table I of a method: by data set, with and without the initial network, by metric; empty for others."""
    if method not in METHODS:
        return {}
    columns: dict[tuple[str, Initial], dict[str, Published]] = {}
    for place, dataset in enumerate(DATASETS):
        for without, initial in enumerate(INITIAL):
            column = 4 * METHODS.index(method) + 2 * place + without
            n = _TRAINED_MILESTONES[method] + 1 - without
            columns[dataset, initial] = {name: _figure(row[column], n) for name, row in _TABLE_I.items()}
    return columns


def table_two(dataset: str) -> dict[str, dict[str, Published]]:
    """Table II on one of DATASETS: by family or "overall", by metric."""
    place = DATASETS.index(dataset)
    return {
        family: {name: _figure(row[2 * i + place], _MODELS[family]) for name, row in _TABLE_II.items()}
        for i, family in enumerate(FAMILIES)
    }


def _figure(value: float, n: int) -> Published:
    return Published(value, n, abs(value) >= _LEAST_SIGNIFICANT[n])
