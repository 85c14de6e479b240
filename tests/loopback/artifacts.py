"""Files that the clients put and get, and artifacts: collections of versions with aliases."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from .paging import Connection, Edge, page
from .records import Project, Record, Run


@dataclass(eq=False, repr=False, kw_only=True)
class File(Record):
    name: str
    artifact: Artifact | None = None
    storage_path: str | None = None

    upload_headers = ()
    upload_multipart_urls = mimetype = None

    @property
    def display_name(self) -> str:
        return self.name

    @property
    def uploaded(self) -> bool:
        return self.number in self.store.contents

    @property
    def content(self) -> bytes:
        return self.store.contents.get(self.number, b"")

    @property
    def direct_url(self) -> str:
        # The number says which file; the name is there because clients save by the last part of a URL.
        return f"{self.store.base_url}/storage/{self.number}/{self.name.rsplit('/', 1)[-1]}"

    upload_url = direct_url

    def url(self, upload: bool = False) -> str:
        return self.direct_url

    @property
    def size_bytes(self) -> int:
        return len(self.content)

    @property
    def md5(self) -> str:
        return base64.b64encode(hashlib.md5(self.content).digest()).decode()

    digest = md5


@dataclass(eq=False, repr=False, kw_only=True)
class ArtifactSequence(Record):
    """A collection: the versions of one artifact."""

    project: Project
    name: str
    type_name: str
    versions: list[Artifact] = field(default_factory=list)
    alias_of: dict[str, Artifact] = field(default_factory=dict)

    description = None
    digest_algorithm = "MANIFEST_MD5"

    @property
    def latest_artifact(self) -> Artifact | None:
        return self.alias_of.get("latest")

    def artifact_membership(self, alias_name: str) -> dict[str, Any] | None:
        """The version that an alias, "vN" or a digest names."""
        for artifact in self.versions:
            names = (f"v{artifact.version_index}", artifact.digest)
            if artifact.state == "COMMITTED" and alias_name in names:
                return artifact.membership
        return self.alias_of[alias_name].membership if alias_name in self.alias_of else None

    def artifacts(
        self,
        after: str | None = None,
        first: int | None = None,
        order: str | None = None,
        filters: str | None = None,
    ) -> Connection:
        versions = [version for version in reversed(self.versions) if version.state == "COMMITTED"]
        listed = self.paged(versions, first, after)
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


@dataclass(eq=False, repr=False, kw_only=True)
class Artifact(Record):
    artifact_sequence: ArtifactSequence
    digest: str
    created_by: Run | None = None
    description: str | None = None
    metadata: str | None = None
    wanted_aliases: list[str] = field(default_factory=list)
    state: str = "PENDING"
    version_index: int | None = None
    manifest: File | None = None
    file_by_name: dict[str, File] = field(default_factory=dict)

    ttl_duration_seconds = -2  # W&B's word for "inherited"; the client's model wants an integer
    ttl_is_inherited = True
    tags = ()
    history_step = None
    digest_algorithm = "MANIFEST_MD5"
    commit_hash = ""

    @property
    def artifact_type(self) -> dict[str, Any]:
        return self.artifact_sequence.project.artifact_type(self.artifact_sequence.type_name)

    @property
    def current_manifest(self) -> dict[str, Any] | None:
        named = {"typename": "ArtifactManifest", "id": self.id, "file": self.manifest}
        return named if self.manifest else None

    @property
    def aliases(self) -> list[dict[str, Any]]:
        holds = self.artifact_sequence.alias_of.items()
        names = [alias for alias, artifact in holds if artifact is self]
        return [
            {
                "typename": "ArtifactAlias",
                "id": f"{self.id}:{one}",
                "alias": one,
                "artifact_collection": self.artifact_sequence,
            }
            for one in names
        ]

    @property
    def membership(self) -> dict[str, Any]:
        """The version as a member of its collection."""
        return {
            "typename": "ArtifactCollectionMembership",
            "id": self.id,
            "version_index": self.version_index,
            "created_at": self.created_at,
            "aliases": self.aliases,
            "artifact_collection": self.artifact_sequence,
            "artifact": self,
            "files": self.files,
        }

    def files(
        self, names: list[str] | None = None, after: str | None = None, first: int | None = None
    ) -> Connection:
        files = [file for file in self.file_by_name.values() if not names or file.name in names]
        return self.paged(files, first, after)

    @property
    def entries(self) -> dict[str, Any]:
        """What its manifest lists."""
        if self.manifest is None or not self.manifest.uploaded:
            return {}
        entries: dict[str, Any] = json.loads(self.manifest.content)["contents"]
        return entries

    @property
    def size(self) -> int:
        return sum(entry["size"] for entry in self.entries.values())

    @property
    def file_count(self) -> int:
        return len(self.entries)

    def files_by_manifest_entries(
        self,
        storage_layout: str,
        manifest_version: str,
        entries: list[dict[str, Any]],
        storage_region: str | None = None,
    ) -> Any:
        """Where each entry's bytes lie; those of an unchanged file may be those of an older version."""
        return page([self._stored(entry["name"], entry["digest"]) for entry in entries])

    def _stored(self, name: str, digest: str) -> File:
        for version in reversed(self.artifact_sequence.versions):
            if name in version.file_by_name and version.file_by_name[name].md5 == digest:
                return version.file_by_name[name]
        raise ValueError(f"no file {name} of digest {digest}")
