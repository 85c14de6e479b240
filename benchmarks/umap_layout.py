"""UMAP's layout alone, umap-learn's loop against ours on the same graph, start and random numbers, in turns.

    OMP_NUM_THREADS=1 python -W ignore benchmarks/umap_layout.py [--images 2500 10000] [--rounds 5]

Processor seconds of one thread, compiled before. Whether both compute the same: benchmarks/umap_equality.py.
"""

import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np
import torch
from milestone import embeddings
from umap.layouts import optimize_layout_euclidean

from selector.metrics import umap_layout
from selector.metrics.neighbors import nearest_neighbors
from selector.metrics.umap_layout import epochs_for, fuzzy_graph, layouts, spectral_starts


def main() -> None:
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, nargs="+", default=[2_500, 10_000])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    print(f"{'points':>8}{'edges':>10}{'umap-learn s':>14}{'ours s':>10}{'ratio':>8}{'min':>8}{'max':>8}")
    for count in options.images:
        vectors = embeddings(count, 10)[0]
        graph = fuzzy_graph(*nearest_neighbors(vectors, 49))
        (start,) = spectral_starts(graph, torch.from_numpy(vectors), [0])
        runs: list[Callable[[Any, Any], Any]] = [
            by_umap_learn,
            lambda graph, start: layouts(graph, [start], [0]),
        ]
        for run in runs:
            run(graph, start)
        times = [[seconds_of(run, graph, start) for run in runs] for _ in range(options.rounds)]
        theirs, ours = zip(*times, strict=True)
        ratios = [their / our for their, our in times]
        print(
            f"{count:>8,}{graph.nnz:>10,}{median(theirs):>14.2f}{median(ours):>10.2f}"
            f"{median(ratios):>8.2f}{min(ratios):>8.2f}{max(ratios):>8.2f}"
        )


def seconds_of(run: Callable[[Any, Any], Any], graph: Any, start: Any) -> float:
    before = time.process_time()
    run(graph, start)
    return time.process_time() - before


def by_umap_learn(graph: Any, start: Any) -> Any:
    edges, random = graph.tocoo(), np.random.RandomState(0)
    points = umap_layout._noisy(start, random)
    period = edges.data.max() / edges.data.astype(np.float64)
    limits = np.iinfo(np.int32)
    shape = (epochs_for(len(points)), len(points), period, umap_layout._A, umap_layout._B)
    seeds = random.randint(limits.min + 1, limits.max - 1, 3).astype(np.int64)
    quiet = {"move_other": True, "tqdm_kwds": {"disable": True}}
    return optimize_layout_euclidean(points, points, edges.row, edges.col, *shape, seeds, **quiet)


if __name__ == "__main__":
    main()
