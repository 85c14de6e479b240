"""Second opinions: which recommended metrics name another configuration, how firmly, and what settles it."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from math import ceil

from selector.errors import UserError
from selector.metrics import LabelFreeMetric, label_free_metric
from selector.reports.words import label
from selector.runs import Run, RunSet
from selector.selection.candidates import MilestoneChoice, read_scores
from selector.selection.comparability import configuration, pools
from selector.selection.ranking import Ranked, RankedGroup, error_of_difference, rank_pool
from selector.selection.stopping import choices

# What cost less than the default configuration on the protocol's sweeps (docs/results.md); of the metrics of
# the spectrum only the best one. And RankMe, which cost more, but has the most evidence elsewhere.
RECOMMENDED = ("pretext_score", "rotation_probe", "view_retrieval", "hog_probe", "stable_rank", "rankme")
# Labelled images that show a difference of 5 points of accuracy at the 5 % level in four cases of five, where
# only one of the two encoders is right about a fifth of the images.
DIFFERENCE = 0.05
LABELS_NEEDED = ceil((1.96 + 0.84) ** 2 * 0.2 / DIFFERENCE**2)


@dataclass(frozen=True)
class Opinion:
    """What one metric says of the pick.

    Attributes:
        metric: Its name.
        ranking: How it ranks the configurations, best first.
        pick: The pick among them; None where it has no value.
        margin: Lead of its own choice in standard errors of the difference; None where no noise was
            measured. Whether that tells the two apart depends on how surely the noise is known, as TIE_RULE
            says: the next one's `tied` is the answer.
        since: Epoch from which on it has chosen so; None where it has no course.
        held: At how many milestones in a row that is, the last included.
    """

    metric: str
    ranking: tuple[Ranked, ...]
    pick: Ranked | None
    margin: float | None
    since: int | None
    held: int

    @property
    def chosen(self) -> Run:
        """What it would pick itself."""
        return self.ranking[0].run

    @property
    def choice(self) -> str:
        """The same by name."""
        return label(self.chosen)

    @property
    def place(self) -> int | None:
        """Rank of the pick by it, from 1."""
        return self.pick.rank if self.pick else None

    @property
    def agrees(self) -> bool:
        """Whether the pick is its own choice, or tied with it."""
        return self.pick is not None and (self.pick.rank == 1 or self.pick.tied)

    @property
    def cells(self) -> tuple[str, str, str, str]:
        """For a table of text: metric, rank of the pick, its own pick, and how firmly it stands."""
        choice = "the pick" if self.place == 1 else self.choice
        if self.agrees and self.place != 1:
            choice += ", tied with the pick"
        tied = " (tied)" if self.ranking[1:] and self.ranking[1].tied else ""
        ahead = [] if self.margin is None else [f"{self.margin:.1f} standard errors ahead{tied}"]
        since = [] if self.since is None else [f"since epoch {self.since}"]
        return self.metric, f"{self.place or '–'} of {len(self.ranking)}", choice, ", ".join(ahead + since)


@dataclass(frozen=True)
class Opinions:
    """What every recommended metric says of one pick.

    Attributes:
        rows: The metric that chose, then every other recommended one that ranks the same configurations.
        settle: What would settle a disagreement, one line each; empty where all name one configuration.
    """

    rows: tuple[Opinion, ...] = ()
    settle: tuple[str, ...] = ()

    @property
    def others(self) -> tuple[Opinion, ...]:
        """The metrics that would pick another configuration."""
        return tuple(row for row in self.rows[1:] if not row.agrees)

    @property
    def headline(self) -> str:
        """How many disagree, in a sentence; "" where no other metric was logged."""
        asked, others = len(self.rows) - 1, len(self.others)
        if asked < 1:
            return ""
        if not others:
            return f"Every other recommended metric that was logged ({asked}) picks it, too."
        return f"{others} of {asked} other recommended metrics would pick another configuration."

    @property
    def note(self) -> str:
        """What the lead of a pick means, for people."""
        if all(row.margin is None for row in self.rows):
            return "No noise was measured here, so it is not known how far ahead each pick is."
        return (
            "Ahead: of the next configuration, in standard errors of the difference, where the metric's own"
            " noise was measured. Tied: the metric cannot tell the two apart."
        )

    def lines(self) -> list[str]:
        """All of it without a table: the headline, then who picks what and what would settle it."""
        if not self.others:
            return [self.headline] if self.headline else []
        return [
            self.headline,
            *map(_said, (self.rows[0], *self.others)),
            *(f"To settle it, {line}." for line in self.settle),
        ]


def opinions_of(
    runs: RunSet,
    ranked: RankedGroup,
    metric: LabelFreeMetric,
    milestone: MilestoneChoice = "last",
    seed_key: str = "seed",
) -> Opinions:
    """What the recommended metrics say of the pick of one group; no label is read.

    Args:
        runs: The runs that were ranked; others may be among them.
        ranked: The group as `metric` ranks it, in whichever direction it was asked to.
        metric: What chose.
        milestone: Where it chose.
        seed_key: As for `rank`; "" compares each run by itself.
    """
    members = {run.id for place in ranked.ranking for run in place.runs}
    some = [run for run in runs.runs if run.id in members]
    keys = {key for run in some for row in run.milestones for key in row.values}
    pick = {run.id for run in ranked.ranking[0].runs}
    own = replace(metric, direction=ranked.direction, direction_for={})
    rows = [_opinion(some, own, pick, milestone, seed_key)]
    for other in map(label_free_metric, RECOMMENDED):
        if (
            other.name != metric.name
            and other.key in keys
            and len(read_scores(some, other, milestone)[0]) > 1
        ):
            with suppress(UserError):  # it may not compare these runs, or its direction is not known
                if len(pools(some, [other])) == 1:
                    rows.append(_opinion(some, other, pick, milestone, seed_key))
    return Opinions(tuple(rows), _settle(rows)) if len(rows) > 1 else Opinions()


def _opinion(
    runs: Sequence[Run], metric: LabelFreeMetric, pick: set[str], milestone: MilestoneChoice, seed_key: str
) -> Opinion:
    """What the metric says of a pick, by the ids of its runs."""
    ranked = rank_pool(read_scores(runs, metric, milestone)[0], {}, metric, seed_key=seed_key)
    first, *others = ranked.ranking
    error = error_of_difference(first, others[0])[0] if others else 0.0
    margin = abs(first.score - others[0].score) / error if error else None
    course = [
        (epoch, configuration(run, seed_key))
        for epoch, run in choices(runs, metric, ranked.direction, ranked.swept, seed_key)
        if milestone == "last" or epoch <= milestone
    ]
    own = configuration(first.run, seed_key)
    held = next((n for n, (_, chosen) in enumerate(reversed(course)) if chosen != own), len(course))
    place = next((place for place in ranked.ranking if pick & {run.id for run in place.runs}), None)
    return Opinion(metric.name, ranked.ranking, place, margin, course[-held][0] if held else None, held)


def _settle(rows: Sequence[Opinion]) -> tuple[str, ...]:
    if len({row.ranking[0].runs[0].id for row in rows}) < 2:
        return ()  # all pick one configuration
    picks = dict.fromkeys(row.chosen.id for row in rows)
    lines = [
        f"label about {LABELS_NEEDED} images and run `selector judge`: that is enough to tell apart two picks"
        f" that differ by {100 * DIFFERENCE:.0f} points"
    ]
    if unsure := [row.metric for row in rows if row.ranking[0].tied or row.margin is None]:
        lines.append(
            f"train {_listed([*picks])} again with two further seeds: without them it is not known how sure"
            f" the choice by {_listed(unsure)} is"
        )
    if fresh := [row.metric for row in rows if row.held < 2]:
        lines.append(f"train longer: the choice by {_listed(fresh)} has held for one milestone only")
    return tuple(lines)


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _said(row: Opinion) -> str:
    _, place, _, firmness = row.cells
    text = ", ".join(part for part in (f"{row.metric} picks {row.choice}", firmness) if part)
    return text + ("." if row.place == 1 else f"; the pick is {place}.")
