"""The table of metrics: what each one is called, which way is better, and what may be compared."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from selector.errors import UserError
from selector.text import nearest

Direction = Literal["max", "min"]

# W&B keys: label_free/rankme, labelled/knn_accuracy, noise/entropy.
LABEL_FREE_PREFIX = "label_free/"
LABELLED_PREFIX = "labelled/"
NOISE_PREFIX = "noise/"

# What must be equal between two runs before a metric of theirs may be compared: fields of the run's
# config (method, dataset, backbone, backbone_width) and of its metric definition (the rest).
_SAME_TRAINING = ("method", "dataset", "backbone", "backbone_width")
_SAME_PROJECTOR = (*_SAME_TRAINING, "projector_dim", "rankme_images")
_SAME_BACKBONE = (*_SAME_TRAINING, "backbone_dim", "evaluation_images")


@dataclass(frozen=True)
class Metric:
    """One number of a milestone.

    Attributes:
        name: Field name in LabelFreeMetrics or LabelledMetrics, and last part of the W&B key.
        symbol: How the paper writes it.
        meaning: One line for people who have not read the paper.
        space: Where it is computed.
        direction: Which way is better when a method is not named in `direction_for`.
        direction_for: Methods for which the direction differs, by name.
        source: Paper and equation or section.
        comparable: Fields that two runs must share before their values may be compared.
        logged_as: W&B key of a metric that somebody else's script logged, or "" for our own.
    """

    name: str
    symbol: str
    meaning: str
    space: str
    direction: Direction
    source: str
    direction_for: Mapping[str, Direction] = field(default_factory=dict)
    comparable: tuple[str, ...] = _SAME_BACKBONE
    logged_as: str = ""

    def direction_in(self, method: str | None) -> Direction:
        """The better direction for runs trained with `method`."""
        return self.direction_for.get(method or "", self.direction)


@dataclass(frozen=True)
class LabelFreeMetric(Metric):
    """A metric that sees no label: the only kind that `rank` accepts."""

    @property
    def key(self) -> str:
        """The W&B history key."""
        return self.logged_as or LABEL_FREE_PREFIX + self.name


@dataclass(frozen=True)
class LabelledMetric(Metric):
    """A metric that reads labels: for `regret` and `correlate` alone."""

    @property
    def key(self) -> str:
        """The W&B history key."""
        return self.logged_as or LABELLED_PREFIX + self.name


_XU = "Xu, Lowe & Trappenberg 2022, arXiv:2409.06612"
# Accuracies of unlike methods and encoders may be compared: that is what they are for.
_SAME_TEST = ("dataset", "evaluation_images")
_DECLARED = "logged by another script"

METRICS: tuple[LabelFreeMetric | LabelledMetric, ...] = (
    LabelFreeMetric(
        name="rankme",
        symbol="RankMe(Z_projector)",
        meaning="How many directions the projections of the training images use.",
        space="projector, training split",
        direction="max",
        source="Garrido et al. 2023, arXiv:2210.02885, equation 1",
        comparable=_SAME_PROJECTOR,
    ),
    LabelFreeMetric(
        name="rankme_backbone",
        symbol="RankMe(Z_backbone)",
        meaning="How many directions the representations of the evaluation images use.",
        space="backbone, evaluation split",
        direction="max",
        source="Garrido et al. 2023, arXiv:2210.02885, equation 1, on representations",
    ),
    LabelFreeMetric(
        name="entropy",
        symbol="H(Z3)",
        meaning="How evenly the images fill the space of their UMAP points; low means few dense places.",
        space="3-d UMAP of the backbone, evaluation split",
        direction="min",
        direction_for={"simsiam": "max"},
        source=f"{_XU}, section III-C; directions from Table I",
    ),
    LabelFreeMetric(
        name="entropy_robust",
        symbol="H_MAD(Z3)",
        meaning="The entropy with a scale that a few distant points do not move.",
        space="3-d UMAP of the backbone, evaluation split",
        direction="min",
        direction_for={"simsiam": "max"},
        source="ours, after section IV of the paper, which finds outliers in early training",
    ),
    LabelFreeMetric(
        name="silhouette",
        symbol="S_1",
        meaning="How tight and far apart the clusters are that k-means finds.",
        space="backbone, evaluation split; clusters from its 3-d UMAP",
        direction="max",
        source=f"{_XU}, section III-C",
    ),
    LabelFreeMetric(
        name="clustering_agreement",
        symbol="AMI(C_1, C_2)",
        meaning="How well two k-means clusterings agree, one with twice the clusters of the other.",
        space="3-d UMAP of the backbone, evaluation split",
        direction="max",
        source=f"{_XU}, section III-C",
    ),
    LabelledMetric(
        name="linear_probe_accuracy",
        symbol="LP",
        meaning="Accuracy of a linear classifier on the frozen representations.",
        space="backbone, evaluation split",
        direction="max",
        source=f"{_XU}, section III-E",
        comparable=_SAME_TEST,
    ),
    LabelledMetric(
        name="knn_accuracy",
        symbol="kNN",
        meaning="Accuracy of a vote among the nearest training images.",
        space="backbone, evaluation split",
        direction="max",
        source="Wu et al. 2018, arXiv:1805.01978, section 3.4",
        comparable=_SAME_TEST,
    ),
    LabelledMetric(
        name="ami_labels",
        symbol="AMI(C_1, C_GT)",
        meaning="How well the clusters that k-means finds agree with the classes.",
        space="3-d UMAP of the backbone, evaluation split",
        direction="max",
        source=f"{_XU}, section III-C",
    ),
    LabelledMetric(
        name="silhouette_labels",
        symbol="S_GT",
        meaning="How tight and far apart the classes are.",
        space="backbone, evaluation split",
        direction="max",
        source=f"{_XU}, section III-C",
    ),
)


def label_free_metric(name: str) -> LabelFreeMetric:
    """The label-free metric of that name in METRICS; "label_free/" before it does no harm.

    Raises:
        UserError: No such name, or the name of a metric that reads labels.
    """
    own = name.removeprefix(LABEL_FREE_PREFIX)
    known = {metric.name: metric for metric in METRICS if isinstance(metric, LabelFreeMetric)}
    if own in known:
        return known[own]
    if any(metric.key == name or metric.name == name for metric in METRICS):
        raise UserError(f"'{name}' reads labels, and choosing must not: use one of {', '.join(known)}")
    raise UserError(f"unknown metric '{name}'{nearest(own, known)} (one of {', '.join(known)})")


def labelled_metric(name: str) -> LabelledMetric:
    """The labelled metric of that name in METRICS; "labelled/" before it does no harm.

    Raises:
        UserError: No such name.
    """
    own = name.removeprefix(LABELLED_PREFIX)
    known = {metric.name: metric for metric in METRICS if isinstance(metric, LabelledMetric)}
    if own in known:
        return known[own]
    raise UserError(f"unknown labelled metric '{name}'{nearest(own, known)} (one of {', '.join(known)})")


def declared_label_free(key: str, direction: Direction) -> LabelFreeMetric:
    """A metric of somebody else's script, logged under `key`, that the user declares to read no label."""
    return LabelFreeMetric(
        name=key, symbol=key, meaning=_DECLARED, space="unknown", direction=direction, source=_DECLARED,
        comparable=_SAME_TRAINING, logged_as=key,
    )  # fmt: skip


def declared_labelled(key: str, direction: Direction = "max") -> LabelledMetric:
    """A metric of somebody else's script, logged under `key`, by which the user judges a choice."""
    return LabelledMetric(
        name=key, symbol=key, meaning=_DECLARED, space="unknown", direction=direction, source=_DECLARED,
        comparable=("dataset",), logged_as=key,
    )  # fmt: skip
