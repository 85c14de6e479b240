"""Images that stay on the host: the path of a data set too large for the GPU."""

import dataclasses
from pathlib import Path

import pytest
import torch
from tiny_training import TINY

from selector.config import paper_recipe
from selector.training import host_images, network
from selector.training.data import load_images
from selector.training.host_images import HostImages, fit_on_gpu
from selector.training.network import Network
from selector.training.pretrain import pretrain, read_checkpoint


def test_a_batch_is_gathered_at_once_and_in_order() -> None:
    pixels = torch.arange(5 * 3 * 2 * 2, dtype=torch.uint8).view(5, 3, 2, 2)
    images = HostImages(pixels)
    assert len(images) == 5
    assert torch.equal(images.__getitems__([4, 0, 4]), torch.stack([pixels[4], pixels[0], pixels[4]]))


def test_images_live_on_the_gpu_when_they_take_half_of_what_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = torch.zeros(100, dtype=torch.uint8)
    assert fit_on_gpu(pixels)  # no GPU: they are where they will be
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for free, fit in ((200, True), (199, False)):
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda free=free: (free, 10**9))
        assert host_images.fit_on_gpu(pixels) == fit


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
    assert weights[0].keys() == weights[1].keys()
    for name, value in weights[0].items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(value, weights[1][name]), name
