"""A sweep of the real train.py, from its file to the pick, with the real client and no server."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from tiny_training import parameters

import train
from selector.cli import main
from selector.config import TrainConfig
from selector.sweeping.state import read_sweep


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sweep")
    sweep = {
        "program": train.__file__,
        "method": "grid",
        "metric": {"name": "label_free/rankme", "goal": "maximize"},
        "parameters": parameters() | {"learning_rate": {"values": [0.05, 0.5, 1e30]}},
    }
    (folder / "tiny.yaml").write_text(yaml.safe_dump(sweep, sort_keys=False))
    before = dict(os.environ)
    assert main(["sweep", str(folder / "tiny.yaml"), "--directory", str(folder / "out")]) == 0
    assert dict(os.environ) == before
    return folder


def output(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict:
    capsys.readouterr()
    assert main([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_runs_are_ranked_and_the_diverged_one_is_never_chosen(swept: Path, capsys) -> None:
    result = output(capsys, "rank", str(swept / "out"))
    (group,) = result["groups"]
    assert [entry["rank"] for entry in group["ranking"]] == [1, 2]
    assert {entry["config"]["learning_rate"] for entry in group["ranking"]} == {0.05, 0.5}
    scores = [entry["score"] for entry in group["ranking"]]
    assert scores == sorted(scores, reverse=True)
    assert len(result["excluded"]) == 1
    assert "diverged" in result["excluded"][0]["reason"]
    assert (result["coverage"]["planned"], result["coverage"]["ranked"]) == (3, 2)


def test_regret_is_the_gap_between_the_best_and_the_chosen_accuracy(swept: Path, capsys) -> None:
    (group,) = output(capsys, "regret", str(swept / "out"))["groups"]
    assert {"rankme", "entropy", "silhouette", "clustering_agreement"} <= {
        m["metric"] for m in group["metrics"]
    }
    for metric in group["metrics"]:
        if metric["chosen"] is None:  # such as alpha_req_score, which a collapsed encoder leaves undefined
            assert metric["finite"] == 0
            continue
        assert metric["regret"] == pytest.approx(metric["best_accuracy"] - metric["chosen_accuracy"])
        assert metric["regret"] >= 0
        low, high = metric["interval"]
        assert 0 <= low <= metric["regret"] <= high


@pytest.mark.slow
def test_best_repeats_the_winner(
    swept: Path, tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    best = output(capsys, "best", str(swept / "out"), "--output", str(tmp_path / "best.yaml"))["best"][0]
    winner = output(capsys, "rank", str(swept / "out"))["groups"][0]["ranking"][0]
    written = yaml.safe_load((tmp_path / "best.yaml").read_text())
    assert written["learning_rate"] == winner["config"]["learning_rate"]
    assert written.keys() <= set(TrainConfig.__dataclass_fields__)
    assert Path(best["checkpoint"]).is_file()
    # The command, run as it stands, gives the winner's very figures again.
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    interpreter, program, *arguments = shlex.split(best["command"])
    assert (interpreter, Path(program).name) == ("python", "train.py")
    subprocess.run(
        [sys.executable, train.__file__, *arguments], check=True, cwd=tmp_path, capture_output=True
    )
    (repeated,) = output(capsys, "rank", str(tmp_path), "--metric", "rankme")["groups"][0]["ranking"]
    swept_ones = output(capsys, "rank", str(swept / "out"), "--metric", "rankme")["groups"][0]["ranking"]
    assert repeated["score"] == {entry["run"]: entry["score"] for entry in swept_ones}[winner["run"]]


def test_a_second_call_runs_nothing_again(swept: Path, capsys) -> None:
    before = read_sweep(swept / "out")
    assert main(["sweep", str(swept / "tiny.yaml"), "--directory", str(swept / "out")]) == 0
    assert read_sweep(swept / "out") == before
