"""The real train.py under a real agent, handed its values in every form that an agent has."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import wandb
import yaml
from loopback import Backend, Workplace, wait_for
from loopback.records import Run
from tiny_training import TINY, flags, parameters

import train
from selector.training.stored import read_checkpoint

# All kinds of values: a nested group, a float drawn for a whole number, None, a flag.
SWEPT = {
    "learning_rate": {"value": 1e-05},
    "optimiser": {"parameters": {"weight_decay": {"value": 0.00123}, "momentum_max": {"value": 0.97}}},
    "clusters": {"value": None},
    "labels": {"value": True},
    "seed": {"value": 5.0},
}


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Run, str, Path]]:
    """A run of a real agent: as W&B has it, what was printed, and the agent's folder."""
    with Backend() as backend:
        place = Workplace(backend, tmp_path_factory.mktemp("agent"))
        config = {"program": train.__file__, "method": "grid", "parameters": parameters() | SWEPT}
        path = f"loopback/p/{backend.sweep('p', yaml.safe_dump(config)).name}"
        printed = place.end(
            place.start_wandb("agent", path, WANDB_RUN_GROUP="nodes", WANDB_SILENT="false"), 900
        )
        (run,) = backend.project("p").bucket_by_name.values()
        assert run.state == "finished", printed
        yield run, printed, place.folder
        assert backend.errors == []


def shown(run: Run) -> dict[str, Any]:
    return {name: wrapped["value"] for name, wrapped in json.loads(run.config).items()}


def test_the_sweeps_values_reach_the_trainer_unchanged(agent: tuple[Run, str, Path]) -> None:
    run, printed, folder = agent
    trained = read_checkpoint(folder / "runs" / run.name / "milestone-0002.ckpt")["train_config"]
    asked = TINY | {"learning_rate": 1e-05, "weight_decay": 0.00123, "momentum_max": 0.97, "seed": 5}
    asked |= {"clusters": None, "labels": True}
    assert {name: trained[name] for name in asked} == asked
    assert {name: shown(run)[name] for name in asked} == asked
    assert shown(run)["optimiser"] == {"weight_decay": 0.00123, "momentum_max": 0.97}
    assert "Ignoring" not in printed  # W&B does not warn about the run's id


def test_wandb_gets_metrics_definition_tags_and_group(agent: tuple[Run, str, Path]) -> None:
    run, *_ = agent
    assert [row["epoch"] for row in run.rows] == [0, 1, 2]
    always = {"label_free/rankme", "label_free/entropy", "cost/milestone_seconds"}
    assert all(always <= row.keys() for row in run.rows)
    assert (run.group, run.job_type, run.tags) == ("nodes", "train", ["simclr", "digits"])
    assert shown(run)["definition"]["projector_dim"] == 8
    assert run.summary["label_free/rankme"] == run.rows[-1]["label_free/rankme"]
    assert (run.summary["completion/status"], run.summary["completion/epoch"]) == ("completed", 2)
    # Charts have the epoch as their axis. W&B's fields: 1 name, 2 pattern of names, 5 index of the axis.
    declared = shown(run)["_wandb"]["m"]
    axis = next(index for index, metric in enumerate(declared, 1) if metric.get("1") == "epoch")
    by_pattern = {metric.get("2"): metric for metric in declared}
    for prefix in ("label_free", "noise", "train", "cost"):
        assert by_pattern[f"{prefix}/*"]["5"] == axis


@pytest.mark.slow
def test_a_command_that_forgets_the_values_is_refused(tmp_path: Path, backend: Backend) -> None:
    config = {
        "program": train.__file__,
        "method": "grid",
        "parameters": {"temperature": {"value": 0.125}},
        "command": ["${env}", "${interpreter}", "${program}", "--device=cpu"],
    }
    place = Workplace(backend, tmp_path)
    sweep = backend.sweep("p", yaml.safe_dump(config))
    printed = place.end(place.start_wandb("agent", "--count", "1", f"loopback/p/{sweep.name}"))
    assert "the sweep sets temperature to 0.125, and the command line to 0.5" in printed
    assert "Traceback" not in printed
    assert sweep.run_list[0].state != "finished"


@pytest.mark.slow  # W&B's client waits for minutes
def test_the_network_goes_for_good_and_nothing_is_lost(tmp_path: Path) -> None:
    with Backend() as backend:
        place = Workplace(backend, tmp_path)
        command = [train.__file__, *flags(epochs=600, milestone_every=300)]
        run_x = {"WANDB_RUN_ID": "x", "WANDB_PROJECT": "p"}
        process = place.start(*command, **run_x, WANDB_FINISH_TIMEOUT="2")
        wait_for(lambda: "x" in backend.project("p").bucket_by_name, 600)
        run = backend.project("p").bucket_by_name["x"]
        wait_for(lambda: run.rows, 600)
        backend.refuse()
        printed = place.end(process, 600, status=1)
        assert "Traceback" not in printed
        assert (
            "W&B could not be reached to the end; nothing is lost: the same command with --resume" in printed
        )
        arrived = [row["epoch"] for row in run.rows]
        assert arrived in ([0], [0, 300])
        backend.accept()
        place.end(place.start(*command, "--resume=True", **run_x), 600)
        assert [row["epoch"] for row in run.rows] == [0, 300, 600]
        assert run.summary["completion/status"] == "completed"
        assert (place.folder / "runs" / "x" / "milestone-0600.ckpt").exists()


@pytest.mark.slow
def test_a_run_that_hyperband_stops_does_not_come_back(tmp_path: Path) -> None:
    config = {
        "program": train.__file__,
        "method": "grid",
        "parameters": parameters(epochs=100_000, milestone_every=100_000),
    }
    with Backend() as backend:
        place = Workplace(backend, tmp_path)
        sweep = backend.sweep("p", yaml.safe_dump(config))
        agent = place.start_wandb("agent", "--count", "1", f"loopback/p/{sweep.name}")
        wait_for(lambda: sweep.run_list and sweep.run_list[0].rows, 600)
        (run,) = sweep.run_list
        run.should_stop = True
        place.end(agent, 600)
        assert (run.state, sweep.requeued) == ("killed", [])
        assert run.exitcode in (128 + signal.SIGTERM, 128 + signal.SIGINT)


def test_no_login_is_one_line(
    wandb_here: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    wandb.teardown()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    assert train.main(flags()) == 1
    out, err = capfd.readouterr()
    assert (err.count("train.py: "), "wandb login" in err) == (1, True)
    assert "Traceback" not in out + err
    assert "0" * 40 not in out + err
