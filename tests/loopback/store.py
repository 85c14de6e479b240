"""The backend's memory, and the rules by which runs and sweeps change state."""

import json
import random
import string
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

from selector.sweeping.hyperband import Hyperband, runs_to_stop

from .artifacts import Artifact, ArtifactSequence
from .records import ENTITY, Agent, Project, Run, Sweep

T = TypeVar("T")


@dataclass
class Store:
    """Everything that the backend knows; it outlives a stop and restart of the server.

    Attributes:
        page_limit: Most items that a page may hold, whatever the client asked for.
        most_samples: Most history rows that an answer may hold; more are thinned out.
        silence: Seconds without a word from an active run after which it counts as crashed.
        features: Server features that are switched on.
    """

    base_url: str = ""
    page_limit: int = 1000
    most_samples: int = 100_000
    silence: float = 300.0
    features: tuple[str, ...] = ()
    project_by_path: dict[tuple[str, str], Project] = field(default_factory=dict)
    contents: dict[int, bytes] = field(default_factory=dict)
    records: dict[str, Any] = field(default_factory=dict)
    artifact_by_client_id: dict[str, Artifact] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)
    _number: int = 0
    _names: random.Random = field(default_factory=lambda: random.Random(0))

    def number(self) -> int:
        self._number += 1
        return self._number

    def new_name(self) -> str:
        return "".join(self._names.choices(string.ascii_lowercase + string.digits, k=8))

    def find(self, id: str, kind: type[T]) -> T:
        """The record of that id, or an error where there is none of that kind."""
        record = self.records.get(id)
        if not isinstance(record, kind):
            raise ValueError(f"no {kind.__name__.lower()} with the id {id}")
        return record

    # Projects and runs

    def project(self, entity: str | None, name: str | None, create: bool = False) -> Project | None:
        key = (entity or ENTITY, name or "uncategorized")
        if key not in self.project_by_path and create:
            self.project_by_path[key] = Project(store=self, entity_name=key[0], name=key[1])
        return self.project_by_path.get(key)

    def find_run(self, entity: str | None, project: str | None, name: str) -> Run:
        found = self.project(entity, project)
        if found is None or name not in found.bucket_by_name:
            raise ValueError(f"run {entity}/{project}/{name} not found")
        return found.bucket_by_name[name]

    def new_run(self, project: Project, name: str, **keywords: Any) -> Run:
        run = Run(store=self, project=project, name=name, **keywords)
        project.bucket_by_name[name] = run
        if run.sweep:
            run.sweep.run_list.append(run)
        return run

    def collection(self, project: Project, name: str, type_name: str) -> ArtifactSequence:
        if name not in project.collections:
            made = ArtifactSequence(store=self, project=project, name=name, type_name=type_name)
            project.collections[name] = made
        found = project.collections[name]
        assert found.type_name == type_name, f"{name} is of type {found.type_name}, not {type_name}"
        return found

    def delete_run(self, run: Run) -> None:
        del run.project.bucket_by_name[run.name]
        del self.records[run.id]
        if run.sweep:
            run.sweep.run_list.remove(run)

    def end_run(self, run: Run, exitcode: int | None) -> None:
        """A run's process is over; without an exit code it was lost without a word."""
        run.exitcode = exitcode
        if run.preempting and exitcode != 0:
            run.state = "preempted"
            if run.sweep and run not in run.sweep.requeued:
                run.sweep.requeued.append(run)
        elif run.should_stop:
            run.state = "killed"
        elif exitcode is None:
            run.state = "crashed"
        else:
            run.state = "finished" if exitcode == 0 else "failed"
        self._end_capped(run.sweep)

    def _end_capped(self, sweep: Sweep | None) -> None:
        """A sweep whose scheduler runs elsewhere is over with the last run that its run_cap allows."""
        if sweep and sweep.settings.get("scheduler") and len(sweep.run_list) >= sweep.run_cap:
            over = all(run.state in ("finished", "failed", "crashed", "killed") for run in sweep.run_list)
            sweep.state = "FINISHED" if over else sweep.state

    def end_silent_runs(self) -> None:
        limit = time.time() - self.silence
        for project in self.project_by_path.values():
            for run in project.bucket_by_name.values():
                if run.active and run.heartbeat < limit:
                    self.end_run(run, None)

    # Sweeps and agents

    def new_sweep(self, project: Project, config: str, display_name: str | None = None) -> Sweep:
        name = self.new_name()
        sweep = Sweep(store=self, project=project, name=name, config=config, display_name=display_name)
        project.sweep_by_name[sweep.name] = sweep
        return sweep

    def delete_sweep(self, sweep: Sweep) -> None:
        del sweep.project.sweep_by_name[sweep.name]
        del self.records[sweep.id]

    def commands(self, agent: Agent, alive: set[str]) -> list[dict[str, Any]]:
        """What an agent is to do next, given the names of the runs whose processes it still sees."""
        sweep = agent.sweep
        self.end_silent_runs()
        for run in agent.assigned:
            if run.active and run.name not in alive:
                self.end_run(run, None)
        if sweep.state == "CANCELED":
            for run in agent.assigned:
                run.should_stop = run.should_stop or run.active
            return [{"type": "exit"}]
        self._stop_early(sweep)
        stops = [
            {"type": "stop", "run_id": run.name}
            for run in agent.assigned
            if run.name in alive and run.should_stop
        ]
        if stops or alive or sweep.state == "PAUSED":
            return stops
        if sweep.state == "FINISHED":
            return [{"type": "exit"}]
        return list(self._next_start(sweep, agent))

    def _stop_early(self, sweep: Sweep) -> None:
        """Hyperband, as W&B applies it (selector.sweeping.hyperband was compared with W&B's own engine)."""
        settings = dict(sweep.settings.get("early_terminate") or {})
        if not settings:
            return
        if settings.pop("type") != "hyperband":
            raise ValueError("invalid sweep config: early_terminate is not hyperband")
        metric = sweep.settings["metric"]
        values = {run.name: numbers(run.rows, metric["name"]) for run in sweep.run_list}
        running = {run.name for run in sweep.run_list if run.active}
        too_bad = runs_to_stop(values, running, Hyperband(**settings), metric.get("goal") == "maximize")
        for run in sweep.run_list:
            run.should_stop = run.should_stop or run.name in too_bad

    def _next_start(self, sweep: Sweep, agent: Agent) -> Iterator[dict[str, Any]]:
        """Start a requeued run, else the next configuration, else end the sweep once no run is left."""
        sweep.state = "RUNNING"
        if sweep.requeued:
            run, kind = sweep.requeued.pop(0), "resume"
            run.preempting = False
        elif sweep.suggested:
            run, kind = sweep.suggested.pop(0), "run"
        elif (values := sweep.next_values()) is not None:
            config = json.dumps({name: {"value": value} for name, value in values.items()})
            run = self.new_run(sweep.project, self.new_name(), sweep=sweep, config=config, state="pending")
            run.display_name = f"sweep-run-{len(sweep.run_list)}"
            kind = "run"
        elif any(run.active for run in sweep.run_list):
            return  # a run may yet be preempted and come back
        elif sweep.settings.get("scheduler") and len(sweep.run_list) < sweep.run_cap:
            return  # its scheduler has not suggested anything yet
        else:
            sweep.state = "FINISHED"
            yield {"type": "exit"}
            return
        if run not in agent.assigned:
            agent.assigned.append(run)
        arguments = {name: wrapped for name, wrapped in json.loads(run.config).items() if name != "_wandb"}
        if kind == "resume":  # by now the config holds more than the sweep's own parameters
            arguments = {name: arguments[name] for name in sweep.settings["parameters"]}
        program = run.program or sweep.settings.get("program")
        yield {"type": kind, "run_id": run.name, "program": program, "args": arguments}


def numbers(rows: list[dict[str, Any]], key: str) -> list[float]:
    """The finite values of a key, in the order logged."""
    return [row[key] for row in rows if isinstance(row.get(key), int | float)]
