"""The pooled probe of the runs of a sweep, as a metric that may choose among them.

Each run is asked how well it predicts what the others have in common (docs/protocol.md). It needs their
fingerprints, which train.py leaves in the folder of a run and beside its checkpoint in W&B.
"""

from collections.abc import Callable
from dataclasses import replace

from selector.errors import UserError
from selector.metrics import LabelFreeMetric, label_free_metric
from selector.metrics.pooled import Fingerprint, pooled_probe
from selector.runs import Run, RunSet
from selector.selection.candidates import finished_runs
from selector.selection.comparability import pools

FingerprintOf = Callable[[Run], Fingerprint | None]
_LIKE = label_free_metric("hog_probe")  # of the same images
POOLED = LabelFreeMetric(
    name="pooled_probe",
    symbol="pooled R²",
    meaning="How well what the other runs have in common can be read off the representations.",
    formula="held-out R² of ridge regression to the others' first 30 principal components",
    space="backbone, training and evaluation images",
    direction="max",
    cost="nothing beyond the pretext criteria; the fingerprints of all runs are read",
    source="ours; see docs/protocol.md",
    comparable=_LIKE.comparable,
    settings=_LIKE.settings,
)


def with_pooled(runs: RunSet, fingerprint_of: FingerprintOf, allow_mixed: bool = False) -> RunSet:
    """The runs with the pooled probe in their last milestones, among those that may be compared.

    Args:
        runs: Of any kind.
        fingerprint_of: A run's fingerprint, or None where it cannot be had.
        allow_mixed: Take all runs for one pool.

    Raises:
        UserError: Fewer than three runs of every pool have a fingerprint: two say nothing about each other.
    """
    values: dict[str, float] = {}
    lacking = 0
    for pool in pools(finished_runs(runs)[0], [POOLED], allow_mixed):
        found = {run.id: fingerprint_of(run) for run in pool.runs}
        known = {id: one for id, one in found.items() if one is not None}
        lacking += len(found) - len(known)
        if len(known) > 2:
            for id, own in known.items():
                others = [one for other, one in known.items() if other != id]
                values[id] = pooled_probe(own, others)
    if not values:
        raise UserError(
            "the pooled probe needs the fingerprints of three runs or more that may be compared, and"
            f" {lacking} of {len(runs.runs)} have none: train.py leaves one where it logs the pretext"
            " criteria, in the run's folder (fingerprint.npz) and beside its checkpoint in W&B"
        )
    note = f"pooled_probe: {lacking} of {len(runs.runs)} runs have no fingerprint and are left out"
    return replace(
        runs,
        runs=tuple(_with(run, values.get(run.id)) for run in runs.runs),
        warnings=(*runs.warnings, note) if lacking else runs.warnings,
    )


def _with(run: Run, value: float | None) -> Run:
    if value is None or not run.milestones:
        return run
    *rows, last = run.milestones
    last = replace(last, values={**last.values, POOLED.key: value})
    return replace(run, milestones=(*rows, last))
