"""The encoder at home: the same representations from every place and form that it is loaded from."""

import functools
import json
import shutil
import subprocess
import sys
import warnings
from typing import get_args

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from tiny_encoder import NARROW, save, trained
from torchvision import models

from selector.config import Backbone, Method
from selector.errors import UserError
from selector.training.datasets.folder import decode, reading_of
from selector.training.exported import encoder_of, load_encoder, write_encoder

# The encoders of train.py: each backbone, widths from end to end, each method, sizes even and odd, channels.
NETWORKS = {name: {"backbone": name, "backbone_width": 0.0625} for name in get_args(Backbone)}
DEEP = {name: NETWORKS.pop(name) for name in ("resnet-34", "resnet-50", "resnet-101", "resnet-152")}
KINDS = {
    **NETWORKS,
    **{f"width {width}": {"backbone": "resnet-9", "backbone_width": width} for width in (1 / 64, 0.3, 1.0)},
    **{method: {**NARROW, "method": method} for method in get_args(Method)},
    **{f"size {size}": {**NARROW, "image_size": size} for size in (9, 28, 64)},
    **{f"channels {channels}": {**NARROW, "channels": channels} for channels in (1, 4)},
}


def pictures(stored, count=5):
    size = stored.config.image_size or 8
    channels = stored.state["views.normalize.mean"].numel()
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (count, channels, size, size), dtype=torch.uint8, generator=generator)


def expected(stored, backbone, images):
    mean, std = (stored.state[f"views.normalize.{name}"] for name in ("mean", "std"))
    with torch.no_grad():
        return backbone((images / 255 - mean) / std)


@pytest.fixture(scope="module")
def export(tmp_path_factory):
    """The folder of an exported encoder; its images and what the trained encoder makes of them beside it."""
    place = tmp_path_factory.mktemp("exports")

    @functools.cache
    def folder(kind):
        stored, backbone = trained(**(KINDS | DEEP)[kind])
        write_encoder(encoder_of(stored), place / kind, "# A card\n")
        images = pictures(stored)
        np.savez(place / f"{kind}.npz", images=images, features=expected(stored, backbone, images))
        return place / kind

    return folder


# Python that knows torch and numpy, and none of what this project is made of.
FRESH = """
import sys
for name in ("selector", "torchvision", "lightly", "kornia", "safetensors", "pytorch_lightning", "wandb"):
    sys.modules[name] = None
import json, pathlib, numpy, torch
for folder in map(pathlib.Path, sys.argv[1:]):
    known = numpy.load(f"{folder}.npz")
    program = torch.export.load(folder / "encoder.pt2").module()
    images = torch.from_numpy(known["images"])
    found = [program(images[:count]) for count in (1, 2, 5)]
    assert all(one.dtype == torch.float32 for one in found)
    gaps = [float((one - torch.from_numpy(known["features"][: len(one)])).abs().max()) for one in found]
    print(json.dumps([folder.name, max(gaps)]))
"""


def test_what_torch_says_of_its_own_archive_is_not_passed_on(tmp_path, monkeypatch, recwarn):
    def save(program, path):
        path.touch()
        warnings.warn_explicit("The given buffer", UserWarning, "f", 1, "torch.export.pt2_archive._package")

    monkeypatch.setattr(torch.export, "save", save)
    write_encoder(encoder_of(trained(**NARROW)[0]), tmp_path / "export", "# A card\n")
    assert not [one for one in recwarn if "The given buffer" in str(one.message)]


@pytest.mark.parametrize("kinds", [KINDS, pytest.param(DEEP, marks=pytest.mark.slow)], ids=["common", "deep"])
def test_torch_alone_gives_the_same_representations(export, kinds):
    done = subprocess.run(
        [sys.executable, "-I", "-c", FRESH, *map(export, kinds)], capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    gaps = dict(map(json.loads, done.stdout.splitlines()))
    assert gaps.keys() == kinds.keys()
    assert max(gaps.values()) < 1e-5, gaps


@pytest.mark.parametrize("kind", [*KINDS, *(pytest.param(kind, marks=pytest.mark.slow) for kind in DEEP)])
def test_the_export_is_loaded_and_described(export, kind):
    stored, _ = trained(**(KINDS | DEEP)[kind])
    known = np.load(f"{export(kind)}.npz")
    encode = load_encoder(export(kind))
    images = torch.from_numpy(known["images"])
    for given in (images, images / 255):
        assert np.abs(encode(given).numpy() - known["features"]).max() < 1e-5
    config = json.loads((export(kind) / "config.json").read_text())
    assert config["architecture"] == stored.config.backbone
    assert config["image_size"] == images.shape[-1]
    assert (config["channels"], config["representation_dim"]) == (images.shape[1], known["features"].shape[1])
    assert config["mean"] == pytest.approx(stored.state["views.normalize.mean"].flatten().tolist())
    assert config["std"] == pytest.approx(stored.state["views.normalize.std"].flatten().tolist())
    assert config["pixel_range"] == [0, 255]
    assert config["versions"]["torch"] == torch.__version__.partition("+")[0]


@pytest.mark.parametrize("name", ["18", "34", "50", "101", "152"])
def test_weights_have_torchvisions_names_and_shapes_but_for_the_stem(name):
    stored, _ = trained(backbone=f"resnet-{name}")
    ours = encoder_of(stored).network.state_dict()
    with torch.device("meta"):
        theirs = models.get_model(f"resnet{name}", weights=None).state_dict()
    unlike = {key for key in theirs if key not in ours or ours[key].shape != theirs[key].shape}
    assert unlike == {"conv1.weight", "fc.weight", "fc.bias"}
    assert ours.keys() <= theirs.keys()


def test_a_checkpoint_and_a_runs_folder_give_its_last_milestone(tmp_path):
    stored, backbone = trained(**NARROW)
    images = pictures(stored)
    save(stored, tmp_path / "run" / "milestone-0010.ckpt")
    (tmp_path / "run" / "milestone-0005.ckpt").touch()
    (tmp_path / "run" / "last.ckpt").touch()
    for where in (tmp_path / "run", tmp_path / "run" / "milestone-0010.ckpt"):
        assert (load_encoder(where)(images) - expected(stored, backbone, images)).abs().max() < 1e-5


def test_a_cpus_order_of_weights_is_exported_without_a_warning_and_for_all_to_read(tmp_path):
    encoder = encoder_of(trained(**NARROW)[0])
    encoder.network.to(memory_format=torch.channels_last)
    images = torch.arange(2 * 3 * 8 * 8).remainder(256).to(torch.uint8).view(2, 3, 8, 8)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "No complete tensor found")
        write_encoder(encoder, tmp_path / "best", "card")
    assert len({path.stat().st_mode for path in (tmp_path / "best").iterdir()}) == 1
    alone = torch.export.load(tmp_path / "best" / "encoder.pt2").module()
    assert torch.allclose(alone(images), encoder(images), atol=1e-5)


def test_other_sizes_are_cropped_to_the_middle_and_scaled_as_in_training(tmp_path):
    stored, backbone = trained(**NARROW, dataset="folder", data_dir="photos", image_size=16)
    encode = encoder_of(stored)
    y, x = np.mgrid[0:40, 0:60]  # a smooth picture: two ways of bicubic scaling differ by a grey level
    picture = np.stack([4 * x, 6 * y, 2 * x + 3 * y], axis=-1).astype(np.uint8)
    Image.fromarray(picture).save(tmp_path / "wide.png")
    in_training = torch.from_numpy(decode(tmp_path / "wide.png", reading_of(16, 3, "white")).copy()).permute(
        2, 0, 1
    )[None]
    ours = encode._scaled(torch.from_numpy(picture).permute(2, 0, 1)[None])
    assert (ours.int() - in_training.int()).abs().max() <= 1
    whole = torch.from_numpy(picture).permute(2, 0, 1)
    near = expected(stored, backbone, in_training)
    for given in (whole, whole[None], whole / 255):
        assert torch.nn.functional.cosine_similarity(encode(given), near).item() > 0.999


@pytest.mark.parametrize(
    ("images", "said"),
    [
        (torch.zeros(2, 1, 8, 8, dtype=torch.uint8), r"shape \(2, 1, 8, 8\): .* images of 3 channels"),
        (torch.zeros(8, 8), r"expected images \(B, 3, H, W\), got shape \(8, 8\)"),
        (torch.full((1, 3, 8, 8), 200.0), "uint8 from 0 to 255, or as floats from 0 to 1"),
        (torch.full((1, 3, 8, 8), -0.5), "uint8 from 0 to 255, or as floats from 0 to 1"),
        (torch.full((1, 3, 8, 8), float("nan")), "uint8 from 0 to 255, or as floats from 0 to 1"),
    ],
)
def test_other_images_are_refused(images, said):
    with pytest.raises(UserError, match=said):
        encoder_of(trained(**NARROW)[0])(images)


def rewritten(**changes):
    """Damage: config.json says something else."""
    return lambda config, weights: config.write_text(json.dumps(json.loads(config.read_text()) | changes))


def reweighted(change):
    """Damage: the file of weights holds others."""
    return lambda config, weights: save_file(change(load_file(weights)), weights)


@pytest.mark.parametrize(
    "damage",
    [
        lambda config, weights: weights.write_bytes(weights.read_bytes()[:100]),
        lambda config, weights: weights.unlink(),
        lambda config, weights: config.write_text("{"),
        reweighted(lambda w: {name: v for name, v in w.items() if name != "layer4.0.bn2.bias"}),
        reweighted(lambda w: w | {"fc.weight": torch.ones(2, 2)}),
        reweighted(lambda w: w | {"bn1.bias": torch.ones(3)}),
        rewritten(depth=3),
        rewritten(architecture="resnet-18"),
        rewritten(architecture="vit"),
        rewritten(mean=[0.5, 0.5]),
        rewritten(image_size="8"),
    ],
)
def test_a_damaged_export_is_one_line(tmp_path, export, damage):
    shutil.copytree(export("simclr"), tmp_path / "best")
    damage(tmp_path / "best" / "config.json", tmp_path / "best" / "encoder.safetensors")
    with pytest.raises(UserError, match="best' is damaged") as refusal:
        load_encoder(tmp_path / "best")
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("missing", "said"),
    [("views.normalize.mean", "lacks views.normalize.mean"), ("backbone.0.weight", "holds no encoder")],
)
def test_a_checkpoint_without_a_part_is_one_line(missing, said):
    stored, _ = trained(**NARROW)
    del stored.state[missing]
    with pytest.raises(UserError, match=said):
        encoder_of(stored)


def test_an_export_never_overwrites_and_is_whole_or_not_there(tmp_path, monkeypatch):
    encoder = encoder_of(trained(**NARROW)[0])
    (tmp_path / "there").mkdir()
    with pytest.raises(UserError, match="there' exists: name a new folder"):
        write_encoder(encoder, tmp_path / "there", "card")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch.export, "save", full)
    with pytest.raises(UserError, match=r"cannot write .*best: No space left on device"):
        write_encoder(encoder, tmp_path / "best", "card")
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_onnx_gives_the_same_representations(tmp_path):
    reference = pytest.importorskip("onnx.reference")
    stored, backbone = trained(**NARROW)
    write_encoder(encoder_of(stored), tmp_path / "best", "card", onnx=True)
    images = pictures(stored, count=3)
    evaluator = reference.ReferenceEvaluator(str(tmp_path / "best" / "encoder.onnx"))
    (found,) = evaluator.run(None, {"images": images.numpy()})
    assert np.abs(found - expected(stored, backbone, images).numpy()).max() < 1e-4
