"""Encoders of runs, wherever their checkpoints are."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from selector.errors import UserError
from selector.runs import Run, is_online
from selector.text import printable

if TYPE_CHECKING:
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
    server = [source for source in sources if is_online(source)]
    if server and run.directory is None:
        from selector.tracking.place import places_named

        place = places_named(server[0])[0]
        owner = f"{place.entity}/" if place.entity else ""
        return load_encoder(f"{owner}{place.project}/model-{run.id}:last")
    where = f"it was written to {checkpoint}" if checkpoint else "the run logged none"
    raise UserError(
        f"the checkpoint of run {printable(run.id)} is not on this machine ({printable(where)}):"
        " call this where the runs were trained, or copy their folders here"
    )
