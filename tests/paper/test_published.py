"""The paper's tables against its text and against the significance that its numbers of pairs give."""

import pytest
import scipy.stats

from selector.paper.published import DATASETS, FAMILIES, METHODS, table_one, table_two


@pytest.mark.parametrize(
    ("metric", "method", "dataset", "with_init", "without"),
    [
        ("entropy", "simsiam", "cifar10", 0.82, 0.92),
        ("silhouette", "simclr", "cifar100", 0.28, -0.78),
        ("silhouette_labels", "moco_v2", "cifar10", 0.37, -0.29),
        ("ami_labels", "moco_v2", "cifar100", 0.88, 0.91),
        ("clustering_agreement", "simsiam", "cifar100", -0.62, -0.71),
    ],
)
def test_table_one_as_printed(metric, method, dataset, with_init, without):
    table = table_one(method)
    values = [table[dataset, initial][metric].pearson for initial in ("with_init", "without_init")]
    assert values == [with_init, without]


@pytest.mark.parametrize(
    ("metric", "family", "dataset", "value"),
    [
        ("entropy", "resnet", "cifar10", -0.19),
        ("entropy", "overall", "cifar100", -0.52),
        ("silhouette", "resnet", "cifar100", 0.99),
        ("clustering_agreement", "densenet", "cifar10", -0.67),
        ("ami_labels", "efficientnet", "cifar100", 0.72),
    ],
)
def test_table_two_as_printed(metric, family, dataset, value):
    assert table_two(dataset)[family][metric].pearson == value


def test_significance_is_students():
    columns = [column for method in METHODS for column in table_one(method).values()]
    columns += [column for dataset in DATASETS for column in table_two(dataset).values()]
    assert len(columns) == 3 * 4 + 2 * 4
    for figure in [figure for column in columns for figure in column.values()]:
        t = abs(figure.pearson) * ((figure.n - 2) / (1 - figure.pearson**2)) ** 0.5
        assert figure.marked == (2 * scipy.stats.t.sf(t, figure.n - 2) < 0.05)


def test_numbers_of_pairs():
    assert {m: {f.n for c in table_one(m).values() for f in c.values()} for m in METHODS} == {
        "simsiam": {40, 41},
        "simclr": {50, 51},
        "moco_v2": {40, 41},
    }
    assert [table_two("cifar10")[family]["entropy"].n for family in FAMILIES] == [5, 4, 8, 17]
