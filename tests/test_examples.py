"""Few changed lines make the runs of a Lightly user selectable, and two calls those of any other."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from selector.metrics import label_free_metric
from selector.runs import read_source
from selector.selection.ranking import rank

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.mark.slow
def test_its_runs_are_ranked(tmp_path):
    environment = {**os.environ, "WANDB_MODE": "offline", "WANDB_SILENT": "true", "OMP_NUM_THREADS": "1"}
    script = EXAMPLES / "lightly_simclr_selectable.py"
    done = subprocess.run(
        [sys.executable, script, "--epochs", "1"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    runs = read_source(str(tmp_path / "wandb"))
    (run,) = runs.runs
    assert run.state == "finished"
    assert [row.epoch for row in run.milestones] == [0, 1]
    assert not [key for row in run.milestones for key in row.values if key.startswith("labelled/")]
    assert rank(runs, label_free_metric("rankme")).groups[0].chosen.id == run.id


@pytest.mark.parametrize(
    ("script", "epochs", "method"),
    [
        ("plain_loop.py", 2, "denoising"),
        pytest.param("vision_transformer.py", 1, "simclr", marks=pytest.mark.slow),
    ],
)
def test_runs_without_wandb_are_ranked(script, epochs, method, tmp_path):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    for rate in ("0.0001", "0.02"):
        command = [sys.executable, EXAMPLES / script, "--epochs", str(epochs), "--learning-rate", rate]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-3000:]
    runs = read_source(str(tmp_path / "runs"))
    assert [(run.state, [row.epoch for row in run.milestones]) for run in runs.runs] == [
        ("finished", [0, epochs])
    ] * 2
    (group,) = rank(runs, label_free_metric("rankme")).groups
    assert group.chosen.config["method"] == method
