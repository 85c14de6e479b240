"""What changes where or how a network computes, and not what: images on the host, torch.compile."""

import dataclasses
from pathlib import Path

import pytest
import torch
from small import Rows, equal
from tiny_training import TINY

from selector.config import paper_recipe
from selector.training import network
from selector.training.data import load_images
from selector.training.milestones import milestones_of
from selector.training.network import Network, fit_on_gpu
from selector.training.pretrain import pretrain
from selector.training.stored import read_checkpoint


def test_images_live_on_the_gpu_when_they_take_half_of_what_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = torch.zeros(100, dtype=torch.uint8)
    assert fit_on_gpu(pixels)  # no GPU: they are where they will be
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for free, fit in ((200, True), (199, False)):
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda free=free: (free, 10**9))
        assert fit_on_gpu(pixels) == fit


def test_images_from_the_host_train_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = {"device": "auto", "train_images": 70, "milestone_every": 2}
    config = dataclasses.replace(paper_recipe("simclr"), **(TINY | small))
    images = load_images(config)
    weights = []
    for resident in (True, False):
        monkeypatch.setattr(network, "fit_on_gpu", lambda _, resident=resident: resident)
        trained = Network(config, images)
        assert hasattr(trained, "pixels") == resident
        pretrain(trained, config, tmp_path / str(resident), [])
        weights.append(read_checkpoint(tmp_path / str(resident) / "milestone-0002.ckpt")["state_dict"])
    assert equal(*weights)


@pytest.mark.slow
def test_a_compiled_encoder_trains_the_same_and_is_evaluated_uncompiled(tmp_path: Path) -> None:
    """A minute of a C++ compiler."""
    small = {"epochs": 1, "probe": "none", "lidar_images": 0, "learning_rate": 0.02}
    config = dataclasses.replace(paper_recipe("simclr"), **(TINY | small))
    rows = {}
    for compiled in (False, True):
        asked = dataclasses.replace(config, compile=compiled)
        images, log = load_images(asked), Rows()
        method = Network(asked, images)
        pretrain(method, asked, tmp_path / str(compiled), [milestones_of(asked, images, log)], log)
        rows[compiled] = log.rows
        assert [row.epoch for row in log.rows] == [0, 1]
        names = torch.load(tmp_path / str(compiled) / "milestone-0001.ckpt", weights_only=True)["state_dict"]
        assert not [name for name in names if "_orig_mod" in name]
    rows = {compiled: [row.values for row in found] for compiled, found in rows.items()}
    assert rows[True][0]["label_free/rankme"] == rows[False][0]["label_free/rankme"]
    assert rows[True][1]["train/loss"] == pytest.approx(rows[False][1]["train/loss"], rel=1e-3)
    assert rows[True][1]["label_free/rankme"] == pytest.approx(rows[False][1]["label_free/rankme"], rel=1e-2)
