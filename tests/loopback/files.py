"""Files that the clients put and get under a URL of their own."""

from __future__ import annotations

import base64
import hashlib
import mimetypes
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .store import Store


@dataclass(eq=False, repr=False)  # they refer to one another
class File:
    store: Store
    number: int
    name: str
    artifact: Any = None
    storage_path: str | None = None
    updated: float = field(default_factory=time.time)

    upload_headers = ()
    upload_multipart_urls = None

    @property
    def id(self) -> str:
        return f"file:{self.number}"

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

    @property
    def upload_url(self) -> str:
        return self.direct_url

    def url(self, upload: bool = False) -> str:
        return self.direct_url

    @property
    def size_bytes(self) -> int:
        return len(self.content)

    @property
    def mimetype(self) -> str | None:
        return mimetypes.guess_type(self.name)[0]

    @property
    def updated_at(self) -> str:
        return datetime.fromtimestamp(self.updated, UTC).strftime("%Y-%m-%dT%H:%M:%S")

    @property
    def md5(self) -> str:
        return base64.b64encode(hashlib.md5(self.content).digest()).decode()

    @property
    def digest(self) -> str:
        return self.md5
