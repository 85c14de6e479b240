import json
import random
from dataclasses import asdict, fields, replace
from math import isnan

import numpy as np
import pytest
import torch
from scipy.linalg import svdvals
from sklearn.metrics import adjusted_mutual_info_score, silhouette_score

from selector.metrics import clid, label_free, spectral_metrics
from selector.metrics.clustering import cosine_kmeans
from selector.metrics.collapse import channel_std, collapse_level
from selector.metrics.embeddings import Embeddings, ViewEmbeddings
from selector.metrics.entropy import histogram_entropy, robust_histogram_entropy
from selector.metrics.hypersphere import alignment, uniformity
from selector.metrics.idest import idest
from selector.metrics.knn import knn_accuracy
from selector.metrics.lidar import lidar
from selector.metrics.linear_probe import fast_probe, paper_probe
from selector.metrics.metrics import label_free_metric
from selector.metrics.milestone import (
    LabelFreeMetrics,
    LabelledMetrics,
    MetricDefinition,
    MetricSettings,
    MilestoneMetrics,
    evaluate,
    from_row,
    to_row,
)
from selector.metrics.outliers import outlier_share
from selector.metrics.self_clustering import self_clustering
from selector.metrics.umap_space import umap_points

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
PREDICTOR = sample(4, 150, 5, "predictor", "train")
VIEWS = ViewEmbeddings(
    np.random.default_rng(5).standard_normal((40, 1, 6), dtype=np.float32)
    + np.random.default_rng(6).standard_normal((40, 3, 6), dtype=np.float32),
    "training augmentations",
)
FROM_UMAP = (
    "entropy", "entropy_robust", "outlier_share", "silhouette", "silhouette_umap", "clustering_agreement",
)  # fmt: skip


def unlabelled(embeddings):
    return replace(embeddings, labels=None)


@pytest.fixture(scope="module")
def metrics():
    return evaluate(
        7,
        backbone=BACKBONE,
        projector=PROJECTOR,
        settings=SETTINGS,
        train_backbone=TRAIN,
        views=VIEWS,
        predictor=PREDICTOR,
    )


def measured(result):
    return {name: value for name, value in asdict(result.label_free).items() if value is not None}


def keys_of(row):
    return {key for key in row if key.startswith(("label_free/", "labelled/"))}


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
        "outlier_share": [outlier_share(points) for points in z3],
        "silhouette": [silhouette_score(BACKBONE.vectors.astype(float), clusters) for clusters in c1],
        "silhouette_umap": [silhouette_score(*pair) for pair in zip(z3, c1, strict=True)],
        "clustering_agreement": [adjusted_mutual_info_score(*pair) for pair in zip(c1, c2, strict=True)],
        "ami_labels": [adjusted_mutual_info_score(BACKBONE.labels, clusters) for clusters in c1],
    }
    assert any(a != b for a, b in by_seed.values())
    values = asdict(metrics.label_free) | asdict(metrics.labelled)
    assert set(metrics.noise) == set(by_seed)
    for name, (first, second) in by_seed.items():
        assert values[name] == pytest.approx((first + second) / 2, rel=1e-6), name
        assert metrics.noise[name] == pytest.approx(abs(first - second) / 2**0.5, abs=1e-6), name


def test_the_other_label_free_figures_are_those_of_their_functions(metrics):
    backbone, projector, views = BACKBONE.vectors, PROJECTOR.vectors, VIEWS.vectors
    expected = {
        "nesum": spectral_metrics.nesum(backbone),
        "stable_rank": spectral_metrics.stable_rank(backbone),
        "participation_ratio": spectral_metrics.participation_ratio(backbone),
        "condition_number": spectral_metrics.condition_number(backbone),
        "self_clustering": self_clustering(backbone),
        "cluster_learnability": clid.cluster_learnability(backbone),
        "clid": clid.clid(backbone),
        "idest": idest(backbone),
        "uniformity": uniformity(projector),
        "channel_std": channel_std(projector),
        "collapse_level": collapse_level(projector),
        "alignment": alignment(views),
        "lidar": lidar(views),
    }
    assert {name: measured(metrics)[name] for name in expected} == pytest.approx(expected)
    assert metrics.label_free.alpha_req_score is None  # twelve dimensions


def test_spectra_are_those_of_each_space(metrics):
    for embeddings in (BACKBONE, PROJECTOR, PREDICTOR):
        centred = embeddings.vectors.astype(float) - embeddings.vectors.mean(axis=0, dtype=float)
        sigma = svdvals(centred)
        spectrum = metrics.spectra[embeddings.space]
        assert spectrum.ranks == tuple(range(1, embeddings.vectors.shape[1] + 1))
        assert spectrum.values == pytest.approx(sigma / sigma[0], rel=1e-3)


def test_of_many_images_all_pairs_are_of_a_random_subset(monkeypatch):
    monkeypatch.setattr(label_free, "PAIRWISE_MAX_IMAGES", 60)
    settings = replace(SETTINGS, umap_seeds=1)
    result = evaluate(1, backbone=unlabelled(BACKBONE), projector=PROJECTOR, settings=settings).label_free
    chosen = np.random.default_rng(0).choice(90, 60, replace=False)
    assert result.cluster_learnability == clid.cluster_learnability(BACKBONE.vectors[chosen])
    assert result.idest == idest(BACKBONE.vectors[chosen])
    assert result.uniformity != uniformity(PROJECTOR.vectors)


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
    result = evaluate(
        7,
        backbone=unlabelled(BACKBONE),
        projector=unlabelled(PROJECTOR),
        settings=SETTINGS,
        views=VIEWS,
        predictor=PREDICTOR,
    )
    assert result.labelled is None
    assert result.label_free == metrics.label_free
    assert set(result.noise) == set(FROM_UMAP)


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
    undefined = (*FROM_UMAP, "cluster_learnability", "clid", "idest")
    assert {name for name, value in measured(result).items() if isnan(value)} == set(undefined)
    worst = {
        "nesum": 1.0, "stable_rank": pytest.approx(1.0), "participation_ratio": 1.0,
        "condition_number": 2.0**52, "self_clustering": pytest.approx(1.0), "uniformity": 0.0,
        "channel_std": 0.0, "collapse_level": 1.0,
    }  # fmt: skip
    assert {name: measured(result)[name] for name in worst} == worst
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
    absent = {"alignment", "lidar", "alpha_req_score"}  # no views, and too few dimensions
    assert len(keys_of(row)) == len(fields(LabelFreeMetrics)) - len(absent) + len(fields(LabelledMetrics))
    assert set(row["spectrum/backbone"]) == {0.0}


def test_a_collapsed_encoder_is_best_in_nothing():
    views = replace(VIEWS, vectors=np.full_like(VIEWS.vectors, 0.5))
    backbone, projector = (replace(e, vectors=np.full_like(e.vectors, 0.5)) for e in (BACKBONE, PROJECTOR))
    settings = replace(SETTINGS, probe="none")
    collapsed = measured(evaluate(1, backbone=backbone, projector=projector, settings=settings, views=views))
    sound = measured(evaluate(1, backbone=BACKBONE, projector=PROJECTOR, settings=settings, views=VIEWS))
    assert collapsed.keys() == sound.keys()
    assert isnan(collapsed["alignment"])
    assert collapsed["lidar"] == 1.0
    for name, value in collapsed.items():
        better = label_free_metric(name).direction_in("simclr")
        assert not (value > sound[name] if better == "max" else value < sound[name]), name


def test_embeddings_of_one_direction_have_no_learnable_clusters_but_a_spectrum():
    lengths = np.random.default_rng(0).uniform(1, 2, len(BACKBONE.vectors)).astype(np.float32)
    backbone = unlabelled(replace(BACKBONE, vectors=np.outer(lengths, np.arange(1, 13, dtype=np.float32))))
    result = evaluate(1, backbone=backbone, projector=PROJECTOR, settings=replace(SETTINGS, umap_seeds=1))
    assert {name for name, value in measured(result).items() if isnan(value)} == {
        "cluster_learnability",
        "clid",
    }
    assert result.label_free.idest == pytest.approx(1, abs=0.3)


def test_a_single_training_image_has_no_spread():
    projector = unlabelled(replace(PROJECTOR, vectors=PROJECTOR.vectors[:1], labels=None))
    views = replace(VIEWS, vectors=VIEWS.vectors[:1])
    settings = replace(SETTINGS, umap_seeds=1)
    result = evaluate(
        1, backbone=unlabelled(BACKBONE), projector=projector, settings=settings, views=views
    ).label_free
    assert (result.uniformity, result.channel_std, result.collapse_level, result.lidar) == (None,) * 4
    assert result.rankme == pytest.approx(1)
    assert result.alignment == alignment(views.vectors)


def test_alpha_req_needs_fifteen_dimensions_and_full_rank():
    rng = np.random.default_rng(0)
    settings = replace(SETTINGS, umap_seeds=1)
    scores = []
    for dimension, rank in ((14, 14), (15, 15), (15, 12)):
        vectors = rng.standard_normal((90, rank)) @ rng.standard_normal((rank, dimension))
        backbone = Embeddings(vectors.astype(np.float32), None, "backbone", "test")
        result = evaluate(1, backbone=backbone, projector=PROJECTOR, settings=settings)
        assert result.definition.alpha_req_last == dimension
        scores.append(result.label_free.alpha_req_score)
    assert scores[0] is None
    assert scores[1] < 0
    assert isnan(scores[2])


def test_nearly_collapsed_embeddings_have_finite_figures():
    vectors = np.full_like(BACKBONE.vectors, 0.5)
    vectors[0, 0] = 0.6
    backbone = replace(BACKBONE, vectors=vectors)
    result = evaluate(1, backbone=backbone, projector=PROJECTOR, settings=SETTINGS, train_backbone=TRAIN)
    assert np.isfinite(list(measured(result).values())).all()


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
    assert np.isfinite(list(measured(result).values())).all()


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
        alpha_req_last=12,
        clid_clusters=9,
        lidar_images=40,
        lidar_views=3,
        view_source="training augmentations",
    )
    flat = asdict(metrics.definition)
    assert json.loads(json.dumps(flat)) == flat
    assert flat["rankme_eps"] == 1e-7
    assert flat["rankme_centred"] is False


def test_row_holds_the_keys_that_readers_rely_on(metrics):
    row = to_row(metrics)
    assert row["epoch"] == 7
    assert sorted(set(row) - {"epoch"}) == [
        "label_free/alignment",
        "label_free/channel_std",
        "label_free/clid",
        "label_free/cluster_learnability",
        "label_free/clustering_agreement",
        "label_free/collapse_level",
        "label_free/condition_number",
        "label_free/entropy",
        "label_free/entropy_robust",
        "label_free/idest",
        "label_free/lidar",
        "label_free/nesum",
        "label_free/outlier_share",
        "label_free/participation_ratio",
        "label_free/rankme",
        "label_free/rankme_backbone",
        "label_free/self_clustering",
        "label_free/silhouette",
        "label_free/silhouette_umap",
        "label_free/stable_rank",
        "label_free/uniformity",
        "labelled/ami_labels",
        "labelled/knn_accuracy",
        "labelled/linear_probe_accuracy",
        "labelled/silhouette_labels",
        "noise/ami_labels",
        "noise/clustering_agreement",
        "noise/entropy",
        "noise/entropy_robust",
        "noise/outlier_share",
        "noise/silhouette",
        "noise/silhouette_umap",
        "spectrum/backbone",
        "spectrum/backbone_ranks",
        "spectrum/predictor",
        "spectrum/predictor_ranks",
        "spectrum/projector",
        "spectrum/projector_ranks",
    ]
    numbers = {key: value for key, value in row.items() if not key.startswith("spectrum/")}
    assert all(type(value) is float for key, value in numbers.items() if key != "epoch")
    assert json.loads(json.dumps(row)) == row
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


def test_a_row_of_before_the_suite_grew_is_read(metrics):
    first = ("rankme", "rankme_backbone", "entropy", "entropy_robust", "silhouette", "clustering_agreement")
    row = {"epoch": 2} | {f"label_free/{name}": 1.0 for name in first}
    read = from_row(row, metrics.definition)
    assert measured(read) == dict.fromkeys(first, 1.0)
    assert read.spectra == {}


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


def test_views_that_are_one_direction_but_for_rounding_have_the_worst_lidar():
    noise = 1e-7 * np.random.default_rng(0).standard_normal((200, 10, 32))
    assert label_free.of_views(np.float32(1 + noise))["lidar"] == 1.0
