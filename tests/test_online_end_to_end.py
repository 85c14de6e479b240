"""From the sweep file to the regret, with W&B's own commands; and the same file without W&B's server."""

import json
import re
from typing import Any

import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from loopback import API_KEY, Workplace
from PIL import Image
from sklearn.datasets import load_digits
from tiny_training import OWN, parameters
from wandb.cli.cli import cli

import train
from selector.cli import main
from selector.runs import read_source
from selector.training.exported import load_encoder


def output(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    capsys.readouterr()
    assert main([*arguments, "--json"]) == 0
    printed = capsys.readouterr()
    assert API_KEY not in printed.out + printed.err
    return json.loads(printed.out)


def ranked(result: dict[str, Any]) -> list[tuple[float, float]]:
    (group,) = result["groups"]
    return [(entry["config"]["learning_rate"], entry["score"]) for entry in group["ranking"]]


@pytest.mark.slow
@pytest.mark.parametrize("method", OWN)
def test_a_sweep_online_and_offline(
    method: str, workplace: Workplace, wandb_here: None, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = {
        "program": train.__file__,
        "method": "grid",
        "metric": {"name": "label_free/rankme", "goal": "maximize"},
        "parameters": parameters(method=method, **OWN[method]) | {"learning_rate": {"values": [0.02, 0.3]}},
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

    # On a machine that has nothing but W&B: labels that came later, and the encoder.
    (workplace.folder / "runs").rename(workplace.folder / "runs elsewhere")
    late = workplace.folder / "late"
    for number, (image, label) in enumerate(zip(*load_digits(return_X_y=True), strict=True)):
        if number < 120:
            (late / str(label)).mkdir(parents=True, exist_ok=True)
            pixels = (image.reshape(8, 8) * 255 / 16).astype(np.uint8)
            Image.fromarray(pixels).save(late / str(label) / f"{number}.png")
    found = output(capsys, "judge", path, "--labelled", str(late), "--device", "cpu")
    (judged,), (ranking,) = found["groups"], (one["ranking"] for one in online["groups"])
    assert (found["labels"], len(found["classes"])) == (120, 10)
    assert not [warning for warning in found["warnings"] if "left out" in warning]
    assert judged["pick"] == ranking[0]["run"]
    assert {one["run"] for one in judged["runs"]} == {one["run"] for one in ranking}
    assert all(0.2 < one["accuracy"] <= 1 for one in judged["runs"])
    assert main(["best", path, "--export", str(workplace.folder / "best")]) == 0
    assert load_encoder(workplace.folder / "best")(np.zeros((2, 3, 8, 8), np.uint8)).shape[0] == 2
    assert not (workplace.folder / "runs").exists()

    offline = workplace.folder / "offline"
    assert main(["sweep", str(workplace.folder / "sweep.yaml"), "--directory", str(offline)]) == 0
    assert ranked(output(capsys, "rank", str(offline))) == ranked(online)
    assert accuracies(output(capsys, "regret", str(offline))["groups"][0]) == accuracies(group)

    # Its runs, sent to W&B afterwards, are there as their records have them.
    folders = [str(path) for path in offline.rglob("offline-run-*")]
    done = CliRunner().invoke(cli, ["sync", *folders])
    assert done.exit_code == 0, done.output
    projects = workplace.backend.store.project_by_path.values()
    synced = {run.name: run for project in projects for run in project.bucket_by_name.values()}
    for run in read_source(str(offline)).runs:
        assert synced[run.id].state == "finished"
        rows = [(row["epoch"], row["label_free/rankme"]) for row in synced[run.id].rows]
        assert rows == [(m.epoch, m.values["label_free/rankme"]) for m in run.milestones]
    assert workplace.backend.errors == []


def accuracies(group: dict[str, Any]) -> dict[str, tuple[float, float]]:
    return {m["metric"]: (m["chosen_accuracy"], m["best_accuracy"]) for m in group["metrics"]}
