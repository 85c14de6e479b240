"""All metrics of one encoder: each figure against its function, what is undefined, what is refused."""

import json
import re
import sys
from collections import Counter
from dataclasses import replace
from math import isnan

import numpy as np
import pytest
import yaml
from handmade import FROM_UMAP
from scipy.linalg import svdvals
from sklearn.metrics import adjusted_mutual_info_score, silhouette_score
from umap import UMAP

from selector.metrics import (
    METRICS,
    alignment,
    arrays,
    clid,
    cluster_learnability,
    inputs,
    label_free_metric,
    spectral,
    uniformity,
)
from selector.metrics.arrays import Embeddings, ViewEmbeddings
from selector.metrics.clusters import cosine_kmeans
from selector.metrics.entropy import histogram_entropy, outlier_share, robust_histogram_entropy
from selector.metrics.evaluate import evaluate
from selector.metrics.geometry import channel_std, collapse_level, self_clustering
from selector.metrics.idest import idest
from selector.metrics.inputs import Inputs, MetricSettings
from selector.metrics.pretext import Questions, hog_probe, rotation_probe, view_retrieval
from selector.metrics.probes import fast_probe, knn_accuracy, paper_probe
from selector.metrics.spectrum import spectra_of
from selector.metrics.umap import umap_points
from selector.metrics.views import lidar
from selector.milestone import Milestone, correct_images

CLASSES = 3
SETTINGS = MetricSettings(clusters=CLASSES, probe="fast", umap_seeds=2, entropy_bin_width=0.8)
ONE_SEED = replace(SETTINGS, umap_seeds=1)


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
HOGS = TRAIN.vectors[:, :5] + 0.5, BACKBONE.vectors[:, :5] + 0.5
TURNED = np.random.default_rng(7).standard_normal((2, 60, 4, 12), dtype=np.float32)
QUESTIONS = Questions(
    *TURNED, BACKBONE.vectors, BACKBONE.vectors + 0.3, TRAIN.vectors, BACKBONE.vectors, HOGS, "common views"
)
INPUTS = Inputs(
    BACKBONE,
    PROJECTOR,
    SETTINGS,
    train_backbone=TRAIN,
    view_embeddings=VIEWS,
    predictor=PREDICTOR,
    questions=QUESTIONS,
)


def unlabelled(embeddings):
    return replace(embeddings, labels=None)


def constant(embeddings):
    return replace(embeddings, vectors=np.full_like(embeddings.vectors, 0.5))


UNLABELLED = replace(INPUTS, backbone=unlabelled(BACKBONE), settings=ONE_SEED, view_embeddings=None)


def figures(milestone, prefixes=("label_free", "labelled")):
    """Metric → value."""
    split = [(*key.split("/"), value) for key, value in milestone.values.items()]
    return {name: value for prefix, name, value in split if prefix in prefixes}


def undefined(milestone):
    return {name for name, value in figures(milestone).items() if isnan(value)}


@pytest.fixture(scope="module")
def milestone():
    return evaluate(7, INPUTS)


def rankme_by_svd(vectors):
    sigma = svdvals(vectors.astype(np.float64))
    p = sigma / sigma.sum() + 1e-7
    return np.exp(-(p * np.log(p)).sum())


# --- each figure against its parts


def test_figures_are_means_over_umap_seeds_and_noise_their_standard_deviation(milestone):
    z3 = umap_points(BACKBONE.vectors, [0, 1])
    c1 = [cosine_kmeans(points, CLASSES, seed) for seed, points in enumerate(z3)]
    c2 = [cosine_kmeans(points, 2 * CLASSES, seed) for seed, points in enumerate(z3)]
    by_seed = {
        "entropy": [histogram_entropy(points, bin_width=0.8) for points in z3],
        "entropy_robust": [robust_histogram_entropy(points, bin_width=0.8) for points in z3],
        "outlier_share": [outlier_share(points) for points in z3],
        "silhouette": [silhouette_score(BACKBONE.vectors.astype(float), clusters) for clusters in c1],
        "silhouette_umap": [silhouette_score(*pair) for pair in zip(z3, c1, strict=True)],
        "clustering_agreement": [adjusted_mutual_info_score(*pair) for pair in zip(c1, c2, strict=True)],
        "ami_labels": [adjusted_mutual_info_score(BACKBONE.labels, clusters) for clusters in c1],
    }
    assert any(a != b for a, b in by_seed.values())
    values, noise = figures(milestone), figures(milestone, ["noise"])
    assert noise.keys() == by_seed.keys()
    for name, (first, second) in by_seed.items():
        assert values[name] == pytest.approx((first + second) / 2, rel=1e-6), name
        assert noise[name] == pytest.approx(abs(first - second) / 2**0.5, abs=1e-6), name


@pytest.mark.slow
def test_points_by_umap_learn_are_its_own():
    engine = replace(INPUTS, settings=replace(SETTINGS, umap_engine="umap-learn", metrics=("entropy",)))
    expected = [
        UMAP(n_neighbors=50, n_components=3, min_dist=0.1, random_state=seed, n_jobs=1).fit_transform(
            BACKBONE.vectors
        )
        for seed in (0, 1)
    ]
    np.testing.assert_array_equal(engine.points, expected)
    entropies = [histogram_entropy(points, bin_width=0.8) for points in expected]
    assert figures(evaluate(1, engine))["entropy"] == pytest.approx(np.mean(entropies))
    assert not np.array_equal(INPUTS.points, expected)


def test_the_other_figures_are_those_of_their_functions(milestone):
    backbone, projector, views = BACKBONE.vectors, PROJECTOR.vectors, VIEWS.vectors
    expected = {
        "rankme": rankme_by_svd(projector),
        "rankme_backbone": rankme_by_svd(backbone),
        "nesum": spectral.nesum(backbone),
        "stable_rank": spectral.stable_rank(backbone),
        "participation_ratio": spectral.participation_ratio(backbone),
        "condition_number": spectral.condition_number(backbone),
        "self_clustering": self_clustering(backbone),
        "cluster_learnability": cluster_learnability(backbone),
        "clid": clid(backbone),
        "idest": idest(backbone),
        "uniformity": uniformity(projector),
        "channel_std": channel_std(projector),
        "collapse_level": collapse_level(projector),
        "alignment": alignment(views),
        "lidar": lidar(views),
        "rotation_probe": rotation_probe(*TURNED),
        "view_retrieval": view_retrieval(BACKBONE.vectors, BACKBONE.vectors + 0.3),
        "hog_probe": hog_probe(TRAIN.vectors, HOGS[0], BACKBONE.vectors, HOGS[1]),
        "silhouette_labels": silhouette_score(backbone.astype(float), BACKBONE.labels),
        "linear_probe_accuracy": fast_probe(TRAIN, BACKBONE).mean(),
        "knn_accuracy": knn_accuracy(TRAIN, BACKBONE),
    }
    assert {name: figures(milestone)[name] for name in expected} == pytest.approx(expected)
    absent = {metric.name for metric in METRICS} - figures(milestone).keys()
    assert absent == {"alpha_req_score"}  # twelve dimensions


def test_spectra_are_those_of_each_space(milestone):
    spectra = spectra_of(milestone.lists)
    for embeddings in (BACKBONE, PROJECTOR, PREDICTOR):
        centred = embeddings.vectors.astype(float) - embeddings.vectors.mean(axis=0, dtype=float)
        sigma = svdvals(centred)
        ranks, shares = spectra[embeddings.space]
        assert ranks == tuple(range(1, embeddings.vectors.shape[1] + 1))
        assert shares == pytest.approx(sigma / sigma[0], rel=1e-3)


def test_of_many_images_all_pairs_are_of_a_random_subset(monkeypatch):
    monkeypatch.setattr(inputs, "PAIRWISE_MAX_IMAGES", 60)
    found = figures(evaluate(1, UNLABELLED))
    chosen = np.random.default_rng(0).choice(90, 60, replace=False)
    assert found["cluster_learnability"] == cluster_learnability(BACKBONE.vectors[chosen])
    assert found["idest"] == idest(BACKBONE.vectors[chosen])
    assert found["uniformity"] != uniformity(PROJECTOR.vectors)


def test_the_papers_probe_learns_from_augmented_images():
    epochs = [sample(100 + epoch, 200, 12, "backbone", "train") for epoch in range(20)]
    settings = replace(ONE_SEED, probe="paper")
    inputs = Inputs(BACKBONE, PROJECTOR, settings, augmented=epochs.__getitem__)
    found = evaluate(1, inputs)
    correct = paper_probe(epochs.__getitem__, BACKBONE)
    assert figures(found)["linear_probe_accuracy"] == correct.mean()
    assert "knn_accuracy" not in figures(found)
    trained_before = evaluate(1, Inputs(BACKBONE, PROJECTOR, settings, correct=correct))
    assert trained_before == found


def test_which_images_the_probe_gets_right_is_kept(milestone):
    correct = fast_probe(TRAIN, BACKBONE)
    assert 0 < correct.sum() < len(correct)
    key = "correct/linear_probe_accuracy"
    assert np.array_equal(correct_images(milestone, key, len(correct)), correct)
    assert evaluate(1, replace(INPUTS, settings=replace(ONE_SEED, probe="none"))).texts == {}


def test_nothing_depends_on_labels_but_the_labelled_figures(milestone):
    inputs = replace(INPUTS, backbone=unlabelled(BACKBONE), projector=unlabelled(PROJECTOR))
    found = evaluate(7, inputs)
    assert figures(found) == figures(milestone, ["label_free"])
    assert figures(found, ["noise"]).keys() == FROM_UMAP
    assert found.texts == {}


def test_an_encoder_without_a_projector_lacks_its_metrics(milestone):
    found = evaluate(7, replace(INPUTS, projector=None, view_embeddings=None))
    of_projector = {metric.name for metric in METRICS if metric.space.startswith("projector")}
    assert figures(found) == {n: v for n, v in figures(milestone).items() if n not in of_projector}
    assert spectra_of(found.lists).keys() == {"backbone", "predictor"}


# --- embeddings that went wrong


def test_collapsed_embeddings_give_nan_where_nothing_can_be_laid_out():
    projector = replace(PROJECTOR, vectors=np.zeros_like(PROJECTOR.vectors))
    found = evaluate(1, Inputs(constant(BACKBONE), projector, SETTINGS, train_backbone=constant(TRAIN)))
    assert undefined(found) == {*FROM_UMAP, "cluster_learnability", "clid", "idest"}
    majority = np.bincount(TRAIN.labels).argmax()
    ones = "rankme rankme_backbone nesum stable_rank participation_ratio self_clustering collapse_level"
    expected = dict.fromkeys(re.findall(r"\w+", ones), pytest.approx(1, abs=1e-4))
    expected |= dict.fromkeys(("uniformity", "channel_std", "ami_labels", "silhouette_labels"), 0.0)
    expected |= {"condition_number": 2.0**52, "linear_probe_accuracy": (BACKBONE.labels == majority).mean()}
    assert {name: figures(found)[name] for name in expected} == expected
    assert figures(found, ["noise"]) == {}
    absent = {metric.name for metric in METRICS} - figures(found).keys()
    pretext = {"rotation_probe", "view_retrieval", "hog_probe", "pretext_score"}
    assert absent == {"alignment", "lidar", "alpha_req_score"} | pretext  # no views, and too few dimensions
    assert set(found.lists["spectrum/backbone"]) == {0.0}


def test_a_collapsed_encoder_is_best_in_nothing():
    inputs = replace(INPUTS, backbone=unlabelled(BACKBONE))
    sound = figures(evaluate(1, inputs))
    backbone, projector, views = (constant(e) for e in (inputs.backbone, PROJECTOR, VIEWS))
    collapsed = figures(
        evaluate(1, replace(inputs, backbone=backbone, projector=projector, view_embeddings=views))
    )
    assert collapsed.keys() == sound.keys()
    assert isnan(collapsed["alignment"])
    assert collapsed["lidar"] == 1.0
    for name, value in collapsed.items():
        better = label_free_metric(name).direction_in("simclr")
        assert not (value > sound[name] if better == "max" else value < sound[name]), name


def test_alpha_req_needs_fifteen_dimensions_and_full_rank():
    rng = np.random.default_rng(0)
    scores = []
    for dimension, rank in ((14, 14), (15, 15), (15, 12)):
        vectors = rng.standard_normal((90, rank)) @ rng.standard_normal((rank, dimension))
        backbone = Embeddings(vectors.astype(np.float32), None, "backbone", "test")
        inputs = replace(UNLABELLED, backbone=backbone)
        assert inputs.definition["alpha_req_last"] == dimension
        scores.append(figures(evaluate(1, inputs)).get("alpha_req_score"))
    assert scores[0] is None
    assert scores[1] < 0
    assert isnan(scores[2])


def test_views_that_are_one_direction_but_for_rounding_have_the_worst_lidar():
    noise = 1e-7 * np.random.default_rng(0).standard_normal((200, 10, 32))
    views = replace(VIEWS, vectors=np.float32(1 + noise))
    settings = replace(SETTINGS, metrics=("views",))
    found = figures(evaluate(1, replace(INPUTS, settings=settings, view_embeddings=views)))
    assert found["lidar"] == 1.0
    assert isnan(found["alignment"])


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
    with pytest.raises(ValueError, match=message):
        evaluate(1, replace(INPUTS, **changes))


@pytest.mark.parametrize("change", [{"clusters": 1}, {"umap_seeds": -1}, {"rankme_images": 0}])
def test_settings_say_what_they_refuse(change):
    with pytest.raises(ValueError, match=f"{next(iter(change))} must be at least"):
        replace(SETTINGS, **change)


# --- definition and row


def test_the_definition_holds_what_was_given_what_was_chosen_and_every_keyword_default():
    expected = yaml.safe_load("""{
        rankme_images: 150, rankme_split: train, projector_dim: 6, evaluation_images: 90, version: 3,
        evaluation_split: test, backbone_dim: 12, umap_neighbors: 50, umap_seeds: 2, umap_components: 3,
        umap_min_dist: 0.1, umap_metric: euclidean, entropy_bin_width: 0.8, clusters: 3, kmeans_restarts: 10,
        probe: fast, alpha_req_first: 11, alpha_req_last: 12, clid_clusters: 9, clid_neighbors: 1,
        clid_seed: 0, twonn_discard: 0.1, idest_seed: 0, pairwise_max_images: 5000, pairwise_seed: 0,
        uniformity_t: 2.0, alignment_alpha: 2.0, lidar_images: 40, lidar_views: 3, lidar_delta: 1.0e-4,
        lidar_eps: 1.0e-7, view_source: training augmentations, rankme_eps: 1.0e-7, rankme_centred: false,
        knn_neighbors: 20, knn_temperature: 0.07, spectrum_points: 64, dtype: float32,
        rotation_probe_ridge: 1.0e-3, hog_probe_ridge: 1.0e-2, pretext_images: 90,
        pretext_views: common views}""")
    assert INPUTS.definition == expected
    assert json.loads(json.dumps(expected)) == expected
    by_umap_learn = replace(INPUTS, settings=replace(SETTINGS, umap_engine="umap-learn"))
    assert by_umap_learn.definition == expected | {"umap_engine": "umap-learn"}


def test_keys_are_those_that_readers_rely_on(milestone):
    keys = {
        *(metric.key for metric in METRICS if metric.name != "alpha_req_score"),
        *(f"noise/{name}" for name in (*FROM_UMAP, "ami_labels")),
    }
    assert milestone.values.keys() == keys
    spaces = ("backbone", "predictor", "projector")
    spectra = {f"spectrum/{space}{end}" for space in spaces for end in ("", "_ranks")}
    assert milestone.lists.keys() == spectra | {"bootstrap/pretext_score"}
    assert milestone.texts.keys() == {"correct/linear_probe_accuracy"}
    assert all(type(value) is float for value in milestone.values.values())
    assert {"label_free/rankme", "labelled/linear_probe_accuracy", "label_free/clid"} <= keys


def test_a_row_holds_everything_and_is_read_back(milestone):
    row = milestone.row
    assert row["epoch"] == 7
    assert len(row) == 1 + len(milestone.values) + len(milestone.lists) + len(milestone.texts)
    assert Milestone.of_row(json.loads(json.dumps(row))) == milestone


def test_each_array_is_checked_once_and_neighbours_are_searched_once(monkeypatch):
    """In one milestone with every metric: by address of the array, whoever reads it."""
    looked, searched = Counter(), []
    monkeypatch.setattr(arrays, "_checked_entries", counting(arrays._checked_entries, looked))
    for module in (inputs, "selector.metrics.umap", "selector.metrics.clid"):
        module = sys.modules[module] if isinstance(module, str) else module
        monkeypatch.setattr(module, "nearest_neighbors", searching(module.nearest_neighbors, searched))
    given = [replace(one) for one in (BACKBONE, TRAIN, PROJECTOR, PREDICTOR, VIEWS)]  # not checked yet
    backbone, train, projector, predictor, views = given
    evaluate(
        1,
        Inputs(backbone, projector, SETTINGS, train, view_embeddings=views, predictor=predictor),
    )
    assert {looked[one.vectors.ctypes.data] for one in given} == {1}
    assert searched == [(len(BACKBONE.vectors), "euclidean")]


def counting(check, looked):
    def counted(tensor):
        looked[tensor.data_ptr()] += 1
        return check(tensor)

    return counted


def searching(search, searched):
    """Notes searches of an array among itself; CLID asks one half for the other beside them."""

    def noted(vectors, k, metric="euclidean", *, queries=None):
        if queries is None:
            searched.append((len(getattr(vectors, "tensor", vectors)), metric))
        return search(vectors, k, metric, queries=queries)

    return noted
