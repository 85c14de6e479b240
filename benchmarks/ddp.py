"""Training by one and by two processes (gloo) with the same global batch: throughput and efficiency.

    python benchmarks/ddp.py [--dataset digits fashion_mnist] [--method simclr moco_v2] [--rounds 5]

Each process has one thread, so that two have twice the cores of one: efficiency is half of the ratio.
Each turn is `torchrun train.py`'s own loop (`pretrain`) for some epochs, the first of which is not counted.
Both compute the same: the last column is the relative difference of the loss after the last epoch.
"""

import argparse
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).parents[1]
EPOCHS = {"digits": 8, "fashion_mnist": 2}


def main() -> None:
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", nargs="+", default=list(EPOCHS), choices=EPOCHS)
    parser.add_argument("--method", nargs="+", default=["simclr", "moco_v2"], choices=["simclr", "moco_v2"])
    parser.add_argument("--data-dir", default="/usr/share/datasets/fashion-mnist")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        dataset, method, data_dir = options.child
        child(dataset, method, data_dir)
        return
    print(f"load {os.getloadavg()[0]:.1f}")
    print(
        f"{'':<26}{'images/s by 1':>14}{'by 2':>8}{'ratio':>7}{'min':>6}{'max':>6}{'efficiency':>12}", end=""
    )
    print(f"{'cpu by 2 / by 1':>17}{'loss differs by':>17}")
    for dataset in options.dataset:
        for method in options.method:
            compare(dataset, method, options.data_dir, options.rounds)


def compare(dataset: str, method: str, data_dir: str, rounds: int) -> None:
    turns: dict[int, list[dict[str, float]]] = {1: [], 2: []}
    for _ in range(rounds):
        for world in turns:
            turns[world].append(turn(world, dataset, method, data_dir))
    one, two = ([result["images_a_second"] for result in turns[world]] for world in (1, 2))
    ratios = [b / a for a, b in zip(one, two, strict=True)]
    cpu = median(r["cpu"] for r in turns[2]) / median(r["cpu"] for r in turns[1])
    loss = abs(turns[2][0]["loss"] / turns[1][0]["loss"] - 1)
    print(
        f"{dataset + ', ' + method:<26}{median(one):>14.0f}{median(two):>8.0f}{median(ratios):>7.2f}", end=""
    )
    print(f"{min(ratios):>6.2f}{max(ratios):>6.2f}{100 * median(ratios) / 2:>10.0f} %", end="")
    print(f"{cpu:>17.2f}{loss:>17.1e}", flush=True)


def turn(world: int, dataset: str, method: str, data_dir: str) -> dict[str, float]:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(world)]
    command = [*launcher, __file__, "--child", dataset, method, data_dir]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
    output = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    results = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    first = next(result for result in results if result["rank"] == 0)
    return first | {"cpu": sum(result["cpu"] for result in results)}


def child(dataset: str, method: str, data_dir: str) -> None:
    import pytorch_lightning as pl
    import torch

    from selector.config import paper_recipe
    from selector.training.data import load_images
    from selector.training.network import Network
    from selector.training.pretrain import pretrain
    from selector.training.processes import meet, process_number, processes_of

    torch.set_num_threads(1)
    own: dict[str, Any] = {"data_dir": data_dir, "train_images": 4000} if dataset == "fashion_mnist" else {}
    own |= {"queue_size": 1024, "batch_norm_splits": 2} if method == "moco_v2" else {}
    own |= {"devices": int(os.environ["LOCAL_WORLD_SIZE"]), "epochs": 1 + EPOCHS[dataset], "dataset": dataset}
    own |= {"backbone": "resnet-9", "backbone_width": 0.25, "projector_hidden": 256, "projector_dim": 64}
    own |= {"batch_size": 512, "milestone_every": 10**6, "learning_rate": 0.05, "device": "cpu", "threads": 1}
    config = dataclasses.replace(paper_recipe(method), **own)

    class Timed(pl.Callback):
        wall = cpu = loss = 0.0

        def on_train_epoch_end(self, trainer: pl.Trainer, _: pl.LightningModule) -> None:
            self.loss = float(trainer.callback_metrics["train/loss"])
            if trainer.current_epoch == 0:
                self.wall, self.cpu = time.perf_counter(), time.process_time()
            elif trainer.current_epoch == EPOCHS[dataset]:
                self.wall, self.cpu = time.perf_counter() - self.wall, time.process_time() - self.cpu

    meet(processes_of(config))
    images, timed = load_images(config), Timed()
    with tempfile.TemporaryDirectory() as folder:
        pretrain(Network(config, images), config, Path(folder), [timed])
    trained = EPOCHS[dataset] * (len(images.train) // config.batch_size) * config.batch_size
    result = {"rank": process_number(), "images_a_second": trained / timed.wall}
    print(json.dumps(result | {"cpu": timed.cpu, "loss": timed.loss}), flush=True)


if __name__ == "__main__":
    main()
