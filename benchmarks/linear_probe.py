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
from functools import partial
from statistics import mean, median, stdev
from typing import Any

import torch
from compare import FASHION, figure, head, measured, options, row, spread
from encoders import SMALL, embedded, trained

from selector.config import TrainConfig, paper_recipe
from selector.metrics.arrays import Embeddings
from selector.metrics.probes import fast_probe, paper_probe
from selector.training.autoaugment import autoaugmented
from selector.training.data import ImageSplits, load_images
from selector.training.network import Network

OWN: dict[str, dict[str, Any]] = {
    "digits": {"flip_probability": 0.0},
    "fashion_mnist": {"train_images": 4000, "grayscale_probability": 0.0},
}


def main() -> None:
    asked = options(__doc__, dataset=[*OWN], data_dir=FASHION, train_images=0, epochs=[0, 10, 30], rounds=3)
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    print(f"{torch.get_num_threads()} threads, load {os.getloadavg()[0]:.1f}\n")
    accuracies = ("paper", "sd", "as is", "fast", "points")
    print(head("features", *accuracies, "paper, s", "fast, s", "ratio", "least", "most", "fit alone"))
    for dataset in asked.dataset:
        own = OWN[dataset] | ({"train_images": asked.train_images} if asked.train_images else {})
        own |= SMALL | {"batch_size": 256, "learning_rate": 0.1, "device": "cpu", "dataset": dataset}
        own |= {} if dataset == "digits" else {"data_dir": asked.data_dir}
        for epochs in asked.epochs:
            config = dataclasses.replace(paper_recipe("simclr"), epochs=max(1, epochs), **own)
            print(row(f"{dataset}, {epochs} epochs", *compared(config, epochs > 0, asked.rounds)), flush=True)


def compared(config: TrainConfig, is_trained: bool, rounds: int) -> list[str]:
    """The cells of one encoder."""
    images = load_images(config)
    network = trained(config, images) if is_trained else Network(config, images)
    test = embedded(network, images.evaluation)
    accuracies, seconds = [], []
    for seed in range(rounds):
        slow, paper = measured(paper_probe, partial(augmented, network, images, seed), test, seed=seed)
        features, train = measured(embedded, network, images.train)
        fit, fast = measured(fast_probe, train, test)
        plain = paper_probe(lambda _, train=train: train, test, seed=seed)
        accuracies.append([100 * right.mean() for right in (paper, plain, fast)])
        seconds.append((slow.wall, features.wall + fit.wall, fit.wall))
    papers, plains, fasts = zip(*accuracies, strict=True)
    sd, points = stdev(papers) if rounds > 1 else 0.0, mean(fasts) - mean(papers)
    shares = [f"{one:.1f}" for one in (mean(papers), sd, mean(plains), mean(fasts))]
    slow, quick, alone = (median(some) for some in zip(*seconds, strict=True))
    ratios = spread(one / other for one, other, _ in seconds)
    return [*shares, f"{points:+.1f}", figure(slow), figure(quick), *ratios, figure(slow / alone)]


def augmented(network: Network, images: ImageSplits, seed: int, epoch: int) -> Embeddings:
    return embedded(network, autoaugmented(images.train, seed, epoch))


if __name__ == "__main__":
    main()
