"""The two GraphQL roots: every query and mutation that the clients send."""

import json
import time
from dataclasses import dataclass
from typing import Any

from .artifacts import Artifact, ArtifactSequence, File
from .paging import Connection, Edge, PageInfo, matches, page
from .records import ENTITY, VIEWER, Agent, Project, Run, Sweep, View, entity
from .store import Store


class NotFound(Exception):
    """Answered with HTTP 404, as W&B does for a heartbeat of a deleted sweep."""


@dataclass(frozen=True)
class Query:
    store: Store

    viewer = VIEWER
    organization = None

    @property
    def server_info(self) -> dict[str, Any]:
        return {"features": [{"name": name, "is_enabled": True} for name in self.store.features]}

    def entity(self, name: str | None = None) -> dict[str, Any]:
        return entity(name or ENTITY)

    def project(self, name: str | None = None, entity_name: str | None = None) -> Project | None:
        self.store.end_silent_runs()
        return self.store.project(entity_name, name)

    model = project

    def models(
        self, entity_name: str | None = None, after: str | None = None, first: int | None = None
    ) -> Connection:
        projects = self.store.project_by_path.values()
        return page([one for one in projects if one.entity_name == (entity_name or ENTITY)], first, after)

    def view(self, id: str) -> View:
        return self.store.find(id, View)

    def artifact(self, id: str) -> Artifact:
        return self.store.find(id, Artifact)

    def client_id_mapping(self, client_id: str) -> dict[str, str] | None:
        artifact = self.store.artifact_by_client_id.get(client_id)
        return {"server_id": artifact.id} if artifact else None


@dataclass(frozen=True)
class Mutation:
    """Each method takes the fields of its GraphQL input by keyword."""

    store: Store

    def upsert_model(self, name: str, entity_name: str | None = None, **_: Any) -> dict[str, Any]:
        project = self.store.project(entity_name, name, create=True)
        return {"project": project, "model": project, "inserted": True}

    def upsert_view(
        self,
        *,
        entity_name: str,
        project_name: str,
        created_using: str,
        id: str | None = None,
        **attributes: Any,
    ) -> dict[str, Any]:
        project = self.store.project(entity_name, project_name)
        assert project is not None, f"project {entity_name}/{project_name} not found"
        assert id is None, "changing a view is not known here"
        view = View(store=self.store, project=project, **attributes)
        project.view_list.append(view)
        return {"view": view, "inserted": True}

    # Sweeps

    def upsert_sweep(
        self,
        *,
        id: str | None = None,
        config: str | None = None,
        entity_name: str | None = None,
        project_name: str | None = None,
        display_name: str | None = None,
        state: str | None = None,
        prior_runs_filters: str | None = None,
        description: str | None = None,
        template_variable_values: str | None = None,
        **launch: Any,
    ) -> dict[str, Any]:
        assert not any(launch.values()), "launch and local controllers are not known here"
        if id:
            sweep = self.store.find(id, Sweep)
            sweep.config = config or sweep.config
        else:
            project = self.store.project(entity_name, project_name, create=True)
            assert project is not None
            sweep = self.store.new_sweep(project, config or "", display_name)
        sweep.state = state or sweep.state
        for run in sweep.project.bucket_by_name.values():
            if prior_runs_filters and matches(run, json.loads(prior_runs_filters)):
                run.sweep = sweep
                sweep.run_list.append(run)
        return {"sweep": sweep, "config_validation_warnings": []}

    def create_agent(
        self, host: str, sweep: str, project_name: str | None = None, entity_name: str | None = None
    ) -> dict[str, Any]:
        project = self.store.project(entity_name, project_name)
        found = project.sweep(sweep) if project else None
        assert found is not None, f"sweep {sweep} not found"
        agent = Agent(store=self.store, sweep=found, host=host)
        found.agent_list.append(agent)
        return {"agent": {"id": agent.id}}

    def agent_heartbeat(
        self, id: str, metrics: str | None = None, run_state: str | None = None
    ) -> dict[str, Any]:
        agent = self.store.find(id, Agent)
        if agent.sweep.id not in self.store.records:
            raise NotFound("sweep not found")
        alive = {name for name, lives in json.loads(run_state or "{}").items() if lives}
        commands = json.dumps(self.store.commands(agent, alive))
        return {"agent": {"id": agent.id}, "commands": commands}

    def enqueue_sweep_run(self, id: str, config: str, display_name: str | None = None) -> dict[str, Any]:
        """What `wandb sweep-scheduler` suggests: it waits for an agent, and the answer names the run."""
        sweep = self.store.find(id, Sweep)
        name = self.store.new_name()
        run = self.store.new_run(sweep.project, name, sweep=sweep, config=config, state="pending")
        run.display_name = display_name
        sweep.suggested.append(run)
        return {"id": run.name, "run_queue_item_id": run.id}

    # Runs

    def upsert_bucket(
        self,
        *,
        id: str | None = None,
        name: str | None = None,
        entity_name: str | None = None,
        model_name: str | None = None,
        **changes: Any,
    ) -> dict[str, Any]:
        inserted = False
        if id:
            run = self.store.find(id, Run)
        else:
            project = self.store.project(entity_name, model_name, create=True)
            assert project is not None
            name = name or self.store.new_name()
            inserted = name not in project.bucket_by_name
            run = self.store.new_run(project, name) if inserted else project.bucket_by_name[name]
        if name and changes.get("state") is None:
            run.state = "running"  # wandb.init and its later updates name the run; other writers give its id
        self._change(run, {key: value for key, value in changes.items() if value is not None})
        return {"bucket": run, "inserted": inserted}

    def _change(self, run: Run, changes: dict[str, Any]) -> None:
        run.heartbeat = time.time()
        for key, value in changes.items():
            match key:
                case "sweep":
                    sweep = run.project.sweep(value)
                    if sweep and run.sweep is None:
                        run.sweep = sweep
                        sweep.run_list.append(run)
                case "summary_metrics":
                    run.summary = json.loads(value)
                case "job_repo" | "debug":
                    pass
                case "group_name":
                    run.group = value
                case "job_program":
                    run.program = value
                case _ if hasattr(run, key):
                    setattr(run, key, value)
                case _:
                    raise ValueError(f"a run has no {key}")

    def delete_run(self, id: str, delete_artifacts: bool = False) -> dict[str, Any]:
        self.store.delete_run(self.store.find(id, Run))
        return {"client_mutation_id": None}

    def stop_run(self, id: str) -> dict[str, Any]:
        run = self.store.find(id, Run)
        run.should_stop = run.should_stop or run.active
        return {"success": True}

    def rewind_run(
        self,
        run_name: str,
        metric_name: str,
        metric_value: float,
        entity_name: str | None = None,
        project_name: str | None = None,
    ) -> dict[str, Any]:
        """Rows after a step are gone; what the client sends next follows those that are left."""
        assert metric_name == "_step", "W&B rewinds to steps only"
        run = self.store.find_run(entity_name, project_name, run_name)
        run.rows = [row for row in run.rows if row["_step"] <= metric_value]
        run.lines = run.lines[: len(run.rows)]
        run.summary = {}
        return {"rewound_run": run}

    def create_run_files(
        self, run_name: str, files: list[str], entity_name: str | None = None, project_name: str | None = None
    ) -> dict[str, Any]:
        run = self.store.find_run(entity_name, project_name, run_name)
        for name in files:
            if name not in run.file_by_name:
                run.file_by_name[name] = File(store=self.store, name=name)
        return {"run_id": run.id, "upload_headers": [], "files": [run.file_by_name[name] for name in files]}

    def mark_run_files_uploaded(
        self, entity_name: str, project_name: str, run_name: str, files: list[str]
    ) -> dict[str, Any]:
        self.store.find_run(entity_name, project_name, run_name)
        return {"success": True}

    # Artifacts

    def create_artifact(
        self,
        *,
        entity_name: str,
        project_name: str,
        artifact_type_name: str,
        digest: str,
        artifact_collection_name: str | None = None,
        artifact_collection_names: list[str] | None = None,
        run_name: str | None = None,
        description: str | None = None,
        metadata: str | None = None,
        aliases: list[dict[str, Any]] | None = None,
        client_id: str | None = None,
        **_: Any,
    ) -> dict[str, Any]:
        project = self.store.project(entity_name, project_name, create=True)
        assert project is not None
        (name,) = artifact_collection_names or [artifact_collection_name or ""]
        sequence = self.store.collection(project, name, artifact_type_name)
        artifact = self._version(sequence, digest)
        run = self.store.find_run(entity_name, project_name, run_name) if run_name else None
        if run and artifact not in run.outputs:
            artifact.created_by = artifact.created_by or run
            run.outputs.append(artifact)
        artifact.description = description or artifact.description
        artifact.metadata = metadata or artifact.metadata
        artifact.wanted_aliases += [alias["alias"] for alias in aliases or []]
        if artifact.state == "COMMITTED":  # the same content logged again: only its aliases move
            sequence.alias_of.update(dict.fromkeys(artifact.wanted_aliases, artifact))
        if client_id:
            self.store.artifact_by_client_id[client_id] = artifact
        return {"artifact": artifact}

    def _version(self, sequence: ArtifactSequence, digest: str) -> Artifact:
        for version in sequence.versions:
            if version.digest == digest and version.state == "COMMITTED":
                return version
        artifact = Artifact(store=self.store, artifact_sequence=sequence, digest=digest)
        sequence.versions.append(artifact)
        return artifact

    def create_artifact_manifest(
        self, *, artifact_id: str, name: str, type: str = "FULL", **_: Any
    ) -> dict[str, Any]:
        assert type == "FULL", f"a manifest of type {type} is not known here"
        artifact = self.store.find(artifact_id, Artifact)
        artifact.manifest = File(store=self.store, name=name, artifact=artifact)
        return {"artifact_manifest": artifact.current_manifest}

    def update_artifact_manifest(self, artifact_manifest_id: str, **_: Any) -> dict[str, Any]:
        return {"artifact_manifest": self.store.find(artifact_manifest_id, Artifact).current_manifest}

    def create_artifact_files(self, artifact_files: list[dict[str, Any]], **_: Any) -> dict[str, Any]:
        edges = [Edge(self._artifact_file(**spec)) for spec in artifact_files]
        return {"files": Connection(edges, PageInfo(), len(edges))}

    def _artifact_file(self, *, artifact_id: str, name: str, md5: str, **_: Any) -> File:
        artifact = self.store.find(artifact_id, Artifact)
        for version in artifact.artifact_sequence.versions:
            old = version.file_by_name.get(name)
            if old and old.uploaded and old.md5 == md5:  # these bytes are here already: no upload asked for
                artifact.file_by_name[name] = old
                return old
        path = f"wandb_artifacts/{name}"
        artifact.file_by_name[name] = File(store=self.store, name=name, artifact=artifact, storage_path=path)
        return artifact.file_by_name[name]

    def commit_artifact(self, artifact_id: str) -> dict[str, Any]:
        artifact = self.store.find(artifact_id, Artifact)
        missing = [name for name, file in artifact.file_by_name.items() if not file.uploaded]
        assert artifact.entries, "the artifact has no manifest"
        assert not missing, f"the artifact is not complete: {missing}"
        artifact.artifact_sequence.commit(artifact)
        return {"artifact": artifact}

    def update_artifact(
        self, *, artifact_id: str, description: str | None = None, metadata: str | None = None, **_: Any
    ) -> dict[str, Any]:
        artifact = self.store.find(artifact_id, Artifact)
        artifact.description = description if description is not None else artifact.description
        artifact.metadata = metadata if metadata is not None else artifact.metadata
        return {"artifact": artifact}

    def delete_artifact(self, artifact_id: str, delete_aliases: bool = False, **_: Any) -> dict[str, Any]:
        artifact = self.store.find(artifact_id, Artifact)
        assert delete_aliases or not artifact.aliases, "cannot delete an artifact that has aliases"
        artifact.artifact_sequence.delete(artifact)
        return {"artifact": artifact}

    def add_aliases(self, *, artifact_id: str, aliases: list[dict[str, Any]], **_: Any) -> dict[str, Any]:
        artifact = self.store.find(artifact_id, Artifact)
        for alias in aliases:
            artifact.artifact_sequence.alias_of[alias["alias"]] = artifact
        return {"success": True}

    def delete_aliases(self, *, artifact_id: str, aliases: list[dict[str, Any]], **_: Any) -> dict[str, Any]:
        artifact = self.store.find(artifact_id, Artifact)
        for alias in aliases:
            if artifact.artifact_sequence.alias_of.get(alias["alias"]) is artifact:
                del artifact.artifact_sequence.alias_of[alias["alias"]]
        return {"success": True}
