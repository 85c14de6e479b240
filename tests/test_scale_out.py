"""The files of docs/scale-out, as far as they can be run without SLURM, Kubernetes and W&B's own server."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml
from loopback import Workplace

import train
from selector.config import TrainConfig
from selector.sweeping.state import read_sweep

FILES = Path(train.__file__).parent / "docs" / "scale-out"

# `wandb`, but for an agent that asks for work every fifth of a second, not of a minute.
WANDB = f"""#!{sys.executable}
import wandb.wandb_agent
from wandb.cli.cli import cli
wandb.wandb_agent.Agent.POLL_INTERVAL = 0.2
cli()
"""
# Cells that are done at once: that is between the agents and the backend.
CELLS = """
method: grid
parameters: {a: {values: [1, 2]}, b: {values: [x, y]}}
command: ["${env}", sh, -c, 'echo "$OMP_NUM_THREADS $@" >> cells', sh, "${args_no_hyphens}"]
"""


@pytest.mark.slow
def test_the_tasks_of_a_slurm_array_run_every_cell_once(workplace: Workplace) -> None:
    sweep = workplace.backend.sweep("p", CELLS)
    (workplace.folder / "bin").mkdir()
    workplace.write("bin/wandb", WANDB)
    (workplace.folder / "bin" / "wandb").chmod(0o755)
    tasks = [task(workplace, sweep.name, number) for number in range(1, 7)]  # two more than there are cells
    printed = [process.communicate(timeout=240)[0] for process in tasks]
    assert [process.returncode for process in tasks] == [0] * 6, printed
    cells = Counter((workplace.folder / "cells").read_text().splitlines())
    assert cells == Counter(f"3 a={a} b={b}" for a in (1, 2) for b in "xy")
    assert sweep.state == "FINISHED"
    assert max(len(agent.assigned) for agent in sweep.agent_list) == 1
    assert "task 1 of job 77 on " in printed[0]


def task(workplace: Workplace, sweep: str, number: int) -> "subprocess.Popen[str]":
    environment = workplace.backend.process_environment(workplace.folder) | {
        "PATH": f"{workplace.folder / 'bin'}:{os.environ['PATH']}",
        "SLURM_ARRAY_JOB_ID": "77",
        "SLURM_ARRAY_TASK_ID": str(number),
        "SLURM_CPUS_PER_TASK": "3",
        "SLURM_NTASKS": "1",
        "SLURM_PROCID": "0",
    }
    return subprocess.Popen(
        ["bash", str(FILES / "agents.sbatch"), f"loopback/p/{sweep}"],
        cwd=workplace.folder,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


@pytest.mark.slow
def test_the_tasks_of_a_slurm_array_share_a_sweep_without_an_account(tmp_path: Path) -> None:
    command = 'until [ -e go ]; do sleep 0.1; done; echo "$WANDB_TAGS $@" >> cells'
    text = CELLS.replace('echo "$OMP_NUM_THREADS $@" >> cells', command)
    (tmp_path / "sweep.yaml").write_text(text)
    environment = os.environ | {"SLURM_ARRAY_JOB_ID": "77", "SLURM_ARRAY_TASK_ID": "1"}
    environment["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    script = ["bash", str(FILES / "sweep.sbatch"), "sweep.yaml", "out"]

    def start() -> "subprocess.Popen[str]":
        return subprocess.Popen(
            script, cwd=tmp_path, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )

    def running() -> int:
        state = read_sweep(tmp_path / "out")
        return sum(run.pid is not None and run.status == "running" for run in state.runs) if state else 0

    tasks = [start(), start()]
    deadline = time.monotonic() + 120
    while running() < 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    tasks[0].send_signal(signal.SIGUSR1)  # its time is up: what it ran goes to whoever comes next
    assert "stopped by SIGUSR1 with 0 of 4 runs done; the same command continues" in tasks[0].communicate()[0]
    assert tasks[0].returncode == 128 + signal.SIGUSR1
    tasks[0] = start()
    (tmp_path / "go").touch()
    printed = [task.communicate(timeout=240)[0] for task in tasks]
    assert [task.returncode for task in tasks] == [0, 0], printed
    cells = Counter((tmp_path / "cells").read_text().splitlines())
    assert cells == Counter(f"slurm-77 a={a} b={b}" for a in (1, 2) for b in "xy")


@pytest.mark.slow
def test_the_commands_of_skypilot_and_kubernetes_run_every_cell_once(workplace: Workplace) -> None:
    sweep = workplace.backend.sweep("p", CELLS)
    (workplace.folder / "bin").mkdir()
    for name, text in {"wandb": WANDB, "uv": '#!/bin/sh\nshift; exec "$@"\n'}.items():
        workplace.write(f"bin/{name}", text)
        (workplace.folder / "bin" / name).chmod(0o755)
    path = f"loopback/p/{sweep.name}"
    environment = workplace.backend.process_environment(workplace.folder) | {
        "PATH": f"{workplace.folder / 'bin'}:{os.environ['PATH']}",
        "OMP_NUM_THREADS": "3",
        "SWEEP": path,
    }
    job = yaml.safe_load((FILES / "skypilot.yaml").read_text())
    pod = [word.replace("ENTITY/PROJECT/SWEEP_ID", path) for word in arguments("kubernetes-agents.yaml")]
    for command, cells in ((["bash", "-c", job["run"]], 1), (pod, 4)):
        done = subprocess.run(
            command, cwd=workplace.folder, env=environment, text=True, capture_output=True, timeout=240
        )
        assert done.returncode == 0, done.stderr
        assert len((workplace.folder / "cells").read_text().splitlines()) == cells
    assert set((workplace.folder / "cells").read_text().splitlines()) == {
        f"3 a={a} b={b}" for a in (1, 2) for b in "xy"
    }


@pytest.mark.slow
def test_the_pods_of_a_job_share_a_sweep_without_an_account(tmp_path: Path) -> None:
    (tmp_path / "photos.yaml").write_text(CELLS)
    command = [word.replace("/sweep/", f"{tmp_path}/") for word in arguments("kubernetes-sweep.yaml")]
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    environment["OMP_NUM_THREADS"] = "3"
    pods = [
        subprocess.Popen(command, cwd=tmp_path, env=environment, text=True, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    printed = [pod.communicate(timeout=240)[1] for pod in pods]
    assert [pod.returncode for pod in pods] == [0, 0], printed
    cells = Counter((tmp_path / "cells").read_text().splitlines())
    assert cells == Counter(f"3 a={a} b={b}" for a in (1, 2) for b in "xy")


def arguments(name: str) -> list[str]:
    """What the container of a pod is started with."""
    (container,) = yaml.safe_load((FILES / name).read_text())["spec"]["template"]["spec"]["containers"]
    words: list[str] = container["args"]
    return words


def test_the_skypilot_job_is_one_run_that_hears_signals() -> None:
    job = yaml.safe_load((FILES / "skypilot.yaml").read_text())
    assert job.keys() == {"name", "resources", "envs", "secrets", "workdir", "setup", "run"}
    assert job["run"].split()[:6] == ["exec", "uv", "run", "wandb", "agent", "--count"]
    assert "--forward-signals" in job["run"]
    assert job["resources"]["use_spot"] is True
    assert subprocess.run(["bash", "-n", "-c", job["setup"] + job["run"]]).returncode == 0


@pytest.mark.parametrize("name", ["multi-gpu.yaml", "launch-sweep.yaml"])
def test_sweep_files_name_fields_that_train_py_has(name: str) -> None:
    content = yaml.safe_load((FILES / name).read_text())
    assert content["parameters"].keys() <= {field.name for field in fields(TrainConfig)}
    values: dict[str, Any] = {
        key: spec["value"] if "value" in spec else spec.get("values", [spec.get("min")])[0]
        for key, spec in content["parameters"].items()
    }
    TrainConfig(**values)


@pytest.mark.parametrize("name", ["kubernetes-agents.yaml", "kubernetes-sweep.yaml", "launch-queue.yaml"])
def test_pods_leave_time_for_a_checkpoint_and_pass_signals_on(name: str) -> None:
    pod = yaml.safe_load((FILES / name).read_text())["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] >= 60
    (container,) = pod["containers"]
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    assert mounted == {volume["name"] for volume in pod["volumes"]}
    assert 'ENTRYPOINT ["tini", "--"]' in (FILES / "Containerfile").read_text()
    if name == "kubernetes-agents.yaml":
        assert container["args"][:3] == ["wandb", "agent", "--forward-signals"]
