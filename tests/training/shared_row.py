"""Trains for one epoch in the processes that torchrun starts; each writes down what its trainer knows then.

torchrun --nproc-per-node 2 shared_row.py FOLDER
"""

import dataclasses
import json
import os
import sys
from pathlib import Path

import pytorch_lightning as pl
import torch

from selector.config import paper_recipe
from selector.training.data import load_images
from selector.training.milestones import milestones_of
from selector.training.network import Network
from selector.training.pretrain import pretrain

sys.path.append(str(Path(__file__).parents[1]))
from small import Rows
from tiny_training import TINY


class WritesDown(pl.Callback):
    """Stands in for whatever monitors a metric, such as EarlyStopping."""

    def on_train_epoch_end(self, trainer, pl_module):
        known = {key: float(value) for key, value in trainer.callback_metrics.items()}
        (FOLDER / f"rank-{trainer.global_rank}.json").write_text(json.dumps(known))
        if trainer.is_global_zero:
            (FOLDER / "row.json").write_text(json.dumps(dict(log.rows[-1].values)))


if __name__ == "__main__":
    torch.set_num_threads(1)
    FOLDER = Path(sys.argv[1])
    world = int(os.environ["WORLD_SIZE"])
    small = {"epochs": 1, "probe": "none", "metrics": "spectral", "devices": world}
    config = dataclasses.replace(paper_recipe("simclr"), **(TINY | small))
    images, log = load_images(config), Rows()
    callbacks = [milestones_of(config, images, log, FOLDER), WritesDown()]
    pretrain(Network(config, images), config, FOLDER, callbacks, log)
