"""What `selector sweep` noted about the runs of a folder: how many were planned, and how they ended."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from selector.errors import UserError
from selector.files import is_locked
from selector.record import RECORD
from selector.runs import Run, Unreadable
from selector.sweeping.state import (
    JOURNAL,
    STORAGE,
    SweepRun,
    SweepState,
    agent_lock,
    at_work,
    read_sweep,
    run_id,
)
from selector.text import printable

RUN_FOLDER = re.compile(r"(?:offline-)?run-\d{8}_\d{6}-(?P<id>.+)", re.DOTALL)
LEDGERS = frozenset((JOURNAL, STORAGE))
Ledgers = Mapping[Path, SweepState]  # by sweep folder


def read_ledgers(
    folder: Path, sweep_folders: Sequence[Path], found: Collection[str]
) -> tuple[Ledgers, list[str]]:
    """The ledgers of sweep folders in a tree, or of the sweep folder that a folder lies in; and warnings.

    Args:
        folder: What the user named.
        sweep_folders: Folders below it that hold a ledger.
        found: Ids of the runs below it; a single run's folder is not asked for the rest of its sweep.
    """
    ledgers: dict[Path, SweepState] = {}
    warnings = []
    for where in sweep_folders or _sweep_folder_above(folder):
        try:
            ledger = read_sweep(where)
        except UserError:
            if (where / "sweep.yaml").exists():  # else it is some other program's
                warnings.append(
                    f"how many runs {printable(str(where))} planned is not known: its ledger is not readable"
                )
            continue
        if ledger and ledger.storage:  # which of its runs have begun, the files tell
            begun = ((index, run_id(ledger.id, index)) for index in range(ledger.planned or 0))
            runs = tuple(SweepRun(index, name, {}, "running") for index, name in begun if name in found)
            ledger = replace(ledger, runs=runs)
        if ledger:
            ledgers[where] = _part_of(ledger, found) if _is_run_folder(folder) else ledger
    return ledgers, warnings


def planned_runs(ledgers: Ledgers, found: Collection[str]) -> int | None:
    """How many runs were asked for, or None where that is not known of every run found."""
    known = {run.id for ledger in ledgers.values() for run in ledger.runs}
    plans = [ledger.planned for ledger in ledgers.values()]
    if not plans or None in plans or not known.issuperset(found):
        return None
    return sum(plan for plan in plans if plan is not None)


def in_progress(ledgers: Ledgers) -> bool:
    """Whether a `selector sweep` is at work in one of the sweep folders, as far as its file system knows."""
    return any(at_work(where) for where in ledgers)


def not_begun(ledgers: Ledgers) -> list[str]:
    """One line for each sweep that planned more runs than have begun."""
    return [
        f"{ledger.planned - len(ledger.runs)} of the {ledger.planned} runs planned in {printable(str(where))}"
        f" {_not_begun(where, ledger)}"
        for where, ledger in ledgers.items()
        if ledger.planned is not None and ledger.planned > len(ledger.runs)
    ]


def _not_begun(where: Path, ledger: SweepState) -> str:
    if at_work(where):
        return "have not begun yet: the sweep is going on"
    if ledger.storage:
        return f"have written nothing here; whether they have begun, only {printable(ledger.storage)} knows"
    return "were never started"


def without_files(ledgers: Ledgers, found: Collection[str]) -> tuple[list[Run], list[Unreadable]]:
    """The runs that a ledger knows but no file tells of: those that are running, and those that are lost."""
    running, lost = [], []
    for where, ledger in ledgers.items():
        for entry in (entry for entry in ledger.runs if entry.id not in found):
            if entry.status == "running" and entry.agent and is_locked(agent_lock(where, entry.agent.name)):
                running.append(_silent(entry))
            else:
                lost.append(_lost(entry))
    return running, lost


def _silent(entry: SweepRun) -> Run:
    return Run(
        id=entry.id,
        name=entry.id,
        config=entry.config,
        state="running",
        detail="has written nothing yet",
        definition={},
        milestones=(),
    )


def _lost(entry: SweepRun) -> Unreadable:
    why = f": {printable(entry.reason)}" if entry.reason else ""
    match entry.status:
        case "finished" | "stopped":
            what = ", but its files are gone or cannot be read"
        case "running":
            return Unreadable(entry.id, "was killed, or its machine has died, before it wrote anything")
        case _:
            what = " before it wrote anything"
    return Unreadable(entry.id, f"{entry.status}{what}{why}")


def as_ledger_says(run: Run, entry: SweepRun | None) -> Run:
    """The run with what the sweep knows: that it ended the run, or why the run ended."""
    if entry is None or run.state in ("finished", "diverged"):
        return run
    reason = printable(entry.reason)
    match entry.status:
        case "stopped":
            return replace(run, state="stopped", detail=reason)
        case "interrupted" if run.state in ("crashed", "failed"):
            return replace(run, state="interrupted", detail=reason)
        case "failed" if reason and run.state != "running":
            return replace(run, detail=f"{run.detail}; {reason}")
    return run


def finish_command(ledgers: Ledgers) -> str:
    """The shell command that runs what is missing; "" where nothing is, or a sweep is at it."""
    missing = [ledger for where, ledger in ledgers.items() if not ledger.complete and not at_work(where)]
    return " && ".join(ledger.finish_command for ledger in missing)


def _sweep_folder_above(folder: Path) -> list[Path]:
    """DIR, where the folder is DIR/wandb or DIR/runs, or a run's folder in there; its own links resolved."""
    real = folder.resolve()
    runs = real.parent if _is_run_folder(real) else real
    return [runs.parent] if runs.name in ("wandb", "runs") else []


def _is_run_folder(folder: Path) -> bool:
    real = folder.resolve()
    return RUN_FOLDER.fullmatch(real.name) is not None or (real / RECORD).exists()


def _part_of(ledger: SweepState, found: Collection[str]) -> SweepState:
    return replace(ledger, planned=None, runs=tuple(run for run in ledger.runs if run.id in found))
