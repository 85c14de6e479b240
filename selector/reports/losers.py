"""Which running runs cannot win any more, for people and as an object."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from selector.reports.tables import label
from selector.selection.losers import RULE, Verdicts


def verdict_lines(verdicts: Verdicts, stopped: Sequence[str] | None) -> Iterator[str]:
    """A line for each running run; `stopped` is None where nothing was to be stopped."""
    for loser in verdicts.losers:
        if stopped is None:
            what = "would be stopped"
        else:
            what = "asked to stop" if loser.run.id in stopped else "has ended by itself"
        yield f"{label(loser.run)} {what}: {loser.reason}"
    for run, reason in verdicts.kept.items():
        yield f"{run} goes on: {reason}"
    running = len(verdicts.losers) + len(verdicts.kept)
    if not running:
        yield "no run is running"
    elif stopped is None:
        yield f"{len(verdicts.losers)} of {running} running runs cannot win any more" + (
            "; --yes asks W&B to stop them" if verdicts.losers else ""
        )
    else:
        yield f"{len(stopped)} of {running} running runs were asked to stop"


def verdicts_object(verdicts: Verdicts, stopped: Sequence[str], dry_run: bool) -> dict[str, Any]:
    """What `stop-losers --json` prints."""
    return {
        "metric": verdicts.metric.name,
        "rule": RULE,
        "dry_run": dry_run,
        "losers": [
            {
                "run": loser.run.id,
                "name": loser.run.name,
                "reason": loser.reason,
                "leader": loser.leader.id,
                "leader_score": loser.leader_score,
                "evidence": [asdict(found) for found in loser.evidence],
            }
            for loser in verdicts.losers
        ],
        "kept": [{"run": run, "reason": reason} for run, reason in verdicts.kept.items()],
        "stopped": list(stopped),
    }
