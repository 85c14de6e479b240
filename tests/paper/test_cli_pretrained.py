"""`selector pretrained`, from names of models to what it prints."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_training import TINY
from torchvision import models

from selector.cli import main
from selector.config import TrainConfig
from selector.training.data import load_images
from selector.training.network import Network

FAST = ["--dataset", "digits", "--images", "60", "--probe", "fast", "--umap-seeds", "1", "--device", "cpu"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Three encoders as train.py would leave them, and a cache that the tests share."""
    folder = tmp_path_factory.mktemp("pretrained")
    for seed in range(3):
        config = TrainConfig(**TINY, seed=seed)
        content = {
            "epoch": 4,
            "state_dict": Network(config, load_images(config)).state_dict(),
            "train_config": dataclasses.asdict(config),
        }
        (folder / f"run{seed}").mkdir()
        torch.save(content, folder / f"run{seed}" / "milestone-0005.ckpt")
    return folder


def encoders(place):
    return [str(path) for path in sorted(place.glob("run*/*.ckpt"))]


def call(capsys, place, *arguments):
    try:
        status = main(["pretrained", *map(str, arguments), "--cache-dir", str(place / "cache")])
    except SystemExit as stop:
        status = stop.code
    output = capsys.readouterr()
    return status, output.out, output.err


def test_encoders_of_train_py_from_end_to_end_and_a_second_time_from_the_cache(capsys, place, monkeypatch):
    arguments = ["--models", *encoders(place), *FAST, "--json"]
    status, out, err = call(capsys, place, *arguments)
    assert (status, err) == (0, "")
    found = json.loads(out)["datasets"][0]
    assert (found["evaluation_images"], found["train_images"], found["settings"]["clusters"]) == (60, 60, 10)
    names = [(model["model"], model["family"], model["resolution"]) for model in found["models"]]
    assert names == [(f"run{seed}/milestone-0005", "simclr", 8) for seed in range(3)]
    assert found["models"][0]["weights"] == "trained on digits for 5 epochs"
    figures = {one["metric"]: one for one in found["correlations"]}
    assert figures["entropy"]["models"] == 3
    assert figures["entropy"]["group"] == "simclr"
    monkeypatch.setattr("selector.training.backbone.build_backbone", lambda _: pytest.fail("built again"))
    assert call(capsys, place, *arguments)[1] == out


def test_torchvisions_weights_from_a_folder(capsys, place, tmp_path):
    torch.manual_seed(0)
    torch.save(models.get_model("squeezenet1_1", weights=None).state_dict(), tmp_path / "squeezenet1_1.pth")
    status, out, err = call(
        capsys, place, "--models", "squeezenet1_1", "--weights-dir", tmp_path, *FAST, "--json"
    )
    assert (status, err) == (0, "")
    (model,) = json.loads(out)["datasets"][0]["models"]
    assert (model["weights"], model["resolution"], model["family"]) == (
        "squeezenet1_1.pth",
        224,
        "squeezenet",
    )
    assert model["values"]["backbone_dim"] == 512


def test_images_without_labels_give_label_free_metrics(capsys, place, tmp_path):
    for number in range(40):
        noise = np.random.default_rng(number).integers(0, 255, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / f"{number}.png")
    images = ["--dataset", "folder", "--data-dir", tmp_path, "--clusters", "2", "--umap-seeds", "1"]
    status, out, err = call(capsys, place, "--models", encoders(place)[0], *images)
    assert (status, out, err.count("\n")) == (1, "", 1)
    assert "have no labels" in err
    status, out, _ = call(capsys, place, "--models", encoders(place)[0], *images, "--probe", "none", "--json")
    (model,) = json.loads(out)["datasets"][0]["models"]
    assert status == 0
    assert "label_free/entropy" in model["values"]


@pytest.mark.parametrize(
    ("arguments", "expected", "said"),
    [
        (["--models", "resnet19"], 1, "unknown model 'resnet19', did you mean"),
        (["--models", "resnet18", "--weights-dir", "."], 1, "no weights of resnet18 in '.'"),
        (["--models", "gone.ckpt"], 1, "there is no checkpoint 'gone.ckpt'"),
        (["--models", "gone.ckpt", "--weights", "none"], 1, "names trained weights"),
        (["--json", "--csv"], 2, "give only one of --json, --csv and --latex"),
        (["--images", "0"], 2, "--images must be at least 1, got 0"),
        (["--images", "12"], 1, "too few for 10 and 20 clusters"),
        (["--figure", "a.gif"], 1, "must end in one of .png, .svg, .pdf"),
        (["--figure", "a.png", "--probe", "none"], 2, "--probe none trains none"),
        (["--figure", "a.png", "--dataset", "digits", "cifar10"], 2, "--figure draws one data set"),
        (["--dataset", "cifr10"], 2, "cifar10"),
        (["--dataset", "cifar10"], 1, "needs --data-dir"),
    ],
)
def test_mistakes_are_one_line(capsys, place, tmp_path, monkeypatch, arguments, expected, said):
    monkeypatch.chdir(tmp_path)
    dataset = [] if "--dataset" in arguments else ["--dataset", "digits"]
    status, out, err = call(capsys, place, *dataset, *arguments)
    assert (status, out, err.count("\n")) == (expected, "", 1)
    assert said in err
