"""The ledger of a sweep: a study in Optuna's storage, which any number of processes share.

A journal in the sweep folder, or a database. Either gives its trials numbers in one order that all processes
see, and that order settles who carries out which run: see state.state_of.
"""

import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from optuna import logging
from optuna.exceptions import DuplicatedStudyError, StorageInternalError, UpdateFinishedTrialError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage, get_storage
from optuna.storages.journal import JournalFileBackend
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy.engine import make_url
from sqlalchemy.exc import IntegrityError, ProgrammingError, SQLAlchemyError

from selector.errors import UserError
from selector.sweeping.located_yaml import shown
from selector.sweeping.search import planned_runs
from selector.sweeping.state import (
    JOURNAL,
    Agent,
    Status,
    SweepRun,
    SweepState,
    header_of,
    new_id,
    read_sweep,
    state_of,
    write_note,
)
from selector.sweeping.sweep_file import SweepFile

_STATES: Mapping[Status, TrialState] = {
    "finished": TrialState.COMPLETE,
    "stopped": TrialState.PRUNED,
    "failed": TrialState.FAIL,
    "interrupted": TrialState.FAIL,
}


class _Journal(JournalFileBackend):
    """Optuna's journal, which a full disk or a killed writer does not spoil.

    A line that is cut short would make the next one unreadable, and the journal with it: whoever writes
    next takes away what follows the last whole line. The lock is the system's, which lets go of it when its
    owner dies, on NFS too (version 4, or 3 with lockd); Optuna's own locks, files that must not exist yet,
    would keep everybody waiting for half a minute after each kill.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        self._path = path

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append all lines or, where there is no room, none."""
        lines = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs).encode()
        with self._path.with_suffix(".lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            with self._path.open("r+b", buffering=0) as file:  # opened here: NFS then asks for its size anew
                end = _end_of_last_line(file)
                try:
                    file.seek(end)
                    if file.write(lines) != len(lines):
                        file.write(lines)  # says why there was no room
                    os.fsync(file.fileno())
                except OSError:
                    file.truncate(end)
                    raise


def _end_of_last_line(file: BinaryIO) -> int:
    size = file.seek(0, os.SEEK_END)
    length = 1
    while size:
        length = min(2 * length, size)
        file.seek(size - length)
        found = file.read(length).rfind(b"\n")
        if found >= 0 or length == size:
            end = size - length + found + 1
            if end < size:
                file.truncate(end)
            return end
    return 0


class Ledger:
    """A sweep that is open, new or continued.

    Attributes:
        state: What was last read.
        where: The journal, or the database without its password.
    """

    def __init__(
        self, directory: Path, url: str | None, seed: int, planned: int | None, sweep_file: Mapping[str, Any]
    ) -> None:
        """Open the study of a sweep, or create it.

        Args:
            directory: The sweep folder; its name is that of the study in a database.
            url: Of a database, or None for a journal in the folder.
            seed: Of the search, if the sweep is new; so are
            planned: how many runs it is to have, and
            sweep_file: content of the sweep file.

        Raises:
            UserError: The storage cannot be reached, or holds something else.
        """
        self._directory = directory
        logging.set_verbosity(logging.WARNING)
        self.where = str(directory / JOURNAL) if url is None else _shown(url)
        with self._errors():
            self._storage: BaseStorage = (
                JournalStorage(_Journal(directory / JOURNAL)) if url is None else get_storage(_database(url))
            )
            goal = sweep_file.get("metric", {}).get("goal")
            direction = StudyDirection.MAXIMIZE if goal == "maximize" else StudyDirection.MINIMIZE
            self._study = self._open_study(directory.name, direction)
            if not self._trials():
                self._add(TrialState.FAIL, header_of(new_id(), seed, planned, sweep_file))
        self.refresh()

    def _open_study(self, name: str, direction: StudyDirection) -> int:
        with suppress(KeyError):
            return self._storage.get_study_id_from_name(name)
        with suppress(DuplicatedStudyError):
            return self._storage.create_new_study([direction], name)
        return self._storage.get_study_id_from_name(name)

    def _trials(self) -> Sequence[FrozenTrial]:
        return self._storage.get_all_trials(self._study, deepcopy=False)

    def _add(self, state: TrialState, attributes: dict[str, Any]) -> int:
        return self._storage.create_new_trial(self._study, create_trial(state=state, user_attrs=attributes))

    def refresh(self) -> SweepState:
        """Read what other processes have written."""
        with self._errors():
            trials = self._trials()
            state = state_of(
                self._directory,
                self._storage.get_study_user_attrs(self._study),
                ((trial.user_attrs, trial.intermediate_values) for trial in trials),
            )
        assert state is not None  # its header was written before
        self.state = state
        self._ids = [trial._trial_id for trial in trials]
        return state

    def plan(self, runs: int | None) -> None:
        """Write down how many runs the sweep is to have."""
        with self._errors():
            self._storage.set_study_user_attr(self._study, "planned", runs)
        self.refresh()

    def begin(self, agent: Agent, again: SweepRun | None = None) -> SweepRun | None:
        """Take the next run that nobody has taken, or one `again` whose last attempt is over.

        Returns:
            The run, or None if other processes were quicker and nothing is left to take.
        """
        attributes: dict[str, Any] = {"agent": agent.name, "machine": agent.machine}
        if again is not None:
            attributes |= {
                "again": again.index,
                "attempt": again.attempt + 1,
                "config": again.config,
                "coordinates": again.coordinates,
            }
        with self._errors():
            mine = self._add(TrialState.RUNNING, attributes)
            if again is not None and again.status == "running":
                self._set_state(
                    again, TrialState.FAIL, None
                )  # its agent has died, or will see that it is late
        runs, planned = self.refresh().runs, self.state.planned
        taken = next((run for run in runs if self._ids[run.number] == mine), None)
        if taken and planned is not None and taken.index >= planned:
            self.end(taken, "interrupted", "not needed")
            return None
        return taken

    @property
    def trials(self) -> int:
        """How many trials there were when it was last read."""
        return len(self._ids)

    def note(self, run: SweepRun, **attributes: Any) -> SweepRun:
        """Write down something about an attempt; how its run stands now, if it is still the newest one."""
        with self._errors():
            for key, value in attributes.items():
                self._storage.set_trial_user_attr(self._ids[run.number], key, value)
        return next((now for now in self.refresh().runs if now.number == run.number), run)

    def report(self, run: SweepRun, values: Sequence[float]) -> None:
        """Write down the values of the metric that are new, for hyperband on all machines."""
        with self._errors():
            before = self.state.runs[run.index].values
            for step, value in enumerate(values):
                if before[step : step + 1] != (value,):
                    self._storage.set_trial_intermediate_value(self._ids[run.number], step, value)
        self.refresh()

    def end(
        self,
        run: SweepRun,
        status: Status,
        reason: str,
        exit_status: int | None = None,
        objective: float | None = None,
    ) -> SweepRun:
        """Write down how an attempt ended."""
        end = {"status": status, "reason": reason, "exit_status": exit_status, "objective": objective}
        ended = self.note(run, end=end)
        with self._errors():
            self._set_state(run, _STATES[status], None if objective is None else [objective])
        return ended

    def _set_state(self, run: SweepRun, state: TrialState, values: Sequence[float] | None) -> None:
        with suppress(UpdateFinishedTrialError):  # by another process
            self._storage.set_trial_state_values(self._ids[run.number], state, values)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except UpdateFinishedTrialError:
            pass
        except ImportError as error:
            raise UserError(
                f"cannot use the storage {self.where} ({error.__cause__ or error}): for PostgreSQL,"
                " pip install 'ssl-sweep-selector[postgres]'"
            ) from error
        except (StorageInternalError, SQLAlchemyError) as error:
            reason = str(error.__cause__ or error).splitlines()[0]
            raise UserError(
                f"cannot use the storage {self.where}: {reason}; once it answers, the same command continues"
            ) from error
        except (TypeError, KeyError, IndexError, ValueError) as error:
            raise UserError(
                f"{self.where} is not the ledger of a sweep: {error!r}; use another one"
            ) from error


def open_ledger(
    directory: Path, sweep: SweepFile, count: int | None, seed: int | None, storage: str | None
) -> Ledger:
    """The ledger of a new or a continued sweep; the arguments are those of `agent.run_sweep`.

    Raises:
        UserError: The folder or the database belongs to another sweep, or to something else.
    """
    elsewhere = "use another --directory"
    match read_sweep(directory):
        case None if storage is None and (directory / "wandb").exists():
            raise UserError(f"{directory} holds W&B runs but no sweep of selector; {elsewhere}")
        case SweepState(storage=kept) if kept and storage is None:
            advice = f"name it with --storage, or {elsewhere}"
            raise UserError(f"{directory} holds a sweep that {kept} keeps; {advice}")
        case SweepState(storage="") if storage is not None:
            advice = f"leave out --storage, or {elsewhere}"
            raise UserError(f"{directory} holds a sweep that its {JOURNAL} keeps; {advice}")
        case before:
            ledger = Ledger(directory, storage, seed or 0, planned_runs(sweep, count), sweep.yaml.data)
    state = ledger.state
    if before and before.id != state.id:
        raise UserError(f"{directory} holds another sweep than {ledger.where}: {elsewhere}")
    if difference := first_difference(state.sweep_file, sweep.yaml.data):
        raise UserError(f"{directory} holds another sweep: {difference}; {elsewhere} for {sweep.yaml.source}")
    if seed is not None and seed != state.seed:
        raise UserError(f"{directory} holds a sweep with seed {state.seed}, got --seed {seed}; {elsewhere}")
    planned = planned_runs(sweep, state.planned if count is None else count)
    if planned != state.planned:
        ledger.plan(planned)
    if storage is not None:
        write_note(ledger.state, ledger.where)
    if not (directory / "sweep.yaml").exists():
        (directory / "sweep.yaml").write_bytes(sweep.yaml.content)
    return ledger


def first_difference(before: Any, now: Any, path: str = "") -> str:
    """The first place where two sweep files differ, in one line; "" where they ask for the same."""
    if not (isinstance(before, dict) and isinstance(now, dict)):
        # 1, 1.0 and true are equal to Python, but not to a training script.
        same = before == now and repr(before) == repr(now)
        return "" if same else f"{path} was {shown(before)}, now {shown(now)}"
    for key in sorted(before.keys() | now.keys()):
        inner = f"{path}.{key}".removeprefix(".")
        if key not in now:
            return f"{inner} was {shown(before[key])} and is gone"
        if key not in before:
            return f"{inner} is new: {shown(now[key])}"
        if found := first_difference(before[key], now[key], inner):
            return found
    return ""


def _database(url: str) -> RDBStorage:
    """Optuna's tables in a database; the agents that find none all create them, and one succeeds."""
    for _ in range(5):
        with suppress(IntegrityError, ProgrammingError):
            return RDBStorage(url, engine_kwargs={"pool_pre_ping": True})
        time.sleep(1.0)
    return RDBStorage(url, engine_kwargs={"pool_pre_ping": True})


def _shown(url: str) -> str:
    """A database without its password."""
    try:
        place = make_url(url)
        place.get_dialect()  # refuses unknown kinds of databases
        return place.render_as_string(hide_password=True)
    except SQLAlchemyError:
        raise UserError(
            "--storage must be the URL of a database, such as postgresql://user@host/name"
        ) from None
