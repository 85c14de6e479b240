"""Embeddings and finished rows on disk: a second call costs nothing, and an interrupted one goes on."""

import contextlib
import hashlib
import io
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

_CHECKSUM_BYTES = hashlib.sha256().digest_size
_FORMAT = 1  # raised when the same key would stand for other content


def user_cache() -> Path:
    """Folder for the embeddings of this user: below $XDG_CACHE_HOME, else ~/.cache."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "ssl-sweep-selector" / "embeddings"


def digest_of(tensor: Tensor) -> str:
    """Equal for equal images (or labels) in equal order, whatever data set and split they are called."""
    sha = hashlib.sha256(f"{tensor.dtype} {tuple(tensor.shape)}".encode())
    sha.update(np.ascontiguousarray(tensor.numpy()).reshape(-1).data)
    return sha.hexdigest()


class EmbeddingCache:
    """A folder that only its owner can read; each file is whole or not there.

    A block of embeddings is filed under what went into it: model, weights, preprocessing, and the images
    themselves. So a larger subset of a data set finds the blocks of a smaller one, and nothing can be stale.
    Every file holds a checksum of its content and key: a changed bit would be another embedding or metric.
    """

    def __init__(self, folder: Path) -> None:
        """The folder is made when something is first stored."""
        self.folder = folder

    def load_block(self, group: str, key: Mapping[str, Any]) -> NDArray[np.float32] | None:
        """Stored embeddings, or None; a damaged file, or any other in its place, counts as none."""
        try:
            stored = self._file(group, key, ".npy").read_bytes()
            content, checksum = stored[:-_CHECKSUM_BYTES], stored[-_CHECKSUM_BYTES:]
            if checksum != _checksum(key, content).digest():
                return None
            block: NDArray[np.float32] = np.load(io.BytesIO(content), allow_pickle=False)
        except (OSError, ValueError):
            return None
        return block

    def store_block(self, group: str, key: Mapping[str, Any], block: NDArray[np.float32]) -> None:
        """Keep one block; where that cannot be done, nothing is kept."""
        with contextlib.suppress(OSError), self._replacing(self._file(group, key, ".npy")) as file:
            content = io.BytesIO()
            np.save(content, block, allow_pickle=False)
            file.write(content.getbuffer())
            file.write(_checksum(key, content.getbuffer()).digest())

    def load_row(self, key: Mapping[str, Any]) -> dict[str, float] | None:
        """Finished metrics, or None; a damaged file counts as none."""
        try:
            stored = json.loads(self._file("rows", key, ".json").read_text(encoding="utf-8"))
            if stored["checksum"] != _checksum(key, json.dumps(stored["values"]).encode()).hexdigest():
                return None
            return {str(name): float(value) for name, value in stored["values"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None

    def store_row(self, key: Mapping[str, Any], values: Mapping[str, float]) -> None:
        """Keep the metrics of one model on one data set, with what they were computed from."""
        row = {"key": dict(key), "values": dict(values)}
        checksum = _checksum(key, json.dumps(row["values"]).encode()).hexdigest()
        content = json.dumps(row | {"checksum": checksum}, indent=1).encode()
        with contextlib.suppress(OSError), self._replacing(self._file("rows", key, ".json")) as file:
            file.write(content)

    def drop(self, group: str) -> None:
        """Forget all blocks of a group."""
        shutil.rmtree(self.folder / group, ignore_errors=True)

    def _file(self, group: str, key: Mapping[str, Any], suffix: str) -> Path:
        text = json.dumps([_FORMAT, key], sort_keys=True)
        return self.folder / group / (hashlib.sha256(text.encode()).hexdigest()[:32] + suffix)

    @contextlib.contextmanager
    def _replacing(self, path: Path) -> Any:
        """A file of this user's alone that takes the place of `path` once it is whole."""
        for folder in (self.folder, path.parent):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".")  # mode 0600
        try:
            with os.fdopen(handle, "wb") as file:
                yield file
            os.replace(name, path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


def _checksum(key: Mapping[str, Any], content: bytes | memoryview) -> "hashlib._Hash":
    sha = hashlib.sha256(json.dumps(key, sort_keys=True).encode())
    sha.update(content)
    return sha
