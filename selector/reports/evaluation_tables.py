"""What `selector evaluate` computed, for people and for programs."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console

from selector.metrics import LABELLED_PREFIX, METRICS
from selector.reports.tables import paragraph, table_of
from selector.reports.words import number
from selector.runs import Milestone
from selector.text import counted
from selector.training.after_training import Added, summary_of
from selector.training.stored import Stored

_COLUMNS_A_TABLE = 4


def added_rows(added: Sequence[Added]) -> list[tuple[str, str, str]]:
    """One line per run: its id, which epochs gained metrics, and which, or why none did."""
    rows = []
    for one in added:
        keys = {key for row in one.rows.values() for key in row.values}
        gained = ", ".join(metric.name for metric in METRICS if metric.key in keys)
        what = one.skipped or gained or "nothing is missing"
        rows.append((one.run.id, ", ".join(map(str, one.rows)) or "–", what))
    return rows


def added_notes(added: Sequence[Added], dry_run: bool) -> list[str]:
    """What is printed below the table."""
    total = summary_of(added)
    verb = "would be added" if dry_run else "added"
    lines = [
        f"{counted(total['values'], 'value')} {verb} at {counted(total['milestones'], 'milestone')}"
        f" of {counted(total['runs'], 'run')}"
        + ("" if dry_run or not total["values"] else "; `wandb sync` uploads those of offline runs")
        + "."
    ]
    kept, changed = (sum(getattr(one, name) for one in added) for name in ("kept", "changed"))
    if kept or changed:
        lines.append(
            f"Of the values already logged, {kept} came out the same and {changed} did not"
            + (", as other versions of libraries or another processor can cause." if changed else ".")
        )
    for one in added:
        if one.without_checkpoint:
            epochs = ", ".join(map(str, one.without_checkpoint))
            lines.append(
                f"{one.run.id}: no checkpoint is left for epoch {epochs};"
                " train.py --keep all keeps those of all milestones."
            )
    if added and not any(key.startswith(LABELLED_PREFIX) for one in added for key in _logged(one)):
        lines.append(
            "None of these runs has labels. `selector judge SOURCE --labelled DIR` judges them by labels"
            " that came later."
        )
    return lines


def _logged(added: Added) -> set[str]:
    return {key for row in (*added.run.milestones, *added.rows.values()) for key in row.values}


def print_added(added: Sequence[Added], console: Console, dry_run: bool) -> None:
    """Draws what was added to the runs."""
    if added:
        console.print(table_of(("run", "epochs", "added"), added_rows(added)))
        console.print()
    for line in added_notes(added, dry_run):
        paragraph(console, line)


def print_checkpoints(results: Sequence[tuple[Stored, Milestone]], console: Console) -> None:
    """Draws the metrics of checkpoints: one row per metric, one column per checkpoint."""
    for first in range(0, len(results), _COLUMNS_A_TABLE):
        part = results[first : first + _COLUMNS_A_TABLE]
        heads = [f"{stored.path.resolve().parent.name}\nepoch {stored.epoch}" for stored, _ in part]
        rows = [
            (metric.name, *(number(row.values.get(metric.key)) for _, row in part))
            for metric in METRICS
            if any(metric.key in row.values for _, row in part)
        ]
        console.print(table_of(("metric", *heads), rows, right=heads))
        console.print()


def checkpoint_object(stored: Stored, row: Milestone, definition: Mapping[str, Any]) -> dict[str, Any]:
    """One checkpoint for `--json`."""
    return {
        "path": str(stored.path),
        "epoch": stored.epoch,
        "method": stored.config.method,
        "dataset": stored.config.dataset,
        "values": {**row.values, **row.lists},
        "definition": dict(definition),
    }


def added_object(added: Added) -> dict[str, Any]:
    """One run for `--json`."""
    return {
        "run": added.run.id,
        "epochs": [
            {"epoch": epoch, "values": {**row.values, **row.lists}} for epoch, row in added.rows.items()
        ],
        "same_as_logged": added.kept,
        "other_than_logged": added.changed,
        "without_checkpoint": list(added.without_checkpoint),
        "skipped": added.skipped or None,
    }
