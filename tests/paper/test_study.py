"""Models on one data set: every metric of each, and what is kept."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_models import Counting, coloured, tiny

from selector.metrics.arrays import Embeddings
from selector.metrics.entropy import histogram_entropy
from selector.metrics.probes import fast_probe, paper_probe
from selector.metrics.umap import umap_learn_points
from selector.paper.cache import Cache
from selector.paper.models import Preprocessing, PretrainedModel
from selector.paper.study import (
    BLOCK_BATCHES,
    Embedder,
    StudyImages,
    StudySettings,
    load_study_images,
    preprocess,
    study_models,
)
from selector.training.autoaugment import autoaugmented

FAST = StudySettings(probe="fast", umap_seeds=1)
ACCURACY = "labelled/linear_probe_accuracy"


def images(labelled=True):
    return StudyImages("colours", coloured(40, "train", labelled), coloured(32, "test", labelled), 4)


def study(folder, models=None, settings=FAST, what=None):
    models = models or [tiny()]
    return study_models(
        models, what or images(), settings, Cache(folder), torch.device("cpu"), lambda *_: None
    )


def embedded(split, dimension=6):
    with torch.no_grad():
        vectors = tiny(dimension=dimension).build()((split.pixels / 255 - 0.5) / 0.25).numpy()
    return Embeddings(vectors, split.labels.numpy(), "backbone", split.split)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


def test_a_row_holds_what_the_functions_say_of_the_embeddings(folder):
    row = study(folder).rows[0]
    train, test = embedded(images().train), embedded(images().evaluation)
    points = umap_learn_points(test.vectors, [0])[0]  # as the paper
    assert row.values["label_free/entropy"] == pytest.approx(
        histogram_entropy(points, bin_width=0.8)
    )  # not 0.4
    assert row.values[ACCURACY] == fast_probe(train, test).mean()
    assert row.values["backbone_dim"] == 6
    assert "label_free/rankme_backbone" in row.values
    assert "label_free/rankme" not in row.values  # there is no projector


def test_a_second_call_embeds_and_computes_nothing(folder):
    first = study(folder)
    Counting.seen = 0
    broken = replace(tiny(), build=lambda: pytest.fail("the network was built again"))
    again = study(folder, [broken])
    assert again.rows[0].values == first.rows[0].values
    assert Counting.seen == 0


def test_the_papers_probe_learns_from_augmented_images_with_its_own_peak_and_batch(tmp_path):
    settings = StudySettings(probe="paper", umap_seeds=1, probe_epochs=2)
    found = study(tmp_path, settings=settings).rows[0].values[ACCURACY]
    expected = paper_probe(
        lambda epoch: embedded(autoaugmented(images().train, 0, epoch)),
        embedded(images().evaluation),
        epochs=2,
        peak_learning_rate=0.003,
        batch_size=48,
    )
    assert found == expected.mean()
    assert not list(tmp_path.glob("augmented-*"))  # only that probe reads them


def test_an_interrupted_study_keeps_the_models_that_are_done(tmp_path):
    def stop():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        study(tmp_path, [tiny(), replace(tiny("tiny2", seed=1), build=stop)])
    Counting.seen = 0
    assert len(study(tmp_path, [tiny(), tiny("tiny2", seed=1)]).rows) == 2
    assert Counting.seen == 72  # the second model's images alone


def test_embeddings_that_are_not_finite_are_said_and_have_no_metrics(tmp_path):
    def exploded():
        network = tiny().build()
        network.mix.weight.data.fill_(float("nan"))
        return network

    model = PretrainedModel("boom", "boom", tiny().preprocessing, "made up", "boom", exploded)
    for _ in range(2):  # computed, then from the cache
        found = study(tmp_path, [model, tiny()])
        assert dict(found.rows[0].values) == {}
        assert found.warnings == ("boom: its embeddings are not finite, so it has no metrics",)


def test_without_labels_the_label_free_metrics_remain(tmp_path):
    found = study(tmp_path, settings=replace(FAST, probe="none"), what=images(labelled=False))
    assert found.rows[0].values["label_free/entropy"] > 0
    assert not [key for key in found.rows[0].values if key.startswith("labelled/")]


def test_a_subset_is_the_start_of_a_larger_one():
    few, more = (load_study_images("digits", None, n, None, "fast") for n in (30, 50))
    assert torch.equal(few.train.pixels, more.train.pixels[:30])
    assert torch.equal(few.evaluation.pixels, more.evaluation.pixels[:30])
    assert len(set(few.evaluation.labels.tolist())) > 5  # no run of one class
    assert (few.clusters, more.dataset) == (10, "digits")


BATCH = 2
BLOCK = BATCH * BLOCK_BATCHES


def embedder(folder, model=None):
    Counting.seen = 0
    return Embedder(model or tiny(), Cache(folder), BATCH, torch.device("cpu"), lambda *_: None)


def test_embeddings_are_the_networks_in_the_order_of_the_images(tmp_path):
    images = coloured(BLOCK + 7, "train")
    found = embedder(tmp_path).embed(images, "images")
    assert found.vectors.dtype == np.float32
    assert np.allclose(found.vectors, embedded(images).vectors, atol=1e-6)
    assert np.array_equal(found.labels, images.labels)


def test_a_second_call_embeds_nothing_and_a_larger_subset_only_what_is_new(tmp_path):
    images = coloured(3 * BLOCK, "train")
    few = images.take(range(2 * BLOCK))
    embedder(tmp_path).embed(few, "images")
    again = embedder(tmp_path)
    again.embed(few, "images")
    assert Counting.seen == 0
    again.embed(images, "images")
    assert Counting.seen == BLOCK


def test_an_interrupted_call_continues(tmp_path):
    images = coloured(3 * BLOCK, "train")
    whole = embedder(tmp_path / "whole").embed(images, "images")

    def interrupt(what, done, of):
        if done == 2 * BLOCK:
            raise KeyboardInterrupt

    interrupted = embedder(tmp_path / "cut")
    interrupted.progress = interrupt
    with pytest.raises(KeyboardInterrupt):
        interrupted.embed(images, "images")
    resumed = embedder(tmp_path / "cut")
    assert np.array_equal(resumed.embed(images, "images").vectors, whole.vectors)
    assert Counting.seen == BLOCK


def test_preprocessing_is_what_pillow_and_arithmetic_give():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (12, 12, 3), dtype=np.uint8)
    wanted = Preprocessing(24, (0.5, 0.4, 0.3), (0.2, 0.3, 0.4), "bilinear")
    found = preprocess(torch.from_numpy(image).permute(2, 0, 1)[None], wanted)[0]
    scaled = np.asarray(Image.fromarray(image).resize((24, 24), Image.Resampling.BILINEAR)) / 255
    expected = (scaled - np.array(wanted.mean)) / np.array(wanted.std)
    assert np.abs(found.permute(1, 2, 0).numpy() - expected).max() < 1.01 / 255 / 0.2  # a grey level


def test_bicubic_edges_stay_within_the_range_of_pixels():
    edge = torch.zeros(1, 3, 8, 8, dtype=torch.uint8)
    edge[..., 4:] = 255
    found = preprocess(edge, Preprocessing(20, (0.0,) * 3, (1.0,) * 3, "bicubic"))
    assert (found.min(), found.max()) == (0, 1)
