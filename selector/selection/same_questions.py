"""One set of questions per pool: in all of its runs, `pretext_score` is the mean of the same parts."""

from dataclasses import replace
from math import isfinite

from selector.errors import UserError
from selector.metrics import label_free_metric
from selector.milestone import BOOTSTRAP_PREFIX
from selector.runs import Milestone, Run, RunSet
from selector.selection.candidates import final_value
from selector.selection.comparability import pools

PRETEXT_PARTS = ("rotation_probe", "view_retrieval", "hog_probe")
_SCORE, _ROTATION, _RETRIEVAL, _HOG = map(label_free_metric, ("pretext_score", *PRETEXT_PARTS))
TELLS = 0.30  # accuracy of four turns, above the 0.25 of chance


def with_same_questions(runs: RunSet, allow_mixed: bool = False, warn: bool = False) -> RunSet:
    """The runs, without rotation in the pretext scores of any pool where it says nothing (docs/protocol.md).

    That is where training rotated the views of some run, or where no run ends with an accuracy above TELLS.
    The resampled scores are dropped with it, for they hold the rotation.

    Args:
        runs: Of any kind; those without pretext scores are left as they are.
        allow_mixed: Take all runs for one pool.
        warn: Say so in the warnings, one line per pool.
    """
    scored = [run for run in runs.runs if any(_SCORE.key in row.values for row in run.milestones)]
    changed: dict[str, Run] = {}
    notes = []
    try:
        found = pools(scored, [_SCORE], allow_mixed)
    except UserError:
        return runs  # of unlike definitions: a choice by the score refuses them
    for pool in found:
        turning = sum(bool(run.config.get("rotation_degrees")) for run in pool.runs)
        accuracies = [value for run in pool.runs if (value := final_value(run, _ROTATION.key)) is not None]
        if not turning and max(accuracies, default=1.0) > TELLS:
            continue
        why = f"{turning} of {len(pool.runs)} runs trained on rotated views"
        if not turning:
            why = f"no run can tell rotations apart (the best accuracy is {max(accuracies):.2f}, chance 0.25)"
        notes.append(f"{_SCORE.name} leaves {_ROTATION.name} out for all runs: {why}")
        changed |= {run.id: _without_rotation(run) for run in pool.runs}
    return replace(
        runs,
        runs=tuple(changed.get(run.id, run) for run in runs.runs),
        warnings=(*runs.warnings, *notes) if warn else runs.warnings,
    )


def _without_rotation(run: Run) -> Run:
    from selector.metrics.pretext import pretext_score  # here: `--help` needs no arithmetic

    def scored(row: Milestone) -> Milestone:
        retrieval, hog = (row.values.get(part.key) for part in (_RETRIEVAL, _HOG))
        if not isfinite(row.values.get(_ROTATION.key, float("nan"))) or retrieval is None:
            return row  # the run left it out itself
        lists = {key: value for key, value in row.lists.items() if key != BOOTSTRAP_PREFIX + _SCORE.name}
        score = pretext_score(None, retrieval, hog)
        return replace(row, values={**row.values, _SCORE.key: score}, lists=lists)

    return replace(run, milestones=tuple(map(scored, run.milestones)))
