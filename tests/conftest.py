"""Fixtures for every test, and the way to the helpers beside them.

Helpers in this folder (`handmade`, `loopback`) and in runs/ (`offline_files`) are importable everywhere.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from loopback import Backend

sys.path.append(str(Path(__file__).parent / "runs"))


@pytest.fixture(scope="session")
def _server() -> Iterator["Backend"]:
    from loopback import Backend

    with Backend() as server:
        yield server


@pytest.fixture
def backend(_server: "Backend") -> "Backend":
    """An empty W&B backend on 127.0.0.1 that behaves; one server serves all tests, one after another."""
    _server.reset()
    return _server


@pytest.fixture(scope="module")
def wandb_here(_server: "Backend", tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Sends the wandb of this very process to the backend, for the tests of one module."""
    import wandb

    wandb.teardown()  # whatever it was set up for before
    with pytest.MonkeyPatch.context() as patch:
        for name, value in _server.environment(tmp_path_factory.mktemp("wandb")).items():
            patch.setenv(name, value)
        yield
        wandb.teardown()
