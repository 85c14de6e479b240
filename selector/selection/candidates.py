"""Which runs may be chosen, and why the others may not."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite, sqrt
from typing import Literal

from selector.metrics.metrics import CONSENSUS_KEY, NOISE_PREFIX, LabelFreeMetric
from selector.runs import Milestone, Run, RunSet
from selector.selection.hyperparameters import canonical, hyperparameters, is_finite_number

MilestoneChoice = Literal["last"] | int
Category = Literal[
    "diverged", "crashed", "running", "failed", "stopped", "duplicate", "missing", "not_finite", "unreadable"
]

_WHY = {
    "diverged": "diverged: its loss became nan or infinite",
    "crashed": "crashed before its last milestone",
    "running": "still running",
    "failed": "failed",
    "stopped": "stopped early",
}


@dataclass(frozen=True)
class Excluded:
    """A run that is never chosen.

    Attributes:
        run: Run id, or a file's name where no id could be read.
        name: Display name, or "".
        category: Why, as a keyword.
        reason: Why, in one line.
    """

    run: str
    name: str
    category: Category
    reason: str


@dataclass(frozen=True)
class Candidate:
    """A run that may be chosen, and what it scores.

    Attributes:
        run: The run.
        epoch: Milestone that the score is from.
        score: The metric's value, finite.
        standard_error: Of the score, over UMAP seeds; 0 where no noise was measured.
    """

    run: Run
    epoch: int
    score: float
    standard_error: float


def finished_runs(runs: RunSet) -> tuple[list[Run], list[Excluded]]:
    """Finished runs by id, one of each configuration and seed; and all others with the reason.

    Of runs with the same configuration and seed the first by id is kept: they are one run, counted twice.
    Where no seed is known (other people's runs) equal configurations are taken for repetitions, and only
    runs that also logged the same numbers for one run. Diverged runs come first among the others: they were
    tried to their end, and are the worst.
    """
    excluded = [Excluded(gone.run, "", "unreadable", gone.reason) for gone in runs.unreadable]
    finished: list[Run] = []
    first_with: dict[str, Run] = {}
    for run in sorted(runs.runs, key=lambda run: run.id):
        if run.state != "finished":
            reason = run.detail or _WHY[run.state]
            if not reason.startswith(run.state):
                reason = f"{run.state}: {reason}"
            excluded.append(Excluded(run.id, run.name, run.state, reason))
            continue
        first = first_with.setdefault(_identity(run), run)
        if first is run:
            finished.append(run)
        else:
            what = "seed" if "seed" in run.config else "logged numbers"
            reason = f"duplicate of run {first.id}: same configuration and {what}"
            excluded.append(Excluded(run.id, run.name, "duplicate", reason))
    return finished, sorted(excluded, key=lambda gone: (gone.category != "diverged", gone.run))


def read_scores(
    runs: Sequence[Run], metric: LabelFreeMetric, milestone: MilestoneChoice
) -> tuple[list[Candidate], list[Excluded]]:
    """Each run's score at a milestone, and the runs that have no finite one."""
    candidates: list[Candidate] = []
    excluded: list[Excluded] = []
    for run in runs:
        match _read_score(run, metric, milestone):
            case Candidate() as candidate:
                candidates.append(candidate)
            case Excluded() as gone:
                excluded.append(gone)
    return candidates, excluded


def last_milestone(run: Run, key: str) -> Milestone | None:
    """The last trained one; of other people's runs, whose rows are of many kinds, what `Run.last` says."""
    if (last := run.last.get(key)) is not None:
        return Milestone(last.epoch, {name: one.value for name, one in run.last.items()})
    trained = run.trained_milestones
    if not run.definition:
        trained = tuple(m for m in trained if key in m.values) or trained
    return trained[-1] if trained else None


def _read_score(run: Run, metric: LabelFreeMetric, milestone: MilestoneChoice) -> Candidate | Excluded:
    if milestone == "last":
        row = last_milestone(run, metric.key)
    else:
        row = next((m for m in run.trained_milestones if m.epoch == milestone), None)
    if row is None:
        epochs = ", ".join(str(m.epoch) for m in run.trained_milestones)
        if not run.milestones:
            return Excluded(run.id, run.name, "missing", f"logged no {metric.key}")
        reason = "has no trained milestone" if not epochs else f"has no milestone {milestone}, only {epochs}"
        return Excluded(run.id, run.name, "missing", reason)
    for key in (*metric.parts, metric.key):
        score = row.values.get(key)
        if score is None:
            return Excluded(run.id, run.name, "missing", f"{key} is missing at epoch {row.epoch}")
        if not isfinite(score):
            return Excluded(run.id, run.name, "not_finite", f"{key} is {score} at epoch {row.epoch}")
    return Candidate(run, row.epoch, row.values[metric.key], _standard_error(run, row, metric))


def _standard_error(run: Run, row: Milestone, metric: LabelFreeMetric) -> float:
    """Of the mean over UMAP seeds, whose standard deviation is logged as noise/<metric>."""
    noise = row.values.get(NOISE_PREFIX + metric.name, 0.0)
    seeds = run.definition.get("umap_seeds", run.config.get("umap_seeds"))
    if not isfinite(noise) or not is_finite_number(seeds) or seeds < 2:
        return 0.0
    return abs(noise) / sqrt(seeds)


def _identity(run: Run) -> str:
    settings = canonical(hyperparameters(run))
    if "seed" in run.config:
        return settings
    logged = [
        [m.epoch, {key: m.values[key] for key in m.values if key != CONSENSUS_KEY}] for m in run.milestones
    ]
    last = {key: one.value for key, one in run.last.items()}
    if not last and not any(values for _, values in logged):
        return settings + run.id  # nothing was read that could be equal
    return settings + canonical([logged, last])
