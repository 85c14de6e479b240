"""`selector stop-losers` against the backend on 127.0.0.1."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from handmade import CONFIG, DEFINITION, run as handmade_run, write_sweep
from loopback import API_KEY, Backend, Fault
from loopback.records import Run, Sweep

from selector.cli import main

pytestmark = pytest.mark.usefixtures("wandb_here")


@pytest.fixture
def sweep(backend: Backend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sweep:
    """Eight finished runs that rise in a straight line to 40, 41, … at epoch 100, and three running ones."""
    sweep = backend.sweep("p", "method: random\nparameters: {a: {values: [1]}}")
    sweep.state = "RUNNING"
    for n in range(8):
        trained(backend, sweep, f"f{n}", {e: (40 + n) * e / 100 for e in (30, 40, 100)}, n).state = "finished"
    trained(backend, sweep, "behind", {30: 1.0, 40: 1.0}, 8)
    trained(backend, sweep, "ahead", {30: 20.0, 40: 30.0}, 9)
    trained(backend, sweep, "early", {10: 1.0, 20: 1.0}, 10)
    return sweep


def trained(backend: Backend, sweep: Sweep, name: str, scores: dict[int, float], seed: int) -> Run:
    config = {**CONFIG, "epochs": 100, "seed": seed, "definition": DEFINITION}
    rows = [{"epoch": epoch, "label_free/pretext_score": value} for epoch, value in scores.items()]
    summary = {"completion/status": "completed"} if 100 in scores else {}
    return backend.run("p", name, rows, config, summary, sweep=sweep, state="running", display_name=name)


@pytest.fixture
def stop(
    sweep: Sweep, backend: Backend, capfd: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    def stop(*options: str) -> tuple[int, str, str]:
        backend.requests.clear()
        status = main(["stop-losers", f"loopback/p/{sweep.name}", *options])
        out, err = capfd.readouterr()
        assert API_KEY not in out + err
        return status, out, err

    return stop


def asked_to_stop(backend: Backend) -> list[str]:
    return [run.name for run in backend.project("p").bucket_by_name.values() if run.should_stop]


def test_a_dry_run_is_the_default(backend: Backend, stop: Any):
    status, out, err = stop()
    assert (status, err) == (0, "")
    assert out.splitlines() == [
        "behind would be stopped: rank 10 of 10 at epoch 40; after the greatest gain that any of 8 finished"
        " runs made from there (28.2) it would still be worse than f7 by 17.8",
        "ahead goes on: may still win",
        "early goes on: has 0 milestones from epoch 25 on, 2 are needed",
        "1 of 3 running runs cannot win any more; --yes asks W&B to stop them",
    ]
    assert asked_to_stop(backend) == []
    assert "StopRun" not in backend.requests


def test_runs_without_the_metric_go_on(stop: Any):
    lines = stop("--metric", "rankme")[1].splitlines()
    assert lines[0] == "ahead goes on: has not logged label_free/rankme"
    assert lines[-1].startswith("0 of 3 running runs cannot win")


def test_yes_stops_what_the_rule_names_and_nothing_else(backend: Backend, stop: Any):
    status, out, _ = stop("--yes")
    assert status == 0
    assert out.splitlines()[0].startswith("behind asked to stop: rank 10 of 10")
    assert out.splitlines()[-1] == "1 of 3 running runs were asked to stop"
    assert asked_to_stop(backend) == ["behind"]
    assert backend.requests.count("StopRun") == 1


def test_a_run_that_has_ended_since_is_left_alone(backend: Backend, stop: Any):
    run = backend.project("p").bucket_by_name["behind"]
    backend.fail(Fault("call", "Runs", after=1, action=lambda: setattr(run, "state", "finished")))
    status, out, _ = stop("--yes")
    assert (status, "StopRun" in backend.requests) == (0, False)
    assert "behind has ended by itself" in out


def test_a_server_that_refuses(backend: Backend, stop: Any):
    backend.fail(Fault("error", "StopRun", times=None, status=403))
    status, out, err = stop("--yes")
    assert (status, out, err.count("\n")) == (1, "", 1)
    assert err.startswith("selector: cannot stop runs of loopback/p/")


def test_a_folder_can_only_be_looked_at(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    folder = write_sweep(tmp_path, handmade_run("a", 1.0))
    assert main(["stop-losers", str(folder)]) == 0
    assert capsys.readouterr().out == "no run is running\n"
    assert main(["stop-losers", str(folder), "--yes"]) == 1
    err = capsys.readouterr().err
    assert err.startswith(
        f"selector: stop-losers asks W&B to stop runs, but {folder} is a folder: give its sweep"
    )
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("metric", "said"), [("pretext_score", True), ("label_free/pretext_score", True), ("rankme", False)]
)
def test_what_the_score_leaves_out_is_said_where_it_decides(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], metric: str, said: bool
):
    parts = {"pretext_score": 0.2, "rotation_probe": 0.26, "view_retrieval": 0.2, "hog_probe": 0.2}
    values = {"label_free/rankme": 3.0, **{f"label_free/{name}": part for name, part in parts.items()}}
    folder = write_sweep(tmp_path, *(handmade_run(id, values=values) for id in "ab"))
    assert main(["stop-losers", str(folder), "--metric", metric]) == 0
    assert ("pretext_score leaves rotation_probe out" in capsys.readouterr().err) == said
