"""The next configuration of a sweep, by its method."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from selector.sweeping.bayes import Trial, propose
from selector.sweeping.ledger import Ledger, LedgerRun
from selector.sweeping.objective_history import read_objective
from selector.sweeping.search import grid_config, grid_size, random_config
from selector.sweeping.sweep_file import Objective, SweepFile

_TRIED_DRAWS = 256


def draw(
    sweep: SweepFile, ledger: Ledger, index: int, directory: Path
) -> tuple[dict[str, Any], dict[str, float] | None]:
    """The index-th configuration, and for bayes its coordinates in the search space.

    Grid and random look at the index alone, bayes also at how the runs before it ended.
    """
    match sweep.method:
        case "grid":
            return grid_config(sweep.parameters, index), None
        case "random":
            return random_config(sweep.parameters, ledger.seed, index), None
        case "bayes":
            assert sweep.objective is not None  # read_sweep_file asks for it
            maximize = sweep.objective.goal == "maximize"
            trials = _trials(ledger, sweep.objective, directory)
            return propose(sweep.parameters, trials, maximize, ledger.seed, index)


def foreseen(sweep: SweepFile, seed: int, planned: int | None) -> Iterator[dict[str, Any]]:
    """The configurations that a new sweep will run, as far as they are known; for bayes, random ones."""
    match sweep.method:
        case "grid":
            size = grid_size(sweep.parameters)
            for index in range(size if planned is None else min(planned, size)):
                yield grid_config(sweep.parameters, index)
        case "random":
            for index in range(_TRIED_DRAWS if planned is None else planned):
                yield random_config(sweep.parameters, seed, index)
        case "bayes":
            for index in range(_TRIED_DRAWS):
                yield random_config(sweep.parameters, seed, index)


def _trials(ledger: Ledger, objective: Objective, directory: Path) -> list[Trial]:
    trials: list[Trial] = []
    for run in ledger.runs:
        coordinates = run.coordinates or {}
        if run.status in ("running", "interrupted"):
            trials.append(Trial(coordinates, "running"))
        elif run.objective is not None:
            trials.append(Trial(coordinates, run.objective))
        else:
            imputed = _imputed(ledger, run, objective, directory)
            trials.append(Trial(coordinates, "failed" if imputed is None else imputed))
    return trials


def _imputed(ledger: Ledger, run: LedgerRun, objective: Objective, directory: Path) -> float | None:
    """What `metric: impute:` says that a run without a result counts as; None where nothing is known yet."""
    worse = max if objective.goal == "minimize" else min
    better = min if objective.goal == "minimize" else max
    match objective.impute:
        case "worst":
            return worse((r.objective for r in ledger.runs if r.objective is not None), default=None)
        case "best":
            return better(read_objective(directory, run.id, objective.name).values, default=None)
        case "latest":
            return next(reversed(read_objective(directory, run.id, objective.name).values), None)
