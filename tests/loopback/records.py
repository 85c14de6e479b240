"""What the backend holds: projects, runs, sweeps, agents.

Attributes, properties and methods are named after the fields of schema.graphql in snake case: the GraphQL
resolver looks them up by that name, and one that is missing is an error.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import yaml

from . import search
from .accounts import VIEWER, Entity
from .artifacts import ArtifactSequence, ArtifactType
from .files import File
from .paging import Connection, matches, order_of, page

if TYPE_CHECKING:
    from .artifacts import Artifact
    from .store import Store
    from .views import View


def timestamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


@dataclass(eq=False, repr=False)  # they refer to one another
class Project:
    store: Store
    number: int
    entity: Entity
    name: str
    created: float = field(default_factory=time.time)
    bucket_by_name: dict[str, Run] = field(default_factory=dict)
    sweep_by_name: dict[str, Sweep] = field(default_factory=dict)
    collections: dict[str, ArtifactSequence] = field(default_factory=dict)
    view_list: list[View] = field(default_factory=list)

    description = None
    access = "PRIVATE"
    views = None
    is_benchmark = False
    read_only = False
    user = None

    @property
    def id(self) -> str:
        return f"project:{self.number}"

    @property
    def internal_id(self) -> str:
        return str(self.number)

    @property
    def entity_name(self) -> str:
        return self.entity.name

    @property
    def created_at(self) -> str:
        return timestamp(self.created)

    def run_count(self, filters: str | None = None) -> int:
        return len(self.select(filters))

    def runs(
        self,
        filters: str | None = None,
        after: str | None = None,
        first: int | None = None,
        order: str | None = None,
    ) -> Connection:
        key, falls = order_of(order)
        runs = sorted(self.select(filters), key=key, reverse=falls)
        return page(runs, first, after, self.store.page_limit)

    def select(self, filters: str | None) -> list[Run]:
        query = json.loads(filters) if filters else {}
        return [run for run in self.bucket_by_name.values() if matches(run, query)]

    def run(self, name: str) -> Run | None:
        return self.bucket_by_name.get(name)

    def bucket(self, name: str, missing_ok: bool = False) -> Run | None:
        if name not in self.bucket_by_name and not missing_ok:
            raise ValueError(f"run {name} not found")
        return self.bucket_by_name.get(name)

    @property
    def total_sweeps(self) -> int:
        return len(self.sweep_by_name)

    def sweeps(
        self, after: str | None = None, first: int | None = None, filters: str | None = None
    ) -> Connection:
        if filters not in (None, "{}"):
            raise ValueError("filters on sweeps are not known here")
        return page(list(self.sweep_by_name.values()), first, after, self.store.page_limit)

    def sweep(self, sweep_name: str) -> Sweep | None:
        return self.sweep_by_name.get(sweep_name)

    def artifact(self, name: str) -> Artifact | None:
        membership = self.artifact_collection_membership(name)
        return membership.artifact if membership else None

    def artifact_type(self, name: str) -> ArtifactType | None:
        known = any(collection.type_name == name for collection in self.collections.values())
        return ArtifactType(name, self) if known else None

    def artifact_collection(self, name: str) -> ArtifactSequence | None:
        return self.collections.get(name)

    def artifact_collection_membership(self, name: str) -> Any:
        collection, _, alias = name.partition(":")
        found = self.collections.get(collection)
        return found.artifact_membership(alias or "latest") if found else None


@dataclass(eq=False, repr=False)  # they refer to one another
class Sweep:
    project: Project
    number: int
    name: str
    config: str
    display_name: str | None = None
    description: str | None = None
    state: str = "PENDING"
    created: float = field(default_factory=time.time)
    updated: float = field(default_factory=time.time)
    run_list: list[Run] = field(default_factory=list)
    agent_list: list[Agent] = field(default_factory=list)
    requeued: list[Run] = field(default_factory=list)

    heartbeat_at = None
    best_loss = None
    early_stop_job_running = False
    controller = None
    scheduler = None
    controller_run_name = ""

    def __post_init__(self) -> None:
        search.check(self.settings)
        self.source: Iterator[dict[str, Any]] = search.draws(self.settings, self.number)

    @property
    def id(self) -> str:
        return f"sweep:{self.number}"

    @property
    def settings(self) -> dict[str, Any]:
        settings: dict[str, Any] = yaml.safe_load(self.config)
        return settings

    @property
    def method(self) -> str:
        return str(self.settings["method"])

    @property
    def created_at(self) -> str:
        return timestamp(self.created)

    @property
    def updated_at(self) -> str:
        return timestamp(self.updated)

    @property
    def run_count(self) -> int:
        return len(self.run_list)

    @property
    def run_count_expected(self) -> int | None:
        cap = self.settings.get("run_cap")
        if self.method != "grid":
            return cap
        return min(len(search.grid(self.settings["parameters"])), cap or 10**9)

    def runs(self, first: int | None = None, after: str | None = None) -> Connection:
        return page(self.run_list, first, after, self.project.store.page_limit)

    @property
    def agents(self) -> Connection:
        return page(self.agent_list, None, None, 1000)

    def agent(self, agent_name: str) -> Agent | None:
        return next((agent for agent in self.agent_list if agent.name == agent_name), None)

    def next_values(self) -> dict[str, Any] | None:
        """The next configuration to run, or None where the search or its run_cap is at its end."""
        if len(self.run_list) >= (self.settings.get("run_cap") or 10**9):
            return None
        return next(self.source, None)


@dataclass(eq=False, repr=False)  # they refer to one another
class Agent:
    sweep: Sweep
    number: int
    host: str
    heartbeat: float = field(default_factory=time.time)
    created: float = field(default_factory=time.time)
    assigned: list[Run] = field(default_factory=list)
    state: str = "RUNNING"

    @property
    def id(self) -> str:
        return f"agent:{self.number}"

    @property
    def name(self) -> str:
        return f"agent-{self.number}"

    @property
    def total_runs(self) -> int:
        return len(self.assigned)

    @property
    def created_at(self) -> str:
        return timestamp(self.created)

    @property
    def heartbeat_at(self) -> str:
        return timestamp(self.heartbeat)

    def runs(
        self,
        after: str | None = None,
        before: str | None = None,
        first: int | None = None,
        last: int | None = None,
        order: str | None = None,
    ) -> Connection:
        if before or last or order not in (None, "+created_at"):
            raise ValueError("an agent's runs are listed forwards, by creation, here")
        return page(self.assigned, first, after, self.sweep.project.store.page_limit)


@dataclass(eq=False, repr=False)  # they refer to one another
class Run:
    project: Project
    number: int
    name: str
    display_name: str | None = None
    description: str | None = None
    notes: str | None = None
    group: str | None = None
    job_type: str | None = None
    commit: str | None = None
    host: str | None = None
    program: str | None = None
    tags: list[str] = field(default_factory=list)
    sweep: Sweep | None = None
    state: str = "running"
    config: str = "{}"
    summary: dict[str, Any] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)  # history as it came: one JSON object a line
    rows: list[dict[str, Any]] = field(default_factory=list)  # and what the lines say
    key_counts: Counter[str] | None = None  # how many of the rows hold a key, once somebody has asked
    event_lines: list[str] = field(default_factory=list)
    log_lines: list[str] = field(default_factory=list)
    file_by_name: dict[str, File] = field(default_factory=dict)
    outputs: list[Artifact] = field(default_factory=list)
    inputs: list[Artifact] = field(default_factory=list)
    created: float = field(default_factory=time.time)
    heartbeat: float = field(default_factory=time.time)
    should_stop: bool = False
    preempting: bool = False
    exitcode: int | None = None

    read_only = False
    user = VIEWER
    system_metrics = "{}"

    @property
    def id(self) -> str:
        return f"run:{self.number}"

    @property
    def project_id(self) -> int:
        return self.project.number

    @property
    def sweep_name(self) -> str | None:
        return self.sweep.name if self.sweep else None

    def config_value(self, name: str) -> Any:
        return json.loads(self.config).get(name, {}).get("value")

    def wandb_config(self, keys: list[str]) -> str:
        internal = json.loads(self.config).get("_wandb", {}).get("value", {})
        return json.dumps({key: internal[key] for key in keys if key in internal})

    @property
    def summary_metrics(self) -> str:
        return json.dumps(self.summary)

    @property
    def created_at(self) -> str:
        return timestamp(self.created)

    @property
    def heartbeat_at(self) -> str:
        return timestamp(self.heartbeat)

    @property
    def active(self) -> bool:
        return self.state in ("running", "preempting")

    @property
    def running(self) -> bool:
        return self.active

    @property
    def failed(self) -> bool:
        return self.state in ("failed", "crashed")

    @property
    def stopped(self) -> bool:
        return self.state == "killed"

    # History. A row is kept as the JSON line that the client sent.

    def write_history(self, offset: int, lines: list[str]) -> None:
        """Take in lines from an offset on; those that a retry sends again replace themselves."""
        self.lines[offset : offset + len(lines)] = lines
        # As JSON values: the clients send bare NaN, which only text may hold.
        self.key_counts = None
        self.rows[offset : offset + len(lines)] = [json.loads(line, parse_constant=str) for line in lines]

    @property
    def history_keys(self) -> dict[str, Any] | None:
        if not self.rows:
            return None
        if self.key_counts is None:
            self.key_counts = Counter(key for row in self.rows for key in row)
        says = self.project.store.counts_keys
        return {
            "lastStep": self.rows[-1]["_step"],
            "keys": {
                key: {"typeCounts": [{"type": "number", "count": count}] if says else []}
                for key, count in sorted(self.key_counts.items())
            },
            "sets": [],
        }

    @property
    def history_line_count(self) -> int:
        return len(self.lines)

    @property
    def events_line_count(self) -> int:
        return len(self.event_lines)

    @property
    def log_line_count(self) -> int:
        return len(self.log_lines)

    @property
    def history_tail(self) -> str:
        return json.dumps(self.lines[-1:])

    @property
    def events_tail(self) -> str:
        return json.dumps(self.event_lines[-1:])

    def history(
        self, samples: int = 500, min_step: int | None = None, max_step: int | None = None
    ) -> list[str]:
        """Rows of steps min_step … max_step - 1; more than `samples` of them are thinned out, as W&B does."""
        lines = self.lines
        if min_step is not None or max_step is not None:
            low, high = min_step or 0, 10**18 if max_step is None else max_step
            pairs = zip(lines, self.rows, strict=True)
            lines = [line for line, row in pairs if low <= row["_step"] < high]
        return thinned(lines, min(samples, self.project.store.most_samples))

    def events(self, samples: int = 500) -> list[str]:
        return thinned(self.event_lines, samples)

    def sampled_history(self, specs: list[str]) -> list[list[dict[str, Any]]]:
        return [self._sampled(json.loads(spec)) for spec in specs]

    def _sampled(self, spec: dict[str, Any]) -> list[dict[str, Any]]:
        """Rows that hold every key of the spec; an empty spec, as the agent sends it, asks for nothing.

        Unlike that of `history`, the maxStep of a spec is still in its range: so the client asks.
        """
        if unknown := spec.keys() - {"keys", "samples", "minStep", "maxStep"}:
            raise ValueError(f"unknown history spec: {sorted(unknown)}")
        keys = spec.get("keys", [])
        low, high = spec.get("minStep", 0), spec.get("maxStep", 10**18)
        rows = [
            {key: row[key] for key in keys}
            for row in (self.rows if keys else [])
            if low <= row["_step"] <= high and all(key in row for key in keys)
        ]
        return thinned(rows, spec.get("samples", 500))

    def parquet_history(self, live_keys: list[str]) -> dict[str, Any]:
        """Nothing is ever exported to parquet here: the whole history is live."""
        live = [{key: row[key] for key in live_keys if key in row} for row in self.rows]
        return {"parquet_urls": [], "live_data": live}

    # Files and artifacts

    @property
    def file_count(self) -> int:
        return len(self._uploaded())

    def files(
        self,
        names: list[str] | None = None,
        after: str | None = None,
        first: int | None = None,
        pattern: str | None = None,
    ) -> Connection:
        if pattern:
            raise ValueError("files are listed by their names here, not by a pattern")
        files = [file for file in self._uploaded() if not names or file.name in names]
        return page(files, first, after, self.project.store.page_limit)

    def _uploaded(self) -> list[File]:
        return [file for file in self.file_by_name.values() if file.uploaded]

    def output_artifacts(self, after: str | None = None, first: int | None = None) -> Connection:
        return page(self.outputs, first, after, self.project.store.page_limit)

    def input_artifacts(self, after: str | None = None, first: int | None = None) -> Connection:
        return page(self.inputs, first, after, self.project.store.page_limit)


def thinned(rows: list[Any], samples: int) -> list[Any]:
    """At most `samples` of the rows, evenly spread."""
    if len(rows) <= samples:
        return rows
    return [rows[place * len(rows) // samples] for place in range(samples)]
