"""Backend: the server in a thread of its own, and what a test does with it."""

import json
import os
import socket
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import uvicorn

from .app import App
from .artifacts import Artifact
from .faults import Fault
from .records import ENTITY, Project, Run, Sweep
from .store import Store

API_KEY = "f00d" * 10  # wandb wants at least 40 characters


class Backend:
    """A W&B backend on a free port of 127.0.0.1 for as long as the `with` block lasts."""

    def __init__(self) -> None:
        self.store = Store()
        self.app = App(self.store, API_KEY)
        self.port = 0
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> "Backend":
        self.accept()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.refuse()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def environment(self, directory: Path) -> dict[str, str]:
        """Environment variables that send wandb here, and nowhere else."""
        return {
            "WANDB_BASE_URL": self.url,
            "WANDB_API_KEY": API_KEY,
            "WANDB_MODE": "online",
            "WANDB_ERROR_REPORTING": "false",
            "WANDB_DIR": str(directory),
            "WANDB_CONFIG_DIR": str(directory / "config"),
            "WANDB_CACHE_DIR": str(directory / "cache"),
            "WANDB_DATA_DIR": str(directory / "data"),
            "WANDB_DISABLE_GIT": "true",
            "WANDB_DISABLE_CODE": "true",
            "WANDB_CONSOLE": "off",
            "WANDB_SILENT": "true",
            "WANDB__DISABLE_STATS": "true",
            "WANDB__FILE_STREAM_TRANSMIT_INTERVAL": "0.2",  # so that a stop is noticed at once
            "NETRC": str(directory / "netrc"),
        }

    def process_environment(self, directory: Path) -> dict[str, str]:
        """The whole environment of a process of its own, without what this one's wandb may have left."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("WANDB")}
        return kept | self.environment(directory)

    # Misbehaving

    def refuse(self) -> None:
        """Close the port: connections are refused until `accept`; what is stored stays."""
        if self._server and self._thread:
            self._server.should_exit = True
            self._server.force_exit = True
            self._thread.join()
        self._server = self._thread = None

    def accept(self) -> None:
        """Open the port, the same one every time."""
        # Named TCP, or else asyncio does not switch Nagle's algorithm off and every answer takes 40 ms.
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        self.port = listener.getsockname()[1]
        self.store.base_url = self.url
        config = uvicorn.Config(self.app.routes(), log_level="critical", access_log=False, lifespan="off")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([listener],), daemon=True)
        self._thread.start()
        while not self._server.started:
            time.sleep(0.005)

    def fail(self, fault: Fault) -> Fault:
        """Misbehave in that way from now on."""
        self.app.faults.append(fault)
        return fault

    def reset(self) -> None:
        """Forget everything and behave again."""
        if self._server is None:
            self.accept()
        self.store = self.app.store = Store(base_url=self.url)
        self.app.faults.clear()
        self.app.requests.clear()
        self.app.errors.clear()

    # What is there

    @property
    def requests(self) -> list[str]:
        """Names of the operations asked for so far."""
        return self.app.requests

    @property
    def errors(self) -> list[str]:
        """What the clients asked for and did not get."""
        return self.app.errors

    def project(self, name: str) -> Project:
        found = self.store.project(ENTITY, name, create=True)
        assert found is not None
        return found

    def sweep(self, project: str, config: str = "method: grid\nparameters: {lr: {values: [1]}}") -> Sweep:
        """A sweep that no agent has seen."""
        return self.store.new_sweep(self.project(project), config)

    def run(
        self,
        project: str,
        name: str,
        rows: list[dict[str, Any]],
        config: dict[str, Any] | None = None,
        summary: dict[str, Any] | None = None,
        **attributes: Any,
    ) -> Run:
        """A run as its process would have left it, without running one; rows get their steps."""
        run = self.store.new_run(self.project(project), name, **{"state": "finished", **attributes})
        run.display_name = run.display_name or f"name of {name}"
        run.config = json.dumps({key: {"value": value} for key, value in (config or {}).items()})
        run.summary = summary or {}
        run.write_history(0, [json.dumps({"_step": step, **row}) for step, row in enumerate(rows)])
        return run

    def artifact(self, run: Run, name: str, *aliases: str, type_name: str = "model") -> Artifact:
        """A version that the run has logged, without any file."""
        sequence = self.store.collection(run.project, name, type_name)
        version = Artifact(
            store=self.store,
            artifact_sequence=sequence,
            digest=f"{name} {len(sequence.versions)}",
            created_by=run,
        )
        version.wanted_aliases += aliases
        sequence.versions.append(version)
        sequence.commit(version)
        run.outputs.append(version)
        return version
