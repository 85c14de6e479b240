"""What the backend holds: projects, runs, sweeps, agents, reports.

Attributes, properties and methods are named after the fields of W&B's GraphQL in snake case: the clients'
queries are answered by that name, and one that is missing is an error.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import yaml

from . import search
from .paging import Connection, matches, order_of, page

if TYPE_CHECKING:
    from .artifacts import Artifact, ArtifactSequence, File
    from .store import Store

ENTITY = "loopback"  # the one account: every key that is right belongs to it
VIEWER = {
    "id": "user:1",
    "name": "Loopback",
    "username": ENTITY,
    "email": "loopback@example.org",
    "entity": ENTITY,
    "admin": False,
    "flags": "{}",
    "teams": {"edges": []},
    "api_keys": {"edges": []},
    "deleted_at": None,
}


def entity(name: str) -> dict[str, Any]:
    """A user or team."""
    return {
        "typename": "Entity",
        "id": f"entity:{name}",
        "name": name,
        "organization": None,
        "user": None,
        "xxhash_digests_enabled": False,
    }


def timestamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


@dataclass(eq=False, repr=False, kw_only=True)  # they refer to one another
class Record:
    """Something with an id, in the order of their numbers."""

    store: Store
    number: int = 0
    created: float = field(default_factory=time.time)
    heartbeat: float = field(default_factory=time.time)

    def __post_init__(self) -> None:
        self.number = self.store.number()
        self.store.records[self.id] = self

    @property
    def id(self) -> str:
        return f"{type(self).__name__}:{self.number}"

    @property
    def created_at(self) -> str:
        return timestamp(self.created)

    @property
    def heartbeat_at(self) -> str:
        return timestamp(self.heartbeat)

    updated_at = heartbeat_at

    def paged(self, items: list[Any], first: int | None, after: str | None) -> Connection:
        return page(items, first, after, self.store.page_limit)


@dataclass(eq=False, repr=False, kw_only=True)
class Project(Record):
    entity_name: str
    name: str
    bucket_by_name: dict[str, Run] = field(default_factory=dict)
    sweep_by_name: dict[str, Sweep] = field(default_factory=dict)
    collections: dict[str, ArtifactSequence] = field(default_factory=dict)
    view_list: list[View] = field(default_factory=list)

    description = views = user = None
    access = "PRIVATE"
    is_benchmark = read_only = False

    @property
    def internal_id(self) -> str:
        return str(self.number)

    @property
    def entity(self) -> dict[str, Any]:
        return entity(self.entity_name)

    def select(self, filters: str | None) -> list[Run]:
        query = json.loads(filters) if filters else {}
        return [run for run in self.bucket_by_name.values() if matches(run, query)]

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
        return self.paged(sorted(self.select(filters), key=key, reverse=falls), first, after)

    def run(self, name: str) -> Run | None:
        return self.bucket_by_name.get(name)

    def bucket(self, name: str, missing_ok: bool = False) -> Run | None:
        if name not in self.bucket_by_name and not missing_ok:
            raise ValueError(f"run {name} not found")
        return self.bucket_by_name.get(name)

    def sweep(self, sweep_name: str) -> Sweep | None:
        return self.sweep_by_name.get(sweep_name)

    def artifact_type(self, name: str) -> dict[str, Any]:
        created = timestamp(0)
        return {
            "typename": "ArtifactType",
            "id": f"type:{name}",
            "name": name,
            "description": None,
            "created_at": created,
        } | {"artifact_collection": lambda name: self.collections.get(name)}

    def artifact(self, name: str) -> Artifact | None:
        membership = self.artifact_collection_membership(name)
        return membership["artifact"] if membership else None

    def artifact_collection(self, name: str) -> ArtifactSequence | None:
        return self.collections.get(name)

    def artifact_collection_membership(self, name: str) -> Any:
        collection, _, alias = name.partition(":")
        found = self.collections.get(collection)
        return found.artifact_membership(alias or "latest") if found else None


@dataclass(eq=False, repr=False, kw_only=True)
class Sweep(Record):
    project: Project
    name: str
    config: str
    display_name: str | None = None
    description: str | None = None
    state: str = "PENDING"
    run_list: list[Run] = field(default_factory=list)
    agent_list: list[Agent] = field(default_factory=list)
    requeued: list[Run] = field(default_factory=list)
    suggested: list[Run] = field(default_factory=list)  # by `wandb sweep-scheduler`, and not begun

    best_loss = controller = scheduler = None
    early_stop_job_running = False

    def __post_init__(self) -> None:
        search.check(self.settings)
        super().__post_init__()
        self.source: Iterator[dict[str, Any]] = search.draws(self.settings, self.number)

    @property
    def settings(self) -> dict[str, Any]:
        settings: dict[str, Any] = yaml.safe_load(self.config)
        return settings

    @property
    def method(self) -> str:
        return str(self.settings["method"])

    @property
    def controller_run_name(self) -> str:
        """Run that `wandb sweep-scheduler` writes its log to; it is none of the sweep's."""
        return f"scheduler-{self.name}" if self.settings.get("scheduler") else ""

    @property
    def run_count(self) -> int:
        return len(self.run_list)

    @property
    def run_cap(self) -> int:
        return int(self.settings.get("run_cap") or 10**9)

    @property
    def run_count_expected(self) -> int | None:
        cap = self.settings.get("run_cap")
        if self.method != "grid":
            return cap
        return min(len(search.grid(self.settings["parameters"])), cap or 10**9)

    def runs(self, first: int | None = None, after: str | None = None) -> Connection:
        return self.paged(self.run_list, first, after)

    def next_values(self) -> dict[str, Any] | None:
        """The next configuration to run, or None where the search or its run_cap is at its end."""
        if len(self.run_list) >= self.run_cap:
            return None
        return next(self.source, None)


@dataclass(eq=False, repr=False, kw_only=True)
class Agent(Record):
    sweep: Sweep
    host: str
    assigned: list[Run] = field(default_factory=list)


@dataclass(eq=False, repr=False, kw_only=True)
class Run(Record):
    project: Project
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
    event_lines: list[str] = field(default_factory=list)
    log_lines: list[str] = field(default_factory=list)
    file_by_name: dict[str, File] = field(default_factory=dict)
    outputs: list[Artifact] = field(default_factory=list)
    should_stop: bool = False
    preempting: bool = False
    exitcode: int | None = None

    read_only = False
    user = VIEWER
    system_metrics = "{}"

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
    def active(self) -> bool:
        return self.state in ("running", "preempting")

    running = active

    @property
    def failed(self) -> bool:
        return self.state in ("failed", "crashed")

    @property
    def stopped(self) -> bool:
        return self.state == "killed"

    def write_history(self, offset: int, lines: list[str]) -> None:
        """Take in lines from an offset on; those that a retry sends again replace themselves."""
        self.lines[offset : offset + len(lines)] = lines
        # As JSON values: the clients send bare NaN, which only text may hold.
        self.rows[offset : offset + len(lines)] = [json.loads(line, parse_constant=str) for line in lines]

    @property
    def history_keys(self) -> dict[str, Any] | None:
        if not self.rows:
            return None
        keys = sorted({key for row in self.rows for key in row})
        return {"lastStep": self.rows[-1]["_step"], "keys": {key: {"typeCounts": []} for key in keys}}

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
        low, high = min_step or 0, 10**18 if max_step is None else max_step
        pairs = zip(self.lines, self.rows, strict=True)
        lines = [line for line, row in pairs if low <= row["_step"] < high]
        return thinned(lines, min(samples, self.store.most_samples))

    def sampled_history(self, specs: list[str] | str) -> list[list[dict[str, Any]]]:
        specs = [specs] if isinstance(specs, str) else specs  # GraphQL takes one value for a list of one
        return [self._sampled(**json.loads(spec)) for spec in specs]

    def _sampled(
        self, keys: tuple[str, ...] = (), samples: int = 500, minStep: int = 0, maxStep: int = 10**18
    ) -> list[dict[str, Any]]:
        """Rows that hold every key of a spec; an empty spec, as the agent sends it, asks for nothing.

        Unlike that of `history`, the maxStep of a spec is still in its range: so the client asks.
        """
        rows = [
            {key: row[key] for key in keys}
            for row in (self.rows if keys else [])
            if minStep <= row["_step"] <= maxStep and all(key in row for key in keys)
        ]
        return thinned(rows, samples)

    def parquet_history(self, live_keys: list[str]) -> dict[str, Any]:
        """Nothing is ever exported to parquet here: the whole history is live."""
        live = [{key: row[key] for key in live_keys if key in row} for row in self.rows]
        return {"parquet_urls": [], "live_data": live}

    @property
    def file_count(self) -> int:
        return len(self.files().edges)

    def files(
        self,
        names: list[str] | None = None,
        after: str | None = None,
        first: int | None = None,
        pattern: None = None,
    ) -> Connection:
        files = [file for file in self.file_by_name.values() if file.uploaded]
        return self.paged([file for file in files if not names or file.name in names], first, after)

    def output_artifacts(self, after: str | None = None, first: int | None = None) -> Connection:
        return self.paged(self.outputs, first, after)


@dataclass(eq=False, repr=False, kw_only=True)
class View(Record):
    """A report."""

    project: Project
    name: str
    type: str
    display_name: str
    description: str
    spec: str

    @property
    def id(self) -> str:
        return base64.b64encode(f"View:{self.number}".encode()).decode()  # the client decodes it

    @property
    def blocks(self) -> list[dict[str, Any]]:
        """What the report consists of."""
        found: list[dict[str, Any]] = json.loads(self.spec)["blocks"]
        return found


def thinned(rows: list[Any], samples: int) -> list[Any]:
    """At most `samples` of the rows, evenly spread."""
    if len(rows) <= samples:
        return rows
    return [rows[place * len(rows) // samples] for place in range(samples)]
