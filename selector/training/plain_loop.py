"""One milestone of a network in your own training loop, without Lightning."""

from collections.abc import Callable, Iterable
from typing import Any

from torch import Tensor, nn

from selector.metrics.inputs import MetricSettings
from selector.milestone import Milestone
from selector.record import Record
from selector.training.embed import Loader
from selector.training.encoder import Encoder, Pool
from selector.training.measuring import Measuring


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
