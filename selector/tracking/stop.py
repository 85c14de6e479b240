"""Stopping runs on a W&B server: asking for it, as "Stop run" on its pages does, and whether somebody did."""

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from selector.errors import UserError
from selector.text import printable
from selector.tracking.connection import again, find, reason

if TYPE_CHECKING:
    import wandb

_QUERY = """
query RunStoppedStatus($entity: String, $project: String, $run: String!) {
  project(name: $project, entityName: $entity) { run(name: $run) { shouldStop stopped } }
}
"""


def stop_runs(source: str, names: Sequence[str]) -> list[str]:
    """Ask for these runs to be stopped; the process of each hears of it within seconds and ends.

    Args:
        source: What the runs were read from.
        names: Ids of the runs; one that has ended since is left alone.

    Returns:
        The runs that were asked to stop.

    Raises:
        UserError: The server refused, or cannot be reached; says which runs were asked by then.
    """
    found = find(source)
    asked: list[str] = []
    try:
        for name in names:  # one by one: a run is looked at directly before it is stopped
            for run in found.each(found.runs({"name": name})):
                if run.state == "running":
                    again(run.stop)
                    asked.append(name)
    except Exception as error:  # of wandb's client, which raises private kinds too
        done = f" (asked to stop before: {printable(', '.join(asked))})" if asked else ""
        raise UserError(
            f"cannot stop runs of {printable(source)} on {found.server}: {reason(error)}{done}"
        ) from None
    return asked


def stop_was_requested(run: "wandb.Run", seconds: float = 5.0) -> bool:
    """Whether the run was stopped in W&B: by a user, by hyperband, or with its sweep.

    The client asks only every quarter of a minute, later than the agent sends its SIGTERM. No answer within
    `seconds` counts as no: a machine that is taken back does not wait.
    """
    answers: list[bool] = []
    thread = threading.Thread(target=lambda: answers.append(_ask(run)), daemon=True)
    thread.start()
    thread.join(seconds)
    return bool(answers) and answers[0]


def _ask(run: "wandb.Run") -> bool:
    import wandb

    try:
        # wandb.Api has no public way to it.
        answer: Any = wandb.Api()._service_api.execute_graphql(
            _QUERY, {"entity": run.entity, "project": run.project, "run": run.id}
        )
        return any(answer["project"]["run"].values())
    except Exception:  # whatever the network, the server or a change of the client may do
        return False
