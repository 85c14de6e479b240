"""Logs like wandb offline, in milliseconds: for programs under test, which find a copy beside themselves.

The layout of the file is spelled out here by hand: protocol buffers (field number and wire type, length,
content) in the chunks of a LevelDB log, each with its checksum.
"""

import json
import os
import struct
import time
import zlib
from pathlib import Path


class TinyRun:
    """An offline run of the id that the sweep gave it; every row is on the disk at once."""

    def __init__(self) -> None:
        run = os.environ["WANDB_RUN_ID"]
        folder = Path(os.environ["WANDB_DIR"]) / "wandb" / f"offline-run-{time.time_ns():020}-{run}"
        folder.mkdir(parents=True)
        self._file = (folder / f"run-{run}.wandb").open("wb", buffering=0)
        self._file.write(b":W&B\xe1\xbe\x00")
        self._records = 0
        self._write(17, _bytes(1, run.encode()) + _bytes(12, os.environ["WANDB_SWEEP_ID"].encode()))

    def log(self, **values: object) -> None:
        step = _bytes(2, _number(1, self._records))
        self._write(2, _items(values) + step)

    def summary(self, **values: object) -> None:
        self._write(3, _items(values))

    def _write(self, kind: int, content: bytes) -> None:
        self._records += 1
        chunk = b"\1" + _number(1, self._records) + _bytes(kind, content)
        assert self._file.tell() + len(chunk) < 32_000  # one block, one chunk a record
        self._file.write(struct.pack("<IH", zlib.crc32(chunk), len(chunk) - 1) + chunk)


def _items(values: dict) -> bytes:
    return b"".join(
        _bytes(1, _bytes(1, key.encode()) + _bytes(16, json.dumps(value).encode()))
        for key, value in values.items()
    )


def _bytes(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _varint(value: int) -> bytes:
    parts = []
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes([*parts, value])
