"""Real .wandb files, and .wandb files written by hand."""

import json
import os
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import wandb
from wandb.proto import wandb_internal_pb2

OFFLINE = {
    "WANDB_MODE": "offline",
    "WANDB_SILENT": "true",
    "WANDB_ERROR_REPORTING": "false",
    "WANDB_DISABLE_GIT": "true",
    "WANDB_CONSOLE": "off",
}
FILE_HEADER = bytes.fromhex("3a572642e1be00")  # ":W&B", 0xBEE1 in little-endian order, version 0


def run_script(script: str, folder: Path, **environment: str) -> None:
    """Run a Python script whose offline runs go to a folder."""
    subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, **OFFLINE, "WANDB_DIR": str(folder), **environment},
        cwd=folder,
        check=True,
        timeout=120,
    )


def run_until_killed(script: str, folder: Path, rows: int) -> Path:
    """Run a script, and kill it once so many rows of its only run have reached the disk."""
    environment = {**os.environ, **OFFLINE, "WANDB_DIR": str(folder)}
    environment["WANDB__TRANSACTION_LOG_FLUSH_INTERVAL"] = "1"
    process = subprocess.Popen([sys.executable, "-c", script], env=environment)
    try:
        deadline = time.monotonic() + 60
        while not (files := [f for f in folder.glob("wandb/offline-run-*/*.wandb") if _rows(f) >= rows]):
            if time.monotonic() > deadline:
                raise TimeoutError("W&B wrote nothing")
            time.sleep(0.1)
    finally:
        process.kill()
        process.wait()
    size = -1
    while size != (size := files[0].stat().st_size):  # W&B's service notices within a second, and goes too
        time.sleep(1.5)
    return files[0]


def _rows(file: Path) -> int:
    return file.read_bytes().count(b"label_free/rankme") // 2  # each is in a summary and in a row


def leet_records(file: Path) -> list[dict[str, Any]]:
    """What W&B's own reader finds in a file."""
    core = Path(wandb.__file__).parent / "bin" / "wandb-core"
    command = [core, "leet", "inspect", "--no-observability", "--json", "--run-file", file, file.parent]
    output = subprocess.run(command, check=True, capture_output=True, timeout=60).stdout
    return [json.loads(line) for line in output.splitlines()]


def as_log(payloads: Iterable[bytes]) -> bytes:
    """A .wandb file of these records, as W&B's client would lay it out."""
    log = bytearray(FILE_HEADER)
    for payload in payloads:
        first = True
        while first or payload:
            if (room := 32768 - len(log) % 32768) < 7:
                log += bytes(room)
                room = 32768
            part, payload = payload[: room - 7], payload[room - 7 :]
            kind = {(True, True): 1, (True, False): 2, (False, False): 3, (False, True): 4}[
                first, not payload
            ]
            log += struct.pack("<IHB", zlib.crc32(bytes([kind]) + part), len(part), kind) + part
            first = False
    return bytes(log)


def record(number: int, **kind: Any) -> bytes:
    """One record by W&B's own schema, such as record(3, exit={"exit_code": 0})."""
    return wandb_internal_pb2.Record(num=number, **kind).SerializeToString()


def items(values: dict[str, Any]) -> list[dict[str, str]]:
    """History items, or updates of a config or summary."""
    return [{"key": key, "value_json": json.dumps(value)} for key, value in values.items()]


def write_run(
    file: Path,
    run_id: str,
    config: dict[str, Any] | None = None,
    rows: Iterable[dict[str, Any]] = (),
    summary: dict[str, Any] | None = None,
    exit_code: int | None = 0,
    started: float = 1000.0,
    **run: Any,
) -> Path:
    """A .wandb file by hand; `exit_code=None` leaves the run without an end."""
    when = {"seconds": int(started), "nanos": round(started % 1 * 1e9)}
    config_record = {"update": items(config or {})}
    kinds: list[dict[str, Any]] = [
        {"header": {}},
        {"run": {"run_id": run_id, "config": config_record, "start_time": when, **run}},
    ]
    kinds += [{"history": {"item": items(row), "step": {"num": n}}} for n, row in enumerate(rows)]
    kinds += [{"summary": {"update": items(summary)}}] if summary else []
    kinds += [{"exit": {"exit_code": exit_code}}] if exit_code is not None else []
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(as_log(record(n, **kind) for n, kind in enumerate(kinds, start=1)))
    return file


def age(file: Path, seconds: float) -> None:
    """Make a file look as if it was last written so long ago."""
    os.utime(file, (time.time() - seconds,) * 2)
