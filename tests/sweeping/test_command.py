"""Command lines, files and environment against those of the installed wandb's own agent."""

import json
import os

import pytest

from selector.sweeping.command import DEFAULT_COMMAND, build_command, unknown_macro
from selector.sweeping.launch import config_for_wandb, config_path, run_environment

CONFIG = {
    "augment": ["crop", "jitter"],
    "cosine": False,
    "fast": True,
    "learning_rate": 1e-05,
    "limit": None,
    "name": "naïve 'quote' \"double\" $HOME; rm -rf *",
    "optimizer": {"kind": "sgd", "lr": 0.1},
    "width": 64,
}

COMMANDS = [
    list(DEFAULT_COMMAND),
    ["${env}", "A=1", "${interpreter}", "-u", "${program}", "${args}"],
    ["python", "x.py", "${args_no_equals}"],
    ["python", "x.py", "${args_no_hyphens}"],
    ["python", "x.py", "${args_no_boolean_flags}"],
    ["python", "x.py", "${args_json}"],
    ["python", "x.py", "${args_json_file}", "--file=${args_json_file}"],
    ["python", "x.py", "${args_append_hydra}"],
    ["python", "x.py", "${args_override_hydra}"],
    ["${envvar:SHELL_ONE}", "${envvar:UNSET_ONE}/bin", "a${envvar:SHELL_ONE}b${envvar:SHELL_TWO}"],
    ["bash", "-c", "python ${program} $@", "--", "${args}", 3, 0.5, True],
]


class Started(Exception):
    """Raised in place of starting a process, with what it would have been started with."""


@pytest.fixture
def wandb_agent(folder, monkeypatch):
    """W&B's agent, up to the point where it starts a process."""
    import wandb.wandb_agent as module

    for name in ("WANDB_RUN_ID", "WANDB_SWEEP_PARAM_PATH"):  # the agent sets them for good
        monkeypatch.setenv(name, "to be restored")
    monkeypatch.setenv("WANDB_SWEEP_ID", "swp01234")
    monkeypatch.setenv("WANDB_DIR", str(folder))

    def start(command, env, **_):
        raise Started(command, env)

    monkeypatch.setattr(module, "AgentProcess", start)

    def command_run(template: list, config: dict, run: str):
        agent = module.Agent.__new__(module.Agent)
        agent._sweep_command = list(template)
        agent._function = agent._in_jupyter = agent._forward_signals = None
        with pytest.raises(Started) as started:
            agent._command_run(
                {"run_id": run, "program": "train.py", "args": {k: {"value": v} for k, v in config.items()}}
            )
        return started.value.args

    return command_run


@pytest.mark.parametrize("template", COMMANDS, ids=str)
@pytest.mark.parametrize("config", [CONFIG, {}], ids=["config", "empty"])
def test_command_lines_are_those_of_wandbs_agent(wandb_agent, folder, monkeypatch, template, config):
    monkeypatch.setenv("SHELL_ONE", "one")
    monkeypatch.setenv("SHELL_TWO", "two words")
    monkeypatch.delenv("UNSET_ONE", raising=False)
    theirs, _ = wandb_agent(template, config, "run01234")
    ours = build_command(
        [str(part) for part in template],
        "train.py",
        config,
        args_json_file=str(config_path(folder, "swp01234", "run01234", "json")),
        interpreter="python",
        environment=os.environ,
    )
    assert ours == theirs


def test_parameter_files_are_those_of_wandbs_agent(wandb_agent, folder):
    wandb_agent(["x", "${args_json_file}"], CONFIG, "theirs00")
    theirs = config_path(folder, "swp01234", "theirs00", "yaml").read_text(encoding="utf-8")
    assert config_for_wandb(CONFIG) == theirs
    assert json.loads(config_path(folder, "swp01234", "theirs00", "json").read_text()) == CONFIG


def test_environment_is_that_of_wandbs_agent(wandb_agent, folder, read, monkeypatch):
    monkeypatch.setenv("WANDB_SERVICE", "3-tcp-localhost")
    _, theirs = wandb_agent(DEFAULT_COMMAND, CONFIG, "run01234")
    theirs.pop("WANDB_SERVICE")  # W&B's agent takes it away a moment later
    sweep = read("program: train.py\nmethod: grid\nparameters: {x: {value: 1}}\n")
    ours = run_environment(folder, sweep, "swp01234", "run01234", 1, os.environ)
    added = {"WANDB_MODE": "offline", "WANDB__TRANSACTION_LOG_FLUSH_INTERVAL": "1"}
    assert ours == theirs | added


def test_project_and_entity_of_the_file_do_not_replace_those_of_the_environment(folder, read):
    sweep = read("program: p\nmethod: grid\nproject: ours\nentity: team\nparameters: {x: {value: 1}}\n")
    environment = run_environment(folder, sweep, "s", "r", 1, {"WANDB_ENTITY": "me"})
    assert (environment["WANDB_PROJECT"], environment["WANDB_ENTITY"]) == ("ours", "me")


def test_runs_at_the_same_time_share_the_cores(folder, read, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    sweep = read("program: p\nmethod: grid\nparameters: {x: {value: 1}}\n")
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
    for jobs, share in ((3, "2"), (8, "1"), (20, "1")):
        environment = run_environment(folder, sweep, "s", "r", jobs, {})
        assert [environment[name] for name in names] == [share] * 3
    assert not run_environment(folder, sweep, "s", "r", 1, {}).keys() & set(names)
    asked = run_environment(folder, sweep, "s", "r", 2, {"OMP_NUM_THREADS": "7"})
    assert asked["OMP_NUM_THREADS"] == "7"


@pytest.mark.parametrize("part", ["${arguments}", "${Args}", "${}", "${args_dict}", "${envvar:lower}"])
def test_names_what_wandbs_agent_would_silently_drop(part):
    assert repr(part) in (unknown_macro(part) or "")
