"""Encoders and fingerprints of runs, wherever their checkpoints are."""

from collections.abc import Sequence
from io import BytesIO
from typing import TYPE_CHECKING

from selector.errors import UserError
from selector.runs import Run, is_online
from selector.text import printable

if TYPE_CHECKING:
    from selector.metrics.pooled import Fingerprint
    from selector.selection.pooled import FingerprintOf
    from selector.training.exported import Encoder


def encoder_of_run(run: Run, sources: Sequence[str]) -> "Encoder":
    """The encoder of a run's last milestone, from its folder or from W&B.

    Raises:
        UserError: Its checkpoint is nowhere to be found, or damaged.
    """
    from selector.reports.best import find_checkpoint
    from selector.training.exported import load_encoder

    checkpoint = find_checkpoint(run)
    if checkpoint is not None and checkpoint.is_file():
        return load_encoder(checkpoint)
    if artifact := _artifact(run, sources):
        return load_encoder(artifact)
    where = f"it was written to {checkpoint}" if checkpoint else "the run logged none"
    raise UserError(
        f"the checkpoint of run {printable(run.id)} is not on this machine ({printable(where)}):"
        " run this where the runs were trained, or copy their folders here"
    )


def fingerprints_in(sources: Sequence[str]) -> "FingerprintOf":
    """`fingerprint_of_run` of finished runs in these sources, each looked for once."""
    known: dict[str, Fingerprint | None] = {}

    def fingerprint_of(run: Run) -> "Fingerprint | None":
        if run.id not in known:
            known[run.id] = fingerprint_of_run(run, sources)
        return known[run.id]

    return fingerprint_of


def fingerprint_of_run(run: Run, sources: Sequence[str]) -> "Fingerprint | None":
    """What the pooled probe reads of a run, from its folder or from W&B; None where it cannot be had."""
    from selector.metrics.pooled import FINGERPRINT, Fingerprint
    from selector.reports.best import find_checkpoint
    from selector.tracking.artifacts import fetched_file

    checkpoint = find_checkpoint(run)
    if checkpoint is not None and (found := Fingerprint.read(checkpoint.parent / FINGERPRINT)):
        return found
    if artifact := _artifact(run, sources):
        content = fetched_file(artifact, FINGERPRINT)
        return None if content is None else Fingerprint.read(BytesIO(content))
    return None


def _artifact(run: Run, sources: Sequence[str]) -> str:
    """The artifact of its last checkpoint in W&B, or "" for a run that was read from a folder."""
    from selector.tracking.connection import places_named

    server = [source for source in sources if is_online(source)]
    if not server or run.directory is not None:
        return ""
    place = places_named(server[0])[0]
    owner = f"{place.entity}/" if place.entity else ""
    return f"{owner}{place.project}/model-{run.id}:last"
