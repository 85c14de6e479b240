"""The paper's tables against its text and against the significance that its numbers of pairs give."""

import pytest
import scipy.stats

from selector.paper.published import DATASETS, METHODS, table_one, table_two


@pytest.mark.parametrize(
    ("metric", "column", "dataset", "expected"),
    [
        ("entropy", "simsiam", "cifar10", [0.82, 0.92]),
        ("silhouette", "simclr", "cifar100", [0.28, -0.78]),
        ("silhouette_labels", "moco_v2", "cifar10", [0.37, -0.29]),
        ("ami_labels", "moco_v2", "cifar100", [0.88, 0.91]),
        ("clustering_agreement", "simsiam", "cifar100", [-0.62, -0.71]),
        ("entropy", "resnet", "cifar10", [-0.19]),
        ("entropy", "overall", "cifar100", [-0.52]),
        ("silhouette", "resnet", "cifar100", [0.99]),
        ("clustering_agreement", "densenet", "cifar10", [-0.67]),
        ("ami_labels", "efficientnet", "cifar100", [0.72]),
    ],
)
def test_as_printed(metric, column, dataset, expected):
    """Of Table I with the initial network and without it, of Table II by family."""
    entries = [*(table_one(column) or table_two(dataset))]
    found = [one for one in entries if (one.group, one.dataset, one.metric) == (column, dataset, metric)]
    assert [one.pearson for one in found] == expected


def test_significance_is_students():
    entries = [one for method in METHODS for one in table_one(method)]
    entries += [one for dataset in DATASETS for one in table_two(dataset)]
    assert len(entries) == 5 * (3 * 4 + 2 * 4)
    for one in entries:
        t = abs(one.pearson) * ((one.n - 2) / (1 - one.pearson**2)) ** 0.5
        assert one.marked == (2 * scipy.stats.t.sf(t, one.n - 2) < 0.05)


def test_numbers_of_pairs():
    pairs = {(one.group, one.initial): one.n for method in METHODS for one in table_one(method)}
    assert pairs == {
        (method, initial): {"with_init": 1, "without_init": 0}[initial] + (50 if method == "simclr" else 40)
        for method in METHODS
        for initial in ("with_init", "without_init")
    }
    families = {one.group: one.n for one in table_two("cifar10")}
    assert families == {"resnet": 5, "densenet": 4, "efficientnet": 8, "overall": 17}
