"""Checkpoints of small encoders, for tests of what hands them over."""

from dataclasses import asdict, replace
from pathlib import Path

import torch

from selector.config import own_values, paper_recipe
from selector.training.network import build_backbone
from selector.training.stored import Stored
from selector.training.views import Normalize

NARROW = {"backbone": "resnet-9", "backbone_width": 0.125}


def trained(channels=3, method="simclr", dataset="digits", **settings):
    """A checkpoint of an encoder whose BatchNorms have seen some images, and the encoder itself."""
    settings |= {"dataset": dataset, "batch_size": 16, "channels": channels, "probe": "fast"}
    config = replace(paper_recipe(method), **settings)
    if "batch_norm_splits" in own_values(config):
        config = replace(config, batch_norm_splits=4)
    torch.manual_seed(0)
    backbone, _ = build_backbone(config)
    pixels = torch.randint(0, 256, (16, channels, 16, 16), dtype=torch.uint8)
    state = {f"views.normalize.{name}": value for name, value in Normalize(pixels).state_dict().items()}
    for _ in range(3):
        backbone.train()(torch.randn(16, channels, 16, 16))
    state |= {f"backbone.{name}": value.clone() for name, value in backbone.state_dict().items()}
    return Stored(Path("runs/abc/milestone-0005.ckpt"), 5, config, state), backbone.eval()


def save(stored, path):
    content = {"epoch": stored.epoch - 1, "state_dict": stored.state, "train_config": asdict(stored.config)}
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(content, path)
