"""train.py as an agent or a person runs it, with the real W&B client writing offline."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import wandb
from handmade import FROM_UMAP
from PIL import Image
from tiny_training import OWN, flags

import train
from selector.metrics import inputs
from selector.runs import Run, read_source
from selector.training.methods import METHODS

_TRAIN = Path(train.__file__)


@pytest.fixture(autouse=True)
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    yield
    wandb.teardown()  # it keeps the settings of its first run, too


def only_run(folder: Path) -> Run:
    wandb.teardown()  # the client's service writes the file out when it ends
    found = read_source(str(folder))
    assert not found.unreadable
    assert len(found.runs) == 1
    return found.runs[0]


def test_a_run_leaves_milestones_definition_marker_and_checkpoint(tmp_path: Path) -> None:
    assert train.main(flags(learning_rate=0.1, seed=3)) == 0
    run = only_run(tmp_path)
    assert run.state == "finished"
    assert [m.epoch for m in run.milestones] == [0, 1, 2]
    assert {"label_free/rankme", "label_free/entropy", "labelled/linear_probe_accuracy"} <= set(
        run.milestones[2].values
    )
    # What was asked for stands in the config unchanged; the definition stands apart.
    assert (run.config["learning_rate"], run.config["seed"], run.config["method"]) == (0.1, 3, "simclr")
    assert "definition" not in run.config
    assert (run.definition["projector_dim"], run.definition["evaluation_images"]) == (8, 60)
    assert run.checkpoint is not None
    assert Path(run.checkpoint).name == "milestone-0002.ckpt"
    assert Path(run.checkpoint).is_file()


@pytest.mark.parametrize("method", sorted(METHODS.keys() - {"simclr"}))
def test_the_other_methods_run(tmp_path: Path, method: str) -> None:
    assert train.main(["--method", method, *flags(**OWN[method], epochs=1, probe="none", umap_seeds=0)]) == 0
    assert [m.epoch for m in only_run(tmp_path).milestones] == [0, 1]


@pytest.mark.parametrize(
    ("options", "there", "absent"),
    [
        (["--metrics", "spectral,views"], {"nesum", "spectrum_auc", "lidar"}, FROM_UMAP | {"clid", "idest"}),
        (["--umap-seeds", "0"], {"nesum", "clid", "lidar"}, FROM_UMAP),
    ],
)
def test_what_is_not_asked_for_is_not_computed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], there: set[str], absent: set[str]
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("UMAP was computed")

    monkeypatch.setattr(inputs, "umap_points", refuse)
    assert train.main([*flags(), *options]) == 0
    for milestone in only_run(tmp_path).milestones:
        assert {f"label_free/{name}" for name in there} <= milestone.values.keys()
        assert not {f"label_free/{name}" for name in absent} & milestone.values.keys()
        assert not [key for key in milestone.values if key.startswith("noise/")]
        assert ("labelled/linear_probe_accuracy" in milestone.values) == (options[0] == "--umap-seeds")


def test_the_papers_probe_runs(tmp_path: Path) -> None:
    assert train.main(flags(epochs=1, probe="paper", umap_seeds=0)) == 0
    run = only_run(tmp_path)
    assert run.definition["probe"] == "paper"
    assert 0 <= run.milestones[-1].values["labelled/linear_probe_accuracy"] <= 1


def test_a_folder_without_labels_gives_label_free_metrics_alone(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for number in range(80):
        pixels = rng.integers(0, 256, (12, 12, 3), dtype=np.uint8)
        (tmp_path / "photos").mkdir(exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{number}.png")
    (tmp_path / "photos" / "broken.png").write_bytes(b"no image")
    of_photos = {"dataset": "folder", "data_dir": "photos", "image_size": 12, "clusters": 3}
    arguments = flags(**of_photos, train_images=None, evaluation_images=None)
    assert train.main(arguments) == 1  # the broken image is named, nothing is trained
    assert not (tmp_path / "wandb").exists()
    assert train.main([*arguments, "--skip-bad-images"]) == 0
    row = only_run(tmp_path).milestones[-1].values
    assert "label_free/silhouette" in row
    assert not [key for key in row if key.startswith("labelled/")]


def test_a_diverged_run_is_a_result(tmp_path: Path) -> None:
    assert train.main(flags(learning_rate=1e30)) == 0
    run = only_run(tmp_path)
    assert run.state == "diverged"
    assert "epoch" in run.detail


def test_metrics_are_the_same_under_bf16_steps_up_to_training(tmp_path: Path) -> None:
    assert train.main(flags(precision="bf16", output_dir="a", epochs=1, umap_seeds=0)) == 0
    assert train.main(flags(precision="32", output_dir="b", epochs=1, umap_seeds=0)) == 0
    wandb.teardown()
    first, second = read_source(str(tmp_path)).runs
    # The untrained network is embedded in float32 whatever the precision of the steps.
    assert first.milestones[0].values["label_free/rankme"] == second.milestones[0].values["label_free/rankme"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--dataset", "folder", "--data-dir", "nowhere"], "no folder 'nowhere'"),
        (["--batch-size", "4096"], "batch_size 4096 is larger than the 1437 training images"),
        (["--clusters", "300"], "too few for 300 and 600 clusters"),
        (["--labels", "False"], "pass --clusters"),
    ],
)
def test_what_cannot_be_met_is_one_line_and_status_1(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train.main(arguments) == 1
    error = capsys.readouterr().err.strip()
    assert message in error
    assert "\n" not in error
    assert not (tmp_path / "wandb").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--method", "simsam"], "simsiam"),
        (["--dataset", "digit"], "digits"),
        (["--epochs", "0"], "epochs must be greater than 0, got 0"),
        (["--temperature", "-1"], "temperature must be greater than 0"),
        (["--learning-rat", "1"], "learning-rate"),
        (["--method", "simsiam", "--temperature", "0.1"], "temperature has no effect on simsiam"),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        train.main(arguments)
    assert stop.value.code == 2
    error = capsys.readouterr().err.strip()
    assert message in error
    assert "\n" not in error


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("WANDB_MODE", "foo", "WANDB_MODE is 'foo': W&B knows online, offline"),
        ("WANDB_API_KEY", "short", "W&B refuses the API key"),
        ("WANDB_CONSOLE", "bogus", "W&B refuses a setting (console: Input should be 'auto', "),
        ("WANDB_INIT_TIMEOUT", "abc", "W&B refuses a setting (init_timeout: "),
        ("WANDB_SERVICE", "bogus", "W&B refuses a setting (Failed to parse WANDB_SERVICE='bogus')"),
    ],
)
def test_wrong_settings_of_wandb_are_one_line(
    name: str, value: str, message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wandb.teardown()
    if name in ("WANDB_MODE", "WANDB_API_KEY"):
        monkeypatch.delenv("WANDB_MODE")
    monkeypatch.setenv(name, value)
    assert train.main(flags()) == 1
    assert message in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("how", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_an_interrupted_run_is_reported_and_can_be_finished(
    tmp_path: Path, how: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = flags(epochs=30, milestone_every=15)
    command = [sys.executable, str(_TRAIN), *arguments]
    # Somebody's shell may have left SIGINT ignored for what runs in the background.
    process = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    checkpoints = tmp_path / "runs"
    for _ in range(6000):
        if list(checkpoints.glob("*/milestone-0015.ckpt")) or process.poll() is not None:
            break
        time.sleep(0.1)
    process.send_signal(how)
    _, error = process.communicate(timeout=120)
    assert process.returncode not in (0, None)
    assert "Traceback" not in error
    assert "--resume continues the run" in error
    run = only_run(tmp_path)
    assert run.state != "finished"
    assert [m.epoch for m in run.milestones] == [0, 15]

    assert train.main([*arguments, "--resume"]) == 0
    run = only_run(tmp_path)
    assert run.state == "finished"
    assert [m.epoch for m in run.milestones] == [0, 15, 30]

    # Bit for bit what one process would have logged without the interruption.
    monkeypatch.setenv("WANDB_DIR", str(tmp_path / "whole"))
    (tmp_path / "whole").mkdir()
    assert train.main(arguments) == 0
    whole = only_run(tmp_path / "whole").milestones[-1].values
    mended = run.milestones[-1].values
    assert {k: v for k, v in mended.items() if not k.startswith("cost/")} == {
        k: v for k, v in whole.items() if not k.startswith("cost/")
    }
