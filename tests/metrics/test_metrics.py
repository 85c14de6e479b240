from dataclasses import fields

import pytest

from selector.config import TrainConfig
from selector.errors import UserError
from selector.metrics.definition import MetricDefinition
from selector.metrics.metric_table import CONFIG_FIELDS
from selector.metrics.metrics import (
    METRICS,
    declared_label_free,
    declared_labelled,
    label_free_metric,
    labelled_metric,
)


def test_comparable_fields_exist():
    config = {field.name for field in fields(TrainConfig)}
    definition = {field.name for field in fields(MetricDefinition)}
    assert config >= CONFIG_FIELDS
    assert not CONFIG_FIELDS & definition
    for metric in METRICS:
        assert set(metric.comparable) <= CONFIG_FIELDS | definition
        assert set(metric.settings) <= definition
        assert not set(metric.settings) & set(metric.comparable)


def test_every_entry_is_filled_in():
    for metric in METRICS:
        for text in (metric.symbol, metric.meaning, metric.formula, metric.space, metric.cost, metric.source):
            assert text
            assert len(text) <= 100
        assert metric.comparable


@pytest.mark.parametrize("name", ["entropy", "entropy_robust"])
def test_entropy_falls_with_quality_but_for_simsiam(name):
    # Table I of the paper
    metric = label_free_metric(name)
    directions = [metric.direction_in(method) for method in ("simclr", "moco_v2", "simsiam", None)]
    assert directions == ["min", "min", "max", "min"]


def test_directions_of_all_others_hold_for_every_method():
    # Tsitsulin et al.: a lower condition number and less self-clustering are better; Wang and Isola minimise
    # both; IdEst: lower; lightly's collapse level: 0 is none.
    falling = {
        "condition_number", "self_clustering", "uniformity", "alignment", "idest", "collapse_level",
        "outlier_share",
    }  # fmt: skip
    for metric in METRICS:
        if not metric.name.startswith("entropy"):
            expected = "min" if metric.name in falling else "max"
            assert {metric.direction_in(method) for method in ("simclr", "simsiam", None)} == {expected}


def test_keys():
    assert label_free_metric("rankme").key == "label_free/rankme"
    assert label_free_metric("label_free/entropy").key == "label_free/entropy"
    assert labelled_metric("knn_accuracy").key == "labelled/knn_accuracy"
    assert labelled_metric("labelled/ami_labels").name == "ami_labels"


def test_rankme_is_compared_within_one_method_projector_and_number_of_images():
    assert set(label_free_metric("rankme").comparable) >= {
        "method", "dataset", "backbone", "projector_dim", "rankme_images",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("rankmee", "unknown metric 'rankmee', did you mean 'rankme'?"),
        ("zzz", r"unknown metric 'zzz' \(one of rankme, "),
        ("knn_accuracy", "'knn_accuracy' reads labels"),
        ("labelled/knn_accuracy", "'labelled/knn_accuracy' reads labels"),
    ],
)
def test_only_label_free_metrics_are_label_free(name, message):
    with pytest.raises(UserError, match=message):
        label_free_metric(name)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("knn_acuracy", "unknown labelled metric 'knn_acuracy', did you mean 'knn_accuracy'?"),
        ("rankme", r"unknown labelled metric 'rankme' \(one of linear_probe_accuracy, "),
    ],
)
def test_unknown_labelled_metric(name, message):
    with pytest.raises(UserError, match=message):
        labelled_metric(name)


def test_keys_of_other_scripts_are_taken_as_they_are():
    metric = declared_label_free("val_rank", "min")
    assert (metric.name, metric.key, metric.direction_in("simclr")) == ("val_rank", "val_rank", "min")
    oracle = declared_labelled("test/top1")
    assert (oracle.name, oracle.key, oracle.direction_in("simclr")) == ("test/top1", "test/top1", "max")
    assert declared_labelled("test/error", "min").direction == "min"
