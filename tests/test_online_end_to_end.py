"""From the sweep file to the regret, with W&B's own commands; and the same file without W&B's server."""

import json
import re
from typing import Any

import pytest
import yaml
from loopback import API_KEY, Workplace

import train
from selector.cli import main

OWN: dict[str, dict[str, Any]] = {
    "simclr": {"temperature": 0.2},
    "simsiam": {"predictor_hidden": 8},
    "moco_v2": {"queue_size": 64, "batch_norm_splits": 4},
}
COMMON: dict[str, Any] = {
    "dataset": "digits", "backbone": "resnet-9", "backbone_width": 0.0625, "projector_hidden": 16,
    "projector_dim": 8, "train_images": 96, "evaluation_images": 60, "batch_size": 32, "epochs": 2,
    "milestone_every": 1, "umap_seeds": 1, "probe": "fast", "device": "cpu", "threads": 1, "lidar_images": 20,
}  # fmt: skip


def output(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    capsys.readouterr()
    assert main([*arguments, "--json"]) == 0
    printed = capsys.readouterr()
    assert API_KEY not in printed.out + printed.err
    return json.loads(printed.out)


def ranked(result: dict[str, Any]) -> list[tuple[float, float]]:
    (group,) = result["groups"]
    return [(entry["config"]["learning_rate"], entry["score"]) for entry in group["ranking"]]


@pytest.mark.parametrize(
    "method",
    ["simclr", *(pytest.param(method, marks=pytest.mark.slow) for method in OWN if method != "simclr")],
)
def test_a_sweep_online_and_offline(
    method: str, workplace: Workplace, wandb_here: None, capsys: pytest.CaptureFixture[str]
) -> None:
    values = COMMON | {"method": method} | OWN[method]
    sweep = {
        "program": train.__file__,
        "method": "grid",
        "metric": {"name": "label_free/rankme", "goal": "maximize"},
        "parameters": {name: {"value": value} for name, value in values.items()}
        | {"learning_rate": {"values": [0.02, 0.3]}},
    }
    workplace.write("sweep.yaml", yaml.safe_dump(sweep, sort_keys=False))
    printed = workplace.wandb("sweep", "--project", "p", "sweep.yaml", WANDB_SILENT="false")
    (path,) = re.findall(r"wandb agent (\S+)", printed)
    workplace.end(workplace.start_wandb("agent", path), 900)

    online = output(capsys, "rank", path)
    assert (online["coverage"]["planned"], online["coverage"]["ranked"], online["excluded"]) == (2, 2, [])
    (group,) = output(capsys, "regret", path)["groups"]
    for metric in group["metrics"]:
        if metric["chosen"] is None:  # such as alpha_req_score, which a collapsed encoder leaves undefined
            assert metric["finite"] == 0
            continue
        assert metric["regret"] == pytest.approx(metric["best_accuracy"] - metric["chosen_accuracy"])

    offline = workplace.folder / "offline"
    assert main(["sweep", str(workplace.folder / "sweep.yaml"), "--directory", str(offline)]) == 0
    assert ranked(output(capsys, "rank", str(offline))) == ranked(online)
    assert accuracies(output(capsys, "regret", str(offline))["groups"][0]) == accuracies(group)
    assert workplace.backend.errors == []


def accuracies(group: dict[str, Any]) -> dict[str, tuple[float, float]]:
    return {m["metric"]: (m["chosen_accuracy"], m["best_accuracy"]) for m in group["metrics"]}
