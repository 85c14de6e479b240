"""What a milestone costs: ours against the naive composition, interleaved, metrics beside the times.

    python benchmarks/milestone.py [--images 10000] [--clusters 10] [--rounds 5]  cold and warm, 1 and 5 seeds
    python benchmarks/milestone.py --rankme [--rounds 5]  RankMe alone, 25,600 x 2,048

Naive is what one writes from the libraries' front pages: torch.linalg.svdvals, umap.UMAP(random_state=0),
scikit-learn's KMeans(n_init=10), silhouette_score, adjusted_mutual_info_score. Both compute RankMe in both
spaces, H(Z3), S1, S_GT, AMI(C1,C2) and AMI(C1,C_GT) of the same 512-d embeddings. A cold run is a fresh
process: imports and compilation count, but not the making of the embeddings.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from compare import Cost, head, in_turns, measured, options, print_costs, row

Metrics = dict[str, float]
Data = tuple[np.ndarray, np.ndarray, np.ndarray]  # representations, projections, labels
Evaluate = Callable[[Data, int], tuple[Metrics, Metrics]]
DIMENSIONS, PROJECTOR = 512, 128


def main() -> None:
    asked = options(__doc__, images=10_000, clusters=10, rounds=5, rankme=False, child="")
    if asked.child:
        print(json.dumps(child(asked.child, asked.images, asked.clusters)))
    elif asked.rankme:
        compare_rankme(asked.rounds)
    else:
        print(f"{asked.images} x {DIMENSIONS}, k = {asked.clusters}")
        compare_cold(asked.images, asked.clusters, asked.rounds)
        compare_warm(asked.images, asked.clusters, asked.rounds)


def compare_cold(images: int, clusters: int, rounds: int) -> None:
    arguments = ["--images", str(images), "--clusters", str(clusters)]
    with tempfile.TemporaryDirectory() as empty:
        first, _ = cold("ours, 1 seed", arguments, {"NUMBA_CACHE_DIR": empty})
    print(f"ours for the first time on a machine, compiling: {first.wall:.1f} s")
    cold("ours, 1 seed", arguments, {})  # compiles where nobody has run it before
    costs: dict[str, list[Cost]] = {name: [] for name in RUNS}
    results = {}
    for _ in range(rounds):
        for name in RUNS:
            cost, results[name] = cold(name, arguments, {})
            costs[name].append(cost)
    print_costs("cold, whole process", costs, "naive")
    print_values(results)


def cold(name: str, arguments: list[str], environment: dict[str, str]) -> tuple[Cost, dict[str, Any]]:
    """What a fresh process takes, but for making the embeddings, and what it found."""
    command = [sys.executable, __file__, "--child", name, *arguments]
    run = partial(subprocess.check_output, command, env=os.environ | environment, text=True)
    whole, output = measured(run)
    found = json.loads(output.splitlines()[-1])
    wall, cpu = found["preparation"]
    return Cost(whole.wall - wall, whole.cpu - cpu), found


def child(name: str, images: int, clusters: int) -> dict[str, Any]:
    preparation, data = measured(embeddings, images, clusters)
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    metrics, noise = RUNS[name]()(data, clusters)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - resident
    return {"preparation": preparation, "peak": peak, "metrics": metrics, "noise": noise}


def compare_warm(images: int, clusters: int, rounds: int) -> None:
    """One process, each warmed up once, then in turns."""
    data = embeddings(images, clusters)
    runs = {name: partial(imports(), data, clusters) for name, imports in RUNS.items()}
    in_turns(runs, 1)
    print_costs("warm", in_turns(runs, rounds), "naive")


def print_values(results: dict[str, dict[str, Any]]) -> None:
    print("\n" + head("metric", *results, "sd of a seed"))
    noise = results["ours, 5 seeds"]["noise"]
    for metric in results["naive"]["metrics"]:
        values = (f"{result['metrics'][metric]:.7g}" for result in results.values())
        print(row(metric, *values, f"{noise[metric]:.2g}" if metric in noise else ""))
    print(
        row("peak above the embeddings", *(f"{one['peak'] / 2**20:.0f} MiB" for one in results.values()), "")
    )


def naive() -> Evaluate:
    import umap
    from sklearn.cluster import KMeans
    from sklearn.metrics import adjusted_mutual_info_score, silhouette_score
    from sklearn.preprocessing import normalize

    def entropy(points: np.ndarray) -> float:
        bins = np.floor((points - points.min(0)) / (0.4 * points.std(0)))
        p = np.unique(bins, axis=0, return_counts=True)[1] / len(points)
        return float(-(p * np.log(p)).sum())

    def evaluate(data: Data, k: int) -> tuple[Metrics, Metrics]:
        backbone, projector, labels = data
        points = umap.UMAP(n_neighbors=50, n_components=3, random_state=0, n_jobs=1).fit_transform(backbone)
        c1, c2 = (KMeans(n, n_init=10, random_state=0).fit_predict(normalize(points)) for n in (k, 2 * k))
        return {
            "rankme": naive_rankme(projector),
            "rankme_backbone": naive_rankme(backbone),
            "entropy": entropy(points),
            "silhouette": float(silhouette_score(backbone, c1)),
            "clustering_agreement": float(adjusted_mutual_info_score(c1, c2)),
            "ami_labels": float(adjusted_mutual_info_score(c1, labels)),
            "silhouette_labels": float(silhouette_score(backbone, labels)),
        }, {}

    return evaluate


def naive_rankme(vectors: np.ndarray) -> float:
    import torch

    sigma = torch.linalg.svdvals(torch.from_numpy(vectors))
    p = sigma / sigma.sum() + 1e-7
    return float(torch.exp(-(p * p.log()).sum()))


def ours(seeds: int) -> Evaluate:
    from selector.metrics.arrays import Embeddings
    from selector.metrics.evaluate import evaluate
    from selector.metrics.inputs import Inputs, MetricSettings

    def run(data: Data, k: int) -> tuple[Metrics, Metrics]:
        backbone, projector, labels = data
        inputs = Inputs(
            Embeddings(backbone, labels, "backbone", "test"),
            Embeddings(projector, None, "projector", "train"),
            MetricSettings(clusters=k, probe="none", umap_seeds=seeds),
        )
        parts: dict[str, Metrics] = {"label_free": {}, "labelled": {}, "noise": {}}
        for key, value in evaluate(0, inputs).values.items():
            prefix, name = key.split("/")
            parts[prefix][name] = value
        return parts["label_free"] | parts["labelled"], parts["noise"]

    return run


RUNS: dict[str, Callable[[], Evaluate]] = {
    "naive": naive,
    "ours, 1 seed": partial(ours, 1),
    "ours, 5 seeds": partial(ours, 5),
}


def compare_rankme(rounds: int) -> None:
    """RankMe of 25,600 x 2,048 against float32 svdvals; the float64 SVD is the truth."""
    from selector.metrics.spectral import rankme

    vectors = embeddings(25_600, 10, dimensions=2_048)[0]
    runs = {"naive": partial(naive_rankme, vectors), "ours": partial(rankme, vectors)}
    print_costs("RankMe, 25,600 x 2,048", in_turns(runs, rounds), "naive")
    truth = naive_rankme(vectors.astype(np.float64))
    for name, run in runs.items():
        value = run()
        print(f"{name}: {value:.9g}, relative error {abs(value / truth - 1):.1e}")


def embeddings(images: int, classes: int, dimensions: int = DIMENSIONS) -> Data:
    """A Gaussian mixture through a ReLU layer with a power-law spectrum; projections of it; its labels."""
    random = np.random.default_rng(0)
    layer = random.standard_normal((64, dimensions)) * np.arange(1, dimensions + 1) ** -0.5
    centres = random.standard_normal((classes, 64))
    labels = random.integers(classes, size=images)
    hidden = centres[labels] + random.standard_normal((images, 64))
    backbone = np.maximum(hidden @ layer, 0).astype(np.float32)
    projector = backbone @ random.standard_normal((dimensions, PROJECTOR)).astype(np.float32)
    return backbone, projector, labels


if __name__ == "__main__":
    main()
