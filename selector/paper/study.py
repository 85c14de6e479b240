"""Table II of the paper: pretrained models as frozen encoders of one data set, and every metric of each."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch

from selector.config import TrainConfig
from selector.errors import UserError
from selector.metrics.embeddings import Embeddings
from selector.metrics.linear_probe import paper_probe
from selector.metrics.metrics import METRICS, LabelFreeMetric, Metric
from selector.metrics.milestone import MetricDefinition, MetricSettings, Probe, evaluate, to_row
from selector.paper.cache import EmbeddingCache, digest_of
from selector.paper.embedding import Embedder, Progress
from selector.paper.model_correlation import ModelRow, Study
from selector.paper.models import PretrainedModel
from selector.training.data import Images, clusters_of, load_images

_SUBSET_SEED = 0
_ACCURACY = "labelled/linear_probe_accuracy"


@dataclass(frozen=True)
class StudySettings:
    """How the paper evaluates pretrained models (section III-D), where it differs from training runs.

    Attributes:
        probe: "paper", "fast" or "none".
        batch_size: Images a batch, of the encoder and of the paper's probe.
        probe_peak: Peak of the learning rate of the paper's probe.
        bin_width: Of the entropy, in standard deviations.
        umap_seeds: UMAP layouts a model.
        probe_epochs: Of the paper's probe.
    """

    probe: Probe = "paper"
    batch_size: int = 48
    probe_peak: float = 0.003
    bin_width: float = 0.8
    umap_seeds: int = 3
    probe_epochs: int = 20


@dataclass(frozen=True, eq=False)
class StudyImages:
    """Images of a study, and how many clusters to look for in them."""

    dataset: str
    train: Images
    evaluation: Images
    clusters: int


def load_study_images(
    dataset: str, data_dir: str | None, images: int | None, clusters: int | None, probe: Probe
) -> StudyImages:
    """Both splits of a data set, in the order of one seeded permutation, of which `images` are taken.

    Raises:
        UserError: The data set cannot be read, or has no labels and a probe is asked for.
    """
    try:
        config = TrainConfig(dataset=dataset, data_dir=data_dir, clusters=clusters, batch_size=2)  # type: ignore[arg-type]
    except ValueError as error:
        raise UserError(str(error)) from error
    splits = load_images(config)
    if splits.classes is None and probe != "none":
        label_free = [
            metric.name
            for metric in METRICS
            if isinstance(metric, LabelFreeMetric) and not _needs_projector(metric)
        ]
        raise UserError(
            f"the images of {dataset} have no labels, so there is no linear probe to correlate with:"
            f" pass --probe none to get {', '.join(label_free)} of each model"
        )
    splits = replace(splits, train=_first(splits.train, images), evaluation=_first(splits.evaluation, images))
    shown = dataset if dataset != "folder" else f"folder {data_dir}"
    return StudyImages(shown, splits.train, splits.evaluation, clusters_of(config, splits))


def _first(images: Images, count: int | None) -> Images:
    """The first of a permutation that does not depend on how many are taken; all, if there are fewer."""
    return images.take(np.random.default_rng(_SUBSET_SEED).permutation(len(images))[:count])


def study_models(
    models: Sequence[PretrainedModel],
    images: StudyImages,
    settings: StudySettings,
    cache: EmbeddingCache,
    device: torch.device,
    progress: Progress,
) -> Study:
    """Evaluate each model; what was computed before is read from the cache.

    Raises:
        UserError: The weights of a model are missing, damaged or another model's.
    """
    shared = {
        "train": _digests(images.train),
        "evaluation": _digests(images.evaluation),
        "clusters": images.clusters,
        "settings": asdict(settings),
        # A metric that is added, or defined anew, is computed although the rest is there.
        "metrics": [metric.key for metric in METRICS],
        "version": MetricDefinition.version,
    }
    rows, warnings = [], []
    for number, model in enumerate(models, start=1):
        key = shared | model.identity
        values = cache.load_row(key)
        if values is None:
            embedder = Embedder(
                model, cache, settings.batch_size, device,
                lambda text, number=number: progress(f"[{number}/{len(models)}] {text}"),  # type: ignore[misc]
            )  # fmt: skip
            values = evaluate_model(embedder, images, settings)
            cache.store_row(key, values)
            embedder.forget_augmented()
        if not values:
            warnings.append(f"{model.name}: its embeddings are not finite, so it has no metrics")
        rows.append(ModelRow(model.name, model.family, model.weights, model.preprocessing.resolution, values))
    return Study(
        dataset=images.dataset,
        train_images=len(images.train),
        evaluation_images=len(images.evaluation),
        settings=asdict(settings) | {"clusters": images.clusters},
        untrained=any(model.digest.startswith("untrained") for model in models),
        rows=tuple(rows),
        warnings=tuple(warnings),
    )


def evaluate_model(embedder: Embedder, images: StudyImages, settings: StudySettings) -> dict[str, float]:
    """The history row of one model, as of a milestone; empty where its embeddings are not finite.

    A pretrained model has no projector, so what is computed there is left out.
    """
    test = _embeddings(embedder, images.evaluation, "evaluation images")
    probed = images.evaluation.labels is not None and settings.probe != "none"
    train = _embeddings(embedder, images.train, "training images") if probed else None
    if not all(np.isfinite(e.vectors).all() for e in (test, train) if e is not None):
        return {}
    result = evaluate(
        0,
        backbone=test,
        # Two vectors stand in for the projections that there are none of; what comes of them is left out.
        projector=replace(test, vectors=test.vectors[:2], labels=None, space="projector"),
        train_backbone=train,
        settings=MetricSettings(
            clusters=images.clusters,
            probe="fast" if settings.probe == "fast" and probed else "none",
            umap_seeds=settings.umap_seeds,
            entropy_bin_width=settings.bin_width,
        ),
    )
    row = to_row(result) | {"backbone_dim": test.vectors.shape[1]}
    for metric in METRICS:
        if _needs_projector(metric):
            row.pop(metric.key, None)
    if settings.probe == "paper" and probed:
        row[_ACCURACY] = _paper_probe(embedder, images, test, settings)
    return {name: float(value) for name, value in row.items() if _is_figure(name, value)}


def _needs_projector(metric: Metric) -> bool:
    return metric.space.startswith("projector")


def _is_figure(name: str, value: Any) -> bool:
    """Whether it is a number; a row holds the spectra, too."""
    return isinstance(value, int | float) and name != "epoch"


def _paper_probe(embedder: Embedder, images: StudyImages, test: Embeddings, settings: StudySettings) -> float:
    """The paper's probe; each epoch's images are augmented at their own size, then scaled to the model's."""
    from selector.training.batches import autoaugmented

    def augmented(epoch: int) -> Embeddings:
        what = f"augmented training images, epoch {epoch + 1} of {settings.probe_epochs}"
        return _embeddings(embedder, autoaugmented(images.train, 0, epoch), what, augmented=True)

    return paper_probe(
        augmented,
        test,
        epochs=settings.probe_epochs,
        peak_learning_rate=settings.probe_peak,
        batch_size=settings.batch_size,
    )


def _embeddings(embedder: Embedder, images: Images, what: str, augmented: bool = False) -> Embeddings:
    labels = None if images.labels is None else images.labels.numpy()
    return Embeddings(embedder.embed(images.pixels, what, augmented), labels, "backbone", images.split)


def _digests(images: Images) -> list[str]:
    return [digest_of(tensor) for tensor in (images.pixels, images.labels) if tensor is not None]
