"""The paper's tables against its text and against the significance that its numbers of pairs give."""

import pytest
import scipy.stats

from selector.paper.published import DATASETS, FAMILIES, METHODS, table_one, table_two


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
    if column in METHODS:
        cells = [table_one(column)[dataset, initial] for initial in ("with_init", "without_init")]
    else:
        cells = [table_two(dataset)[column]]
    assert [one[metric].pearson for one in cells] == expected


def test_significance_is_students():
    columns = [column for method in METHODS for column in table_one(method).values()]
    columns += [column for dataset in DATASETS for column in table_two(dataset).values()]
    assert len(columns) == 3 * 4 + 2 * 4
    for figure in [figure for column in columns for figure in column.values()]:
        t = abs(figure.pearson) * ((figure.n - 2) / (1 - figure.pearson**2)) ** 0.5
        assert figure.marked == (2 * scipy.stats.t.sf(t, figure.n - 2) < 0.05)


def test_numbers_of_pairs():
    pairs = {m: {one.n for column in table_one(m).values() for one in column.values()} for m in METHODS}
    assert pairs == {"simsiam": {40, 41}, "simclr": {50, 51}, "moco_v2": {40, 41}}
    assert [table_two("cifar10")[family]["entropy"].n for family in FAMILIES] == [5, 4, 8, 17]
