"""How a sweep stands while it runs: its runs ranked by what they have logged so far."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from selector.metrics import Direction, LabelFreeMetric
from selector.runs import Run, RunSet
from selector.selection.candidates import finished_runs, read_scores
from selector.selection.ranking import Ranked, RankedGroup, Ranking, rank


@dataclass(frozen=True)
class Standing:
    """A sweep at one moment.

    Attributes:
        runs: As they are.
        metric: What they are ranked by.
        ranking: Of all that finished or still run, each by its last milestone; None before the first one.
    """

    runs: RunSet
    metric: LabelFreeMetric
    ranking: Ranking | None

    @property
    def places(self) -> Mapping[str, tuple[Ranked, RankedGroup]]:
        """Run id → its place and the group that it is compared in."""
        groups = self.ranking.groups if self.ranking else ()
        return {ranked.run.id: (ranked, group) for group in groups for ranked in group.ranking}


def standing(
    runs: RunSet,
    metric: LabelFreeMetric,
    allow_mixed: bool = False,
    direction: Direction | None = None,
) -> Standing:
    """Ranks a sweep that may still be running, as if each run had ended at its last milestone.

    This is a look at the race and no choice: runs stand at different epochs, and an early lead may pass.

    Args:
        runs: What a source holds.
        metric: A label-free metric.
        allow_mixed: Rank everything in one list, comparable or not.
        direction: Which way is better; None takes the metric's own.

    Raises:
        UserError: Milestones are there that the metric cannot rank.
    """
    stopped = replace(runs, runs=tuple(map(_as_if_ended, runs.runs)))
    ended, _ = finished_runs(stopped)
    trained = [run for run in ended if run.trained_milestones]
    logged = any(metric.key in row.values for run in trained for row in run.trained_milestones)
    if not trained or (logged and not read_scores(trained, metric, "last")[0]):
        return Standing(runs, metric, None)
    return Standing(runs, metric, rank(stopped, metric, "last", allow_mixed, direction))


def _as_if_ended(run: Run) -> Run:
    running = run.state == "running" and run.trained_milestones
    return replace(run, state="finished", detail="") if running else run
