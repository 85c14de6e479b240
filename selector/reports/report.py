"""What a report says: a sweep's ranking by a label-free metric and, where labels exist, what it cost."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from selector.errors import UserError
from selector.metrics import METRICS, Direction, LabelFreeMetric, LabelledMetric
from selector.reports.opinions import Opinions, opinions_of
from selector.runs import Run, RunSet
from selector.selection.candidates import MilestoneChoice
from selector.selection.judging import Judgement
from selector.selection.ranking import By, RankedGroup, Ranking, rank
from selector.selection.regret import Regret, RegretGroup, RegretReport, regret
from selector.selection.verdicts import Verdict, verdict_of


@dataclass(frozen=True)
class Photos:
    """Nearest neighbours of some images by the pick and by a rival.

    Attributes:
        pick, rival: Labels of the two runs.
        caption: What is shown.
        rows: One per image: the image, its neighbours by the pick, and by the rival, as data addresses.
    """

    pick: str
    rival: str
    caption: str
    rows: tuple[tuple[tuple[str, ...], ...], ...]


@dataclass(frozen=True)
class GroupReport:
    """One group of runs that the metric may compare.

    Attributes:
        ranked: The metric's ranking of it.
        judged: The same runs with their accuracy, and what the choice by each held metric cost, the ranking
            metric first; None without labels.
        held: Metrics of the table that some run of the group logged, and the ranking metric and oracle.
        opinions: What the recommended metrics say of the pick, how firmly, and what would settle it.
        verdicts: Run id → what became of its training.
        late: What labels that came later say; None where they were not asked.
        photos: Where the pick and a rival disagree most; None unless asked for, and where they can be read.
    """

    ranked: RankedGroup
    judged: RegretGroup | None
    held: tuple[LabelFreeMetric | LabelledMetric, ...]
    opinions: Opinions
    verdicts: Mapping[str, Verdict]
    late: Judgement | None = None
    photos: Photos | None = None

    @property
    def runs(self) -> tuple[Run, ...]:
        """The ranked runs, best first."""
        return tuple(ranked.run for ranked in self.ranked.ranking)

    @property
    def pick(self) -> Run:
        """The run that the metric chose."""
        return self.ranked.chosen

    @property
    def regret(self) -> Regret | None:
        """What the pick cost."""
        return self.judged.metrics[0] if self.judged else None


@dataclass(frozen=True)
class Report:
    """Everything that a page shows.

    Attributes:
        source: Where the runs came from, as the user named it.
        ranking: The ranking of all groups.
        oracle: What judges.
        groups: One per group of the ranking.
        warnings: One line each.
        sources: Those words of a command line; empty where the source is one.
        options: What else than source and metric it takes on a command line to choose the same runs.
    """

    source: str
    ranking: Ranking
    oracle: LabelledMetric
    groups: tuple[GroupReport, ...]
    warnings: tuple[str, ...]
    sources: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


def report_of(
    runs: RunSet,
    metric: LabelFreeMetric,
    oracle: LabelledMetric,
    milestone: MilestoneChoice = "last",
    allow_mixed: bool = False,
    direction: Direction | None = None,
    by: By = "configuration",
    seed_key: str = "seed",
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Ranks the runs and, where an oracle judged them, weighs the choice.

    Args:
        runs: What a source holds.
        metric: The label-free metric that chooses.
        oracle: The labelled metric that judges, read at each run's last milestone.
        milestone: "last", or the epoch that the metric chooses at.
        allow_mixed: Rank everything in one list, comparable or not.
        direction: Which way is better; None uses the metric's own.
        by: As for `rank`.
        seed_key: As for `rank`.
        progress: Called, for each group anew, with (metrics weighed beside this one, such metrics in all).

    Raises:
        UserError: When nothing can be ranked.
    """
    ranking = rank(runs, metric, milestone, allow_mixed, direction, by, seed_key)
    seed_key = seed_key if by == "configuration" else ""  # by which every run is a configuration
    groups, warnings = [], list(ranking.warnings)
    for ranked in ranking.groups:
        seeds = tuple(run for place in ranked.ranking for run in place.runs)
        some = replace(runs, runs=seeds, unreadable=(), warnings=())
        keys = {key for run in seeds for row in run.milestones for key in row.values}
        others = [one for one in METRICS if one.key in keys and one.key not in (metric.key, oracle.key)]
        held = (metric, *others, *([oracle] if oracle.key in keys else []))
        judged = None
        if oracle.key in keys:
            weigh = partial(
                regret,
                some,
                oracle=oracle,
                milestone=milestone,
                allow_mixed=allow_mixed,
                progress=progress,
                seed_key=seed_key,
            )
            label_free = [one for one in others if isinstance(one, LabelFreeMetric)]
            judged, notes = _judged(weigh, metric, label_free, direction)
            warnings += notes
        opinions = opinions_of(some, ranked, metric, milestone, seed_key)
        verdicts = {run.id: verdict_of(run) for run in seeds}
        groups.append(GroupReport(ranked, judged, held, opinions, verdicts))
    return Report(runs.source, ranking, oracle, tuple(groups), tuple(dict.fromkeys(warnings)))


def _judged(
    weigh: Callable[..., RegretReport],
    metric: LabelFreeMetric,
    others: Sequence[LabelFreeMetric],
    direction: Direction | None,
) -> tuple[RegretGroup | None, list[str]]:
    """The group as labels see it, every metric that may compare exactly its runs, and what is left out."""
    try:
        own = weigh(metrics=[metric], direction=direction, progress=None)
    except UserError as error:
        return None, [str(error)]
    if len(own.groups) != 1:
        return None, [f"{own.oracle.name} cannot compare all runs that {metric.name} compares"]
    judged = own.groups[0]
    regrets, notes = [*judged.metrics], [*own.warnings]
    groups: tuple[RegretGroup, ...] = ()
    try:
        if others:
            rest = weigh(metrics=others)
            groups, notes = rest.groups, [*notes, *rest.refused]
    except UserError as error:  # none of them can choose
        notes.append(str(error))
    for group in groups:
        chosen = [regret for regret in group.metrics if regret.chosen is not None]
        if len(group.judged) == len(judged.judged):
            regrets += chosen
        elif chosen:
            names = ", ".join(regret.metric.name for regret in chosen)
            notes.append(f"{names}: may not compare all of these runs, left out of the comparison")
    return replace(judged, metrics=tuple(regrets)), notes
