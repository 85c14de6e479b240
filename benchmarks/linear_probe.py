"""The linear probes `fast` and `paper` on real embeddings: how far apart, and how much quicker.

    python benchmarks/linear_probe.py [--dataset digits fashion_mnist] [--epochs 0 10 30] [--rounds 3]
    python benchmarks/linear_probe.py --dataset fashion_mnist --train-images 20000 --epochs 2 --rounds 2

An encoder of the sweeps (ResNet-9, width 0.25, SimCLR) is trained for so many epochs; then both probes judge
it in turns. `paper`: Adam with a one-cycle rate, 20 epochs, each on images newly augmented by AutoAugment,
which is what most of its time goes to. `fast`: L-BFGS on the features of the images as they are; its time is
stated with the one pass that computes these features and, as kNN accuracy needs them anyway, without ("fit
alone"). "sd": standard deviation of `paper` over its seeds. "as is": the recipe of `paper` without
AutoAugment, to tell what the optimiser does from what the augmentations do. "points": `fast` minus `paper`.
"""

import dataclasses
import os
import tempfile
import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Callable
from pathlib import Path
from statistics import mean, median, stdev
from typing import Any

import torch

from selector.config import TrainConfig, paper_recipe
from selector.metrics.arrays import Embeddings
from selector.metrics.probes import fast_probe, paper_probe
from selector.training.autoaugment import autoaugmented
from selector.training.data import batches, load_images
from selector.training.embed import embed
from selector.training.network import Network
from selector.training.pretrain import pretrain

OWN: dict[str, dict[str, Any]] = {
    "digits": {"flip_probability": 0.0},
    "fashion_mnist": {"train_images": 4000, "grayscale_probability": 0.0},
}


def main() -> None:
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", nargs="+", default=list(OWN), choices=OWN)
    parser.add_argument("--data-dir", default="/usr/share/datasets/fashion-mnist")
    parser.add_argument("--train-images", type=int, help="all of digits, 4,000 of Fashion-MNIST by default")
    parser.add_argument("--epochs", type=int, nargs="+", default=[0, 10, 30])
    parser.add_argument("--rounds", type=int, default=3, help="each with another seed of `paper`")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"{options.threads} threads, load {os.getloadavg()[0]:.1f}")
    print(
        f"{'':<26}{'paper':>9}{'sd':>8}{'as is':>8}{'fast':>9}{'points':>8}{'paper s':>9}{'fast s':>8}",
        end="",
    )
    print(f"{'ratio':>7}{'min':>7}{'max':>7}{'fit alone':>11}{'cpu ratio':>11}")
    for dataset in options.dataset:
        for epochs in options.epochs:
            own = OWN[dataset] | ({"train_images": options.train_images} if options.train_images else {})
            compare(dataset, options.data_dir, epochs, options.rounds, own)


def compare(dataset: str, data_dir: str, epochs: int, rounds: int, own: dict[str, Any]) -> None:
    own |= {"backbone": "resnet-9", "backbone_width": 0.25, "projector_hidden": 256, "projector_dim": 64}
    own |= {"batch_size": 256, "learning_rate": 0.1, "epochs": max(1, epochs), "milestone_every": 10**6}
    own |= {"dataset": dataset, "data_dir": None if dataset == "digits" else data_dir, "device": "cpu"}
    config = dataclasses.replace(paper_recipe("simclr"), **own)
    encoder = Encoder(config, trained=epochs > 0)
    test = encoder.embedded(encoder.images.evaluation)
    plain: list[float] = []
    accuracies: dict[str, list[float]] = {"paper": [], "fast": []}
    walls: dict[str, list[float]] = {"paper": [], "fast": [], "fit": []}
    cpus: dict[str, list[float]] = {"paper": [], "fast": [], "fit": []}

    def timed(name: str, run: Callable[[], Any]) -> Any:
        wall, cpu = time.perf_counter(), time.process_time()
        result = run()
        walls[name].append(time.perf_counter() - wall)
        cpus[name].append(time.process_time() - cpu)
        return result

    for seed in range(rounds):
        paper = timed("paper", lambda seed=seed: paper_probe(encoder.augmented(seed), test, seed=seed).mean())
        train = timed("fast", lambda: encoder.embedded(encoder.images.train))
        plain.append(paper_probe(lambda _, train=train: train, test, seed=seed).mean())
        fast = timed("fit", lambda train=train: fast_probe(train, test).mean())
        walls["fast"][-1] += walls["fit"][-1]
        cpus["fast"][-1] += cpus["fit"][-1]
        accuracies["paper"].append(paper)
        accuracies["fast"].append(fast)
    spread = stdev(accuracies["paper"]) if rounds > 1 else float("nan")
    points = 100 * (mean(accuracies["fast"]) - mean(accuracies["paper"]))
    ratios = [p / f for p, f in zip(walls["paper"], walls["fast"], strict=True)]
    name = f"{dataset}, {epochs} epochs"
    print(f"{name:<26}{mean(accuracies['paper']):>9.4f}{spread:>8.4f}{mean(plain):>8.4f}", end="")
    print(f"{mean(accuracies['fast']):>9.4f}", end="")
    print(f"{points:>+8.2f}{median(walls['paper']):>9.1f}{median(walls['fast']):>8.2f}", end="")
    print(f"{median(ratios):>7.0f}{min(ratios):>7.0f}{max(ratios):>7.0f}", end="")
    print(f"{median(walls['paper']) / median(walls['fit']):>11.0f}", end="")
    print(f"{median(cpus['paper']) / median(cpus['fast']):>11.0f}", flush=True)


class Encoder:
    def __init__(self, config: TrainConfig, trained: bool) -> None:
        self.images = load_images(config)
        self.method = Network(config, self.images)
        if trained:
            with tempfile.TemporaryDirectory() as folder:
                pretrain(self.method, config, Path(folder), [])

    def embedded(self, images: Any) -> Embeddings:
        def encode(pixels: torch.Tensor) -> dict[Any, torch.Tensor]:
            return {"backbone": self.method.backbone(self.method.views.normalize(pixels))}

        return embed(self.method, encode, batches(images), images.split, {"backbone": None})["backbone"]

    def augmented(self, seed: int) -> Callable[[int], Embeddings]:
        return lambda epoch: self.embedded(autoaugmented(self.images.train, seed, epoch))


if __name__ == "__main__":
    main()
