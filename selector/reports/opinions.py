"""Second opinions for people: which metrics name another configuration, and what settles it."""

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from selector.errors import UserError
from selector.metrics import LabelFreeMetric, label_free_metric
from selector.reports.words import label
from selector.runs import Run, RunSet
from selector.selection.candidates import MilestoneChoice, read_scores
from selector.selection.comparability import pools
from selector.selection.opinions import Opinion, second_opinions
from selector.selection.ranking import RankedGroup

# What is recommended to choose by, besides the metric that chose.
RECOMMENDED = (
    *("pretext_score", "rotation_probe", "view_retrieval", "hog_probe"),
    *("nesum", "channel_std", "idest", "rankme", "lidar"),
)


@dataclass(frozen=True)
class OpinionRow:
    """What one recommended metric says of the pick.

    Attributes:
        metric: Its name.
        place: Rank of the pick by it, from 1; None where the pick has no value.
        ranked: Configurations that it ranks.
        chosen: What it would pick itself.
        agrees: Whether that is the pick, or tied with it.
        margin: Lead of its own pick in standard errors of the difference; None where no noise was measured.
        since: Epoch from which on it has picked so; None where it has no course.
    """

    metric: str
    place: int | None
    ranked: int
    chosen: Run
    agrees: bool
    margin: float | None = None
    since: int | None = None

    @property
    def choice(self) -> str:
        """Its own pick by name."""
        return label(self.chosen)

    @property
    def cells(self) -> tuple[str, str, str, str]:
        """For a table of text: metric, rank of the pick, its own pick, and how firmly it stands."""
        choice = "the pick" if self.place == 1 else self.choice
        if self.agrees and self.place != 1:
            choice += ", tied with the pick"
        ahead = [] if self.margin is None else [f"{self.margin:.1f} standard errors ahead"]
        since = [] if self.since is None else [f"since epoch {self.since}"]
        return self.metric, f"{self.place or '–'} of {self.ranked}", choice, ", ".join(ahead + since)


@dataclass(frozen=True)
class Opinions:
    """What every recommended metric says of one pick.

    Attributes:
        rows: The metric that chose, then every other recommended one that ranks the same configurations.
        settle: What would settle a disagreement, one line each; empty where all name one configuration.
    """

    rows: tuple[OpinionRow, ...] = ()
    settle: tuple[str, ...] = ()

    @property
    def others(self) -> tuple[OpinionRow, ...]:
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
            " noise was measured. Below 2 the metric cannot tell the two apart."
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


def _said(row: OpinionRow) -> str:
    _, place, _, firmness = row.cells
    text = ", ".join(part for part in (f"{row.metric} picks {row.choice}", firmness) if part)
    return text + ("." if row.place == 1 else f"; the pick is {place}.")


def opinions_of(
    runs: RunSet,
    ranked: RankedGroup,
    metric: LabelFreeMetric,
    milestone: MilestoneChoice = "last",
    seed_key: str = "seed",
) -> Opinions:
    """What the recommended metrics say of the pick of one group.

    Args:
        runs: The runs that were ranked; others may be among them.
        ranked: The group as `metric` ranks it, in whichever direction it was asked to.
        metric: What chose.
        milestone: Where it chose.
        seed_key: As for `rank`; "" compares each run by itself.
    """
    members = {run.id for place in ranked.ranking for run in place.runs}
    some = tuple(run for run in runs.runs if run.id in members)
    keys = {key for run in some for row in run.milestones for key in row.values}
    asked = [replace(metric, direction=ranked.direction, direction_for={})]
    for name in RECOMMENDED:
        other = label_free_metric(name)
        if name != metric.name and other.key in keys and len(read_scores(some, other, milestone)[0]) > 1:
            with suppress(UserError):  # it may not compare these runs, or its direction is not known
                other.direction_in(some[0].config.get("method"))
                if len(pools(some, [other])) == 1:
                    asked.append(other)
    if len(asked) == 1:
        return Opinions()
    (found,) = second_opinions(replace(runs, runs=some), asked, milestone, True, seed_key)
    pick = {run.id for run in ranked.ranking[0].runs}
    return Opinions(tuple(_row(one, pick) for one in found.opinions), found.settle)


def _row(opinion: Opinion, pick: set[str]) -> OpinionRow:
    ranking = opinion.ranked.ranking
    own = next((place for place in ranking if pick & {run.id for run in place.runs}), None)
    return OpinionRow(
        opinion.metric.name,
        own.rank if own else None,
        len(ranking),
        opinion.ranked.chosen,
        own is not None and (own.rank == 1 or own.tied),
        opinion.margin,
        opinion.since,
    )


def opinions_object(opinions: Opinions) -> dict[str, Any]:
    """For `--json`."""
    return {
        "metrics": [
            {
                "metric": row.metric,
                "picks": row.chosen.id,
                "rank_of_pick": row.place,
                "ranked": row.ranked,
                "agrees": row.agrees,
                "lead_in_standard_errors": row.margin,
                "since_epoch": row.since,
            }
            for row in opinions.rows
        ],
        "disagree": len(opinions.others),
        "settle": list(opinions.settle),
    }
