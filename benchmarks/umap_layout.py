"""UMAP's layout alone, umap-learn's loop against ours on the same graph, start and random numbers, in turns.

    OMP_NUM_THREADS=1 python -W ignore benchmarks/umap_layout.py [--images 2500 10000] [--rounds 5]

One thread, compiled before. Whether both compute the same: benchmarks/umap_equality.py.
"""

from functools import partial
from typing import Any

import numpy as np
import torch
from compare import in_turns, options, print_costs
from milestone import embeddings
from umap.layouts import optimize_layout_euclidean

from selector.metrics import umap_layout
from selector.metrics.neighbors import nearest_neighbors
from selector.metrics.umap_layout import epochs_for, fuzzy_graph, layouts, spectral_starts


def main() -> None:
    asked = options(__doc__, images=[2_500, 10_000], rounds=5)
    for count in asked.images:
        vectors = embeddings(count, 10)[0]
        graph = fuzzy_graph(*nearest_neighbors(vectors, 49))
        (start,) = spectral_starts(graph, torch.from_numpy(vectors), [0])
        runs = {
            "umap-learn": partial(by_umap_learn, graph, start),
            "ours": partial(layouts, graph, [start], [0]),
        }
        in_turns(runs, 1)
        costs = in_turns(runs, asked.rounds)
        print_costs(f"{count:,} points, {graph.nnz:,} edges", costs, "umap-learn")


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
