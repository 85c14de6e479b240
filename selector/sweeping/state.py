"""What a sweep folder says about its sweep: how many runs are planned, which there are, and how each ended.

The ledger is a study in Optuna's storage (see storage.py). In a folder it is a journal with one JSON line per
event, which is read here without Optuna, so that ranking a folder does not wait for its import.
"""

import json
import os
import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal, get_args

from selector.errors import UserError
from selector.files import is_locked, is_regular
from selector.text import printable

JOURNAL = "journal.log"
STORAGE = "storage.json"  # in the folder of a sweep whose ledger a database keeps: which, and what is planned
VERSION = 2

# "stopped": ended early on purpose (hyperband). "interrupted": to be run again under the same id.
Status = Literal["running", "finished", "failed", "stopped", "interrupted"]

_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class SweepRun:
    """One run of a sweep."""

    index: int  # position in the sweep, from 0; the index-th configuration of the search
    id: str  # of W&B: 8 characters, made from the sweep's id and the index
    config: Mapping[str, Any]  # nested hyperparameters are dictionaries; empty until it was drawn
    status: Status
    reason: str = ""  # one line on why it is not "finished"
    exit_status: int | None = None  # negative for a signal; None while it runs, or where nobody saw its end
    objective: float | None = None  # the sweep's metric; None where it was not logged, or the run is not over
    values: tuple[float, ...] = ()  # all finite ones of the metric so far, in the order logged
    coordinates: Mapping[str, float] | None = None  # where bayes found the configuration
    attempt: int = 0  # how often it was started before
    failures: int = 0
    number: int = 0  # of the Optuna trial that is its last attempt
    agent: "Agent | None" = None  # carries out the last attempt
    pid: int | None = None  # of the run's own process, on the agent's machine
    beat: int = 0  # grows while the agent is alive

    @property
    def done(self) -> bool:
        """Whether the run is over for good; a failed or interrupted one is tried again."""
        return self.status in ("finished", "stopped")


@dataclass(frozen=True)
class Agent:
    """A process that carries out runs: a name of its own, and the machine (until its next boot) it is on."""

    name: str
    machine: str


@dataclass(frozen=True)
class SweepState:
    """Where a sweep stands."""

    directory: Path
    id: str  # of W&B: 8 characters
    seed: int
    planned: int | None  # runs that the sweep is to have; None for no end
    sweep_file: Mapping[str, Any]
    runs: tuple[SweepRun, ...] = ()  # by index; none where a database keeps them and the folder alone is read
    storage: str = ""  # that database, without its password

    @property
    def done(self) -> int:
        """Number of runs that are over for good, hyperband's stopped ones included."""
        return sum(run.done for run in self.runs)

    @property
    def failed(self) -> int:
        """Number of runs that failed and were not yet repeated."""
        return sum(run.status == "failed" for run in self.runs)

    @property
    def complete(self) -> bool:
        """Whether nothing is left to do."""
        return self.done == len(self.runs) and self.done >= (self.planned or 0)

    @property
    def best(self) -> SweepRun | None:
        """The run with the best objective so far; None without an objective or a value of it."""
        scored = [(run.objective, run) for run in self.runs if run.done and run.objective is not None]
        choose = max if self.sweep_file.get("metric", {}).get("goal") == "maximize" else min
        return choose(scored, key=lambda pair: pair[0])[1] if scored else None

    @property
    def finish_command(self) -> str:
        """The shell command that continues the sweep."""
        where = str(self.directory)
        storage = ["--storage", self.storage] if self.storage else []
        return shlex.join(["selector", "sweep", f"{where}/sweep.yaml", "--directory", where, *storage])


def run_id(sweep: str, index: int) -> str:
    """The id of a sweep's index-th run, the same in every life of the sweep."""
    return _base36(int.from_bytes(sha256(f"{sweep}/{index}".encode()).digest()))


def new_id() -> str:
    """A random id: two sweeps of the same file must not meet when both are synced to W&B."""
    return _base36(int.from_bytes(os.urandom(16)))


def _base36(number: int) -> str:
    return "".join(_ALPHABET[number // 36**position % 36] for position in range(8))


def read_sweep(directory: Path) -> SweepState | None:
    """The sweep of a folder; None where no sweep was started.

    Raises:
        UserError: What is there is not the ledger of a sweep.
    """
    for name, read in ((JOURNAL, _read_journal), (STORAGE, _read_note)):
        path = directory / name
        try:
            if not is_regular(path):
                raise UserError(f"{path} is not a regular file, and so no ledger; use another --directory")
            return read(directory, path.read_bytes())
        except FileNotFoundError:
            continue
        except OSError as error:
            raise UserError(f"cannot read {path}: {error.strerror}") from None
        except (TypeError, KeyError, IndexError, AttributeError, ValueError, RecursionError):
            raise UserError(f"{path} is not the ledger of a sweep; use another --directory") from None
    return None


def _read_journal(directory: Path, content: bytes) -> SweepState | None:
    """Optuna's journal: what was added to the study and its trials, in the order of events."""
    study: dict[str, Any] = {}
    trials: list[tuple[dict[str, Any], dict[int, float]]] = []
    for line in content[: content.rfind(b"\n") + 1].splitlines():  # the last one may be half written
        match json.loads(line):
            case {"op_code": 2, "user_attr": dict(attributes)}:
                study |= attributes
            case {"op_code": 4, "user_attrs": dict(attributes)}:
                trials.append((attributes, {}))
            case {"op_code": 7, "trial_id": int(trial), "step": int(step), "intermediate_value": value}:
                trials[trial][1][step] = value
            case {"op_code": 8, "trial_id": int(trial), "user_attr": dict(attributes)}:
                trials[trial][0].update(attributes)
            case {"op_code": int()}:
                pass
            case _:
                raise ValueError(line)
    return state_of(directory, study, trials)


def state_of(
    directory: Path,
    study: Mapping[str, Any],
    trials: Iterable[tuple[Mapping[str, Any], Mapping[int, float]]],
) -> SweepState | None:
    """A sweep from its study: attributes of the study, then attributes and reported values of each trial.

    The first trial that describes a sweep is its header. Every other trial is an attempt at a run. The n-th
    trial that is not a repetition belongs to the n-th run; the first trial that repeats a run for the k-th
    time is its k-th repetition, and later ones that say the same have come too late. So the order of trials,
    which the storage guarantees, settles who carries out what.
    """
    header: Mapping[str, Any] | None = None
    runs: list[SweepRun] = []
    for number, (trial, values) in enumerate(trials):
        if "sweep" in trial:
            header = header or trial
            _check_version(directory, header)
        elif header is None:
            raise ValueError("a run before the sweep")
        elif (again := trial.get("again")) is None:
            first = SweepRun(len(runs), run_id(header["sweep"], len(runs)), {}, "running")
            runs.append(_attempt(first, number, trial, values))
        elif trial["attempt"] == runs[again].attempt + 1:
            runs[again] = _attempt(runs[again], number, trial, values)
    if header is None:
        return None
    while runs and runs[-1].status == "interrupted" and not runs[-1].config:
        runs.pop()  # one more than was planned: two agents asked for the last one at once
    return _state(directory, header, study.get("planned", header["planned"]), tuple(runs))


def _check_version(directory: Path, header: Mapping[str, Any]) -> None:
    if header["version"] != VERSION:
        formats = f"its format is {printable(str(header['version']))}, this one's {VERSION}"
        raise UserError(
            f"{directory} was written by another version of selector ({formats}): continue it with that"
            " version, or use another --directory"
        )


def _state(
    directory: Path,
    header: Mapping[str, Any],
    planned: int | None,
    runs: tuple[SweepRun, ...] = (),
    storage: str = "",
) -> SweepState:
    sweep, seed, sweep_file = header["sweep"], header["seed"], header["sweep_file"]
    if not re.fullmatch(r"[a-z0-9]{8}", sweep) or not isinstance(sweep_file, dict):
        raise ValueError("no sweep")
    if type(seed) is not int or type(planned) not in (int, type(None)):
        raise ValueError("no plan")
    return SweepState(directory, sweep, seed, planned, sweep_file, runs, storage)


def _attempt(run: SweepRun, number: int, trial: Mapping[str, Any], values: Mapping[int, float]) -> SweepRun:
    """The run as its newest attempt leaves it."""
    end = trial.get("end", {})
    status, pid = end.get("status", "running"), trial.get("pid")
    if status not in get_args(Status) or type(pid) not in (int, type(None)):
        raise ValueError("a status or a process that was never written")
    return SweepRun(
        run.index,
        run.id,
        dict(trial.get("config", {})),
        status,
        str(end.get("reason", "")),
        end.get("exit_status"),
        end.get("objective"),
        tuple(float(values[step]) for step in sorted(values)),
        trial.get("coordinates"),
        trial.get("attempt", 0),
        run.failures + (status == "failed"),
        number,
        Agent(str(trial["agent"]), str(trial["machine"])),
        pid,
        trial.get("beat", 0),
    )


def header_of(sweep: str, seed: int, planned: int | None, sweep_file: Mapping[str, Any]) -> dict[str, Any]:
    """What is written about a sweep as a whole."""
    return {
        "version": VERSION,
        "sweep": sweep,
        "seed": seed,
        "planned": planned,
        "sweep_file": dict(sweep_file),
    }


def write_note(state: SweepState, storage: str) -> None:
    """Leave in its folder what a database knows of a sweep, for those who read the folder alone."""
    header = header_of(state.id, state.seed, state.planned, state.sweep_file)
    half_written = state.directory / f"{STORAGE}.{os.getpid()}"
    half_written.write_text(json.dumps({**header, "storage": storage}))
    half_written.replace(state.directory / STORAGE)


def _read_note(directory: Path, content: bytes) -> SweepState:
    note = json.loads(content)
    _check_version(directory, note)
    return _state(directory, note, note["planned"], storage=str(note["storage"]))


def agent_lock(directory: Path, name: str) -> Path:
    """What an agent keeps locked for as long as it lives."""
    return directory / "agents" / name


def at_work(directory: Path) -> bool:
    """Whether a `selector sweep` carries out runs of a folder now, as far as its file system knows."""
    return any(is_locked(path) for path in directory.glob("agents/*"))
