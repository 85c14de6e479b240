"""Training by one and by two processes (gloo) with the same global batch: throughput and efficiency.

    python benchmarks/ddp.py [--dataset digits fashion_mnist] [--method simclr moco_v2] [--rounds 5]

Each process has one thread, so that two have twice the cores of one: efficiency is half of the ratio.
Each turn is `torchrun train.py`'s own loop (`pretrain`) for some epochs, the first of which is not counted.
Both compute the same: the last column is the relative difference of the loss after the last epoch.
"""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Any

from compare import FASHION, clock, figure, head, options, row, since, spread

ROOT = Path(__file__).parents[1]
EPOCHS = {"digits": 8, "fashion_mnist": 2}
OF_METHOD: dict[str, dict[str, Any]] = {"simclr": {}, "moco_v2": {"queue_size": 1024, "batch_norm_splits": 2}}


def main() -> None:
    asked = options(__doc__, dataset=[*EPOCHS], method=[*OF_METHOD], data_dir=FASHION, rounds=5, child="")
    if asked.child:
        child(*asked.child.split(), asked.data_dir)
        return
    print(f"load {os.getloadavg()[0]:.1f}\n")
    ratio = ("ratio", "least", "most", "efficiency")
    print(head("", "images/s by 1", "by 2", *ratio, "CPU by 2 / by 1", "loss differs by"))
    for dataset in asked.dataset:
        for method in asked.method:
            rounds = [[turn(n, dataset, method, asked.data_dir) for n in (1, 2)] for _ in range(asked.rounds)]
            print(row(f"{dataset}, {method}", *compared(*zip(*rounds, strict=True))), flush=True)


def compared(one: list[dict[str, float]], two: list[dict[str, float]]) -> list[str]:
    """The cells of a data set and a method, from the turns of one process and of two."""
    speeds, cpu = ([[turn[key] for turn in turns] for turns in (one, two)] for key in ("speed", "cpu"))
    ratios = [b / a for a, b in zip(*speeds, strict=True)]
    loss = abs(two[0]["loss"] / one[0]["loss"] - 1)
    cells = [*(figure(median(some)) for some in speeds), *spread(ratios), f"{median(ratios) / 2:.0%}"]
    return [*cells, figure(median(cpu[1]) / median(cpu[0])), f"{loss:.0e}"]


def turn(world: int, dataset: str, method: str, data_dir: str) -> dict[str, float]:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(world)]
    command = [*launcher, __file__, "--child", f"{dataset} {method}", "--data-dir", data_dir]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
    output = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    results = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    first = next(result for result in results if result["rank"] == 0)
    return first | {"cpu": sum(result["cpu"] for result in results)}


def child(dataset: str, method: str, data_dir: str) -> None:
    import pytorch_lightning as pl
    import torch
    from encoders import SMALL, trained

    from selector.config import paper_recipe
    from selector.training.data import load_images
    from selector.training.processes import meet, process_number, processes_of

    torch.set_num_threads(1)
    own = SMALL | OF_METHOD[method] | {"dataset": dataset, "epochs": 1 + EPOCHS[dataset]}
    own |= {"data_dir": data_dir, "train_images": 4000} if dataset == "fashion_mnist" else {}
    own |= {"batch_size": 512, "learning_rate": 0.05, "device": "cpu", "threads": 1}
    own |= {"devices": int(os.environ["LOCAL_WORLD_SIZE"])}
    config = dataclasses.replace(paper_recipe(method), **own)
    result = {}

    class Timed(pl.Callback):
        def on_train_epoch_end(self, trainer: pl.Trainer, _: pl.LightningModule) -> None:
            if trainer.current_epoch == 0:
                self.start = clock()
            elif trainer.current_epoch == EPOCHS[dataset]:
                wall, cpu = since(self.start)
                steps = len(images.train) // config.batch_size
                result.update(cpu=cpu, speed=EPOCHS[dataset] * steps * config.batch_size / wall)
                result.update(loss=float(trainer.callback_metrics["train/loss"]))

    meet(processes_of(config))
    images = load_images(config)
    trained(config, images, Timed())
    print(json.dumps(result | {"rank": process_number()}), flush=True)


if __name__ == "__main__":
    main()
