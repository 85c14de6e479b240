import dataclasses
import gzip
import hashlib
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torchvision.datasets import CIFAR100

from selector.config import TrainConfig, paper_recipe
from selector.errors import UserError
from selector.training.data import clusters_of, load_images


def config(**changes: object) -> TrainConfig:
    return dataclasses.replace(paper_recipe("simclr"), **({"batch_size": 4} | changes))


def write_idx(path: Path, array: np.ndarray) -> None:
    header = struct.pack(f">I{array.ndim}I", 0x800 + array.ndim, *array.shape)
    content = header + array.astype(np.uint8).tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def write_fashion(folder: Path, suffix: str = "") -> None:
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    for prefix, count in (("train", 30), ("t10k", 20)):
        write_idx(folder / f"{prefix}-images-idx3-ubyte{suffix}", rng.integers(0, 256, (count, 28, 28)))
        write_idx(folder / f"{prefix}-labels-idx1-ubyte{suffix}", np.arange(count) % 5)


def test_digits_are_scikit_learns_images() -> None:
    images = load_images(config())
    assert (len(images.train), len(images.evaluation), images.classes) == (1437, 360, 10)
    assert images.train.pixels.shape[1:] == (3, 8, 8)
    assert images.train.pixels.dtype == torch.uint8
    # Every image is in exactly one split: the images of both, sorted by brightness, are all of its images.
    ours = torch.cat([images.train.pixels, images.evaluation.pixels])[:, 0].numpy()
    theirs = np.round(load_digits().images * 255 / 16).astype(np.uint8)
    assert np.array_equal(np.sort(ours.reshape(1797, -1).sum(1)), np.sort(theirs.reshape(1797, -1).sum(1)))


def test_turned_digits_are_the_digits_each_by_an_angle_of_its_own() -> None:
    from scipy.ndimage import rotate

    upright, turned = (load_images(config(dataset=name)) for name in ("digits", "digits_turned"))
    assert torch.equal(upright.train.labels, turned.train.labels)
    found = 0
    for before, after in zip(upright.train.pixels[:20, 0].numpy(), turned.train.pixels[:20, 0], strict=True):
        every = [rotate(before.astype(float), a, reshape=False, order=1) for a in range(0, 360, 3)]
        errors = [np.abs(one - after.numpy()).mean() for one in every]
        found += np.min(errors) < 6 and 10 < 3 * int(np.argmin(errors)) < 350
    assert found >= 18
    assert (
        "rotation_probe and its part of pretext_score are left out"
        in load_images(config(rotation_degrees=30.0)).summary
    )
    assert torch.equal(turned.train.pixels, load_images(config(dataset="digits_turned", seed=7)).train.pixels)


def test_the_hold_out_is_stratified_and_does_not_move_with_the_seed() -> None:
    first, second = load_images(config(seed=0)), load_images(config(seed=7))
    assert torch.equal(first.evaluation.pixels, second.evaluation.pixels)
    shares = torch.bincount(first.evaluation.labels) / torch.bincount(torch.tensor(load_digits().target))
    assert (shares - 0.2).abs().max() < 0.01


def test_labels_can_be_ignored() -> None:
    images = load_images(config(labels=False, clusters=10))
    assert images.train.labels is None
    assert images.evaluation.labels is None
    assert images.classes is None
    assert clusters_of(config(labels=False, clusters=10), images) == 10


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"image_size": 7},
            "hog_probe and its part of pretext_score are left out: images are smaller than 8",
        ),
        ({"image_size": 8}, ""),
        ({"rotation_degrees": 9.0}, "rotation_probe and its part of pretext_score are left out: training"),
    ],
)
def test_a_criterion_that_cannot_be_had_is_named_at_the_start(changes: dict[str, object], said: str) -> None:
    summary = load_images(config(train_images=100, evaluation_images=50, **changes)).summary
    assert said in summary
    assert ("left out" in summary) == bool(said)


@pytest.mark.parametrize(("count", "few"), [(99, True), (100, False)])
def test_few_images_for_the_pretext_criteria_are_said_at_the_start(count: int, few: bool) -> None:
    said = "with 99 evaluation images, pretext_score can hardly tell runs apart (use 100 or more)"
    assert (said in load_images(config(evaluation_images=count)).summary) == few


def test_subsets_are_drawn_without_repetition() -> None:
    whole, part = load_images(config()), load_images(config(train_images=100, evaluation_images=50))
    assert (len(part.train), len(part.evaluation)) == (100, 50)
    rows = {tuple(row) for row in whole.train.pixels.reshape(1437, -1).tolist()}
    assert {tuple(row) for row in part.train.pixels.reshape(100, -1).tolist()} <= rows


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 5000}, "batch_size 5000 is larger than the 1437 training images"),
        ({"clusters": 200}, "360 evaluation images are too few for 200 and 400 clusters"),
        ({"train_images": 5000}, "train_images 5000 is more than the 1437 available images"),
        ({"evaluation_images": 1, "clusters": 2}, "1 evaluation images are too few"),
        ({"dataset": "fashion_mnist", "data_dir": "/nowhere/at/all"}, "no folder '/nowhere/at/all'"),
        ({"dataset": "folder", "data_dir": "/nowhere/at/all"}, "no folder '/nowhere/at/all'"),
    ],
)
def test_what_cannot_be_met_is_said_in_one_line(changes: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        load_images(config(**changes))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("layout", ["debian", "torchvision"])
def test_fashion_mnist_is_read_as_debian_and_torchvision_lay_it_out(tmp_path: Path, layout: str) -> None:
    write_fashion(*((tmp_path, ".gz") if layout == "debian" else (tmp_path / "FashionMNIST" / "raw", "")))
    images = load_images(config(dataset="fashion_mnist", data_dir=str(tmp_path)))
    assert (len(images.train), len(images.evaluation), images.classes) == (30, 20, 5)
    assert images.train.pixels.shape == (30, 3, 28, 28)
    expected = np.random.default_rng(0).integers(0, 256, (30, 28, 28))
    assert np.array_equal(images.train.pixels[:, 1].numpy(), expected)


def test_a_truncated_idx_file_is_named(tmp_path: Path) -> None:
    write_fashion(tmp_path)
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(UserError, match=r"train-images-idx3-ubyte' is not a sound IDX file"):
        load_images(config(dataset="fashion_mnist", data_dir=str(tmp_path)))


def test_cifar_is_read_through_torchvision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    folder = tmp_path / "cifar-100-python"
    folder.mkdir()
    written = {}
    for name, count in (("train", 40), ("test", 20)):
        written[name] = rng.integers(0, 256, (count, 3072), dtype=np.uint8)
        content = {"data": written[name], "fine_labels": [i % 4 for i in range(count)]}
        (folder / name).write_bytes(pickle.dumps(content))
    (folder / "meta").write_bytes(pickle.dumps({"fine_label_names": ["a", "b", "c", "d"]}))
    cifar = config(dataset="cifar100", data_dir=str(tmp_path))
    # torchvision checks CIFAR's own checksums, which invented images do not have ...
    with pytest.raises(UserError, match="CIFAR-100 is neither in"):
        load_images(cifar)
    # ... so its list of checksums is given theirs.
    checksum = {p.name: hashlib.md5(p.read_bytes()).hexdigest() for p in folder.iterdir()}
    monkeypatch.setattr(CIFAR100, "train_list", [["train", checksum["train"]]])
    monkeypatch.setattr(CIFAR100, "test_list", [["test", checksum["test"]]])
    monkeypatch.setattr(CIFAR100, "meta", CIFAR100.meta | {"md5": checksum["meta"]})
    images = load_images(cifar)
    assert (len(images.train), len(images.evaluation), images.classes) == (40, 20, 4)
    assert np.array_equal(images.train.pixels.reshape(40, 3072).numpy(), written["train"])
