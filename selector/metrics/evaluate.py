"""`evaluate`: all metrics of one encoder."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selector.metrics import knn, label_free
from selector.metrics.callable_module import make_callable
from selector.metrics.clustering import clustering_agreement, cosine_clusterings, silhouette, silhouettes
from selector.metrics.compact_spectrum import logged_spectrum
from selector.metrics.entropy import histogram_entropy, robust_histogram_entropy
from selector.metrics.inputs import Inputs
from selector.metrics.linear_probe import fast_probe, paper_probe
from selector.metrics.metric import LABEL_FREE_PREFIX, LABELLED_PREFIX, NOISE_PREFIX
from selector.metrics.milestone import CORRECT_PREFIX, Milestone, correct_text
from selector.metrics.outliers import outlier_share

_PROBE = "linear_probe_accuracy"


def evaluate(epoch: int, inputs: Inputs, at: Callable[[str], None] = lambda _step: None) -> Milestone:
    """All metrics of one encoder. Neither reads nor changes any global random state.

    `inputs.definition` says how they were computed. `inputs.points` are the UMAP points.

    Args:
        epoch: Epochs trained.
        inputs: Embeddings, and what was chosen.
        at: Called with the name of each step before it: "spectra", "UMAP", "clusters", "linear probe",
            "other metrics"; the default tells nobody.

    Raises:
        ValueError: Embeddings that are not finite; or labels, and a probe that was asked for, but not what it
            learns from.
    """
    backbone, projector, views = inputs.backbone, inputs.projector, inputs.views
    at("spectra")
    spectra = inputs.spectra
    at("UMAP")
    _ = inputs.points
    at("clusters")
    values = _values_by_seed(inputs)
    means = {name: float(np.mean(of_seeds)) for name, of_seeds in values.items()}
    noise = {name: float(np.std(of_seeds, ddof=1)) for name, of_seeds in values.items() if len(of_seeds) > 1}
    labelled: dict[str, float] = {}
    texts = {}
    if backbone.labels is not None:
        at("linear probe")
        correct = _linear_probe(inputs)
        if correct is not None:
            labelled[_PROBE] = float(correct.mean())
            texts[CORRECT_PREFIX + _PROBE] = correct_text(correct)
        if inputs.train_backbone is not None:
            labelled["knn_accuracy"] = knn.knn_accuracy(inputs.train_backbone, backbone)
        labelled |= {name: means.pop(name) for name in ("ami_labels", "silhouette_labels")}
    at("other metrics")
    means |= label_free.of_backbone(backbone.vectors, spectra["backbone"])
    if projector is not None:
        means |= label_free.of_projector(projector.vectors, spectra["projector"])
    if views is not None:
        means |= label_free.of_views(views.vectors)
    lists: dict[str, tuple[float, ...]] = {}
    for space, spectrum in spectra.items():
        lists |= logged_spectrum(space, spectrum.centred)
    return Milestone(
        epoch,
        _keyed(LABEL_FREE_PREFIX, means) | _keyed(LABELLED_PREFIX, labelled) | _keyed(NOISE_PREFIX, noise),
        lists,
        texts,
    )


def _keyed(prefix: str, values: dict[str, Any]) -> dict[str, float]:
    return {prefix + name: value for name, value in values.items() if value is not None}


def _values_by_seed(inputs: Inputs) -> dict[str, list[float]]:
    """One value a UMAP seed of each metric that depends on it; a single value of those that do not.

    There are no points where the encoder has collapsed.
    """
    vectors, labels = inputs.backbone.vectors, inputs.backbone.labels
    points, settings = inputs.points, inputs.settings
    if not points:
        undefined = (
            "entropy", "entropy_robust", "outlier_share", "silhouette", "silhouette_umap",
            "clustering_agreement",
        )  # fmt: skip
        constant = {} if labels is None else {"ami_labels": [0.0], "silhouette_labels": [0.0]}
        return {name: [np.nan] for name in undefined} | constant
    c1, c2 = cosine_clusterings(points, [settings.clusters, 2 * settings.clusters])
    truth = [] if labels is None or len(np.unique(labels)) < 2 else [labels]
    s = silhouettes(vectors, [*c1, *truth])  # one pass over the distances for all of them
    values = {
        "entropy": [histogram_entropy(z3, settings.entropy_bin_width) for z3 in points],
        "entropy_robust": [robust_histogram_entropy(z3, settings.entropy_bin_width) for z3 in points],
        "outlier_share": [outlier_share(z3) for z3 in points],
        "silhouette": s[: len(c1)],
        "silhouette_umap": [silhouette(z3, clusters) for z3, clusters in zip(points, c1, strict=True)],
        "clustering_agreement": [clustering_agreement(*pair) for pair in zip(c1, c2, strict=True)],
    }
    if labels is not None:
        values["ami_labels"] = [clustering_agreement(clusters, labels) for clusters in c1]
        values["silhouette_labels"] = s[len(c1) :] or [np.nan]
    return values


def _linear_probe(inputs: Inputs) -> NDArray[np.bool_] | None:
    match inputs.settings.probe:
        case "paper":
            if inputs.correct is not None:
                return inputs.correct
            if inputs.augmented is None:
                raise ValueError(
                    "the probe 'paper' learns from `augmented`, which is missing; 'fast' and 'none' do not"
                )
            return paper_probe(inputs.augmented, inputs.backbone)
        case "fast":
            if inputs.train_backbone is None:
                raise ValueError("the probe 'fast' learns from `train_backbone`, which is missing")
            return fast_probe(inputs.train_backbone, inputs.backbone)
        case "none":
            return None


make_callable(__name__)
