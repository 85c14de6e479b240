"""The real train.py under a real agent, handed its values in every form that an agent has."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from loopback import Backend, Workplace, wait_for
from loopback.records import Run, Sweep

import train

FIXED: dict[str, Any] = {
    "backbone": "resnet-9", "backbone_width": 0.0625, "projector_hidden": 16, "projector_dim": 8,
    "train_images": 64, "evaluation_images": 60, "batch_size": 32, "epochs": 2, "milestone_every": 1,
    "umap_seeds": 1, "probe": "none", "device": "cpu", "threads": 1, "lidar_images": 20,
}  # fmt: skip
FORMS = ("${args}", "${args_no_hyphens}", "${args_json_file}")


def parameters(form: str) -> dict[str, Any]:
    """All kinds of values: a nested group, a float drawn for a whole number, None, a flag."""
    swept = {
        "learning_rate": {"value": 1e-05},
        "optimiser": {"parameters": {"weight_decay": {"value": 0.00123}, "momentum_max": {"value": 0.97}}},
        "clusters": {"value": None if form == "${args}" else 7},
        "labels": {"value": form == "${args}"},
        "seed": {"value": 5.0},
    }
    return {name: {"value": value} for name, value in FIXED.items()} | swept


@pytest.fixture(scope="module")
def sweeps(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, tuple[Sweep, str, Path]]]:
    """One run for each form, all agents at once."""
    with Backend() as backend:
        started = {}
        for form in FORMS:
            place = Workplace(backend, tmp_path_factory.mktemp("agent"))
            config = {
                "program": train.__file__, "method": "grid", "parameters": parameters(form),
                "command": ["${env}", "${interpreter}", "${program}", form],
            }  # fmt: skip
            sweep = backend.sweep("p", yaml.safe_dump(config))
            agent = place.start_wandb(
                "agent", f"loopback/p/{sweep.name}", WANDB_RUN_GROUP="nodes", WANDB_SILENT="false"
            )
            started[form] = sweep, place, agent
        ended = {}
        for form, (sweep, place, agent) in started.items():
            ended[form] = sweep, place.end(agent, 900), place.folder
        yield ended
        assert backend.errors == []


def shown(run: Run) -> dict[str, Any]:
    return {name: wrapped["value"] for name, wrapped in json.loads(run.config).items()}


@pytest.mark.parametrize("form", FORMS)
def test_the_sweeps_values_reach_the_trainer_unchanged(sweeps: dict, form: str) -> None:
    sweep, printed, folder = sweeps[form]
    (run,) = sweep.run_list
    assert run.state == "finished", printed
    from selector.training.pretrain import read_checkpoint

    trained = read_checkpoint(folder / "runs" / run.name / "milestone-0002.ckpt")["train_config"]
    asked = FIXED | {"learning_rate": 1e-05, "weight_decay": 0.00123, "momentum_max": 0.97, "seed": 5}
    asked |= {"clusters": None, "labels": True} if form == "${args}" else {"clusters": 7, "labels": False}
    assert {name: trained[name] for name in asked} == asked
    assert {name: shown(run)[name] for name in asked} == asked
    assert shown(run)["optimiser"] == {"weight_decay": 0.00123, "momentum_max": 0.97}


@pytest.mark.parametrize("form", FORMS)
def test_wandb_gets_metrics_definition_tags_and_group(sweeps: dict, form: str) -> None:
    (run,) = sweeps[form][0].run_list
    assert [row["epoch"] for row in run.rows] == [0, 1, 2]
    assert all(
        {"label_free/rankme", "label_free/entropy", "cost/milestone_seconds"} <= row.keys()
        for row in run.rows
    )
    assert (run.group, run.job_type, run.tags) == ("nodes", "train", ["simclr", "digits"])
    assert shown(run)["definition"]["projector_dim"] == 8
    assert run.summary["label_free/rankme"] == run.rows[-1]["label_free/rankme"]
    assert (run.summary["completion/status"], run.summary["completion/epoch"]) == ("completed", 2)


def test_charts_have_the_epoch_as_their_axis(sweeps: dict) -> None:
    (run,) = sweeps["${args}"][0].run_list
    # Field numbers of W&B's metric records: 1 name, 2 pattern of names, 5 index of the step metric.
    declared = shown(run)["_wandb"]["m"]
    axis = next(index for index, metric in enumerate(declared, 1) if metric.get("1") == "epoch")
    by_pattern = {metric.get("2"): metric for metric in declared}
    for prefix in ("label_free", "noise", "train", "cost"):
        assert by_pattern[f"{prefix}/*"]["5"] == axis


def test_wandb_does_not_warn_about_the_run_id(sweeps: dict) -> None:
    assert not any("Ignoring" in printed for _, printed, _ in sweeps.values())


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
    flags = [f"--{name}={value}" for name, value in FIXED.items()]
    with Backend() as backend:
        place = Workplace(backend, tmp_path)
        process = place.start(train.__file__, *flags, "--epochs=600", "--milestone-every=300",
                              WANDB_RUN_ID="x", WANDB_PROJECT="p", WANDB_FINISH_TIMEOUT="2")  # fmt: skip
        wait_for(lambda: "x" in backend.project("p").bucket_by_name, 600)
        run = backend.project("p").bucket_by_name["x"]
        wait_for(lambda: run.rows, 600)
        backend.refuse()
        printed, _ = process.communicate(timeout=600)
        assert process.returncode == 1
        assert "Traceback" not in printed
        assert (
            "W&B could not be reached to the end; nothing is lost: the same command with --resume" in printed
        )
        arrived = [row["epoch"] for row in run.rows]
        assert arrived in ([0], [0, 300])
        backend.accept()
        again = place.start(train.__file__, *flags, "--epochs=600", "--milestone-every=300", "--resume=True",
                            WANDB_RUN_ID="x", WANDB_PROJECT="p")  # fmt: skip
        again.communicate(timeout=600)
        assert again.returncode == 0
        assert [row["epoch"] for row in run.rows] == [0, 300, 600]
        assert run.summary["completion/status"] == "completed"
        assert (place.folder / "runs" / "x" / "milestone-0600.ckpt").exists()


def test_a_run_that_hyperband_stops_does_not_come_back(tmp_path: Path) -> None:
    config = {
        "program": train.__file__,
        "method": "grid",
        "parameters": {name: {"value": value} for name, value in (FIXED | {"epochs": 100_000}).items()},
    }
    config["parameters"]["milestone_every"] = {"value": 100_000}
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


def test_no_login_is_one_line(tmp_path: Path, backend: Backend) -> None:
    place = Workplace(backend, tmp_path)
    process = place.start(train.__file__, *(f"--{n}={v}" for n, v in FIXED.items()), WANDB_API_KEY="0" * 40)
    printed, _ = process.communicate(timeout=600)
    assert process.returncode == 1
    assert "Traceback" not in printed
    assert printed.count("train.py: ") == 1
    assert "wandb login" in printed
    assert "0" * 40 not in printed
