"""torch.compile on the path that a GPU takes; a minute of a C++ compiler: run by `pytest -m slow`."""

import dataclasses
from pathlib import Path

import pytest
import torch
from tiny_training import TINY

from selector.config import paper_recipe
from selector.training.data import load_images
from selector.training.milestones import milestones_of
from selector.training.network import Network
from selector.training.pretrain import SilentLog, pretrain


class Rows(SilentLog):
    def milestone(self, milestone) -> None:
        self.rows.append(milestone)


@pytest.mark.slow
def test_a_compiled_encoder_trains_the_same_and_is_evaluated_uncompiled(tmp_path: Path) -> None:
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
