"""The paper's own figures, to compare with yours: Tables I and II.

Source: Xu, Lowe & Trappenberg 2022, arXiv:2409.06612.
"""

from itertools import product

from selector.paper.association import INITIAL, Entry, Initial

TABLE_I_SOURCE = "Xu, Lowe & Trappenberg 2022, arXiv:2409.06612, Table I"
TABLE_II_SOURCE = "Xu, Lowe & Trappenberg 2022, arXiv:2409.06612, Table II"
METHODS = ("simsiam", "simclr", "moco_v2")
DATASETS = ("cifar10", "cifar100")

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


def table_one(method: str | None) -> list[Entry]:
    """Table I of a method, column by column; empty for methods that the paper has not."""
    if method not in METHODS:
        return []
    first, n = 4 * METHODS.index(method), _TRAINED_MILESTONES[method]
    return [
        _entry(method, dataset, metric, row[column], n + (initial == "with_init"), initial)
        for column, (dataset, initial) in enumerate(product(DATASETS, INITIAL), start=first)
        for metric, row in _TABLE_I.items()
    ]


def table_two(dataset: str) -> list[Entry]:
    """Table II on one of DATASETS, column by column."""
    place = DATASETS.index(dataset)
    return [
        _entry(family, dataset, metric, row[2 * number + place], n)
        for number, (family, n) in enumerate(_MODELS.items())
        for metric, row in _TABLE_II.items()
    ]


def _entry(
    group: str, dataset: str, metric: str, value: float, n: int, initial: Initial | None = None
) -> Entry:
    return Entry(
        source="paper",
        group=group,
        dataset=dataset,
        initial=initial,
        metric=metric,
        n=n,
        pearson=value,
        marked=abs(value) >= _LEAST_SIGNIFICANT[n],
    )
