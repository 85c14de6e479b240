"""The table of metrics: what each one is called, which way is better, and what may be compared."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Direction = Literal["max", "min"]

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
        comparable: Fields that two runs must share before their values may be compared.
        source: Paper and equation or section.
    """

    name: str
    symbol: str
    meaning: str
    space: str
    direction: Direction
    source: str
    direction_for: Mapping[str, Direction] = field(default_factory=dict)
    comparable: tuple[str, ...] = _SAME_BACKBONE

    def direction_in(self, method: str | None) -> Direction:
        """The better direction for runs trained with `method`."""
        return self.direction_for.get(method or "", self.direction)


@dataclass(frozen=True)
class LabelFreeMetric(Metric):
    """A metric that sees no label: the only kind that `rank` accepts."""

    @property
    def key(self) -> str:
        """The W&B history key; a name with a slash is already one (somebody else's run)."""
        return self.name if "/" in self.name else f"label_free/{self.name}"


@dataclass(frozen=True)
class LabelledMetric(Metric):
    """A metric that reads labels: for `regret` and `correlate` alone."""

    @property
    def key(self) -> str:
        """The W&B history key; a name with a slash is already one (somebody else's run)."""
        return self.name if "/" in self.name else f"labelled/{self.name}"
