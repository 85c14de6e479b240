"""Artifacts: sequences of versions, their aliases, manifests and files."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from .files import File
from .paging import Connection, Edge, page

if TYPE_CHECKING:
    from .records import Project, Run


def _timestamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


@dataclass(frozen=True)
class ArtifactType:
    name: str
    project: Project

    description = None
    created_at = "2024-01-01T00:00:00"

    @property
    def id(self) -> str:
        return f"type:{self.name}"

    def artifact_collection(self, name: str) -> ArtifactSequence | None:
        found = self.project.collections.get(name)
        return found if found and found.type_name == self.name else None


@dataclass(eq=False, repr=False)  # they refer to one another
class ArtifactSequence:
    project: Project
    number: int
    name: str
    type_name: str
    created: float = field(default_factory=time.time)
    versions: list[Artifact] = field(default_factory=list)
    alias_of: dict[str, Artifact] = field(default_factory=dict)

    description = None
    digest_algorithm = "MANIFEST_MD5"
    typename = "ArtifactSequence"

    @property
    def id(self) -> str:
        return f"collection:{self.number}"

    @property
    def created_at(self) -> str:
        return _timestamp(self.created)

    @property
    def latest_artifact(self) -> Artifact | None:
        return self.alias_of.get("latest")

    def artifact_membership(self, alias_name: str) -> Membership | None:
        """The version that an alias, "vN" or a digest names."""
        for artifact in self.versions:
            if artifact.state == "COMMITTED" and alias_name in (
                f"v{artifact.version_index}",
                artifact.digest,
            ):
                return Membership(artifact)
        return Membership(self.alias_of[alias_name]) if alias_name in self.alias_of else None

    def aliases(self, after: str | None = None, first: int | None = None) -> Connection:
        edges = [Edge(alias, "") for artifact in self.versions for alias in artifact.aliases]
        return Connection(edges, {"end_cursor": None, "has_next_page": False}, len(edges))

    def artifacts(
        self,
        after: str | None = None,
        first: int | None = None,
        order: str | None = None,
        filters: str | None = None,
    ) -> Connection:
        if json.loads(filters or "{}") not in ({}, {"state": "COMMITTED"}):  # others are never listed
            raise ValueError("filters on artifacts are not known here")
        versions = [version for version in reversed(self.versions) if version.state == "COMMITTED"]
        listed = page(versions, first, after, self.project.store.page_limit)
        edges = [Edge(edge.node, edge.cursor, f"v{edge.node.version_index}") for edge in listed.edges]
        return Connection(edges, listed.page_info, listed.total_count)

    def commit(self, artifact: Artifact) -> None:
        """Give a version its number and move its aliases, and `latest`, to it."""
        artifact.version_index = sum(version.version_index is not None for version in self.versions)
        artifact.state = "COMMITTED"
        for alias in (*artifact.wanted_aliases, "latest"):
            self.alias_of[alias] = artifact

    def delete(self, artifact: Artifact) -> None:
        """A version and its aliases go; the numbers of the others stay."""
        artifact.state = "DELETED"
        self.alias_of = {alias: kept for alias, kept in self.alias_of.items() if kept is not artifact}


@dataclass(frozen=True)
class Alias:
    alias: str
    artifact_collection: ArtifactSequence

    @property
    def id(self) -> str:
        return f"alias:{self.artifact_collection.number}:{self.alias}"


@dataclass(frozen=True)
class Membership:
    artifact: Artifact

    @property
    def id(self) -> str:
        return f"membership:{self.artifact.number}"

    @property
    def version_index(self) -> int | None:
        return self.artifact.version_index

    @property
    def created_at(self) -> str:
        return self.artifact.created_at

    @property
    def aliases(self) -> list[Alias]:
        return self.artifact.aliases

    @property
    def artifact_collection(self) -> ArtifactSequence:
        return self.artifact.artifact_sequence

    def files(
        self, names: list[str] | None = None, after: str | None = None, first: int | None = None
    ) -> Connection:
        files = [file for file in self.artifact.files.values() if not names or file.name in names]
        return page(files, first, after, self.artifact.artifact_sequence.project.store.page_limit)


@dataclass(eq=False, repr=False)  # they refer to one another
class Manifest:
    number: int
    artifact: Artifact
    file: File

    @property
    def id(self) -> str:
        return f"manifest:{self.number}"


@dataclass(eq=False, repr=False)  # they refer to one another
class Artifact:
    artifact_sequence: ArtifactSequence
    number: int
    digest: str
    created_by: Run | None
    description: str | None = None
    metadata: str | None = None
    wanted_aliases: list[str] = field(default_factory=list)
    state: str = "PENDING"
    version_index: int | None = None
    current_manifest: Manifest | None = None
    files: dict[str, File] = field(default_factory=dict)
    created: float = field(default_factory=time.time)

    ttl_duration_seconds = -2  # W&B's word for "inherited"; the client's model wants an integer
    ttl_is_inherited = True
    tags = ()
    history_step = None
    digest_algorithm = "MANIFEST_MD5"
    commit_hash = ""

    @property
    def id(self) -> str:
        return f"artifact:{self.number}"

    @property
    def artifact_type(self) -> ArtifactType:
        return ArtifactType(self.artifact_sequence.type_name, self.artifact_sequence.project)

    @property
    def created_at(self) -> str:
        return _timestamp(self.created)

    @property
    def updated_at(self) -> str:
        return _timestamp(self.created)

    @property
    def aliases(self) -> list[Alias]:
        holds = self.artifact_sequence.alias_of.items()
        return [Alias(alias, self.artifact_sequence) for alias, artifact in holds if artifact is self]

    @property
    def manifest_entries(self) -> dict[str, Any]:
        if self.current_manifest is None or not self.current_manifest.file.uploaded:
            return {}
        entries: dict[str, Any] = json.loads(self.current_manifest.file.content)["contents"]
        return entries

    @property
    def size(self) -> int:
        return sum(entry["size"] for entry in self.manifest_entries.values())

    @property
    def file_count(self) -> int:
        return len(self.manifest_entries)

    def files_by_manifest_entries(
        self,
        storage_layout: str,
        manifest_version: str,
        entries: list[dict[str, Any]],
        storage_region: str | None = None,
    ) -> Connection:
        """Where each entry's bytes lie; those of an unchanged file may be those of an older version."""
        files = [self._file(entry["name"], entry["digest"]) for entry in entries]
        return page(files, None, None, len(files) or 1)

    def _file(self, name: str, digest: str) -> File:
        for version in reversed(self.artifact_sequence.versions):
            if name in version.files and version.files[name].md5 == digest:
                return version.files[name]
        raise ValueError(f"no file {name} of digest {digest}")
