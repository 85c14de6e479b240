"""One metric as data: what it is called, which way is better, and what may be compared."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Direction = Literal["max", "min"]

# W&B keys: label_free/rankme, labelled/knn_accuracy, noise/entropy, spectrum/backbone.
LABEL_FREE_PREFIX = "label_free/"
LABELLED_PREFIX = "labelled/"
NOISE_PREFIX = "noise/"
SPECTRUM_PREFIX = "spectrum/"
# No run logs this one: selection puts a run's place among the others into the rows at hand.
CONSENSUS_KEY = LABEL_FREE_PREFIX + "consensus"


@dataclass(frozen=True)
class Metric:
    """One number of a milestone.

    Attributes:
        name: Field name in LabelFreeMetrics or LabelledMetrics, and last part of the W&B key.
        symbol: How its paper writes it.
        meaning: One line for people who have not read the paper.
        formula: Its definition.
        space: Where it is computed.
        direction: Which way is better when a method is not named in `direction_for`.
        cost: What it takes, in a few words.
        source: Paper and equation or section.
        direction_for: Methods for which the direction differs, by name.
        comparable: Fields that two runs must share before their values may be compared: of the run's config
            (method, dataset, backbone, …) and of its metric definition (the rest).
        settings: Fields of the metric definition that the value depends on beyond those, and that not every
            metric depends on; runs that differ there are refused.
        logged_as: W&B key of a metric that somebody else's script logged, or "" for our own.
    """

    name: str
    symbol: str
    meaning: str
    formula: str
    space: str
    direction: Direction
    cost: str
    source: str
    direction_for: Mapping[str, Direction] = field(default_factory=dict)
    comparable: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    logged_as: str = ""

    def direction_in(self, method: object) -> Direction:
        """The better direction for runs of `method`; in other people's configs it may be anything."""
        return self.direction_for.get(method, self.direction) if isinstance(method, str) else self.direction


@dataclass(frozen=True)
class LabelFreeMetric(Metric):
    """A metric that sees no label: the only kind that `rank` accepts.

    Attributes:
        parts: W&B keys of the metrics that it is made of when runs are ranked, or none for what runs log.
    """

    parts: tuple[str, ...] = ()

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
