import json
import random
from dataclasses import asdict, fields, replace
from math import isnan

import numpy as np
import pytest
import torch
from scipy.linalg import svdvals
from sklearn.metrics import adjusted_mutual_info_score, silhouette_score

from selector.evaluation.clustering import cosine_kmeans
from selector.evaluation.embeddings import Embeddings
from selector.evaluation.entropy import histogram_entropy, robust_histogram_entropy
from selector.evaluation.knn import knn_accuracy
from selector.evaluation.linear_probe import fast_probe, paper_probe
from selector.evaluation.milestone import (
    LabelFreeMetrics,
    LabelledMetrics,
    MetricDefinition,
    MetricSettings,
    MilestoneMetrics,
    evaluate,
    from_row,
    to_row,
)
from selector.evaluation.umap_space import umap_points

CLASSES = 3
SETTINGS = MetricSettings(clusters=CLASSES, probe="fast", umap_seeds=2, entropy_bin_width=0.8)


def sample(seed, count, dimension, space, split):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASSES, count)
    centers = 1.2 * np.random.default_rng(9).standard_normal((CLASSES, dimension))
    vectors = np.maximum(rng.standard_normal((count, dimension)) + centers[labels], 0)
    return Embeddings(vectors.astype(np.float32), labels, space, split)


BACKBONE = sample(0, 90, 12, "backbone", "test")
TRAIN = sample(1, 200, 12, "backbone", "train")
PROJECTOR = sample(2, 150, 6, "projector", "train")


def unlabelled(embeddings):
    return replace(embeddings, labels=None)


@pytest.fixture(scope="module")
def metrics():
    return evaluate(7, backbone=BACKBONE, projector=PROJECTOR, settings=SETTINGS, train_backbone=TRAIN)


def rankme_by_svd(vectors):
    sigma = svdvals(vectors.astype(np.float64))
    p = sigma / sigma.sum() + 1e-7
    return np.exp(-(p * np.log(p)).sum())


# --- each figure against its parts


def test_rankme_reads_projections_of_training_and_representations_of_evaluation_images(metrics):
    assert metrics.label_free.rankme == pytest.approx(rankme_by_svd(PROJECTOR.vectors))
    assert metrics.label_free.rankme_backbone == pytest.approx(rankme_by_svd(BACKBONE.vectors))


def test_figures_are_means_over_umap_seeds_and_noise_their_standard_deviation(metrics):
    z3 = umap_points(BACKBONE.vectors, [0, 1])
    c1 = [cosine_kmeans(points, CLASSES, seed) for seed, points in enumerate(z3)]
    c2 = [cosine_kmeans(points, 2 * CLASSES, seed) for seed, points in enumerate(z3)]
    by_seed = {
        "entropy": [histogram_entropy(points, 0.8) for points in z3],
        "entropy_robust": [robust_histogram_entropy(points, 0.8) for points in z3],
        "silhouette": [silhouette_score(BACKBONE.vectors.astype(float), clusters) for clusters in c1],
        "clustering_agreement": [adjusted_mutual_info_score(*pair) for pair in zip(c1, c2, strict=True)],
        "ami_labels": [adjusted_mutual_info_score(BACKBONE.labels, clusters) for clusters in c1],
    }
    assert any(a != b for a, b in by_seed.values())
    values = asdict(metrics.label_free) | asdict(metrics.labelled)
    assert set(metrics.noise) == set(by_seed)
    for name, (first, second) in by_seed.items():
        assert values[name] == pytest.approx((first + second) / 2), name
        assert metrics.noise[name] == pytest.approx(abs(first - second) / 2**0.5, abs=1e-12), name


def test_labelled_figures(metrics):
    expected = silhouette_score(BACKBONE.vectors.astype(float), BACKBONE.labels)
    assert metrics.labelled.silhouette_labels == pytest.approx(expected)
    assert metrics.labelled.linear_probe_accuracy == fast_probe(TRAIN, BACKBONE)
    assert metrics.labelled.knn_accuracy == knn_accuracy(TRAIN, BACKBONE)


def test_the_papers_probe_learns_from_augmented_images():
    settings = replace(SETTINGS, probe="paper", umap_seeds=1)
    epochs = [sample(100 + epoch, 200, 12, "backbone", "train") for epoch in range(20)]
    result = evaluate(
        1, backbone=BACKBONE, projector=PROJECTOR, settings=settings, augmented=epochs.__getitem__
    )
    assert result.labelled.linear_probe_accuracy == paper_probe(epochs.__getitem__, BACKBONE)
    assert result.labelled.knn_accuracy is None
    assert result.definition.probe == "paper"


def test_nothing_depends_on_labels_but_the_labelled_figures(metrics):
    result = evaluate(7, backbone=unlabelled(BACKBONE), projector=unlabelled(PROJECTOR), settings=SETTINGS)
    assert result.labelled is None
    assert result.label_free == metrics.label_free
    assert set(result.noise) == {"entropy", "entropy_robust", "silhouette", "clustering_agreement"}


def test_one_seed_measures_no_noise():
    settings = replace(SETTINGS, umap_seeds=1)
    result = evaluate(1, backbone=unlabelled(BACKBONE), projector=PROJECTOR, settings=settings)
    assert result.noise == {}
    assert result.label_free.entropy == histogram_entropy(umap_points(BACKBONE.vectors, [0])[0], 0.8)


# --- embeddings that went wrong


def test_collapsed_embeddings_give_nan_where_nothing_can_be_laid_out():
    backbone = replace(BACKBONE, vectors=np.full_like(BACKBONE.vectors, 0.5))
    projector = replace(PROJECTOR, vectors=np.zeros_like(PROJECTOR.vectors))
    train = replace(TRAIN, vectors=np.full_like(TRAIN.vectors, 0.5))
    result = evaluate(1, backbone=backbone, projector=projector, settings=SETTINGS, train_backbone=train)
    assert result.label_free.rankme == 1.0
    assert result.label_free.rankme_backbone == pytest.approx(1, abs=1e-4)
    undefined = ("entropy", "entropy_robust", "silhouette", "clustering_agreement")
    assert all(isnan(getattr(result.label_free, name)) for name in undefined)
    majority = np.bincount(TRAIN.labels).argmax()
    constant_answer = (BACKBONE.labels == majority).mean()
    assert result.labelled == LabelledMetrics(
        ami_labels=0.0,
        silhouette_labels=0.0,
        linear_probe_accuracy=constant_answer,
        knn_accuracy=result.labelled.knn_accuracy,
    )
    assert result.noise == {}
    row = to_row(result)
    assert isnan(row["label_free/entropy"])
    assert len(row) == 1 + len(fields(LabelFreeMetrics)) + len(fields(LabelledMetrics))


def test_nearly_collapsed_embeddings_have_finite_figures():
    vectors = np.full_like(BACKBONE.vectors, 0.5)
    vectors[0, 0] = 0.6
    backbone = replace(BACKBONE, vectors=vectors)
    result = evaluate(1, backbone=backbone, projector=PROJECTOR, settings=SETTINGS, train_backbone=TRAIN)
    assert np.isfinite(list(to_row(result).values())).all()


def test_evaluation_images_of_one_class_have_no_silhouette_of_classes():
    backbone = replace(BACKBONE, labels=np.zeros_like(BACKBONE.labels))
    settings = replace(SETTINGS, probe="none", umap_seeds=1)
    result = evaluate(1, backbone=backbone, projector=PROJECTOR, settings=settings)
    assert isnan(result.labelled.silhouette_labels)
    assert result.labelled.ami_labels == 0
    assert result.labelled.linear_probe_accuracy is None


def test_as_few_images_as_clusters_allow():
    backbone = unlabelled(sample(3, 2 * CLASSES, 12, "backbone", "test"))
    result = evaluate(1, backbone=backbone, projector=PROJECTOR, settings=SETTINGS)
    assert np.isfinite(list(asdict(result.label_free).values())).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"backbone": sample(0, 5, 12, "backbone", "test")}, "need at least 6 evaluation images, got 5"),
        ({"backbone": PROJECTOR}, "expected backbone and projector space, got projector and projector"),
        ({"train_backbone": None}, "'fast' learns from `train_backbone`, which is missing"),
        ({"settings": replace(SETTINGS, probe="paper")}, "'paper' learns from `augmented`, which is missing"),
        ({"train_backbone": unlabelled(TRAIN)}, "needs labels"),
        (
            {"projector": replace(PROJECTOR, vectors=np.full((9, 2), np.nan, np.float32), labels=None)},
            "finite",
        ),
    ],
)
def test_says_what_it_refuses(changes, message):
    arguments = {"backbone": BACKBONE, "projector": PROJECTOR, "settings": SETTINGS, "train_backbone": TRAIN}
    with pytest.raises(ValueError, match=message):
        evaluate(1, **(arguments | changes))


@pytest.mark.parametrize("change", [{"clusters": 1}, {"umap_seeds": 0}, {"rankme_images": 0}])
def test_settings_say_what_they_refuse(change):
    with pytest.raises(ValueError, match=f"{next(iter(change))} must be at least"):
        replace(SETTINGS, **change)


def random_states():
    return random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # noqa: NPY002


def test_global_random_states_are_left_alone():
    before = random_states()
    evaluate(
        1,
        backbone=BACKBONE,
        projector=PROJECTOR,
        settings=replace(SETTINGS, probe="paper", umap_seeds=1),
        train_backbone=TRAIN,
        augmented=lambda epoch: TRAIN,
    )
    assert random_states() == before


# --- definition and row


def test_the_definition_says_what_the_figures_were_computed_from(metrics):
    assert metrics.definition == MetricDefinition(
        rankme_images=150,
        rankme_split="train",
        projector_dim=6,
        evaluation_images=90,
        evaluation_split="test",
        backbone_dim=12,
        umap_neighbors=50,
        umap_seeds=2,
        entropy_bin_width=0.8,
        clusters=3,
        probe="fast",
    )
    flat = asdict(metrics.definition)
    assert json.loads(json.dumps(flat)) == flat
    assert flat["rankme_eps"] == 1e-7
    assert flat["rankme_centred"] is False


def test_row_holds_the_keys_that_readers_rely_on(metrics):
    row = to_row(metrics)
    assert row["epoch"] == 7
    assert sorted(set(row) - {"epoch"}) == [
        "label_free/clustering_agreement",
        "label_free/entropy",
        "label_free/entropy_robust",
        "label_free/rankme",
        "label_free/rankme_backbone",
        "label_free/silhouette",
        "labelled/ami_labels",
        "labelled/knn_accuracy",
        "labelled/linear_probe_accuracy",
        "labelled/silhouette_labels",
        "noise/ami_labels",
        "noise/clustering_agreement",
        "noise/entropy",
        "noise/entropy_robust",
        "noise/silhouette",
    ]
    assert all(type(value) is float for key, value in row.items() if key != "epoch")
    assert row["label_free/rankme"] == metrics.label_free.rankme
    assert row["noise/entropy"] == metrics.noise["entropy"]


def test_a_row_is_read_back_as_it_was(metrics):
    for written in (
        metrics,
        replace(metrics, labelled=None, noise={}),
        replace(metrics, labelled=LabelledMetrics(ami_labels=0.5, silhouette_labels=0.1)),
    ):
        row = to_row(written) | {"train/loss": 1.0, "cost/milestone_seconds": 2.0}
        assert from_row(row, metrics.definition) == written


def test_what_was_not_measured_is_not_in_the_row(metrics):
    row = to_row(replace(metrics, labelled=LabelledMetrics(ami_labels=0.5, silhouette_labels=0.1)))
    assert "labelled/linear_probe_accuracy" not in row
    assert "labelled/ami_labels" in row


def test_a_row_that_lacks_a_figure_is_refused(metrics):
    row = to_row(metrics)
    del row["label_free/entropy"]
    with pytest.raises(ValueError, match="the row of epoch 7 lacks label_free/entropy"):
        from_row(row, metrics.definition)


def test_metrics_are_frozen(metrics):
    assert isinstance(metrics, MilestoneMetrics)
    with pytest.raises(AttributeError):
        metrics.epoch = 8
