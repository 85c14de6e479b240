"""Fixtures for every test, and the way to the helpers beside them.

Helpers in this folder (`handmade`, `loopback`) and in tracking/ (`offline_files`) are importable everywhere.
"""

import os
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

if TYPE_CHECKING:
    from loopback import Backend, Workplace

sys.path.append(str(Path(__file__).parent / "tracking"))

if "PYTEST_XDIST_WORKER" in os.environ:  # more processes than cores: threads of torch would fight for them
    os.environ.setdefault("OMP_NUM_THREADS", "1")
# Where bytecode is not kept, as in containers, each program that a test starts would compile torch and wandb
# anew, for ten seconds: they share it below .pytest_cache.
if os.environ.pop("PYTHONDONTWRITEBYTECODE", ""):
    os.environ["PYTHONPYCACHEPREFIX"] = str(Path(__file__).parents[1] / ".pytest_cache" / "bytecode")
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell starts what runs in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes says how busy the machine is.
hypothesis.settings.register_profile(
    "busy", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("busy")

_LONGEST = 1800  # seconds of one test and of the fixtures that it starts and ends


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores, because many tests wait for other programs and for a server."""
    return (os.cpu_count() or 1) + 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files of few tests first: they run whole programs, and one of these at the end keeps all waiting."""
    tests_of = Counter(item.path for item in items)
    items.sort(key=lambda item: tests_of[item.path])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """A test that hangs fails where it hung; wandb's teardown once never came back."""

    def stop(*_: object) -> None:
        pytest.fail(f"{item.nodeid} has hung for {_LONGEST} s")

    signal.signal(signal.SIGALRM, stop)
    signal.alarm(_LONGEST)
    try:
        return (yield)
    finally:
        signal.alarm(0)


@pytest.fixture(scope="module", autouse=True)
def _service_of_one_file() -> Iterator[None]:
    """End W&B's service with the file whose tests started it.

    Runs of the next file would write through it, and what they did not finish would stay in its memory.
    """
    yield
    if "WANDB_SERVICE" in os.environ:
        import wandb

        wandb.teardown()


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


@pytest.fixture
def workplace(backend: "Backend", tmp_path: Path) -> "Workplace":
    """A folder from which W&B's commands are run against the backend."""
    from loopback import Workplace

    return Workplace(backend, tmp_path)


@pytest.fixture(scope="module")
def wandb_here(_server: "Backend", tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Sends the wandb of this very process to the backend, for the tests of one module."""
    import wandb

    wandb.teardown()  # whatever it was set up for before
    before = dict(os.environ)
    os.environ.update(_server.environment(tmp_path_factory.mktemp("wandb")))
    yield
    wandb.teardown()
    os.environ.clear()  # wandb's commands leave their project and their entity there
    os.environ.update(before)


@pytest.fixture
def logged_out(wandb_here: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """This process without any credentials of W&B."""
    import wandb

    wandb.teardown()
    monkeypatch.delenv("WANDB_API_KEY")
    monkeypatch.setenv("NETRC", str(tmp_path / "no netrc"))
    yield
    wandb.teardown()
