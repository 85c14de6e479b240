"""Table II of the paper: pretrained models as frozen encoders of one data set, and every metric of each."""

import io
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2.functional import resize

from selector.config import TrainConfig
from selector.errors import UserError
from selector.metrics import METRICS, LabelFreeMetric
from selector.metrics.arrays import Embeddings
from selector.metrics.evaluate import evaluate
from selector.metrics.inputs import DEFINITION_VERSION, Inputs, MetricSettings, Probe, UmapEngine
from selector.metrics.probes import paper_probe
from selector.paper.cache import Cache
from selector.paper.models import Preprocessing, PretrainedModel, digest_of
from selector.paper.table_two import ModelRow, Study
from selector.training.data import Images, clusters_of, load_images

_SUBSET_SEED = 0
_ACCURACY = "labelled/linear_probe_accuracy"
BLOCK_BATCHES = 10  # batches a file of the cache: what an interruption can cost

Progress = Callable[[str, int, int | None], None]  # what, parts done, parts in all


@dataclass(frozen=True)
class StudySettings:
    """How the paper evaluates pretrained models (section III-D), where it differs from training runs.

    `batch_size` is the encoder's and the paper's probe's; `probe_peak` of its learning rate; `bin_width` of
    the entropy, in standard deviations.
    """

    probe: Probe = "paper"
    batch_size: int = 48
    probe_peak: float = 0.003
    bin_width: float = 0.8
    umap_seeds: int = 3
    umap_engine: UmapEngine = "umap-learn"
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
        config = TrainConfig(dataset=dataset, data_dir=data_dir, clusters=clusters, batch_size=2)
    except ValueError as error:
        raise UserError(str(error)) from error
    splits = load_images(config)
    if splits.classes is None and probe != "none":
        label_free = [
            metric.name
            for metric in METRICS
            if isinstance(metric, LabelFreeMetric) and not metric.space.startswith("projector")
        ]
        raise UserError(
            f"the images of {dataset} have no labels, so there is no linear probe to correlate with:"
            f" pass --probe none to get {', '.join(label_free)} of each model"
        )
    train, evaluation = (
        # The first of a permutation that does not depend on how many are taken.
        split.take(np.random.default_rng(_SUBSET_SEED).permutation(len(split))[:images])
        for split in (splits.train, splits.evaluation)
    )
    splits = replace(splits, train=train, evaluation=evaluation)
    shown = dataset if dataset != "folder" else f"folder {data_dir}"
    return StudyImages(shown, train, evaluation, clusters_of(config, splits))


class Embedder:
    """One model; its network is built when an image is met that the cache does not know."""

    def __init__(
        self,
        model: PretrainedModel,
        cache: Cache,
        batch_size: int,
        device: torch.device,
        progress: Progress,
        title: str = "",
    ) -> None:
        """`progress` is told what is being embedded, after `title`, the model's name by default."""
        self.model, self.cache, self.batch_size = model, cache, batch_size
        self.device, self.progress, self.title = device, progress, title or model.name
        self.group = re.sub(r"[^\w.-]", "_", f"{model.name}-{model.digest}")
        self._network: nn.Module | None = None

    @property
    def augmented_group(self) -> str:
        """Where the cache holds what only the paper's probe reads, until that probe is done."""
        return f"augmented-{self.group}"

    def embed(self, images: Images, what: str, augmented: bool = False) -> Embeddings:
        """(N, D) float32 embeddings of N images of three channels."""
        blocks: list[NDArray[np.float32]] = []
        done = 0
        for pixels in torch.split(images.pixels, self.batch_size * BLOCK_BATCHES):
            blocks.append(self._block(pixels, self.augmented_group if augmented else self.group))
            done += len(pixels)
            self.progress(f"{self.title}: {what}", done, len(images))
        labels = None if images.labels is None else images.labels.numpy()
        return Embeddings(np.concatenate(blocks), labels, "backbone", images.split)

    def _block(self, images: Tensor, group: str) -> NDArray[np.float32]:
        key = self.model.identity | {"images": digest_of({"images": images})}
        if (content := self.cache.load(group, key)) is not None:
            stored: NDArray[np.float32] = np.load(io.BytesIO(content), allow_pickle=False)
            return stored
        block, file = self._encode(images), io.BytesIO()
        np.save(file, block, allow_pickle=False)
        self.cache.store(group, key, file.getvalue())
        return block

    @torch.inference_mode()
    def _encode(self, images: Tensor) -> NDArray[np.float32]:
        if self._network is None:
            self._network = self.model.build().to(self.device)
        network = self._network
        batches = [
            network(preprocess(batch.to(self.device), self.model.preprocessing)).flatten(1).float().cpu()
            for batch in torch.split(images, self.batch_size)
        ]
        return torch.cat(batches).numpy()


def preprocess(images: Tensor, wanted: Preprocessing) -> Tensor:
    """(B, 3, S, S) uint8 → (B, 3, R, R) float32, scaled to the model's resolution and normalised."""
    scaled = images.float() / 255
    if scaled.shape[-1] != wanted.resolution:
        mode = InterpolationMode(wanted.interpolation)
        scaled = resize(scaled, [wanted.resolution] * 2, interpolation=mode, antialias=True)
        scaled = scaled.clamp(0, 1)  # bicubic overshoots at edges
    mean, std = (torch.tensor(v, device=images.device).view(1, -1, 1, 1) for v in (wanted.mean, wanted.std))
    return (scaled - mean) / std


def study_models(
    models: Sequence[PretrainedModel],
    images: StudyImages,
    settings: StudySettings,
    cache: Cache,
    device: torch.device,
    progress: Progress,
) -> Study:
    """Evaluate each model; what was computed before is read from the cache.

    Raises:
        UserError: The weights of a model are missing, damaged or another model's.
    """
    shared = {
        "train": _digest(images.train),
        "evaluation": _digest(images.evaluation),
        "clusters": images.clusters,
        "settings": asdict(settings),
        # A metric that is added, or defined anew, is computed although the rest is there.
        "metrics": [metric.key for metric in METRICS],
        "version": DEFINITION_VERSION,
    }
    rows, warnings = [], []
    for number, model in enumerate(models, start=1):
        key = shared | model.identity
        if (content := cache.load("rows", key)) is not None:
            values = json.loads(content)
        else:
            title = f"[{number}/{len(models)}] {model.name}"
            embedder = Embedder(model, cache, settings.batch_size, device, progress, title)
            values = evaluate_model(embedder, images, settings)
            cache.store("rows", key, json.dumps(values).encode())
            cache.drop(embedder.augmented_group)
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
    """The figures of one model, as of a milestone; empty where its embeddings are not finite.

    A pretrained model has no projector, so what is computed there is left out.
    """
    test = embedder.embed(images.evaluation, "evaluation images")
    probed = images.evaluation.labels is not None and settings.probe != "none"
    train = embedder.embed(images.train, "training images") if probed else None
    if not all(np.isfinite(one.vectors).all() for one in (test, train) if one is not None):
        return {}
    inputs = Inputs(
        backbone=test,
        projector=None,
        train_backbone=train,
        settings=MetricSettings(
            clusters=images.clusters,
            probe="fast" if settings.probe == "fast" and probed else "none",
            umap_seeds=settings.umap_seeds,
            umap_engine=settings.umap_engine,
            entropy_bin_width=settings.bin_width,
        ),
    )
    values = {**evaluate(0, inputs).values, "backbone_dim": float(test.vectors.shape[1])}
    if settings.probe == "paper" and probed:
        values[_ACCURACY] = float(_paper_probe(embedder, images, test, settings).mean())
    return values


def _paper_probe(
    embedder: Embedder, images: StudyImages, test: Embeddings, settings: StudySettings
) -> NDArray[np.bool_]:
    """The paper's probe; each epoch's images are augmented at their own size, then scaled to the model's."""
    from selector.training.autoaugment import autoaugmented

    def augmented(epoch: int) -> Embeddings:
        what = f"augmented training images, epoch {epoch + 1} of {settings.probe_epochs}"
        return embedder.embed(autoaugmented(images.train, 0, epoch), what, augmented=True)

    return paper_probe(
        augmented,
        test,
        epochs=settings.probe_epochs,
        peak_learning_rate=settings.probe_peak,
        batch_size=settings.batch_size,
    )


def _digest(images: Images) -> str:
    labels = {} if images.labels is None else {"labels": images.labels}
    return digest_of({"images": images.pixels} | labels)
