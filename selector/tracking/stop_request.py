"""Whether somebody asked W&B to stop a run."""

import threading
from typing import Any

import wandb

_QUERY = """
query RunStoppedStatus($entity: String, $project: String, $run: String!) {
  project(name: $project, entityName: $entity) { run(name: $run) { shouldStop stopped } }
}
"""


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
    try:
        # wandb.Api has no public way to it.
        answer: Any = wandb.Api()._service_api.execute_graphql(
            _QUERY, {"entity": run.entity, "project": run.project, "run": run.id}
        )
        return any(answer["project"]["run"].values())
    except Exception:  # whatever the network, the server or a change of the client may do
        return False
