"""The paper's Table I against its text and against the significance that its numbers of milestones give."""

import pytest
import scipy.stats

from selector.metrics.metrics import METRICS
from selector.selection.published import (
    DATASETS,
    METHODS,
    PUBLISHED_METRICS,
    published_correlation,
)


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
def test_figures_as_printed(metric, method, dataset, with_init, without):
    assert published_correlation(metric, method, dataset, True).value == with_init
    assert published_correlation(metric, method, dataset, False).value == without


def test_significance_is_students():
    for metric in PUBLISHED_METRICS:
        for method in METHODS:
            for dataset in DATASETS:
                for initial in (True, False):
                    figure = published_correlation(metric, method, dataset, initial)
                    n, r = figure.milestones, figure.value
                    assert n == {"simclr": 50}.get(method, 40) + initial
                    t = abs(r) * ((n - 2) / (1 - r * r)) ** 0.5
                    assert figure.significant == (2 * scipy.stats.t.sf(t, n - 2) < 0.05)


def test_what_the_paper_has_not():
    assert published_correlation("rankme", "simclr", "cifar10", True) is None
    assert published_correlation("entropy", "barlow", "cifar10", True) is None
    assert published_correlation("entropy", "simclr", "digits", True) is None


def test_the_names_are_those_of_our_metrics():
    assert set(PUBLISHED_METRICS) <= {metric.name for metric in METRICS}
