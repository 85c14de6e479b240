"""The smallest training that does everything, for whatever trains in a test."""

from typing import Any

import pytorch_lightning as pl

TINY: dict[str, Any] = {
    "backbone": "resnet-9",
    "backbone_width": 0.0625,
    "projector_hidden": 16,
    "projector_dim": 8,
    "train_images": 96,
    "evaluation_images": 60,
    "batch_size": 32,
    "epochs": 2,
    "milestone_every": 1,
    "umap_seeds": 1,
    "lidar_images": 20,
    "probe": "fast",
    "device": "cpu",
    "threads": 1,
}
OWN: dict[str, dict[str, Any]] = {
    "simclr": {},
    "vicreg": {},
    "byol": {"predictor_hidden": 8},
    "simsiam": {"predictor_hidden": 8},
    # A queue that no whole number of batches fills, so that the order of the keys matters, too.
    "moco_v2": {"queue_size": 150, "batch_norm_splits": 4},
}


def flags(**changes: Any) -> list[str]:
    """The command line of such a training."""
    return [f"--{name}={value}" for name, value in (TINY | changes).items()]


def parameters(**changes: Any) -> dict[str, dict[str, Any]]:
    """The section of a sweep file that fixes such a training."""
    return {name: {"value": value} for name, value in (TINY | changes).items()}


def silent_trainer(**options: Any) -> pl.Trainer:
    """A Trainer on the CPU that shows and keeps nothing."""
    quiet = dict.fromkeys(
        ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False
    )
    return pl.Trainer(**({"accelerator": "cpu"} | quiet | options))
