"""The paper's Table II."""

import numpy as np
import pytest
from scipy import stats

from selector.paper.published_models import (
    _LEAST_SIGNIFICANT,
    DATASETS,
    FAMILIES,
    PUBLISHED_METRICS,
    published_models,
)


@pytest.mark.parametrize(
    ("metric", "family", "dataset", "value"),
    [  # corners and some inner cells of the printed table
        ("ami_labels", "resnet", "cifar10", 0.86),
        ("ami_labels", "overall", "cifar100", 0.38),
        ("clustering_agreement", "densenet", "cifar10", -0.67),
        ("silhouette_labels", "efficientnet", "cifar100", 0.83),
        ("silhouette", "resnet", "cifar100", 0.99),
        ("entropy", "resnet", "cifar10", -0.19),
        ("entropy", "efficientnet", "cifar10", -0.85),
        ("entropy", "overall", "cifar100", -0.52),
    ],
)
def test_figures_stand_where_the_paper_has_them(metric, family, dataset, value):
    assert published_models(metric, family, dataset).value == value


def test_only_entropy_on_cifar100_is_significant_over_all():
    # Section IV: "the only metric which produces a statistically significant result for the overall case".
    overall = {
        (m, d): published_models(m, "overall", d).significant for m in PUBLISHED_METRICS for d in DATASETS
    }
    assert [place for place, significant in overall.items() if significant] == [("entropy", "cifar100")]


def test_the_thresholds_are_students():
    for n, threshold in _LEAST_SIGNIFICANT.items():
        t = stats.t.ppf(0.975, n - 2)
        assert threshold == pytest.approx(t / np.sqrt(n - 2 + t**2), abs=6e-4)
    models = {family: published_models("entropy", family, "cifar10").models for family in FAMILIES}
    assert models == {"resnet": 5, "densenet": 4, "efficientnet": 8, "overall": 17}


@pytest.mark.parametrize(
    "what", [("rankme", "resnet", "cifar10"), ("entropy", "vit", "cifar10"), ("entropy", "resnet", "digits")]
)
def test_what_the_paper_does_not_have_is_none(what):
    assert published_models(*what) is None
