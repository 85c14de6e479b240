"""The two GraphQL roots: every query and mutation that the clients send."""

import json
import time
from dataclasses import dataclass
from typing import Any

from .accounts import ENTITY, VIEWER, Entity
from .artifacts import Artifact, ArtifactSequence, Manifest
from .files import File
from .paging import Connection, Edge, matches, page
from .records import Agent, Project, Run, Sweep
from .store import Store
from .views import View


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

    def entity(self, name: str | None = None) -> Entity:
        return Entity(name or ENTITY)

    def project(self, name: str | None = None, entity_name: str | None = None) -> Project | None:
        self.store.end_silent_runs()
        return self.store.project(entity_name, name)

    def model(self, name: str | None = None, entity_name: str | None = None) -> Project | None:
        return self.store.project(entity_name, name)

    def models(
        self, entity_name: str | None = None, after: str | None = None, first: int | None = None
    ) -> Connection:
        projects = [
            p for (entity, _), p in self.store.project_by_path.items() if entity == (entity_name or ENTITY)
        ]
        return page(projects, first, after, self.store.page_limit)

    def view(self, id: str) -> View:
        found: View = self.store.find(id, View)
        return found

    def artifact(self, id: str) -> Artifact:
        found: Artifact = self.store.find(id, Artifact)
        return found

    def artifact_collection(self, id: str) -> ArtifactSequence:
        found: ArtifactSequence = self.store.find(id, ArtifactSequence)
        return found

    def client_id_mapping(self, client_id: str) -> dict[str, str] | None:
        artifact = self.store.artifact_by_client_id.get(client_id)
        return {"server_id": artifact.id} if artifact else None


@dataclass(frozen=True)
class Mutation:
    """Each method takes the fields of its GraphQL input by keyword."""

    store: Store

    def upsert_model(self, name: str, entity_name: str | None = None, **ignored: Any) -> dict[str, Any]:
        project = self.store.project(entity_name, name, create=True)
        return {"project": project, "model": project, "inserted": True}

    # Reports

    def upsert_view(
        self,
        spec: str,
        type: str,
        name: str,
        display_name: str,
        description: str,
        created_using: str,
        id: str | None = None,
        entity_name: str | None = None,
        project_name: str | None = None,
    ) -> dict[str, Any]:
        project = self.store.project(entity_name, project_name)
        if project is None:
            raise ValueError(f"project {entity_name}/{project_name} not found")
        if id is not None:
            raise ValueError("changing a view is not known here")
        json.loads(spec)
        view = View(project, self.store.number(), name, type, display_name, description, spec)
        project.view_list.append(self.store.keep(view))
        return {"view": view, "inserted": True}

    # Sweeps

    def upsert_sweep(
        self,
        id: str | None = None,
        config: str | None = None,
        entity_name: str | None = None,
        project_name: str | None = None,
        display_name: str | None = None,
        description: str | None = None,
        state: str | None = None,
        prior_runs_filters: str | None = None,
        controller: str | None = None,
        scheduler: str | None = None,
        launch_scheduler: str | None = None,
        template_variable_values: str | None = None,
    ) -> dict[str, Any]:
        if launch_scheduler or controller or scheduler:
            raise ValueError("launch and local controllers are not known here")
        if id:
            sweep = self.store.find(id, Sweep)
            sweep.config = config or sweep.config
        else:
            project = self.store.project(entity_name, project_name, create=True)
            sweep = self.store.new_sweep(project, config or "", display_name)
        sweep.description = description or sweep.description
        sweep.state = state or sweep.state
        sweep.updated = time.time()
        if prior_runs_filters:
            self._adopt(sweep, json.loads(prior_runs_filters))
        return {"sweep": sweep, "config_validation_warnings": []}

    def _adopt(self, sweep: Sweep, filters: dict[str, Any]) -> None:
        for run in sweep.project.bucket_by_name.values():
            if matches(run, filters):
                run.sweep = sweep
                sweep.run_list.append(run)

    def create_agent(
        self, host: str, sweep: str, project_name: str | None = None, entity_name: str | None = None
    ) -> dict[str, Any]:
        project = self.store.project(entity_name, project_name)
        found = project.sweep(sweep) if project else None
        if found is None:
            raise ValueError(f"sweep {sweep} not found")
        return {"agent": self.store.new_agent(found, host)}

    def agent_heartbeat(
        self, id: str, metrics: str | None = None, run_state: str | None = None
    ) -> dict[str, Any]:
        agent = self.store.find(id, Agent)
        if agent.sweep.id not in self.store.records:
            raise NotFound("sweep not found")
        alive = {name for name, lives in json.loads(run_state or "{}").items() if lives}
        return {"agent": agent, "commands": json.dumps(self.store.commands(agent, alive))}

    # Runs

    def upsert_bucket(
        self,
        id: str | None = None,
        name: str | None = None,
        entity_name: str | None = None,
        model_name: str | None = None,
        **changes: Any,
    ) -> dict[str, Any]:
        run, inserted = self._bucket(id, name, entity_name, model_name)
        if name and changes.get("state") is None:
            run.state = "running"  # wandb.init and its later updates name the run; other writers give its id
        self._change(run, changes)
        return {"bucket": run, "inserted": inserted}

    def _bucket(
        self, id: str | None, name: str | None, entity: str | None, project: str | None
    ) -> tuple[Run, bool]:
        if id:
            return self.store.find(id, Run), False
        found = self.store.project(entity, project, create=True)
        assert found is not None
        name = name or self.store.new_name()
        if name in found.bucket_by_name:
            return found.bucket_by_name[name], False
        return self.store.new_run(found, name), True

    def _change(self, run: Run, changes: dict[str, Any]) -> None:
        run.heartbeat = time.time()
        names = {"group_name": "group", "job_program": "program"}
        for key, value in changes.items():
            match names.get(key, key):
                case "sweep":
                    self._join_sweep(run, value)
                case "summary_metrics" if value is not None:
                    run.summary = json.loads(value)
                case "job_repo" | "debug":
                    pass
                case attribute:
                    if value is not None:
                        setattr(run, attribute, value)

    def _join_sweep(self, run: Run, name: str | None) -> None:
        sweep = run.project.sweep(name) if name else None
        if sweep and run.sweep is None:
            run.sweep = sweep
            sweep.run_list.append(run)

    def delete_run(self, id: str, delete_artifacts: bool = False) -> dict[str, Any]:
        self.store.delete_run(self.store.find(id, Run))
        return {"client_mutation_id": None}

    def stop_run(self, id: str) -> dict[str, Any]:
        run = self.store.find(id, Run)
        run.should_stop = run.should_stop or run.active
        return {"success": True}

    # Files

    def create_run_files(
        self, run_name: str, files: list[str], entity_name: str | None = None, project_name: str | None = None
    ) -> dict[str, Any]:
        run = self.store.find_run(entity_name, project_name, run_name)
        for name in files:
            if name not in run.file_by_name:
                run.file_by_name[name] = self.store.new_file(name)
        kept = [run.file_by_name[name] for name in files]
        return {"run_id": run.id, "upload_headers": [], "files": kept}

    def mark_run_files_uploaded(
        self, entity_name: str, project_name: str, run_name: str, files: list[str]
    ) -> dict[str, Any]:
        self.store.find_run(entity_name, project_name, run_name)
        return {"success": True}

    # Artifacts

    def create_artifact(
        self,
        entity_name: str,
        project_name: str,
        artifact_type_name: str,
        digest: str,
        digest_algorithm: str,
        artifact_collection_name: str | None = None,
        artifact_collection_names: list[str] | None = None,
        run_name: str | None = None,
        description: str | None = None,
        metadata: str | None = None,
        aliases: list[dict[str, Any]] | None = None,
        client_id: str | None = None,
        **ignored: Any,
    ) -> dict[str, Any]:
        project = self.store.project(entity_name, project_name, create=True)
        assert project is not None
        (name,) = artifact_collection_names or [artifact_collection_name or ""]
        if name not in project.collections:
            project.collections[name] = self.store.keep(
                ArtifactSequence(project, self.store.number(), name, artifact_type_name)
            )
        sequence = project.collections[name]
        if sequence.type_name != artifact_type_name:
            raise ValueError(f"{name} is of type {sequence.type_name}, not {artifact_type_name}")
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
        artifact: Artifact = self.store.keep(Artifact(sequence, self.store.number(), digest, None))
        sequence.versions.append(artifact)
        return artifact

    def create_artifact_manifest(
        self,
        artifact_id: str,
        name: str,
        digest: str,
        entity_name: str,
        project_name: str,
        type: str = "FULL",
        run_name: str | None = None,
        base_artifact_id: str | None = None,
    ) -> dict[str, Any]:
        if type != "FULL":
            raise ValueError(f"a manifest of type {type} is not known here")
        artifact = self.store.find(artifact_id, Artifact)
        file = self.store.new_file(name, artifact=artifact)
        artifact.current_manifest = self.store.keep(Manifest(self.store.number(), artifact, file))
        return {"artifact_manifest": artifact.current_manifest}

    def update_artifact_manifest(
        self, artifact_manifest_id: str, digest: str | None = None, base_artifact_id: str | None = None
    ) -> dict[str, Any]:
        return {"artifact_manifest": self.store.find(artifact_manifest_id, Manifest)}

    def create_artifact_files(
        self, artifact_files: list[dict[str, Any]], storage_layout: str | None = None, **ignored: Any
    ) -> dict[str, Any]:
        edges = [Edge(self._artifact_file(**spec), "") for spec in artifact_files]
        page_info = {"end_cursor": None, "has_next_page": False}
        return {"files": {"edges": edges, "page_info": page_info, "total_count": len(edges)}}

    def _artifact_file(self, artifact_id: str, name: str, md5: str, **ignored: Any) -> File:
        artifact = self.store.find(artifact_id, Artifact)
        for version in artifact.artifact_sequence.versions:
            old = version.files.get(name)
            if old and old.uploaded and old.md5 == md5:  # these bytes are here already: no upload asked for
                artifact.files[name] = old
                return old
        file = self.store.new_file(name, artifact=artifact, storage_path=f"wandb_artifacts/{name}")
        artifact.files[name] = file
        return file

    def commit_artifact(self, artifact_id: str) -> dict[str, Any]:
        artifact = self.store.find(artifact_id, Artifact)
        missing = [name for name, file in artifact.files.items() if not file.uploaded]
        if missing or not artifact.manifest_entries:
            raise ValueError(f"artifact {artifact.id} is not complete: {missing or 'manifest'}")
        artifact.artifact_sequence.commit(artifact)
        return {"artifact": artifact}

    def update_artifact(
        self,
        artifact_id: str,
        description: str | None = None,
        metadata: str | None = None,
        aliases: list[dict[str, Any]] | None = None,
        **ignored: Any,
    ) -> dict[str, Any]:
        artifact = self.store.find(artifact_id, Artifact)
        artifact.description = description if description is not None else artifact.description
        artifact.metadata = metadata if metadata is not None else artifact.metadata
        return {"artifact": artifact}

    def delete_artifact(
        self, artifact_id: str, delete_aliases: bool = False, client_mutation_id: str | None = None
    ) -> dict[str, Any]:
        artifact = self.store.find(artifact_id, Artifact)
        if artifact.aliases and not delete_aliases:
            raise ValueError("cannot delete an artifact that has aliases")
        artifact.artifact_sequence.delete(artifact)
        return {"artifact": artifact}

    def use_artifact(
        self, artifact_id: str, entity_name: str, project_name: str, run_name: str, **ignored: Any
    ) -> dict[str, Any]:
        artifact = self.store.find(artifact_id, Artifact)
        run = self.store.find_run(entity_name, project_name, run_name)
        if artifact not in run.inputs:
            run.inputs.append(artifact)
        return {"artifact": artifact}

    def add_aliases(self, artifact_id: str, aliases: list[dict[str, Any]], **ignored: Any) -> dict[str, Any]:
        artifact = self.store.find(artifact_id, Artifact)
        for alias in aliases:
            artifact.artifact_sequence.alias_of[alias["alias"]] = artifact
        return {"success": True}

    def delete_aliases(
        self, artifact_id: str, aliases: list[dict[str, Any]], **ignored: Any
    ) -> dict[str, Any]:
        artifact = self.store.find(artifact_id, Artifact)
        for alias in aliases:
            if artifact.artifact_sequence.alias_of.get(alias["alias"]) is artifact:
                del artifact.artifact_sequence.alias_of[alias["alias"]]
        return {"success": True}
