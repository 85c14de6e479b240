"""The paper's Table II, to lay beside one's own.

Source: Xu, Lowe & Trappenberg 2022, arXiv:2409.06612, Table II.
"""

from collections.abc import Mapping
from dataclasses import dataclass

TABLE_II_SOURCE = "Xu, Lowe & Trappenberg 2022, arXiv:2409.06612, Table II"
FAMILIES = ("resnet", "densenet", "efficientnet", "overall")
DATASETS = ("cifar10", "cifar100")

_MODELS = {"resnet": 5, "densenet": 4, "efficientnet": 8, "overall": 17}
# Smallest |r| with p < 0.05, two-sided (Student's t), by the number of models; the table's colours follow it.
_LEAST_SIGNIFICANT = {4: 0.950, 5: 0.878, 8: 0.707, 17: 0.482}

# By metric: ResNet, DenseNet, EfficientNet, overall, on CIFAR-10 and CIFAR-100 each.
_TABLE_II: Mapping[str, tuple[float, ...]] = {
    "ami_labels": (0.86, 0.92, 0.73, 0.69, 0.80, 0.72, 0.20, 0.38),
    "clustering_agreement": (0.83, 0.96, -0.67, 0.32, 0.38, 0.45, 0.03, 0.23),
    "silhouette_labels": (0.95, 0.97, -0.15, 0.10, 0.24, 0.83, 0.16, 0.21),
    "silhouette": (0.95, 0.99, 0.44, -0.06, -0.16, -0.12, -0.06, 0.13),
    "entropy": (-0.19, -0.87, 0.75, -0.89, -0.85, -0.54, -0.34, -0.52),
}
PUBLISHED_METRICS = tuple(_TABLE_II)


@dataclass(frozen=True)
class PublishedModels:
    """One figure of Table II.

    Attributes:
        value: Pearson's r with linear-probe accuracy over models, two decimals.
        models: How many.
        significant: Whether p < 0.05, by the number of models.
    """

    value: float
    models: int
    significant: bool


def published_models(metric: str, family: str, dataset: str) -> PublishedModels | None:
    """The paper's figure for a metric over a family, or over all; None where it has none."""
    if metric not in _TABLE_II or family not in FAMILIES or dataset not in DATASETS:
        return None
    value = _TABLE_II[metric][2 * FAMILIES.index(family) + DATASETS.index(dataset)]
    models = _MODELS[family]
    return PublishedModels(value, models, abs(value) >= _LEAST_SIGNIFICANT[models])
