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
from optuna.trial import TrialState, create_trial
from sqlalchemy.engine import make_url
from sqlalchemy.exc import IntegrityError, ProgrammingError, SQLAlchemyError

from selector.errors import UserError
from selector.sweeping.state import JOURNAL, VERSION, Agent, Status, SweepRun, SweepState, new_id, state_of

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
        self,
        directory: Path,
        url: str | None,
        seed: int,
        planned: int | None,
        sweep_file: Mapping[str, Any],
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
                header = {
                    "version": VERSION,
                    "sweep": new_id(),
                    "seed": seed,
                    "planned": planned,
                    "sweep_file": dict(sweep_file),
                }
                self._add(header, TrialState.FAIL)
        self.refresh()

    def _open_study(self, name: str, direction: StudyDirection) -> int:
        with suppress(KeyError):
            return self._storage.get_study_id_from_name(name)
        with suppress(DuplicatedStudyError):
            return self._storage.create_new_study([direction], name)
        return self._storage.get_study_id_from_name(name)

    def _trials(self) -> Sequence[Any]:
        return self._storage.get_all_trials(self._study, deepcopy=False)

    def _add(self, attributes: Mapping[str, Any], state: TrialState) -> int:
        return self._storage.create_new_trial(
            self._study, create_trial(state=state, user_attrs=dict(attributes))
        )

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

    def begin_next(self, agent: Agent) -> SweepRun:
        """Take the next run that nobody has taken; its index may be beyond what is planned."""
        with self._errors():
            mine = self._add({"agent": agent.name, "machine": agent.machine}, TrialState.RUNNING)
        self.refresh()
        return next(run for run in self.state.runs if self._ids[run.number] == mine)

    def begin_again(self, run: SweepRun, agent: Agent) -> SweepRun | None:
        """Take a run whose last attempt is over; None where another process was quicker."""
        attributes = {
            "agent": agent.name,
            "machine": agent.machine,
            "again": run.index,
            "attempt": run.attempt + 1,
            "config": run.config,
            "coordinates": run.coordinates,
        }
        with self._errors():
            mine = self._add(attributes, TrialState.RUNNING)
            if run.status == "running":  # its agent has died; if not, it will see that it is no longer asked
                self._set_state(run, TrialState.FAIL, None)
        now = self.refresh().runs[run.index]
        return now if self._ids[now.number] == mine else None

    @property
    def trials(self) -> int:
        """How many trials there were when it was last read."""
        return len(self._ids)

    def note(self, run: SweepRun, **attributes: Any) -> SweepRun:
        """Write down something about a run that goes on; how it stands now."""
        with self._errors():
            for key, value in attributes.items():
                self._storage.set_trial_user_attr(self._ids[run.number], key, value)
        self.refresh()
        now = self._now(run)
        return now if now.number == run.number else run

    def report(self, run: SweepRun, values: Sequence[float]) -> None:
        """Write down the values of the metric that are new, for hyperband on all machines."""
        with self._errors():
            before = self.state.runs[run.index].values
            for step, value in enumerate(values):
                if before[step : step + 1] != (value,):
                    self._storage.set_trial_intermediate_value(self._ids[run.number], step, value)
        self.refresh()

    def end(
        self, run: SweepRun, status: Status, reason: str, exit_status: int | None, objective: float | None
    ) -> SweepRun:
        """Write down how an attempt ended."""
        end = {"status": status, "reason": reason, "exit_status": exit_status, "objective": objective}
        self.note(run, end=end)
        with self._errors():
            self._set_state(run, _STATES[status], None if objective is None else [objective])
        return self._now(run)

    def _now(self, run: SweepRun) -> SweepRun:
        """How a run stands now; as it was, where it turned out to be one more than was planned."""
        return self.state.runs[run.index] if run.index < len(self.state.runs) else run

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
        return make_url(url).render_as_string(hide_password=True)
    except SQLAlchemyError:
        raise UserError(
            "--storage must be the URL of a database, such as postgresql://user@host/name"
        ) from None
