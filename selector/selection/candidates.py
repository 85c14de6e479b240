"""Which runs may be chosen, what they score and how surely, and why the others may not."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf, isfinite, sqrt
from statistics import fmean, stdev
from typing import Literal

from selector.errors import UserError
from selector.metrics import CONSENSUS_KEY, NOISE_PREFIX, Direction, LabelFreeMetric
from selector.milestone import BOOTSTRAP_PREFIX
from selector.runs import Milestone, Run, RunSet, State
from selector.selection.comparability import canonical, configuration, hyperparameters, is_finite_number
from selector.text import nearest

MilestoneChoice = Literal["last"] | int
Category = State | Literal["duplicate", "missing", "not_finite", "unreadable"]

_WHY = {
    "diverged": "diverged: its loss became nan or infinite",
    "crashed": "crashed before its last milestone",
    "running": "still running",
    "interrupted": "interrupted",
    "failed": "failed",
    "stopped": "stopped early",
}


@dataclass(frozen=True)
class Excluded:
    """A run that is never chosen, by its id (or a file's name) and display name, and why in one line."""

    run: str
    name: str
    category: Category
    reason: str


@dataclass(frozen=True)
class Candidate:
    """What may be chosen: one run, or the seeds of one configuration.

    Attributes:
        run: The run that is handed over; of several seeds the best one by the metric.
        epoch: Milestone that its score is from.
        score: The metric's value, finite; of several seeds the mean.
        standard_error: Of the score: over seeds where there are several, else over UMAP seeds; 0 where no
            noise was measured.
        degrees: Degrees of freedom of the standard error.
        replicates: The score on resampled images, the same resamples for all runs; empty where none were
            logged.
        runs: The run, or all seeds that have a score, in the order of their ids.
        deviation: Standard deviation of the score over the seeds; None for one run.
    """

    run: Run
    epoch: int
    score: float
    standard_error: float = 0.0
    degrees: float = inf
    replicates: tuple[float, ...] = ()
    runs: tuple[Run, ...] = ()
    deviation: float | None = None


def finished_runs(runs: RunSet, seed_key: str = "seed") -> tuple[list[Run], list[Excluded]]:
    """Finished runs by id, one of each configuration and seed; and all others with the reason.

    Of runs with the same configuration and seed the first by id is kept: they are one run, counted twice.
    Where no seed is known (other people's runs) equal configurations are taken for repetitions, and only
    runs that also logged the same numbers for one run. Diverged runs come first among the others: they were
    tried to their end, and are the worst.

    Raises:
        UserError: No run has the hyperparameter that is said to hold the seed.
    """
    if seed_key not in ("", "seed"):
        names = {name for run in runs.runs for name in run.config}
        if names and seed_key not in names:
            raise UserError(
                f"no run in {runs.source} has a hyperparameter '{seed_key}'{nearest(seed_key, names)}:"
                " --seed-key names the one that holds the seed"
            )
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
        first = first_with.setdefault(_identity(run, seed_key), run)
        if first is run:
            finished.append(run)
        else:
            what = "seed" if seed_key in run.config else "logged numbers"
            reason = f"duplicate of run {first.id}: same configuration and {what}"
            excluded.append(Excluded(run.id, run.name, "duplicate", reason))
    return finished, sorted(excluded, key=lambda gone: (gone.category != "diverged", gone.run))


def read_scores(
    runs: Sequence[Run], metric: LabelFreeMetric, milestone: MilestoneChoice
) -> tuple[list[Candidate], list[Excluded]]:
    """Each run's score at a milestone, and the runs that have no finite one."""
    found = [_read_score(run, metric, milestone) for run in runs]
    candidates = [one for one in found if isinstance(one, Candidate)]
    return candidates, [one for one in found if isinstance(one, Excluded)]


def seed_means(candidates: Sequence[Candidate], best_is: Direction, key: str) -> list[Candidate]:
    """One candidate per configuration: its seeds averaged, the best seed by the score handed over."""
    members: dict[str, list[Candidate]] = {}
    for candidate in sorted(candidates, key=lambda candidate: candidate.run.id):
        members.setdefault(configuration(candidate.run, key), []).append(candidate)
    return [_mean(seeds, best_is) for seeds in members.values()]


def last_milestone(run: Run, key: str) -> Milestone | None:
    """The last trained one; of other people's runs, whose rows are of many kinds, what `Run.last` says."""
    if (last := run.last.get(key)) is not None:
        return Milestone(last.epoch, {name: one.value for name, one in run.last.items()})
    trained = run.trained_milestones
    if not run.definition:
        trained = tuple(m for m in trained if key in m.values) or trained
    return trained[-1] if trained else None


def final_value(run: Run, key: str) -> float | None:
    """What a run logged in the end, or None where that is missing or not finite."""
    row = last_milestone(run, key)
    value = row.values.get(key) if row else None
    return value if value is not None and isfinite(value) else None


def _mean(seeds: Sequence[Candidate], best_is: Direction) -> Candidate:
    if len(seeds) == 1:
        return seeds[0]
    scores = [one.score for one in seeds]
    best = seeds[scores.index(max(scores) if best_is == "max" else min(scores))]
    deviation = stdev(scores)
    lengths = {len(one.replicates) for one in seeds}
    replicates = zip(*(one.replicates for one in seeds), strict=True) if len(lengths) == 1 else ()
    return replace(
        best,
        score=fmean(scores),
        standard_error=deviation / sqrt(len(seeds)),
        degrees=len(seeds) - 1,
        replicates=tuple(map(fmean, replicates)),
        runs=tuple(one.run for one in seeds),
        deviation=deviation,
    )


def _read_score(run: Run, metric: LabelFreeMetric, milestone: MilestoneChoice) -> Candidate | Excluded:
    if milestone == "last":
        row = last_milestone(run, metric.key)
    else:
        row = next((m for m in run.trained_milestones if m.epoch == milestone), None)
    if row is None:
        epochs = ", ".join(str(m.epoch) for m in run.trained_milestones)
        reason = f"has no milestone {milestone}, only {epochs}" if epochs else "has no trained milestone"
        if not run.milestones:
            reason = f"logged no {metric.key}"
        return Excluded(run.id, run.name, "missing", reason)
    where = f"{run.unit} {row.epoch}"
    for key in (*metric.parts, metric.key):
        score = row.values.get(key)
        if score is None:
            return Excluded(run.id, run.name, "missing", f"{key} is missing at {where}")
        if not isfinite(score):
            return Excluded(run.id, run.name, "not_finite", f"{key} is {score} at {where}")
    return candidate_at(run, row, metric)


def candidate_at(run: Run, row: Milestone, metric: LabelFreeMetric) -> Candidate:
    """One run as it stands in a row that has a finite value of the metric."""
    noise = row.values.get(NOISE_PREFIX + metric.name, 0.0)
    seeds = run.definition.get("umap_seeds", run.config.get("umap_seeds"))
    known = isfinite(noise) and is_finite_number(seeds) and seeds >= 2
    return Candidate(
        run,
        row.epoch,
        row.values[metric.key],
        abs(noise) / sqrt(seeds) if known else 0.0,
        seeds - 1 if known else inf,
        row.lists.get(BOOTSTRAP_PREFIX + metric.name, ()),
        (run,),
    )


def _identity(run: Run, seed_key: str) -> str:
    settings = canonical(hyperparameters(run))
    if seed_key in run.config:
        return settings
    logged = [
        [m.epoch, {key: m.values[key] for key in m.values if key != CONSENSUS_KEY}] for m in run.milestones
    ]
    last = {key: one.value for key, one in run.last.items()}
    if not last and not any(values for _, values in logged):
        return settings + run.id  # nothing was read that could be equal
    return settings + canonical([logged, last])
