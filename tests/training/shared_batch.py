"""Trains every method in float64, in as many processes as torchrun starts, and saves what comes of it.

    torchrun --nproc-per-node 2 shared_batch.py FOLDER

In float64, because training amplifies rounding: in float32 equal runs part after some ten steps.
"""

import dataclasses
import os
import sys
from pathlib import Path

import pytorch_lightning as pl
import torch

from selector.config import TrainConfig, paper_recipe
from selector.training.data import Images, load_images
from selector.training.embed import streamed_spectra
from selector.training.network import Network
from selector.training.pretrain import pretrain

OWN = {
    "byol": {"predictor_hidden": 8},
    "vicreg": {},
    "simclr": {},
    "simsiam": {"predictor_hidden": 8},
    # a queue that no whole number of batches fills, so that the order of the keys matters, too
    "moco_v2": {"queue_size": 50, "batch_norm_splits": 4},
}


class StreamedSpectrum(pl.Callback):
    """The spectrum of the backbone, each process embedding its share of the batches."""

    def __init__(self, images: Images, folder: Path) -> None:
        self.images, self.folder = images, folder

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        def encode(pixels: torch.Tensor) -> dict:
            return {"backbone": pl_module.backbone(pl_module.views.normalize(pixels).double())}

        batches = torch.split(self.images.pixels, 30)
        spectra = streamed_spectra(pl_module, encode, batches, ["backbone"], limit=95)
        if trainer.is_global_zero:
            spectrum = spectra["backbone"]
            torch.save((spectrum.count, torch.from_numpy(spectrum.centred)), self.folder / "spectrum.pt")


STEPS = 9  # 100 images, 32 a step, 3 epochs


def config_of(method: str) -> TrainConfig:
    return dataclasses.replace(
        paper_recipe(method),
        backbone="resnet-9",
        backbone_width=0.0625,
        train_images=100,
        evaluation_images=40,
        batch_size=32,
        projector_hidden=16,
        projector_dim=8,
        epochs=3,
        milestone_every=3,
        device="cpu",
        threads=1,
        devices=int(os.environ.get("WORLD_SIZE", 1)),
        **OWN[method],
    )


def train(method: str, folder: Path) -> None:
    config = config_of(method)
    images = load_images(config)
    module = Network(config, images).double()
    module.compare = lambda a, b: module.criterion(a, b)  # train.py computes it in float32
    pretrain(module, config, folder / method, [StreamedSpectrum(images.train, folder / method)])


if __name__ == "__main__":
    torch.set_num_threads(1)
    for name in OWN:
        train(name, Path(sys.argv[1]))
