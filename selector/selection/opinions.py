"""Second opinions: what each of several label-free metrics would pick, and how firmly."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

from selector.metrics import LabelFreeMetric
from selector.runs import Run, RunSet
from selector.selection.candidates import MilestoneChoice, finished_runs, read_scores
from selector.selection.comparability import configuration, pools
from selector.selection.ranking import Ranked, RankedGroup, check_label_free, error_of_difference, rank_pool
from selector.selection.stopping import choices

# Labelled images that show a difference of 5 points of accuracy at the 5 % level in four cases of five, where
# only one of the two encoders is right about a fifth of the images.
DIFFERENCE = 0.05
LABELS_NEEDED = ceil((1.96 + 0.84) ** 2 * 0.2 / DIFFERENCE**2)


@dataclass(frozen=True)
class Opinion:
    """One metric's pick.

    Attributes:
        metric: The metric.
        ranked: How it ranks the configurations.
        margin: Gap between their scores in standard errors of the difference; None where no noise was
            measured. Below about 2 the metric does not tell the two apart.
        since: Epoch since which it has been the pick without a break; None where the metric has no course.
        milestones: At how many milestones in a row that is, the last included.
    """

    metric: LabelFreeMetric
    ranked: RankedGroup
    margin: float | None
    since: int | None
    milestones: int

    @property
    def pick(self) -> Ranked:
        """The configuration that it picks, with the run that is handed over."""
        return self.ranked.ranking[0]

    @property
    def ties(self) -> int:
        """Other configurations that the metric cannot tell from its pick."""
        return len(self.ranked.tie_set) - 1


@dataclass(frozen=True)
class SecondOpinions:
    """What several metrics say of runs that all of them may compare.

    Attributes:
        group: What the runs share, field → value.
        opinions: One per metric that has a score, in the order asked for.
        settle: What would settle a disagreement, one line each; empty where they agree.
    """

    group: Mapping[str, Any]
    opinions: tuple[Opinion, ...]
    settle: tuple[str, ...]


def second_opinions(
    runs: RunSet,
    metrics: Sequence[LabelFreeMetric],
    milestone: MilestoneChoice = "last",
    allow_mixed: bool = False,
    seed_key: str = "seed",
) -> tuple[SecondOpinions, ...]:
    """Who picks what, by how much, since when, and what would settle it; no label is read.

    Metrics without a finite score in a group are left out there. The other arguments are those of `rank`.
    """
    for metric in metrics:
        check_label_free(metric)
    finished, _ = finished_runs(runs, seed_key)
    found = []
    for pool in pools(finished, metrics, allow_mixed):
        opinions = []
        for metric in metrics:
            candidates, _ = read_scores(pool.runs, metric, milestone)
            if candidates:
                ranked = rank_pool(candidates, pool.group, metric, seed_key=seed_key)
                opinions.append(_opinion(pool.runs, metric, ranked, milestone, seed_key))
        if opinions:
            found.append(SecondOpinions(pool.group, tuple(opinions), _settle(opinions)))
    return tuple(found)


def _opinion(
    runs: Sequence[Run],
    metric: LabelFreeMetric,
    ranked: RankedGroup,
    milestone: MilestoneChoice,
    seed_key: str,
) -> Opinion:
    pick, *others = ranked.ranking
    error = error_of_difference(pick, others[0])[0] if others else 0.0
    course = [
        (epoch, configuration(run, seed_key))
        for epoch, run in choices(runs, metric, ranked.direction, ranked.swept, seed_key)
        if milestone == "last" or epoch <= milestone
    ]
    own = configuration(pick.run, seed_key)
    held = next((n for n, (_, chosen) in enumerate(reversed(course)) if chosen != own), len(course))
    margin = abs(pick.score - others[0].score) / error if error else None
    return Opinion(metric, ranked, margin, course[-held][0] if held else None, held)


def _settle(opinions: Sequence[Opinion]) -> tuple[str, ...]:
    picks = list(dict.fromkeys(opinion.pick.run.id for opinion in opinions))
    if len({opinion.pick.runs[0].id for opinion in opinions}) < 2:
        return ()  # all pick one configuration
    lines = [
        f"label about {LABELS_NEEDED} images and run `selector judge`: that is enough to tell apart two picks"
        f" that differ by {100 * DIFFERENCE:.0f} points"
    ]
    if unsure := [one.metric.name for one in opinions if one.ties or one.margin is None]:
        lines.append(
            f"train {_listed(picks)} again with --seed 1 and --seed 2: without more seeds it is not known how"
            f" sure the choice by {_listed(unsure)} is"
        )
    if fresh := [one.metric.name for one in opinions if one.milestones < 2]:
        lines.append(f"train longer: the choice by {_listed(fresh)} has held for one milestone only")
    return tuple(lines)


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
