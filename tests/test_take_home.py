"""The chosen run's encoder in a folder, its model card, images of one's own embedded, and the page on it."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from console import call
from handmade import run, write_sweep
from PIL import Image
from tiny_encoder import NARROW, save, trained

from selector.runs import Milestone
from selector.training.exported import encoder_of, load_encoder, write_encoder

PAGE = Path(__file__).parents[1] / "docs" / "take-it-home.md"


@pytest.fixture
def sweep(tmp_path):
    """Three runs, of which RankMe chooses aa and NESum bb; only aa and bb have checkpoints."""
    stored, _ = trained(**NARROW)
    runs = []
    for id, rankme, stable_rank, accuracy in (
        ("aa", 9.0, 2.0, 0.7),
        ("bb", 5.0, 4.0, 0.8),
        ("cc", 3.0, 3.0, 0.5),
    ):
        path = tmp_path / "sweep" / "runs" / id / "milestone-0005.ckpt"
        save(stored, path)
        values = {"label_free/rankme": rankme, "label_free/stable_rank": stable_rank}
        values["labelled/linear_probe_accuracy"] = accuracy
        one = run(id, milestones=(Milestone(5, values),), learning_rate=ord(id[0]) / 1000)
        runs.append(replace(one, checkpoint=str(path)))
    path.unlink()
    return write_sweep(tmp_path / "sweep", *runs)


def test_the_winners_encoder_with_its_card(capsys, sweep, tmp_path):
    best = tmp_path / "best"
    status, out, err = call(capsys, "best", sweep, "--metric", "rankme", "--export", best)
    assert (status, err) == (0, "")
    assert out.startswith("1 of 1 other recommended metrics would pick another configuration.\n")
    assert out.endswith(f"best: aa, its encoder is in {best}; start with its README.md\n")
    names = ["README.md", "config.json", "encoder.pt2", "encoder.safetensors"]
    assert sorted(path.name for path in best.iterdir()) == names
    card = (best / "README.md").read_text()
    for said in (
        "# Encoder of run aa",
        "highest `rankme`, which reads no labels: 9",
        "Compared: 3 runs.",
        "No other run is tied with it.",
        "- 1 of 1 other recommended metrics would pick another configuration.",
        "- stable_rank picks bb, since epoch 5; the pick is 3 of 3.",
        "accuracy 70.0 %; the best of 3 runs has 80.0 %, so the choice cost 10.0 points",
        "## What it must not be used for",
    ):
        assert said in card, said
    (code,) = re.findall(r"```python\n(.*?)```", card, re.S)
    assert len([line for line in code.splitlines() if line]) <= 5
    status, out, _ = call(
        capsys, "best", sweep, "--metric", "stable_rank", "--export", tmp_path / "b", "--json"
    )
    assert (status, json.loads(out)["export"]) == (0, str(tmp_path / "b"))


def test_onnx_belongs_to_an_export(capsys, sweep):
    status, out, err = call(capsys, "best", sweep, "--onnx")
    assert (status, out) == (2, "")
    assert "--onnx needs --export" in err


@pytest.fixture
def photos(tmp_path):
    """Five photos on two levels, the last one damaged."""
    for number, name in enumerate(("a/1.png", "a/2.jpg", "b/3.png", "4.png", "z.png")):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(number).integers(0, 256, (20, 30, 3), dtype=np.uint8)
        Image.fromarray(noise).save(path)
    path.write_bytes(b"no image")
    return tmp_path / "photos"


@pytest.fixture
def best(tmp_path):
    write_encoder(encoder_of(trained(**NARROW)[0]), tmp_path / "best", "card")
    return tmp_path / "best"


def test_a_folder_of_photos_becomes_vectors(capsys, best, photos, tmp_path):
    arguments = ("embed", best, photos, "--batch-size", 3, "--device", "cpu", "--skip-bad-images", "--output")
    status, out, err = call(capsys, *arguments, tmp_path / "f.npz")
    assert (status, err) == (0, "")
    assert out == f"4 images, 64 numbers each: {tmp_path / 'f.npz'}, 1 unreadable left out\n"
    content = np.load(tmp_path / "f.npz")
    names = ("4.png", "a/1.png", "a/2.jpg", "b/3.png")
    assert list(content["files"]) == [str(photos / name) for name in names]
    assert (content["features"].dtype, content["features"].shape) == (np.float32, (4, 64))
    single = tmp_path / "one.npz"
    assert call(capsys, "embed", best, photos / "a/1.png", "--output", single)[0] == 0
    assert np.abs(np.load(single)["features"] - content["features"][1]).max() < 1e-5
    assert call(capsys, *arguments, tmp_path / "f.parquet")[0] == 0
    table = pytest.importorskip("pandas").read_parquet(tmp_path / "f.parquet")
    assert list(table["file"]) == list(content["files"])
    assert np.array_equal(np.stack(table["features"]), content["features"])


def test_an_artifact_is_fetched_for_as_long_as_it_is_read(monkeypatch):
    """Against a stand-in for wandb's Api that knows one artifact."""
    import wandb

    stored, _ = trained(**NARROW)

    class Artifact:
        def download(self, folder, skip_cache):
            save(stored, Path(folder) / "milestone-0005.ckpt")

    class Api:
        def artifact(self, path):
            if path != "me/photos/model-aa:last":
                raise ValueError(f"Unable to fetch artifact with name {path}")
            return Artifact()

    monkeypatch.setattr(wandb, "Api", Api)
    assert load_encoder("me/photos/model-aa:last").config.architecture == "resnet-9"
    with pytest.raises(Exception, match=r"artifact 'me/photos/model-bb:last' cannot be fetched .*Unable"):
        load_encoder("me/photos/model-bb:last")


def test_the_code_of_the_page_works(tmp_path, monkeypatch):
    """Each way gives the same representations of the same images."""
    monkeypatch.chdir(tmp_path)
    stored, _ = trained(backbone="resnet-18")
    write_encoder(encoder_of(stored), tmp_path / "best", "card")
    names, found = {}, []
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.S):
        names.pop("features", None)
        exec(block, names)
        if "features" in names:
            found.append(names["features"])
    assert len(found) == 4  # torch alone, load_encoder, timm, torchvision
    assert all(torch.allclose(one, found[0], atol=1e-5) for one in found)
