"""What runs need before a metric may choose among them: one path for all commands.

All pretext scores of a pool are made of the same parts. The pooled probe and the consensus are put into the
rows. Where runs lack the pretext score, the consensus takes its place, and RankMe that of the consensus.
Collapsed runs, and losses that contain what a metric measures, are named.
"""

from collections.abc import Sequence
from dataclasses import replace
from math import isfinite, nan

from selector.errors import UserError
from selector.metrics import LABEL_FREE_PREFIX, LabelFreeMetric, label_free_metric
from selector.milestone import BOOTSTRAP_PREFIX
from selector.runs import Milestone, Run, RunSet
from selector.selection.candidates import MilestoneChoice, final_value, read_scores
from selector.selection.comparability import pools
from selector.selection.consensus import CONSENSUS, PARTS, compared, has_all_parts, known_runs, with_consensus
from selector.selection.pooled import POOLED, FingerprintOf, with_pooled
from selector.selection.verdicts import verdict_of

PRETEXT_PARTS = ("rotation_probe", "view_retrieval", "hog_probe")
_SCORE, *_PARTS = map(label_free_metric, ("pretext_score", *PRETEXT_PARTS))
_ROTATION = _PARTS[0]
TELLS = 0.30  # accuracy of four turns, above the 0.25 of chance
# VICReg's loss holds up the variance of each channel of the projector and holds down their covariances: it is
# trained to be good by what these measure.
IN_THE_LOSS = {
    "vicreg": {"rankme", "nesum", "stable_rank", "participation_ratio", "condition_number", "channel_std"}
}


def prepared(
    runs: RunSet,
    metrics: Sequence[LabelFreeMetric],
    milestone: MilestoneChoice = "last",
    allow_mixed: bool = False,
    running: bool = False,
    fingerprint_of: FingerprintOf = lambda _run: None,
) -> tuple[RunSet, list[LabelFreeMetric]]:
    """The runs, with all that a choice by `metrics` needs, and the metrics to choose by.

    These are `metrics`, but where the pretext score alone is to choose and most runs never logged it, the
    consensus does. In place of the consensus RankMe chooses where most runs never logged some part of it, or
    no two runs that may be compared have all parts. A warning says so. With `running`, runs that have not
    ended take part.

    Raises:
        UserError: As `with_pooled`, if the pooled probe is one of the metrics.
    """
    if POOLED in metrics:
        runs = with_pooled(runs, fingerprint_of, allow_mixed)
    # Beside a choice by the consensus stands what the pretext score says.
    runs = with_same_questions(runs, allow_mixed, warn=_SCORE in metrics or CONSENSUS in metrics)
    rows = [(run, row) for run in known_runs(runs, running) if (row := compared(run, milestone))]
    why: list[str] = []  # the metric that was asked for does not choose
    if list(metrics) == [_SCORE]:
        gone = read_scores([run for run, _ in rows], _SCORE, milestone)[1]
        scored = len(rows) - sum(one.category == "missing" for one in gone)
        if 2 * scored < len(rows):
            why.append(f"{scored} of {len(rows)} runs have {_SCORE.name}")
            metrics = [CONSENSUS]
    runs = replace(runs, warnings=(*runs.warnings, *_cautions(runs.runs, metrics)))
    if CONSENSUS not in metrics:
        return runs, list(metrics)
    whole = [run for run, row in rows if has_all_parts(row)]
    lacking = sum(not row.values.keys() >= set(CONSENSUS.parts) for _, row in rows)
    chosen = CONSENSUS
    if not whole or 2 * lacking > len(rows):
        parts = ", ".join(part.name for part in PARTS)
        why.append(f"{len(whole)} of {len(rows)} runs have {parts}, which make the consensus")
        chosen = label_free_metric("rankme")
    elif all(len(pool.runs) < 2 for pool in pools(whole, [CONSENSUS], allow_mixed)):
        why.append("the consensus compares runs with each other, and there is nothing to compare with")
        chosen = label_free_metric("rankme")
    if why and rows:
        note = f"{', and '.join(why)}: the choice is by {chosen.name} instead"
        runs = replace(runs, warnings=(*runs.warnings, note))
    if chosen is CONSENSUS:
        return with_consensus(runs, milestone, allow_mixed, running), list(metrics)
    return runs, [chosen, *(one for one in metrics if one not in (CONSENSUS, chosen))]


def _cautions(runs: Sequence[Run], metrics: Sequence[LabelFreeMetric]) -> list[str]:
    """One line each on runs that collapsed, and on methods whose loss contains what a metric measures."""
    lines = []
    collapsed = [run.id for run in runs if run.state == "finished" and verdict_of(run).kind == "collapsed"]
    if collapsed:
        more = f" and {len(collapsed) - 3} more" if len(collapsed) > 3 else ""
        lines.append(
            f"{len(collapsed)} of {len(runs)} runs collapsed ({', '.join(collapsed[:3])}{more}):"
            " `selector watch` says since when"
        )
    names = {key.removeprefix(LABEL_FREE_PREFIX) for one in metrics for key in (one.key, *one.parts)}
    for method, inside in IN_THE_LOSS.items():
        if (known := names & inside) and any(run.config.get("method") == method for run in runs):
            lines.append(
                f"{method}'s loss contains what is measured by {' and '.join(sorted(known))}:"
                f" look at {_SCORE.name} too"
            )
    return lines


def with_same_questions(runs: RunSet, allow_mixed: bool = False, warn: bool = True) -> RunSet:
    """The runs, with pretext scores that are made of the same parts in all runs of a pool.

    A part that some run lacks is left out for all of them, and so is rotation where it says nothing
    (docs/protocol.md). The resampled scores go with it, for they hold that part. `warn` says so, one line
    per part and pool.
    """
    scored = [run for run in runs.runs if any(_SCORE.key in row.values for row in run.milestones)]
    try:
        found = pools(scored, [_SCORE], allow_mixed)
    except UserError:
        return runs  # of unlike definitions: a choice by the score refuses them
    changed: dict[str, Run] = {}
    notes = []
    for pool in found:
        out = _left_out(pool.runs)
        notes += [f"{_SCORE.name} leaves {part.name} out for all runs: {why}" for part, why in out]
        changed |= {run.id: _without(run, [part for part, _ in out]) for run in pool.runs if out}
    return replace(
        runs,
        runs=tuple(changed.get(run.id, run) for run in runs.runs),
        warnings=(*runs.warnings, *notes) if warn else runs.warnings,
    )


def _left_out(runs: Sequence[Run]) -> list[tuple[LabelFreeMetric, str]]:
    """The parts that may not count in this pool, and why; none where no part could count."""
    scored = [[row for row in run.milestones if isfinite(row.values.get(_SCORE.key, nan))] for run in runs]
    last = [rows[-1] for rows in scored if rows]
    out = []
    for part in _PARTS:
        known = sum(isfinite(row.values.get(part.key, nan)) for row in last)
        if part is _ROTATION and (why := _why_rotation_says_nothing(runs)):
            out.append((part, why))
        elif known < len(last):
            out.append((part, f"{known} of {len(last)} runs have it"))
    return out if len(out) < len(_PARTS) else []


def _why_rotation_says_nothing(runs: Sequence[Run]) -> str:
    if turning := sum(bool(run.config.get("rotation_degrees")) for run in runs):
        return f"{turning} of {len(runs)} runs trained on rotated views"
    best = max((value for run in runs if (value := final_value(run, _ROTATION.key)) is not None), default=1.0)
    if best > TELLS:
        return ""
    return f"no run can tell rotations apart (the best accuracy is {best:.2f}, chance 0.25)"


def _without(run: Run, parts: Sequence[LabelFreeMetric]) -> Run:
    """The run, with a score of its other parts at each milestone that has them and one of `parts`."""
    from selector.metrics.pretext import pretext_score  # here: `--help` needs no arithmetic

    def scored(row: Milestone) -> Milestone:
        rest = [None if part in parts else row.values.get(part.key) for part in _PARTS]
        if rest == [None] * len(_PARTS) or not any(isfinite(row.values.get(p.key, nan)) for p in parts):
            return row
        lists = {key: value for key, value in row.lists.items() if key != BOOTSTRAP_PREFIX + _SCORE.name}
        return replace(row, values={**row.values, _SCORE.key: pretext_score(*rest)}, lists=lists)

    return replace(run, milestones=tuple(map(scored, run.milestones)))
