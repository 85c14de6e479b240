"""The shipped sweep files under W&B's own commands and offline: the pretext score steers bayes and hyperband.

Their runs take days. In place of train.py stands a program that reads the same command line with train.py's
own parser and logs at once what the configuration would, each run worse than the one before.
"""

import shutil
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from loopback import Backend, Workplace
from wandb.cli.cli import cli

from selector.command_line import parse_config
from selector.errors import UserError
from selector.sweeping.state import read_sweep
from selector.sweeping.sweep_file import read_sweep_file

SWEEPS = Path(__file__).parents[1] / "sweeps"
BY_BAYES = [path for path in sorted(SWEEPS.glob("*.yaml")) if "method: bayes" in path.read_text()]

STAND_IN = """
import os, sys, time, wandb
from selector.command_line import parse_config
config = parse_config(sys.argv[1:])
before = len(open("begun").readlines()) if os.path.exists("begun") else 0
with open("begun", "a") as file:
    print(config.learning_rate, file=file)
with wandb.init(config={"learning_rate": config.learning_rate}) as run:
    run.define_metric("epoch")
    run.define_metric("label_free/*", step_metric="epoch")
    for milestone in range(8):
        run.log({"epoch": 20 * milestone, "label_free/pretext_score": 100 / (before + 1) + milestone / 10})
    for _ in range(1200 if before else 0):  # a minute in which it may be stopped
        run.log({"busy": 1})
        time.sleep(0.05)
    run.summary["completion/status"] = "completed"
"""


@pytest.mark.parametrize("file", BY_BAYES, ids=lambda file: file.stem)
def test_w_and_b_takes_them_and_train_py_takes_what_it_draws(backend: Backend, wandb_here: None, file: Path):
    done = CliRunner().invoke(cli, ["sweep", "--project", "p", str(file)])
    assert done.exit_code == 0, done.output
    (sweep,) = backend.project("p").sweep_by_name.values()
    shipped = yaml.safe_load(file.read_text())
    assert (sweep.method, sweep.settings["metric"]) == (
        "bayes",
        {"name": "label_free/pretext_score", "goal": "maximize"},
    )
    assert sweep.settings["early_terminate"] == shipped["early_terminate"]
    assert sweep.run_count_expected == shipped["run_cap"]
    for _ in range(20):
        values = sweep.next_values()
        assert values
        config = parse_config([f"--{name}={value}" for name, value in values.items()])
        assert {name: getattr(config, name) for name in values} == values
    assert backend.errors == []


@pytest.mark.slow
def test_hyperband_under_an_agent(workplace: Workplace, wandb_here: None):
    workplace.write("train.py", STAND_IN)
    CliRunner().invoke(cli, ["sweep", "--project", "p", str(SWEEPS / "simclr.yaml")])
    (sweep,) = workplace.backend.project("p").sweep_by_name.values()
    workplace.end(workplace.start_wandb("agent", "--count", "2", f"loopback/p/{sweep.name}"))
    good, bad = sweep.run_list
    assert (good.state, len(good.rows)) == ("finished", 8)
    # At its sixth milestone it is not among the best third of two, which is the first run alone.
    assert bad.should_stop
    assert bad.state != "finished"
    assert "completion/status" not in bad.summary
    rates = [float(line) for line in (workplace.folder / "begun").read_text().splitlines()]
    assert rates == [run.config_value("learning_rate") for run in (good, bad)]
    assert all(0.05 <= rate <= 2 for rate in rates)


def test_hyperband_without_a_server(workplace: Workplace):
    workplace.write("train.py", STAND_IN)
    shutil.copy(SWEEPS / "simclr.yaml", workplace.folder)
    process = workplace.start(
        "-m",
        "selector.cli",
        "sweep",
        "simclr.yaml",
        "--count",
        "2",
        "--directory",
        "out",
        WANDB_MODE="offline",
    )
    assert "2 runs done, 0 failed" in workplace.end(process)
    sweep = read_sweep(workplace.folder / "out")
    assert sweep
    good, bad = sweep.runs
    assert (good.status, bad.status) == ("finished", "stopped")
    assert bad.reason.startswith("hyperband at iteration 6: value 50.")
    assert good.coordinates != bad.coordinates  # drawn by bayes


# A run at once, whose two objectives pull apart: what raises one raises the other, which is to fall.
OF_TWO_OBJECTIVES = """
import sys, wandb
from selector.command_line import parse_config
config = parse_config(sys.argv[1:])
with wandb.init(config={"learning_rate": config.learning_rate}) as run:
    run.define_metric("epoch")
    run.define_metric("label_free/*", step_metric="epoch")
    for epoch in (0, 100):
        run.log({"epoch": epoch, "label_free/rankme": 10 * config.learning_rate,
                 "label_free/alignment": config.learning_rate})
    run.summary["completion/status"] = "completed"
"""


@pytest.mark.slow
def test_two_objectives_by_w_and_b_s_own_scheduler(workplace: Workplace, wandb_here: None):
    backend = workplace.backend
    backend.store.features = ("SWEEPS_LOCAL_SCHEDULER",)
    shipped = (SWEEPS / "two_objectives.yaml").read_text()
    workplace.write("sweep.yaml", shipped.replace("run_cap: 40", "run_cap: 2"))
    workplace.write("train.py", OF_TWO_OBJECTIVES)
    printed = workplace.wandb("sweep", "--project", "p", "sweep.yaml", WANDB_SILENT="false")
    (sweep,) = backend.project("p").sweep_by_name.values()
    path = f"loopback/p/{sweep.name}"
    assert f"wandb sweep-scheduler {path}" in printed
    options = ("--batch-size", "1", "--poll-interval", "0.2", path)
    scheduler = workplace.start_wandb("sweep-scheduler", *options, WANDB_SILENT="false")
    workplace.end(workplace.start_wandb("agent", path))
    said = workplace.end(scheduler)
    assert [run.state for run in sweep.run_list] == ["finished"] * 2
    rates = [run.config_value("learning_rate") for run in sweep.run_list]
    assert len(set(rates)) == 2
    assert f"Trial 0 finished with value: [{10 * rates[0]}, {rates[0]}]" in said  # both were told to Optuna
    assert f"Sweep scheduler for {sweep.name} exited: the sweep finished" in said
    assert backend.errors == []


def test_two_objectives_need_w_and_b_s_scheduler():
    with pytest.raises(UserError, match=r"yaml, line 14: .*`wandb sweep-scheduler` and `wandb agent`"):
        read_sweep_file(SWEEPS / "two_objectives.yaml")
