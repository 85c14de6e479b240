"""Asks a W&B server to stop runs: what the button "Stop run" of its pages does."""

from collections.abc import Sequence

from selector.errors import UserError
from selector.text import printable
from selector.tracking.connection import Patience, again, find, reason


def stop_runs(source: str, names: Sequence[str], patience: Patience | None = None) -> list[str]:
    """Ask for these runs to be stopped; the process of each hears of it within seconds and ends.

    Args:
        source: What the runs were read from.
        names: Ids of the runs; one that has ended since is left alone.
        patience: How long to wait for the server.

    Returns:
        The runs that were asked to stop.

    Raises:
        UserError: The server refused, or cannot be reached; says which runs were asked by then.
    """
    found = find(source, patience)
    asked: list[str] = []
    try:
        for name in names:  # one by one: a run is looked at directly before it is stopped
            for run in found.each(found.runs({"name": name})):
                if run.state == "running":
                    again(run.stop, found.patience)
                    asked.append(name)
    except Exception as error:  # of wandb's client, which raises private kinds too
        done = f" (asked to stop before: {printable(', '.join(asked))})" if asked else ""
        raise UserError(
            f"cannot stop runs of {printable(source)} on {found.server}: {reason(error)}{done}"
        ) from None
    return asked
