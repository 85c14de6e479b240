"""Whether a run is done: what train.py's own marker says, which is more than W&B's state.

W&B calls a run finished when its process ended with exit code 0, and an interrupted script often does.
"""

from collections.abc import Mapping
from typing import Any

from selector.runs import State

STATUS = "completion/status"
EPOCH = "completion/epoch"
CHECKPOINT = "checkpoint"
VERSIONS = "versions"


def marked_state(summary: Mapping[str, Any]) -> tuple[State, str] | None:
    """State and detail by the completion marker in a run's summary, or None where there is no marker."""
    match summary.get(STATUS):
        case "completed":
            return "finished", ""
        case "diverged":
            epoch = summary.get(EPOCH)
            return "diverged", "loss became nan or infinite" + (
                f" in epoch {epoch}" if epoch is not None else ""
            )
    return None


def unmarked_state(exit_code: int, wants_marker: bool) -> tuple[State, str]:
    """State and detail of a run that ended without a completion marker.

    Args:
        exit_code: Of the process.
        wants_marker: True for runs of train.py, which mark their completion; other people's scripts do not.
    """
    if exit_code != 0:
        return "failed", f"exit code {exit_code}{' (as after Ctrl-C)' if exit_code == 255 else ''}"
    if wants_marker:
        return "crashed", "ended before its last milestone, with exit code 0 (interrupted?)"
    return "finished", ""


def split_definition(config: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Hyperparameters, and the definition of the metrics that train.py stores among them (or {})."""
    hyperparameters = {key: value for key, value in config.items() if key != "_wandb"}
    definition = hyperparameters.get("definition")
    if not isinstance(definition, dict):
        return hyperparameters, {}
    del hyperparameters["definition"]
    return hyperparameters, definition
