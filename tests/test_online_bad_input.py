"""What a user can get wrong with W&B: one clear line on stderr, exit status 1, no traceback, no API key."""

from collections.abc import Callable
from typing import Any

import pytest
from handmade import CONFIG, DEFINITION
from loopback import API_KEY, Backend, Fault
from loopback.records import Sweep

from selector.cli import main
from selector.tracking import api, connection

pytestmark = pytest.mark.usefixtures("wandb_here")

COMMANDS = [
    ("rank",),
    ("rank", "--write-back"),
    ("regret",),
    ("best",),
    ("correlate",),
    ("watch", "--once"),
    ("stop-losers", "--yes"),
]


@pytest.fixture
def call(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """`selector …` in this process: exit status, stdout, stderr."""
    for name, value in {"LOGIN_SECONDS": 5, "ANSWER_SECONDS": 5, "PAUSES": (0.0, 0.0)}.items():
        monkeypatch.setattr(connection, name, value)
    for name in ("SILENT_SECONDS", "MOST_SECONDS"):
        monkeypatch.setattr(api, name, 5.0)

    def call(*arguments: str) -> tuple[int, str, str]:
        status = main(arguments)
        out, err = capfd.readouterr()
        assert API_KEY not in out + err
        assert "Traceback" not in out + err
        return status, out, err

    return call


def fails(call: Any, command: tuple[str, ...], source: str) -> str:
    """The one line that the command prints."""
    status, out, err = call(command[0], source, *command[1:])
    assert (status, out) == (1, "")
    assert err.startswith("selector: ")
    assert err.count("\n") == 1
    return str(err)


def sweep_of(backend: Backend, runs: int, state: str = "finished", **values: float) -> Sweep:
    sweep = backend.sweep("p", "method: random\nparameters: {a: {values: [1]}}")
    summary = {"completion/status": "completed"} if state == "finished" else {}
    for n in range(runs):
        config = {**CONFIG, "seed": n, "definition": DEFINITION}
        rows = [{"epoch": epoch, **{key: value + n for key, value in values.items()}} for epoch in (0, 10)]
        backend.run("p", f"r{n:03}", rows, config, summary, sweep=sweep, state=state)
    return sweep


@pytest.mark.usefixtures("logged_out")
def test_no_login_and_a_wrong_key(backend: Backend, call: Any, monkeypatch: pytest.MonkeyPatch):
    said = fails(call, ("rank",), "loopback/p/abc")
    assert "no W&B login for http://127.0.0.1" in said
    assert "run `wandb login`, or set WANDB_API_KEY (and there is no folder of that name here)" in said
    assert backend.requests == []
    monkeypatch.setenv("WANDB_API_KEY", "deadbeef" * 5)
    assert "deadbeef" not in fails(call, ("rank",), "loopback/p/abc")


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_wrong_path_is_one_line_of_every_command(backend: Backend, call: Any, command: tuple[str, ...]):
    assert "no project loopback/nowhere on http" in fails(call, command, "loopback/nowhere")
    sweep = sweep_of(backend, 2, **{"label_free/rankme": 10.0})
    backend.store.delete_sweep(sweep)
    said = fails(call, command, f"loopback/p/{sweep.name}")
    assert f"no sweep {sweep.name} in loopback/p on http" in said
    assert "it was deleted, it has another id, or" in said


@pytest.mark.parametrize("command", [c for c in COMMANDS if c[0] != "watch"], ids=" ".join)
def test_a_sweep_with_no_runs(backend: Backend, call: Any, command: tuple[str, ...]):
    path = f"loopback/p/{backend.sweep('p').name}"
    assert f"sweep {path} has no runs yet: start some with `wandb agent {path}`" in fails(call, command, path)


@pytest.mark.parametrize("command", COMMANDS[:-1], ids=" ".join)
def test_runs_that_lack_the_metric(backend: Backend, call: Any, command: tuple[str, ...]):
    sweep = sweep_of(backend, 3, **{"somebody/elses": 1.0})
    said = fails(call, command, f"loopback/p/{sweep.name}")
    wanted = {"regret": "label-free metrics", "correlate": "linear_probe_accuracy", "watch": "rankme"}
    assert wanted.get(command[0], "label_free/pretext_score") in said


def test_a_project_of_foreign_runs(backend: Backend, call: Any):
    for n in range(300):
        backend.run("p", f"f{n:04}", [{"loss": 1.0 / step} for step in range(1, 4)], {"lr": n})
    backend.requests.clear()
    said = fails(call, ("rank",), "loopback/p")
    assert (
        "no run in loopback/p can be ranked by label_free/pretext_score at their last milestone:"
        " 300 missing (run f0000: logged no label_free/pretext_score)" in said
    )
    assert "RunFullHistory" not in backend.requests
    sweep_of(backend, 2, **{"label_free/rankme": 10.0})
    status, out, _ = call("rank", "loopback/p")
    assert (status, "Chosen: r001" in out) == (0, True)
    assert "300 runs   logged no label_free/rankme (f0000, f0001, f0002, …)" in out
    assert "f0003" not in out
    assert backend.requests.count("RunFullHistory") == 2


@pytest.mark.parametrize("command", [("rank",), ("watch", "--once"), ("stop-losers", "--yes")], ids=" ".join)
@pytest.mark.parametrize("kind", ["html", "text", "truncate"])
def test_an_answer_that_is_not_json(backend: Backend, call: Any, command: tuple[str, ...], kind: Any):
    sweep = sweep_of(backend, 2, **{"label_free/rankme": 10.0})
    backend.fail(Fault(kind, "Runs", times=None, text="no JSON"))
    said = fails(call, command, f"loopback/p/{sweep.name}")
    assert said.startswith(f"selector: cannot read loopback/p/{sweep.name} from http")
