"""One network measured: its images are embedded, and the metrics computed from what comes of them.

Lightning's callback does it at every milestone, and `evaluate` once, for a training loop of one's own.
"""

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import pytorch_lightning as pl
from numpy.typing import NDArray
from torch import Tensor, nn

from selector.metrics import LabelFreeMetric
from selector.metrics.arrays import Embeddings, Space, ViewEmbeddings
from selector.metrics.evaluate import evaluate as evaluated
from selector.metrics.inputs import Inputs, MetricSettings
from selector.metrics.pretext import SMALLEST_FOR_HOG, Questions
from selector.metrics.probes import paper_probe
from selector.metrics.spectrum import Spectrum
from selector.milestone import Milestone
from selector.record import Record
from selector.training.embed import Loader, embed, embed_views, labelled, streamed_spectra
from selector.training.encoder import Encoder, Pool
from selector.training.pretext import VIEWS, PretextImages

# Rows that a milestone holds in memory at most: the paper's number for RankMe (Garrido et al. 2023).
KEPT_ROWS = 25_600
# The source of views that a user gives without describing them.
VIEWS_GIVEN = "views given to Milestones"


class Clock:
    """Adds up how long the steps of a milestone take, in seconds."""

    def __init__(self, tell: Callable[[str], None] | None = None, spent: Mapping[str, float] = {}) -> None:
        """`tell` is called with the name of each step before it; `spent`: seconds of steps that are done."""
        self._tell, self._spent = tell, spent
        self._steps: list[tuple[str, float]] = []

    def at(self, step: str) -> None:
        """The next step begins."""
        self._steps.append((step, time.perf_counter()))
        if self._tell is not None:
            self._tell(step)

    def seconds(self) -> dict[str, float]:
        """Of each step so far."""
        found = dict(self._spent)
        ends = [*(start for _, start in self._steps[1:]), time.perf_counter()]
        for (name, start), end in zip(self._steps, ends, strict=True):
            found[name] = found.get(name, 0.0) + end - start
        return found


@dataclass(frozen=True, eq=False)
class Measured:
    """A milestone, and how it came about.

    Attributes:
        milestone: All metrics, and the seconds of each step under cost/*.
        definition: How they were computed; {} where the embeddings are not finite.
        points: (N, 3) UMAP points of the evaluation images by the first seed; None where there are none.
    """

    milestone: Milestone
    definition: Mapping[str, Any] = field(default_factory=dict)
    points: NDArray[np.float32] | None = None


def measured(
    epoch: int, inputs: Inputs, spent: Mapping[str, float], tell: Callable[[str], None] | None = None
) -> Measured:
    """The metrics of these embeddings, which any process can compute; `spent`: seconds it took to embed."""
    clock = Clock(tell, spent)
    milestone = evaluated(epoch, inputs, clock.at)
    laid_out = inputs.settings.reads("points", "clusters", "finer_clusters")
    points = inputs.points[0] if laid_out and inputs.points else None
    seconds = clock.seconds()
    costs = {f"cost/{step.lower().replace(' ', '_')}_seconds": taken for step, taken in seconds.items()}
    costs["cost/milestone_seconds"] = sum(seconds.values())
    if inputs.train_backbone is not None:  # what labels cost
        costs["cost/probe_seconds"] = costs.pop("cost/linear_probe_seconds", 0.0)
    return Measured(with_values(milestone, costs), inputs.definition, points)


def with_values(milestone: Milestone, values: Mapping[str, float]) -> Milestone:
    """The milestone with these values added."""
    return replace(milestone, values={**milestone.values, **values})


@dataclass(frozen=True, eq=False)
class Measuring:
    """What is read of a network at every milestone; see `Milestones` for the attributes."""

    train: Loader
    evaluation: Loader
    settings: MetricSettings
    encoder: Encoder
    augmented: Callable[[int], Iterable[Any]] | None = None
    views: Callable[[pl.LightningModule], Iterable[Tensor]] | None = None
    view_source: str = VIEWS_GIVEN
    pretext: PretextImages | None = None
    _said: set[str] = field(default_factory=set)

    def measure(self, module: nn.Module, epoch: int) -> Measured:
        """Embed and evaluate."""
        clock = Clock()
        inputs = self.inputs(module, clock)
        return self.nothing_finite(epoch) if inputs is None else measured(epoch, inputs, clock.seconds())

    def nothing_finite(self, epoch: int) -> Measured:
        """That of an encoder whose weights have diverged: NaN, which is never chosen."""
        metrics = [one.metric for one in self.settings.chosen]
        values = {m.key: float("nan") for m in metrics if isinstance(m, LabelFreeMetric)}
        return Measured(Milestone(epoch, values))

    def inputs(self, module: nn.Module, clock: Clock) -> Inputs | None:
        """All that needs the network; None where an embedding is NaN or infinite."""
        clock.at("embeddings")
        test = self._test(module)
        settings = self.settings
        learns = settings.probe != "none" and settings.reads("probed", "train_backbone")
        if learns and settings.probe == "fast" and test.labels is None:
            self._say("the evaluation images have no labels: no probe learns")
        learns = learns and test.labels is not None
        streamed = self.streamed(module)
        train = self._embed(module, self.train, "train", self._of_training(learns))
        views, pairs = self._views(module, clock)
        questions = self._questions(module, train.get("backbone"), test, pairs, clock)
        if learns and train["backbone"].labels is None:
            self._say("the training images are unlabelled: no probe learns from them")
            settings, learns = replace(settings, probe="none"), False
        found = Inputs(
            backbone=test,
            projector=train["projector"],
            settings=settings,
            train_backbone=labelled(train["backbone"]) if learns else None,
            view_embeddings=views,
            predictor=train.get("predictor"),
            streamed=streamed or {},
            questions=questions,
        )
        if streamed is None or not _is_finite(found):
            return None
        if learns and settings.probe == "paper" and settings.reads("probed") and self.augmented is not None:
            clock.at("linear probe")
            found = replace(found, correct=paper_probe(partial(self._augmented, module), test))
        return found

    def streamed(self, module: nn.Module) -> Mapping[Space, Spectrum] | None:
        """Where RankMe is to read more images than are kept: its spectra, with the help of all processes."""
        if self.settings.rankme_images <= KEPT_ROWS:
            return {}
        spaces: list[Space] = ["projector"]
        if self.encoder.predictor is not None:
            spaces.append("predictor")
        encode = partial(self.encoder, module)
        return streamed_spectra(module, encode, self.train, spaces, self.settings.rankme_images)

    def _test(self, module: nn.Module) -> Embeddings:
        """Representations of the evaluation images; of no labels where some images have none."""
        test = self._embed(module, self.evaluation, "test", {"backbone": None})["backbone"]
        if test.labels is None or not (unlabelled := int((test.labels < 0).sum())):
            return test
        self._say(
            f"{unlabelled} of {len(test.labels)} evaluation images are unlabelled (-1): only label-free"
            " metrics are computed; leave them out to get the others"
        )
        return replace(test, labels=None)

    def _of_training(self, learns: bool) -> dict[Space, int | None]:
        """What is embedded of the training images: each space, with the number of images or None for all."""
        limit = min(self.settings.rankme_images, KEPT_ROWS)
        wanted: dict[Space, int | None] = {"projector": limit}
        if self.encoder.predictor is not None:
            wanted["predictor"] = limit
        if learns:
            wanted["backbone"] = None
        elif self._asked is not None and self._asked.places is not None:
            wanted["backbone"] = len(self._asked.train)
        return wanted

    @property
    def _asked(self) -> PretextImages | None:
        return self.pretext if self.settings.asks else None

    def _questions(
        self,
        module: nn.Module,
        train: Embeddings | None,
        test: Embeddings,
        views: NDArray[np.float32] | None,
        clock: Clock,
    ) -> Questions | None:
        """What the pretext criteria read; images that the loaders give, too, are not embedded twice."""
        if (asked := self._asked) is None:
            return None
        clock.at("turned images")
        upright = {}
        if asked.places is not None and train is not None:
            upright = {"train": train.vectors[: len(asked.train)], "held_out": test.vectors[asked.places]}

        def represented(images: Tensor) -> NDArray[np.float32]:
            return self._embed(module, [images], "pretext", {"backbone": None})["backbone"].vectors

        questions = asked.ask(represented, views=views, **upright)
        if questions.hogs is None and asked.held_out.shape[-1] >= SMALLEST_FOR_HOG:
            self._say("hog_probe and its part of pretext_score are left out: edges run alike in all images")
        return questions

    def _views(
        self, module: nn.Module, clock: Clock
    ) -> tuple[ViewEmbeddings | None, NDArray[np.float32] | None]:
        """Projections of views for LiDAR and alignment, and representations of the common ones."""
        make, pretext, encode = self.views, self.pretext, partial(self.encoder, module)
        common: dict[Space, NDArray[np.float32]] = {}
        if pretext is not None and (self.settings.asks or (make is None and self.settings.reads("views"))):
            clock.at("common views")
            spaces: tuple[Space, ...] = ("backbone", "projector") if make is None else ("backbone",)
            common = embed_views(module, encode, pretext.views(), spaces)
        projections, source = common.get("projector"), VIEWS
        if make is not None:
            clock.at("training views")

            def views() -> Iterator[Tensor]:
                yield from make(module)  # once it is iterated: by then the random state is kept

            projections = embed_views(module, encode, views(), ("projector",))["projector"]
            source = self.view_source
        found = None if projections is None else ViewEmbeddings(projections, source)
        return found, common.get("backbone")

    def _augmented(self, module: nn.Module, probe_epoch: int) -> Embeddings:
        assert self.augmented is not None
        found = self._embed(module, self.augmented(probe_epoch), "train", {"backbone": None})
        return labelled(found["backbone"])

    def _embed(
        self, module: nn.Module, batches: Iterable[Any], split: str, limits: dict[Space, int | None]
    ) -> dict[Space, Embeddings]:
        encode = partial(self.encoder, module, spaces=tuple(limits))
        return embed(module, encode, batches, split, limits)

    def _say(self, line: str) -> None:
        """Once per training."""
        if line not in self._said:
            print(line, file=sys.stderr)
        self._said.add(line)


def _is_finite(inputs: Inputs) -> bool:
    """Whether there is anything to evaluate: an encoder whose weights diverged gives NaN."""
    read = (
        inputs.backbone,
        inputs.projector,
        inputs.predictor,
        inputs.train_backbone,
        inputs.view_embeddings,
    )
    finite = all(np.isfinite(one.vectors).all() for one in read if one is not None)
    return finite and (inputs.questions is None or inputs.questions.is_finite)


def evaluate(
    encoder: nn.Module,
    train: Iterable[Any],
    test: Iterable[Any],
    settings: MetricSettings,
    *,
    projector: nn.Module | None = None,
    epoch: int = 0,
    record: Record | None = None,
    pool: Pool | None = None,
    image_key: str | Callable[[Any], Any] | None = None,
    views: Callable[[], Iterable[Tensor]] | None = None,
) -> Milestone:
    """Measure an encoder: all metrics of `settings`, label-free ones alone where the batches hold no labels.

    The networks are left as they were: their modes, gradients and the random states.

        record = Record("runs/mine", {"learning_rate": 0.1})
        for epoch in range(1, 101):
            train_one_epoch(encoder)
            milestone = evaluate(encoder, train, test, settings, epoch=epoch, record=record)
            wandb.log(milestone.row)
        record.end("completed", 100)

    Args:
        encoder: Images → (B, D) representations.
        train: Batches of training images in a fixed order, as the encoder wants them: a tensor, or (images,
            labels).
        test: Batches of evaluation images, likewise.
        settings: How the metrics are computed.
        projector: (B, D) → (B, D') what the loss reads; None measures the representations in its place.
        epoch: Epochs trained, or steps.
        record: Where the milestone goes, and how it was computed; `selector rank` reads its folder.
        pool: See `Encoder`.
        image_key: Where a batch holds its images; see `Milestones`.
        views: → batches (B, q, C, H, W) of augmented views of training images, for LiDAR and alignment; the
            same views every time.

    Raises:
        UserError: The batches or what the encoder gives cannot be measured; says why.
    """
    whole = nn.ModuleDict({"backbone": encoder, "projector": projector or nn.Identity()})
    measuring = Measuring(
        Loader(train, image_key, "the loader of training images"),
        Loader(test, image_key, "the loader of evaluation images"),
        settings,
        Encoder(lambda m, x: m["backbone"](x), lambda m, x: m["projector"](x), pool=pool),
        views=None if views is None else lambda _: views(),
    )
    found = measuring.measure(whole, epoch)
    if record is not None:
        record.define(found.definition)
        record.milestone(found.milestone)
    return found.milestone
