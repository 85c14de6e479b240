"""What became of a training, from label-free metrics alone: collapsed, improving, settled, worse."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, isfinite, sqrt
from statistics import median
from typing import Literal

from selector.metrics import LABEL_FREE_PREFIX
from selector.runs import Run
from selector.selection.comparability import is_finite_number

Kind = Literal["collapsed", "few dimensions", "improving", "settled", "worse", "unknown"]

# What is read as the quality of one network along its own training, the best known one first.
SCORES = ("pretext_score", "view_retrieval", "rotation_probe", "hog_probe")

ONE_DIMENSION = 1.1  # of RankMe, which is 1 where all images have one direction
COLLAPSED = 0.99  # of collapse_level, which is 1 there
FEW_DIMENSIONS = 0.04  # of the dimensions of the projector
LEAST_MILESTONES = 3
SMALL = 0.05  # of the range of the score along the run
# A rise that slows down bends, and its bends look like noise. From ten milestones on, a rise that slows down
# by a constant factor looks like noise of less than SMALL, whatever the factor. With three, all of it looks
# like noise.
LEAST_FOR_NOISE = 10

RULES: dict[Kind, str] = {
    "collapsed": f"rankme of {ONE_DIMENSION} or less from then on; without rankme, collapse_level"
    f" of {COLLAPSED} or more",
    "few dimensions": f"rankme below {FEW_DIMENSIONS:.0%} of the projector's dimensions from then on",
    "improving": "the score still rises by more than its noise within the last three milestones or fifth",
    "settled": f"for at least three milestones and a fifth of all, the score has stayed within {SMALL:.0%} of"
    f" its range, or within its noise if there are {LEAST_FOR_NOISE} milestones or more to measure that by",
    "worse": "the last two scores are below the highest, at that epoch, by more than the noise",
    "unknown": f"fewer than {LEAST_MILESTONES} trained milestones with one of {', '.join(SCORES)}, or fewer"
    f" than {LEAST_FOR_NOISE} and a score that may be settling",
}


@dataclass(frozen=True)
class Verdict:
    """What became of a run.

    Attributes:
        kind: In a word or two.
        since: Epoch from which it has been so; None where that makes no sense.
        metric: What says so, or "".
    """

    kind: Kind
    since: int | None = None
    metric: str = ""

    @property
    def short(self) -> str:
        """For a column of a table; "–" where nothing can be said."""
        if self.kind == "unknown":
            return "–"
        return self.kind if self.since is None else f"{self.kind} since {self.since}"

    @property
    def text(self) -> str:
        """With the metric and the rule that gave it; "" where nothing can be said."""
        if self.kind == "unknown":
            return ""
        said = {
            "collapsed": "Collapsed",
            "few dimensions": "Its projector has collapsed to few dimensions",
            "improving": "Still improving",
            "settled": "Settled",
            "worse": "Getting worse",
        }[self.kind]
        since = "" if self.since is None else f" since epoch {self.since}"
        return f"{said}{since}, by {self.metric} ({RULES[self.kind]})."

    @property
    def is_bad(self) -> bool:
        """Whether the run should not be used as it is."""
        return self.kind in ("collapsed", "few dimensions", "worse")


def verdict_of(run: Run) -> Verdict:
    """The verdict on one run; no other run and no label is read.

    Collapse is looked for first, then the course of the first of SCORES that the run logged.
    """
    epochs, ranks = _course(run, "rankme")
    if (since := _since(epochs, [rank <= ONE_DIMENSION for rank in ranks])) is not None:
        return Verdict("collapsed", since, "rankme")
    few = FEW_DIMENSIONS * _dimensions(run)
    if (since := _since(epochs, [rank < few for rank in ranks])) is not None:
        return Verdict("few dimensions", since, "rankme")
    if not ranks:
        epochs, levels = _course(run, "collapse_level")
        if (since := _since(epochs, [level >= COLLAPSED for level in levels])) is not None:
            return Verdict("collapsed", since, "collapse_level")
    for metric in SCORES:
        epochs, values = _course(run, metric)
        if len(values) >= LEAST_MILESTONES:
            kind, since = trend(epochs, values)
            return Verdict(kind, since, "" if kind == "unknown" else metric)
    return Verdict("unknown")


def trend(epochs: Sequence[int], scores: Sequence[float]) -> tuple[Kind, int | None]:
    """The course of a score of which more is better, over three milestones or more, and since when.

    Its noise σ is read off the second differences: they are 0 on a straight line, and have the standard
    deviation σ √6 where noise is independent. The window is the last three milestones, or the last fifth.
    """
    bends = [abs(a - 2 * b + c) for a, b, c in zip(scores, scores[1:], scores[2:], strict=False)]
    noise = median(bends) / (0.6745 * sqrt(6))
    small = SMALL * (max(scores) - min(scores))
    top, last = max(scores), scores[-1]
    if max(scores[-2:]) < top - max(small, 3 * noise):
        return "worse", epochs[list(scores).index(top)]
    window = max(LEAST_MILESTONES, ceil(len(scores) / 5))

    def within(reach: float) -> int | None:
        since = _since(epochs, [abs(score - last) <= reach for score in scores])
        return since if since is not None and since <= epochs[-window] else None

    enough = len(scores) >= LEAST_FOR_NOISE
    near = max(small, 2 * sqrt(2) * noise)  # two standard errors of a difference
    if (settled := within(near if enough else small)) is not None:
        return "settled", settled
    if last > scores[-window] and within(near) is None:
        return "improving", None
    # What it fell by is within its noise of the highest.
    return ("settled", epochs[-window]) if enough else ("unknown", None)


def _since(epochs: Sequence[int], states: Sequence[bool]) -> int | None:
    """The first epoch from which on all states are true; None where the last one is not."""
    length = next((i for i, state in enumerate(reversed(states)) if not state), len(states))
    return epochs[len(epochs) - length] if length else None


def _course(run: Run, metric: str) -> tuple[list[int], list[float]]:
    rows = [(row.epoch, row.values.get(LABEL_FREE_PREFIX + metric)) for row in run.trained_milestones]
    known = [(epoch, value) for epoch, value in rows if value is not None and isfinite(value)]
    return [epoch for epoch, _ in known], [value for _, value in known]


def _dimensions(run: Run) -> float:
    """Of the projector, as its projections or the configuration say; 0 where neither does."""
    dimensions = run.definition.get("projector_dim") or run.config.get("projector_dim")
    return dimensions if is_finite_number(dimensions) else 0.0
