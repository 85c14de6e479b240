"""Embeddings and finished rows on disk: a second call costs nothing, and an interrupted one goes on."""

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_CHECKSUM_BYTES = hashlib.sha256().digest_size
_FORMAT = 2  # raised when the same key would stand for other content


def user_cache() -> Path:
    """Folder for the embeddings of this user: below $XDG_CACHE_HOME, else ~/.cache."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "ssl-sweep-selector" / "embeddings"


class Cache:
    """A folder that only its owner can read; each file is whole or not there.

    What is kept is filed under what went into it: model, weights, preprocessing, and the images themselves.
    So a larger subset of a data set finds the blocks of a smaller one, and nothing can be stale. Every file
    ends with a checksum of its key and content: a changed bit would be another embedding or metric.
    """

    def __init__(self, folder: Path) -> None:
        """The folder is made when something is first stored."""
        self.folder = folder

    def load(self, group: str, key: Mapping[str, Any]) -> bytes | None:
        """Stored content, or None; a damaged file, or any other in its place, counts as none."""
        try:
            stored = self._file(group, key).read_bytes()
        except OSError:
            return None
        content, checksum = stored[:-_CHECKSUM_BYTES], stored[-_CHECKSUM_BYTES:]
        return content if checksum == _checksum(key, content) else None

    def store(self, group: str, key: Mapping[str, Any], content: bytes) -> None:
        """Keep content in a file of this user's alone; where that cannot be done, nothing is kept."""
        path = self._file(group, key)
        with contextlib.suppress(OSError):
            for folder in (self.folder, path.parent):
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle, name = tempfile.mkstemp(dir=path.parent, prefix=".")  # mode 0600
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(content + _checksum(key, content))
                os.replace(name, path)
            except BaseException:
                Path(name).unlink(missing_ok=True)
                raise

    def drop(self, group: str) -> None:
        """Forget all of a group."""
        shutil.rmtree(self.folder / group, ignore_errors=True)

    def _file(self, group: str, key: Mapping[str, Any]) -> Path:
        text = json.dumps([_FORMAT, key], sort_keys=True)
        return self.folder / group / hashlib.sha256(text.encode()).hexdigest()[:32]


def _checksum(key: Mapping[str, Any], content: bytes) -> bytes:
    return hashlib.sha256(json.dumps(key, sort_keys=True).encode() + content).digest()
