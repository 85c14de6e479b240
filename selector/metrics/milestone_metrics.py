"""What a milestone holds, and its W&B keys: field ↔ key, both ways."""

from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from typing import Any, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from selector.metrics.compact_spectrum import CompactSpectrum
from selector.metrics.definition import MetricDefinition
from selector.metrics.embeddings import Space
from selector.metrics.metric import LABEL_FREE_PREFIX, LABELLED_PREFIX, NOISE_PREFIX, SPECTRUM_PREFIX

_RANKS = "_ranks"

# W&B key → number, and for spectra a list of numbers.
Row = dict[str, Any]


@dataclass(frozen=True)
class LabelFreeMetrics:
    """What no label went into; the names are W&B keys. See `metrics.METRICS` for what each one means.

    None was not measured: too few images or dimensions, or no views. NaN is a figure that the embeddings
    leave undefined, and is never chosen. Where all embeddings of the evaluation split are equal (complete
    collapse) there is nothing to lay out, to cluster or to span: what is read from UMAP or from clusters is
    NaN, and so is idest, so that a collapsed run cannot win by the entropy 0 or the agreement 1 of a single
    point. The same goes for CLID where all have one direction, and for alignment where all views have.
    The other metrics of collapsed embeddings have the worst of their values.
    """

    rankme: float
    rankme_backbone: float
    entropy: float
    entropy_robust: float
    silhouette: float
    clustering_agreement: float
    outlier_share: float | None = None
    silhouette_umap: float | None = None
    alpha_req_score: float | None = None
    nesum: float | None = None
    stable_rank: float | None = None
    participation_ratio: float | None = None
    condition_number: float | None = None
    self_clustering: float | None = None
    cluster_learnability: float | None = None
    clid: float | None = None
    idest: float | None = None
    uniformity: float | None = None
    alignment: float | None = None
    lidar: float | None = None
    channel_std: float | None = None
    collapse_level: float | None = None


@dataclass(frozen=True)
class LabelledMetrics:
    """What labels went into: for judging a choice, never for choosing. None was not measured.

    Where all embeddings are equal, ami_labels and silhouette_labels are 0: one cluster says nothing about
    labels. silhouette_labels is NaN where the evaluation images are all of one class.
    """

    ami_labels: float
    silhouette_labels: float
    linear_probe_accuracy: float | None = None
    knn_accuracy: float | None = None


@dataclass(frozen=True)
class MilestoneMetrics:
    """All metrics of one encoder at one point of its training.

    Attributes:
        epoch: Epochs trained; 0 is the untrained network.
        label_free: Means over the UMAP seeds, where UMAP has a part in them.
        labelled: Likewise; None for images without labels.
        noise: Metric → standard deviation (divisor S - 1) over S UMAP seeds of one seed's value; the mean's
            standard error is that over √S. Empty for one seed, and for metrics that are not defined.
        definition: How the metrics were computed.
        spectra: Space → its singular values, centred, over the largest: of the backbone on the evaluation
            split, of the projector and SimSiam's predictor on the images of RankMe.
        points: (N, 3) UMAP points of the evaluation images by the first seed; None where all are equal.
    """

    epoch: int
    label_free: LabelFreeMetrics
    labelled: LabelledMetrics | None
    noise: Mapping[str, float]
    definition: MetricDefinition
    spectra: Mapping[Space, CompactSpectrum] = field(default_factory=dict)
    points: NDArray[np.float32] | None = field(default=None, compare=False)


def to_row(metrics: MilestoneMetrics) -> Row:
    """The W&B history row of a milestone; what was not measured is left out, NaN stays NaN.

    A spectrum is two lists: spectrum/<space>, and the ranks of these values in spectrum/<space>_ranks.
    """
    row: Row = {"epoch": metrics.epoch}
    row |= _write(LABEL_FREE_PREFIX, asdict(metrics.label_free))
    row |= {} if metrics.labelled is None else _write(LABELLED_PREFIX, asdict(metrics.labelled))
    row |= {NOISE_PREFIX + name: value for name, value in metrics.noise.items()}
    for space, spectrum in metrics.spectra.items():
        row[SPECTRUM_PREFIX + space] = list(spectrum.values)
        row[SPECTRUM_PREFIX + space + _RANKS] = list(spectrum.ranks)
    return row


def from_row(row: Mapping[str, Any], definition: MetricDefinition) -> MilestoneMetrics:
    """The milestone that `to_row` wrote; other keys of the row are passed over.

    Raises:
        ValueError: The row lacks a metric that every milestone has.
    """
    labelled = any(key.startswith(LABELLED_PREFIX) for key in row)
    return MilestoneMetrics(
        epoch=int(row["epoch"]),
        label_free=_read(LabelFreeMetrics, LABEL_FREE_PREFIX, row),
        labelled=_read(LabelledMetrics, LABELLED_PREFIX, row) if labelled else None,
        noise={key.removeprefix(NOISE_PREFIX): row[key] for key in row if key.startswith(NOISE_PREFIX)},
        definition=definition,
        spectra=spectra_of(row),
    )


def spectra_of(row: Mapping[str, Any]) -> dict[Space, CompactSpectrum]:
    """The spectra in a history row, such as `Milestone.lists`, by space; what is not there is left out."""
    spectra: dict[Space, CompactSpectrum] = {}
    for space in get_args(Space):
        values = row.get(SPECTRUM_PREFIX + space)
        ranks = row.get(SPECTRUM_PREFIX + space + _RANKS)
        if values and ranks and len(values) == len(ranks):
            spectra[space] = CompactSpectrum(tuple(map(int, ranks)), tuple(map(float, values)))
    return spectra


def _write(prefix: str, values: Mapping[str, float | None]) -> dict[str, float]:
    return {prefix + name: value for name, value in values.items() if value is not None}


_Metrics = TypeVar("_Metrics", LabelFreeMetrics, LabelledMetrics)


def _read(kind: type[_Metrics], prefix: str, row: Mapping[str, Any]) -> _Metrics:
    held = {field.name: row[prefix + field.name] for field in fields(kind) if prefix + field.name in row}
    missing = [field.name for field in fields(kind) if field.default is MISSING and field.name not in held]
    if missing:
        raise ValueError(f"the row of epoch {row['epoch']} lacks {prefix}{missing[0]}")
    return kind(**held)
