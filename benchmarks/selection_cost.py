"""What it costs to choose: label-free metrics, linear probes and training, on runs of the evidence sweeps.

    python benchmarks/selection_cost.py [--directory evidence] [--rounds 5]

Processor seconds of one thread, in turns, on one trained run a method of the digits sweeps, and those of one
epoch of its training times its epochs. Writes docs/evidence/cost/digits.json, which the table in
docs/results.md is made from.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import torch
from images_needed import NoLog

from selector.metrics.embeddings import Embeddings
from selector.metrics.evaluate import evaluate
from selector.metrics.inputs import Inputs
from selector.metrics.linear_probe import fast_probe, paper_probe
from selector.metrics.rankme import rankme
from selector.training.after_training import stored_milestones
from selector.training.data import load_images
from selector.training.embed import embed
from selector.training.milestones import milestones_of
from selector.training.network import Network
from selector.training.pretrain import pretrain
from selector.training.stored import read_stored

RECORD = Path(__file__).parents[1] / "docs" / "evidence" / "cost" / "digits.json"
METHODS = ("simclr", "simsiam", "moco_v2")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--directory", type=Path, default=Path("evidence"), help="where they were trained")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    seconds = {}
    for method in METHODS:
        run = min((options.directory / f"{method}-digits" / "runs").iterdir())
        seconds[method] = measure(stored_milestones(run)[-1], options.rounds)
        print(method, json.dumps(seconds[method]), flush=True)
    RECORD.parent.mkdir(parents=True, exist_ok=True)
    RECORD.write_text(json.dumps(seconds, indent=1) + "\n", "utf-8")
    return 0


def measure(checkpoint: Path, rounds: int) -> dict[str, list[float]]:
    """Processor seconds of each step: median, least and most."""
    stored = read_stored(checkpoint)
    config = replace(stored.config, probe="none")
    images = load_images(config)
    module = Network(config, images)
    module.load_state_dict(stored.state)
    callback = milestones_of(config, images, NoLog())
    times: dict[str, list[float]] = {}

    @contextmanager
    def timed(step: str, times_over: int = 1) -> Iterator[None]:
        start = time.process_time()
        yield
        times.setdefault(step, []).append(times_over * (time.process_time() - start))

    def embedded(batches: Any, space: Any, split: str) -> Embeddings:
        found: Embeddings = embed(
            module, lambda x: callback.encoder(module, x), batches, split, {space: None}
        )[space]
        return found

    def unlabelled(embeddings: Embeddings) -> Embeddings:
        return replace(embeddings, labels=None)

    def augmented(epoch: int) -> Embeddings:
        return embedded(callback.augmented(epoch), "backbone", "train")

    for number in range(rounds + 1):
        if number == 1:
            times.clear()  # the first round compiles
        with timed("RankMe alone"):
            projector = unlabelled(embedded(callback.train, "projector", "train"))
            rankme(projector.vectors)
        with timed("all label-free metrics"):
            projector = unlabelled(embedded(callback.train, "projector", "train"))
            test = embedded(callback.evaluation, "backbone", "test")
            evaluate(0, Inputs(unlabelled(test), projector, callback.settings))
        with timed("probe, fast"):
            test = embedded(callback.evaluation, "backbone", "test")
            fast_probe(embedded(callback.train, "backbone", "train"), test)
        with timed("probe, paper"):
            paper_probe(augmented, test)
        with tempfile.TemporaryDirectory() as folder, timed("training", config.epochs):
            one_epoch = replace(config, epochs=1)
            pretrain(Network(one_epoch, images), one_epoch, Path(folder), [])
    return {
        step: [round(figure, 3) for figure in (median(found), min(found), max(found))]
        for step, found in times.items()
    }


if __name__ == "__main__":
    sys.exit(main())
