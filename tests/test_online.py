"""W&B's own commands and clients, in processes of their own, against the backend on 127.0.0.1."""

import re
from collections import Counter
from pathlib import Path

import wandb
from click.testing import CliRunner
from loopback import API_KEY, Fault, Workplace, wait_for
from loopback.records import Sweep
from wandb.cli.cli import cli

from selector.tracking.api import read_wandb

GRID = """
program: program.py
method: grid
metric: {name: label_free/rankme, goal: maximize}
parameters:
  lr: {values: [0.5, 0.25]}
  optimizer: {parameters: {name: {value: sgd}, momentum: {value: 0.9}}}
"""

# What a training script does with W&B, and nothing else: three milestones, a checkpoint, a marker.
PROGRAM = """
import os, wandb
with wandb.init(config={"lr": 1.0, "definition": {"version": 1}}, tags=["t"], group="g") as run:
    run.define_metric("epoch")
    run.define_metric("label_free/*", step_metric="epoch")
    for epoch in range(3):
        run.log({"epoch": epoch, "label_free/rankme": run.config["lr"] * epoch,
                 "label_free/entropy": float("nan")})
        checkpoint = wandb.Artifact(f"checkpoint-{run.id}", type="checkpoint")
        with checkpoint.new_file("weights.txt") as file:
            file.write(f"{run.config['lr']} after {epoch}")
        run.log_artifact(checkpoint, aliases=["last", f"milestone-{epoch}"]).wait()
    run.summary["completion/status"] = "completed"
"""

# Logs until it is stopped; with a = 2 it does not even begin.
ENDLESS = """
import sys, time
while "--a=2" in sys.argv:
    time.sleep(0.05)
import wandb
with wandb.init() as run:
    for epoch in range(10_000):
        run.log({"epoch": epoch})
        time.sleep(0.05)
"""

# Its first life is preempted after epoch 1 and says so; its second goes on from there.
PREEMPTED = """
import wandb
with wandb.init(resume="allow") as run:
    first = run.starting_step
    for epoch in range(first, 4):
        run.log({"epoch": epoch, "life": int(first > 0)})
        if epoch == 1:
            run.mark_preempting()
            run.finish(exit_code=1)
            raise SystemExit(1)
"""


def new_sweep(workplace: Workplace, config: str, program: str) -> Sweep:
    """A sweep of that program, made without a process."""
    workplace.write("program.py", program)
    return workplace.backend.sweep("p", config)


def command(*arguments: str) -> None:
    """A wandb command in this process, which spares it a start."""
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 0, result.output


def test_sweep_agent_and_reading_back(workplace: Workplace, wandb_here: None, tmp_path: Path):
    workplace.write("program.py", PROGRAM)
    workplace.write("sweep.yaml", GRID)
    printed = workplace.wandb("sweep", "--project", "p", "sweep.yaml", WANDB_SILENT="false")
    (path,) = re.findall(r"wandb agent (\S+)", printed)
    printed += workplace.wandb("agent", path)
    assert API_KEY not in printed

    # As W&B's own client reads it.
    api = wandb.Api()
    sweep = api.sweep(path)
    assert (sweep.state, sweep.config["method"], sweep.expected_run_count) == ("FINISHED", "grid", 2)
    runs = list(sweep.runs)
    assert [run.config["lr"] for run in runs] == [0.5, 0.25]  # the sweep's values win, each once
    assert all(run.config["optimizer"] == {"name": "sgd", "momentum": 0.9} for run in runs)
    assert {(run.state, run.group, *run.tags) for run in runs} == {("finished", "g", "t")}
    assert [row["label_free/rankme"] for row in runs[0].scan_history()] == [0, 0.5, 1.0]
    assert [row["epoch"] for row in runs[1].scan_history(keys=["epoch"])] == [0, 1, 2]
    assert len(runs[0].history(pandas=False)) == 3
    assert runs[0].summary["label_free/rankme"] == 1.0
    assert sweep.best_run().id == runs[0].id
    assert "config.yaml" in [file.name for file in runs[0].files()]
    assert [run.id for run in api.runs("loopback/p", {"config.lr": {"$lt": 0.3}})] == [runs[1].id]
    kept = api.artifact(f"loopback/p/checkpoint-{runs[1].id}:milestone-1")
    folder = Path(kept.download(root=str(tmp_path / "download")))
    assert (folder / "weights.txt").read_text() == "0.25 after 1"
    logged = {alias for artifact in runs[1].logged_artifacts() for alias in artifact.aliases}
    assert {"last", "latest", "milestone-0", "milestone-1", "milestone-2"} <= logged

    # As the selector reads it.
    found = read_wandb(path)
    assert (found.planned, found.finish_command, found.unreadable) == (2, "", ())
    by_rate = {run.config["lr"]: run for run in found.runs}
    assert {run.state for run in found.runs} == {"finished"}
    for rate in (0.5, 0.25):
        assert by_rate[rate].definition == {"version": 1}
        ranks = [(m.epoch, m.values["label_free/rankme"]) for m in by_rate[rate].milestones]
        assert ranks == [(0, 0.0), (1, rate), (2, 2 * rate)]

    # Writing back.
    run = runs[1]
    run.tags.append("label-free-best")
    run.summary["selector/rank"] = 1
    run.update()
    kept.aliases.append("label-free-best")
    kept.save()
    again = wandb.Api().run("/".join(run.path))
    assert again.tags == ["t", "label-free-best"]
    assert again.summary["selector/rank"] == 1
    assert wandb.Api().artifact(f"loopback/p/checkpoint-{run.id}:label-free-best").version == kept.version
    assert workplace.backend.errors == []


def test_two_agents_run_every_cell_once(workplace: Workplace):
    # Cells that are done at once, without wandb: that is between the agents and the backend.
    config = """
method: grid
parameters: {a: {values: [1, 2, 3]}, b: {values: [x, y]}}
command: ["${env}", sh, -c, 'echo "$@" >> cells', sh, "${args_no_hyphens}"]
"""
    sweep = new_sweep(workplace, config, "")
    agents = [workplace.start_wandb("agent", f"loopback/p/{sweep.name}") for _ in range(2)]
    for agent in agents:
        workplace.end(agent)
    cells = Counter((workplace.folder / "cells").read_text().splitlines())
    assert cells == Counter(f"a={a} b={b}" for a in (1, 2, 3) for b in "xy")
    assert all(agent.assigned for agent in sweep.agent_list)
    assert sweep.state == "FINISHED"


def test_a_run_is_stopped_and_a_sweep_paused_resumed_and_cancelled(workplace: Workplace, wandb_here: None):
    config = "program: program.py\nmethod: grid\nparameters: {a: {values: [1, 2, 3]}}"
    sweep = new_sweep(workplace, config, ENDLESS)
    path = f"loopback/p/{sweep.name}"
    agent = workplace.start_wandb("agent", path)
    wait_for(lambda: sweep.run_list and len(sweep.run_list[0].lines) > 3)
    (first,) = sweep.run_list
    command("sweep", "--pause", path)
    wandb.Api().run(f"loopback/p/{first.name}").stop()
    wait_for(lambda: first.state == "killed")
    heartbeats = workplace.backend.requests.count("Heartbeat")
    wait_for(lambda: workplace.backend.requests.count("Heartbeat") > heartbeats + 5)
    assert len(sweep.run_list) == 1  # the agent waits
    command("sweep", "--resume", path)
    wait_for(lambda: len(sweep.run_list) == 2)
    command("sweep", "--cancel", path)
    workplace.end(agent)
    assert [run.config_value("a") for run in sweep.run_list] == [1, 2]
    assert sweep.state == "CANCELED"


def test_a_preempted_run_comes_back_and_goes_on(workplace: Workplace):
    sweep = new_sweep(
        workplace, "program: program.py\nmethod: grid\nparameters: {a: {values: [7]}}", PREEMPTED
    )
    printed = workplace.end(workplace.start_wandb("agent", f"loopback/p/{sweep.name}"))
    (run,) = sweep.run_list
    assert printed.count("Agent received command: resume") == 1
    assert [(row["epoch"], row["life"]) for row in run.rows] == [(0, 0), (1, 0), (2, 1), (3, 1)]
    assert (run.state, run.config_value("a"), sweep.state) == ("finished", 7, "FINISHED")


def test_the_network_fails_goes_and_comes_back(workplace: Workplace):
    workplace.write(
        "program.py",
        "import os, time, wandb\n"
        "with wandb.init(project='p', id='x') as run:\n"
        "    for epoch in range(6):\n"
        "        run.log({'epoch': epoch})\n"
        "        while epoch == 2 and not os.path.exists('cut'): time.sleep(0.05)\n"
        "    open('logged', 'w').close()\n",
    )
    backend = workplace.backend
    faults = [Fault("rate_limit", "file_stream", seconds=0.1), Fault("error", "file_stream")]
    for fault in faults:
        backend.fail(fault)
    process = workplace.start("program.py")
    wait_for(lambda: all(fault.hits for fault in faults))
    backend.refuse()
    workplace.write("cut", "")
    wait_for((workplace.folder / "logged").exists)  # logging goes on without a network
    assert len(backend.project("p").bucket_by_name["x"].lines) <= 3
    backend.accept()
    workplace.end(process)
    run = backend.project("p").bucket_by_name["x"]
    assert [row["epoch"] for row in run.rows] == [0, 1, 2, 3, 4, 5]
    assert run.state == "finished"


def test_an_offline_run_is_synced_into_its_sweep(workplace: Workplace, wandb_here: None):
    sweep = new_sweep(workplace, GRID, "")
    script = "import wandb\nwith wandb.init(config={'lr': 1}) as run:\n    run.log({'epoch': 4})\n"
    # In a sweep wandb.init heeds the environment alone.
    environment = {"WANDB_SWEEP_ID": sweep.name, "WANDB_RUN_ID": "x", "WANDB_PROJECT": "p"}
    workplace.end(workplace.start("-c", script, WANDB_MODE="offline", **environment))
    (folder,) = (workplace.folder / "wandb").glob("offline-run-*")
    command("sync", str(folder))
    (run,) = sweep.run_list
    assert (run.name, run.state, run.config_value("lr")) == ("x", "finished", 1)
    assert [row["epoch"] for row in run.rows] == [4]
