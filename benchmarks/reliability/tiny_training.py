"""A run without training, for the soak: it records milestones as train.py does, a second apart.

Four of these runs take no part of the processor.
"""

import math
import os
import sys
import time
from pathlib import Path

from selector.milestone import Milestone
from selector.record import Record

MILESTONES = 16
DEFINITION = {"version": 3, "projector_dim": 8, "rankme_images": 96, "umap_seeds": 1}


def main() -> None:
    """One run, from its first milestone to its end."""
    own = {name[2:]: float(value) for name, value in (flag.split("=") for flag in sys.argv[1:])}
    config = {"method": "simclr", "dataset": "digits", "backbone": "resnet-9", "backbone_width": 0.0625}
    folder = Path(os.environ["WANDB_DIR"], "runs", os.environ["WANDB_RUN_ID"])
    record = Record(folder, config | own, sweep_id=os.environ["WANDB_SWEEP_ID"])
    record.define(DEFINITION)
    growth = 2 + math.sin(7 * own["learning_rate"] + own["temperature"] + own["seed"])
    for epoch in range(MILESTONES):
        values = {"label_free/rankme": growth * math.log(1 + epoch), "train/loss": 1 / (1 + epoch)}
        record.milestone(Milestone(epoch, values))
        time.sleep(float(os.environ.get("SOAK_STEP", "1.0")))
    record.end("completed", MILESTONES - 1)


if __name__ == "__main__":
    main()
