import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from offline_files import run_script, run_until_killed

from selector.runs import RunSet
from selector.tracking import connection
from selector.tracking.api import read_wandb

if TYPE_CHECKING:
    from loopback import Backend

# Six runs by W&B's own client: what train.py writes, a long one, somebody else's script, one that was
# resumed, one that failed, and one that an agent started for a sweep.
SCRIPT = """
import wandb

definition = {"version": 1, "projector_dim": 128}
config = {"method": "simclr", "learning_rate": 0.5, "optimizer": {"name": "sgd", "betas": [1, 2]},
          "definition": definition, "nothing": None, "flag": True}
with wandb.init(project="p", id="complete", name="näme [red]\\x1b[31m", group="g", job_type="train",
                tags=["t"], config=config) as run:
    run.config.update({"seed": 3})
    run.define_metric("epoch")
    run.define_metric("label_free/*", step_metric="epoch")
    for epoch in (0, 5, 10):
        run.log({"epoch": epoch, "label_free/rankme": 10 / 3 + epoch, "label_free/entropy": float("nan"),
                 "train/loss": float("-inf"), "nested": {"a": {"b": epoch}}, "text": "word", "big": 10**30})
    run.summary["completion/status"] = "completed"
    run.summary["completion/epoch"] = 10
    run.summary["checkpoint"] = "/checkpoints/last.ckpt"

with wandb.init(project="p", id="long", config={"definition": definition}) as run:
    run.config["padding"] = "x" * 100_000  # one record that spans four blocks
    for epoch in range(200):
        run.log({"epoch": epoch, **{f"label_free/metric_{i}": epoch + i / 7 for i in range(20)}})
    run.summary["completion/status"] = "completed"
    run.summary["completion/epoch"] = 199

with wandb.init(project="p", id="stranger", config={"lr": 1}) as run:
    for step in range(3):
        run.log({"loss": 1 / (step + 1)})

for first, last in ((0, 3), (2, 5)):
    config = {"lr": 1, "definition": definition, "resume": first > 0}
    with wandb.init(project="p", id="resumed", resume="allow", config=config) as run:
        for epoch in range(first, last):
            run.log({"epoch": epoch, "label_free/rankme": 100 * first + epoch})
        if first:
            run.summary["completion/status"] = "completed"
            run.summary["completion/epoch"] = last - 1

run = wandb.init(project="p", id="failed", config={"lr": 2})
run.log({"epoch": 1, "loss": 1.0})
run.finish(exit_code=3)
"""
# What `wandb agent` hands to a script, without the agent.
SWEPT = """
import wandb
with wandb.init(config={"lr": 0.1, "optimizer": {"momentum": 0.5, "name": "sgd"}}) as run:
    run.log({"epoch": 1, "loss": 1.0})
"""
SWEPT_PARAMETERS = """
wandb_version: 1
lr: {value: 0.3}
optimizer: {value: {momentum: 0.9}}
"""
# A run of train.py that is killed while it trains.
ENDLESS = """
import time, wandb
run = wandb.init(project="p", id="killed", config={"definition": {"version": 1}})
for epoch in range(10_000):
    run.log({"epoch": epoch, "label_free/rankme": float(epoch)})
    time.sleep(0.05)
"""


@pytest.fixture
def read(wandb_here: None, backend: "Backend", monkeypatch: pytest.MonkeyPatch) -> Callable[..., RunSet]:
    """Reads runs from the backend, which then knows only what was asked for meanwhile."""
    monkeypatch.setattr(connection, "PAUSES", (0.01, 0.01))

    def read(source: str, **keywords: Any) -> RunSet:
        backend.requests.clear()
        return read_wandb(source, **keywords)

    return read


@pytest.fixture(scope="session")
def offline_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A WANDB_DIR with six runs in seven files."""
    folder = tmp_path_factory.mktemp("offline")
    run_script(SCRIPT, folder)
    parameters = folder / "parameters.yaml"
    parameters.write_text(SWEPT_PARAMETERS)
    sweep = {"WANDB_SWEEP_ID": "sweepid1", "WANDB_RUN_ID": "swept", "WANDB_SWEEP_PARAM_PATH": str(parameters)}
    run_script(SWEPT, folder, **sweep)
    return folder


@pytest.fixture(scope="session")
def offline_files(offline_folder: Path) -> dict[str, list[Path]]:
    """Their files by run id, oldest first."""
    files: dict[str, list[Path]] = {}
    for file in sorted(offline_folder.glob("wandb/offline-run-*/run-*.wandb"), key=os.path.getmtime):
        files.setdefault(file.stem.removeprefix("run-"), []).append(file)
    return files


@pytest.fixture(scope="session")
def killed_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a run whose process was killed."""
    return run_until_killed(ENDLESS, tmp_path_factory.mktemp("killed"), rows=5)
