"""What W&B's config and summary say of a run: whether it is done, and how its metrics were computed.

W&B calls a run finished when its process ended with exit code 0, and an interrupted script often does. So
train.py leaves a marker of its own.
"""

from collections.abc import Mapping
from typing import Any

from selector.runs import Run, State
from selector.tracking.history import History

STATUS = "completion/status"
EPOCH = "completion/epoch"
CHECKPOINT = "checkpoint"
VERSIONS = "versions"
OF_OURS = (STATUS, EPOCH, CHECKPOINT, VERSIONS)  # what train.py writes to a summary


def run_of(
    history: History,
    config: Mapping[str, Any],
    summary: Mapping[str, Any],
    state: tuple[State, str],
    **what_else: Any,
) -> Run:
    """A run from its rows, and from what else W&B was told of it.

    Args:
        history: The rows.
        config: As logged.
        summary: As logged.
        state: The state and its detail.
        **what_else: Other fields of `Run`.
    """
    hyperparameters, definition = split_definition(config)
    checkpoint = summary.get(CHECKPOINT)
    return Run(
        **what_else,
        state=state[0],
        detail=state[1],
        config=hyperparameters,
        definition=definition,
        milestones=history.milestones(),
        counted_by=history.axis,
        checkpoint=checkpoint if isinstance(checkpoint, str) else None,
        last={} if definition else history.last(summary),
    )


def marked_state(summary: Mapping[str, Any]) -> tuple[State, str] | None:
    """State and detail by the completion marker in a run's summary, or None where there is no marker."""
    match summary.get(STATUS):
        case "completed":
            return "finished", ""
        case "diverged":
            epoch = summary.get(EPOCH)
            where = f" in epoch {epoch}" if epoch is not None else ""
            return "diverged", f"loss became nan or infinite{where}"
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
