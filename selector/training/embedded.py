"""What a milestone is computed from, apart from the network, so that any process can compute it."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selector.metrics.embeddings import Embeddings, Space, ViewEmbeddings
from selector.metrics.evaluate import evaluate
from selector.metrics.inputs import Inputs, MetricSettings
from selector.metrics.pretext import Questions
from selector.metrics.spectrum import Spectrum
from selector.milestone import Milestone


@dataclass(frozen=True, eq=False)
class Embedded:
    """Embeddings of one milestone.

    Attributes:
        epoch: Epochs trained.
        test: Representations of the evaluation images.
        train: Projections of training images, what a predictor makes of them, and representations with labels
            where a probe learns from these.
        views: Projections of augmented views.
        streamed: Spectra of more embeddings than there are here; None where some of these were not finite.
        correct: Which evaluation images the paper's probe gets right, where it has been trained already: it
            needs the network.
        questions: What the pretext criteria read.
    """

    epoch: int
    test: Embeddings
    train: Mapping[Space, Embeddings]
    views: ViewEmbeddings | None
    streamed: Mapping[Space, Spectrum] | None = field(default_factory=dict)
    correct: NDArray[np.bool_] | None = None
    questions: Questions | None = None

    @property
    def is_finite(self) -> bool:
        """Whether there is anything to evaluate: an encoder whose weights diverged gives NaN."""
        found = [e.vectors for e in (self.test, *self.train.values(), self.views) if e is not None]
        asked = self.questions is None or self.questions.is_finite
        return asked and self.streamed is not None and all(np.isfinite(vectors).all() for vectors in found)


class Clock:
    """How long the steps of a milestone take."""

    def __init__(self, tell: Callable[[str], None] = lambda _: None) -> None:
        """`tell` is called with the name of each step before it."""
        self._tell = tell
        self._steps: list[tuple[str, float]] = []

    def at(self, step: str) -> None:
        """The next step begins."""
        self._steps.append((step, time.perf_counter()))
        self._tell(step)

    def seconds(self) -> dict[str, float]:
        """Of each step so far."""
        ends = [*(start for _, start in self._steps[1:]), time.perf_counter()]
        return {name: end - start for (name, start), end in zip(self._steps, ends, strict=True)}


@dataclass(frozen=True, eq=False)
class Evaluated:
    """What came of it.

    Attributes:
        milestone: All metrics.
        definition: How they were computed.
        points: (N, 3) UMAP points of the evaluation images by the first seed; None where there are none.
        seconds: What each step took.
    """

    milestone: Milestone
    definition: Mapping[str, Any]
    points: NDArray[np.float32] | None
    seconds: Mapping[str, float]


def evaluated(
    embedded: Embedded,
    settings: MetricSettings,
    augmented: Callable[[int], Embeddings] | None = None,
    clock: Clock | None = None,
) -> Evaluated:
    """The metrics of these embeddings; see `evaluate`."""
    clock = clock or Clock()
    inputs = Inputs(
        backbone=embedded.test,
        projector=embedded.train["projector"],
        settings=settings,
        train_backbone=embedded.train.get("backbone"),
        augmented=augmented,
        correct=embedded.correct,
        view_embeddings=embedded.views,
        predictor=embedded.train.get("predictor"),
        streamed=embedded.streamed or {},
        questions=embedded.questions,
    )
    milestone = evaluate(embedded.epoch, inputs, clock.at)
    laid_out = inputs.settings.reads("points", "clusters", "finer_clusters")
    points = inputs.points[0] if laid_out and inputs.points else None
    return Evaluated(milestone, inputs.definition, points, clock.seconds())
