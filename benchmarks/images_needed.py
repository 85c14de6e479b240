"""How many images a metric needs: regret and repeatability of its ranking against N, on the evidence sweeps.

    python benchmarks/images_needed.py simclr-digits simclr-digits-seeds …  [--directory evidence] [--jobs 2]

Takes the last checkpoints of sweeps that benchmarks/evidence.py trained, and computes the metrics that need
no views from N training images (both spaces, one UMAP seed), for three draws of each N, the same images for
every run. Writes docs/evidence/images/<name>.json, which the tables of docs/results.md are made from.
"""

import argparse
import json
import math
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from selector.metrics.definition import MetricSettings
from selector.metrics.embeddings import Embeddings
from selector.metrics.evaluate import evaluate
from selector.metrics.inputs import Inputs
from selector.metrics.metrics import LABEL_FREE_PREFIX
from selector.text import printable
from selector.training.after_training import stored_milestones
from selector.training.data import ImageSplits, load_images
from selector.training.embed import embed
from selector.training.milestones import milestones_of
from selector.training.network import Network
from selector.training.stored import read_stored

ROOT = Path(__file__).parents[1]
SIZES = (45, 90, 180, 360, 720)  # and all
DRAWS = 3
_DIGITS = 5  # significant ones that are kept


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="+", metavar="NAME", help="sweeps of sweeps/evidence, trained")
    parser.add_argument("--directory", type=Path, default=Path("evidence"), help="where they were trained")
    parser.add_argument("--jobs", type=int, default=1, help="runs at the same time")
    options = parser.parse_args()
    with ProcessPoolExecutor(options.jobs, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        for name in options.names:
            runs = sorted((options.directory / name / "runs").iterdir())
            measured = {}
            for number, (run, rows) in enumerate(zip(runs, pool.map(measure, runs), strict=True), start=1):
                print(f"{name} {number}/{len(runs)} {printable(run.name)}", flush=True)
                measured[run.name] = rows
            write(ROOT / "docs" / "evidence" / "images" / f"{name}.json", measured)
    return 0


def measure(folder: Path) -> list[dict[str, Any]]:
    """One row a subset: N, the draw, and each metric's value."""
    module, batches, encoder, settings = restored(stored_milestones(folder)[-1])
    embedded = embed(module, encoder, batches, "train", {"backbone": None, "projector": None})
    backbone, projector = embedded["backbone"], embedded["projector"]
    rows = []
    for size, draw, chosen in subsets(len(backbone.vectors)):
        inputs = Inputs(
            Embeddings(backbone.vectors[chosen], None, "backbone", "train"),
            Embeddings(projector.vectors[chosen], None, "projector", "train"),
            settings,
        )
        values = evaluate(0, inputs).values
        label_free = {
            key.removeprefix(LABEL_FREE_PREFIX): value
            for key, value in values.items()
            if key.startswith(LABEL_FREE_PREFIX)
        }
        rows.append({"n": size, "draw": draw} | label_free)
    return rows


def restored(checkpoint: Path) -> tuple[Any, Any, Any, MetricSettings]:
    """The trained network, its training images in order, how to embed them, and how to evaluate them."""
    stored = read_stored(checkpoint)
    images: ImageSplits = load_images(stored.config)
    module = Network(stored.config, images)
    module.load_state_dict(stored.state)
    callback = milestones_of(stored.config, images, NoLog())
    settings = replace(callback.settings, umap_seeds=1, probe="none")
    return module, callback.train, partial(callback.encoder, module), settings


class NoLog:
    """For a callback that is never run."""

    define = milestone = completed = lambda *_: None


def subsets(count: int) -> Iterator[tuple[int, int, np.ndarray]]:
    """N, draw and the images; the same for the same count."""
    for size in SIZES:
        for draw in range(DRAWS):
            yield size, draw, np.random.default_rng(draw).choice(count, size, replace=False)
    yield count, 0, np.arange(count)


def write(path: Path, measured: dict[str, list[dict[str, Any]]]) -> None:
    """Names of the columns once, then a line a run."""
    columns = list(next(iter(measured.values()))[0])
    lines = []
    for run, rows in sorted(measured.items()):
        table = [[kept(row[column]) for column in columns] for row in rows]
        lines.append(f"{json.dumps(run)}:{json.dumps(table, separators=(',', ':'))}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'{{"columns":{json.dumps(columns)},"runs":{{\n' + ",\n".join(lines) + "\n}}\n", "utf-8")


def kept(value: float) -> float | str:
    """Rounded; what is not finite as text, which JSON can hold."""
    return float(f"{value:.{_DIGITS}g}") if math.isfinite(value) else str(value)


if __name__ == "__main__":
    sys.exit(main())
