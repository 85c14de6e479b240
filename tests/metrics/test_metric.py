import re
import shutil
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

import selector
from selector.config import TrainConfig
from selector.errors import UserError
from selector.metrics import (
    CONFIG_FIELDS,
    METRICS,
    Embeddings,
    Inputs,
    MetricSettings,
    UnknownDirection,
    declared_label_free,
    declared_labelled,
    label_free_metric,
    labelled_metric,
    registered,
)


def definition_fields():
    vectors = np.eye(5, 3, dtype=np.float32)
    inputs = Inputs(Embeddings(vectors, None, "backbone", "test"), None, MetricSettings(2))
    return {*inputs.definition, "umap_engine"}


def test_comparable_fields_exist():
    config = {field.name for field in fields(TrainConfig)}
    definition = definition_fields()
    assert config >= CONFIG_FIELDS
    assert not CONFIG_FIELDS & definition
    for metric in METRICS:
        assert set(metric.comparable) <= CONFIG_FIELDS | definition
        assert set(metric.settings) <= definition
        assert not set(metric.settings) & set(metric.comparable)


@pytest.mark.parametrize("name", ["entropy", "entropy_robust"])
def test_entropy_falls_with_quality_but_for_simsiam(name):
    # Table I of the paper
    metric = label_free_metric(name)
    directions = [metric.direction_in(method) for method in ("simclr", "moco_v2", "simsiam")]
    assert directions == ["min", "min", "max"]


@pytest.mark.parametrize("method", ["byol", "vicreg", None, 3])
def test_of_other_methods_the_direction_of_entropy_is_not_known(method):
    message = (
        rf"which way entropy is better is not known for method '{method}', only for simclr min, .*--direc"
    )
    with pytest.raises(UnknownDirection, match=message):
        label_free_metric("entropy").direction_in(method)


def test_keys():
    assert label_free_metric("rankme").key == "label_free/rankme"
    assert label_free_metric("label_free/entropy").key == "label_free/entropy"
    assert labelled_metric("knn_accuracy").key == "labelled/knn_accuracy"
    assert labelled_metric("labelled/ami_labels").name == "ami_labels"


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


# --- the registry


def test_keyword_defaults_are_the_definition():
    defaults = {one.metric.name: dict(one.defaults) for one in registered()}
    assert defaults["lidar"] == {"lidar_delta": 1e-4, "lidar_eps": 1e-7}
    assert defaults["rankme_backbone"] == {"rankme_eps": 1e-7, "rankme_centred": False}
    assert defaults["clid"] == {"clid_seed": 0, "twonn_discard": 0.1}
    assert {"lidar_delta", "lidar_eps", "view_source"} == set(label_free_metric("lidar").settings)


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_every_metric_says_in_one_sentence_what_it_means(metric):
    assert re.fullmatch(r"\S.{10,105}[.?]", metric.meaning)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("views",), {"alignment", "lidar"}),
        (("rankme", "views"), {"rankme", "alignment", "lidar"}),
        (("probes",), {"linear_probe_accuracy", "knn_accuracy"}),
        ((), {metric.name for metric in METRICS}),
    ],
)
def test_metrics_are_chosen_by_name_or_family(names, expected):
    assert {one.metric.name for one in MetricSettings(2, metrics=names).chosen} == expected


def test_an_unknown_choice_is_said():
    with pytest.raises(
        ValueError, match=r"unknown metric or family 'spectrl', did you mean 'spectral'\? \(fam"
    ):
        MetricSettings(2, metrics=("spectrl",))


def test_without_seeds_nothing_is_chosen_that_needs_umap():
    left = {one.metric.space for one in MetricSettings(2, umap_seeds=0).chosen}
    assert not [space for space in left if "UMAP" in space]
    names = {one.metric.name for one in MetricSettings(2, umap_seeds=0, probe="none").chosen}
    assert "silhouette" not in names
    assert {"silhouette_labels", "rankme", "knn_accuracy"} <= names
    assert "linear_probe_accuracy" not in names


def test_the_diff_that_contributing_shows_is_the_code():
    """Every added line, and in the same order."""
    root = Path(__file__).parents[2]
    (diff,) = re.findall(r"```diff\n(.*?)```", (root / "CONTRIBUTING.md").read_text("utf-8"), re.DOTALL)
    for file, added in re.findall(r"\+\+\+ b/(\S+)\n((?:\+(?!\+\+).*\n)+)", diff):
        lines = re.sub(r"^\+", "", added, flags=re.MULTILINE)
        assert lines in (root / file).read_text("utf-8"), file


def test_a_new_family_is_one_new_file(tmp_path):
    package = Path(selector.__file__).parent
    shutil.copytree(package, tmp_path / "selector", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "selector" / "metrics" / "brand_new.py").write_text(
        "from selector.metrics.metric import BACKBONE, label_free\n"
        '@label_free(reads="backbone_vectors", symbol="n", meaning="m", formula="f", space=BACKBONE,\n'
        '            direction="max", cost="c", source="s")\n'
        "def count_of_images(embeddings):\n    return float(len(embeddings.tensor))\n"
    )
    script = "from selector.metrics import METRICS, count_of_images; print({one.key for one in METRICS})"
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert "'label_free/count_of_images'" in done.stdout, done.stderr
