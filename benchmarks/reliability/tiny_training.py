"""A run without training, for the soak: it logs milestones as train.py does, a second apart.

The rows are written as W&B's client lays them out (tests/sweeping/tiny_wandb.py), but at once, so that four
of these runs take no part of the processor. Each start is noted, to see what was started again.
"""

import math
import os
import sys
import time
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "tests" / "sweeping"))

from tiny_wandb import TinyRun, _items, _number

MILESTONES = 16
DEFINITION = {"version": 3, "projector_dim": 8, "rankme_images": 96, "umap_seeds": 1}


def main() -> None:
    """One run, from its first milestone to its completion marker."""
    values = dict(flag.removeprefix("--").split("=", 1) for flag in sys.argv[1:])
    config = {"method": "simclr", "dataset": "digits", "backbone": "resnet-9", "backbone_width": 0.0625}
    config |= {name: float(value) for name, value in values.items()}
    with Path(os.environ["WANDB_DIR"], "starts.txt").open("a") as starts:
        starts.write(f"{os.environ['WANDB_RUN_ID']}\n")
    run = TinyRun()
    run._write(5, _items(config | {"definition": DEFINITION}))
    for epoch in range(MILESTONES):
        rankme = math.log(1 + epoch) * (
            2 + math.sin(7 * config["learning_rate"] + config["temperature"] + config["seed"])
        )
        run.log(**{"epoch": epoch, "label_free/rankme": rankme, "train/loss": 1 / (1 + epoch)})
        time.sleep(float(os.environ.get("SOAK_STEP", "1.0")))
    run.summary(**{"completion/status": "completed", "completion/epoch": MILESTONES - 1})
    run._write(18, _number(1, 0))


if __name__ == "__main__":
    main()
