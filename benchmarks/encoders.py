"""The encoders that comparisons train: small, without milestones, and embedded as train.py does."""

import tempfile
from pathlib import Path

import pytorch_lightning as pl
import torch

from selector.config import TrainConfig
from selector.metrics.arrays import Embeddings
from selector.training.data import Images, ImageSplits, batches
from selector.training.embed import embed
from selector.training.network import Network
from selector.training.pretrain import pretrain

SMALL = {
    "backbone": "resnet-9",
    "backbone_width": 0.25,
    "projector_hidden": 256,
    "projector_dim": 64,
    "milestone_every": 10**6,
}


def trained(config: TrainConfig, images: ImageSplits, *callbacks: pl.Callback) -> Network:
    """A network of this configuration after its epochs."""
    network = Network(config, images)
    with tempfile.TemporaryDirectory() as folder:
        pretrain(network, config, Path(folder), list(callbacks))
    return network


def embedded(network: Network, images: Images) -> Embeddings:
    """Representations of images."""

    def encode(pixels: torch.Tensor) -> dict:
        return {"backbone": network.backbone(network.views.normalize(pixels))}

    return embed(network, encode, batches(images), images.split, {"backbone": None})["backbone"]
