"""What a milestone costs: ours against the naive composition, interleaved, metrics beside the times.

    python benchmarks/milestone.py [--images 10000] [--clusters 10] [--rounds 5]  cold and warm, 1 and 5 seeds
    python benchmarks/milestone.py --growth [2500 5000 10000 20000 50000]  ours by step and N, and memory
    python benchmarks/milestone.py --rankme [--rounds 5]  RankMe alone, 25,600 x 2,048

Naive is what one writes from the libraries' front pages: torch.linalg.svdvals, umap.UMAP(random_state=0),
scikit-learn's KMeans(n_init=10), silhouette_score, adjusted_mutual_info_score. Both compute RankMe in both
spaces, H(Z3), S1, S_GT, AMI(C1,C2) and AMI(C1,C_GT) of the same 512-d embeddings. A cold run is a fresh
process: imports and compilation count, but not the making of the embeddings.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray

Metrics = dict[str, float]
DIMENSIONS, PROJECTOR = 512, 128


def main() -> None:
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--clusters", type=int, default=10, help="k1, and the number of classes")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--growth", type=int, nargs="*", metavar="N")
    parser.add_argument("--rankme", action="store_true")
    parser.add_argument("--child", choices=RUNS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(child(options.child, options.images, options.clusters)))
    elif options.growth is not None:
        growth(options.growth or [2_500, 5_000, 10_000, 20_000, 50_000], options.clusters)
    elif options.rankme:
        compare_rankme(options.rounds)
    else:
        print(f"{options.images} x {DIMENSIONS}, k = {options.clusters}, {options.rounds} rounds")
        compare_cold(options.images, options.clusters, options.rounds)
        compare_warm(options.images, options.clusters, options.rounds)


def compare_cold(images: int, clusters: int, rounds: int) -> None:
    arguments = ["--images", str(images), "--clusters", str(clusters)]
    with tempfile.TemporaryDirectory() as empty:
        first = timed_child("ours, 1 seed", arguments, {"NUMBA_CACHE_DIR": empty})
    timed_child("ours, 1 seed", arguments, {})  # compiles where nobody has run it before
    print(f"ours for the first time on a machine, compiling: {first[0]:.1f} s")
    times: dict[str, list[float]] = {name: [] for name in RUNS}
    evaluations: dict[str, list[float]] = {name: [] for name in RUNS}
    values = {}
    for _ in range(rounds):
        for name in RUNS:
            seconds, result = timed_child(name, arguments, {})
            times[name].append(seconds)
            evaluations[name].append(result["evaluation"])
            values[name] = result
    print_times("cold, whole process", times)
    print_times("cold, without imports", evaluations)
    for name in RUNS:
        print(f"{name:<16}peak above the embeddings {values[name]['peak'] / 2**20:.0f} MiB")
    print_values({name: values[name]["metrics"] for name in RUNS}, values["ours, 5 seeds"]["noise"])


def timed_child(name: str, arguments: Sequence[str], environment: dict[str, str]) -> tuple[float, dict]:
    """Seconds of a fresh process but for making embeddings, and what it printed."""
    start = time.perf_counter()
    command = [sys.executable, __file__, "--child", name, *arguments]
    output = subprocess.run(
        command, env=os.environ | environment, check=True, stdout=subprocess.PIPE, text=True
    ).stdout
    seconds = time.perf_counter() - start
    result = json.loads(output.splitlines()[-1])
    return seconds - result["preparation"], result


def child(name: str, images: int, clusters: int) -> dict:
    start = time.perf_counter()
    data = embeddings(images, clusters)
    preparation = time.perf_counter() - start
    resident = resident_bytes()
    imports = RUNS[name]
    evaluate = imports()
    start = time.perf_counter()
    metrics, noise = evaluate(*data, clusters)
    evaluation = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - resident
    seconds = {"preparation": preparation, "evaluation": evaluation}
    return seconds | {"peak": peak, "metrics": metrics, "noise": noise}


def compare_warm(images: int, clusters: int, rounds: int) -> None:
    """One process, each warmed up once, then in turns."""
    data = embeddings(images, clusters)
    runs = {name: imports() for name, imports in RUNS.items()}
    for run in runs.values():
        run(*data, clusters)
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            start = time.perf_counter()
            run(*data, clusters)
            times[name].append(time.perf_counter() - start)
    print_times("warm", times)


def print_times(title: str, times: dict[str, list[float]]) -> None:
    print(f"\n{title:<24}{'median s':>10}{'min':>8}{'max':>8}{'naive / this':>14}{'min':>8}{'max':>8}")
    for name, seconds in times.items():
        ratios = [naive / this for naive, this in zip(times["naive"], seconds, strict=True)]
        print(
            f"{name:<24}{median(seconds):>10.2f}{min(seconds):>8.2f}{max(seconds):>8.2f}"
            f"{median(ratios):>14.1f}{min(ratios):>8.1f}{max(ratios):>8.1f}"
        )


def print_values(values: dict[str, Metrics], noise: Metrics) -> None:
    print(f"\n{'metric':<24}" + "".join(f"{name:>16}" for name in values) + f"{'sd of a seed':>16}")
    for metric in values["naive"]:
        row = "".join(f"{metrics[metric]:>16.7g}" for metrics in values.values())
        print(f"{metric:<24}{row}" + (f"{noise[metric]:>16.2g}" if metric in noise else f"{'':>16}"))


def naive() -> Callable[..., tuple[Metrics, Metrics]]:
    import torch
    import umap
    from sklearn.cluster import KMeans
    from sklearn.metrics import adjusted_mutual_info_score, silhouette_score
    from sklearn.preprocessing import normalize

    def rankme(vectors: NDArray[np.float32]) -> float:
        sigma = torch.linalg.svdvals(torch.from_numpy(vectors))
        p = sigma / sigma.sum() + 1e-7
        return float(torch.exp(-(p * p.log()).sum()))

    def entropy(points: NDArray[np.float32]) -> float:
        bins = np.floor((points - points.min(0)) / (0.4 * points.std(0)))
        p = np.unique(bins, axis=0, return_counts=True)[1] / len(points)
        return float(-(p * np.log(p)).sum())

    def evaluate(
        backbone: NDArray[np.float32], projector: NDArray[np.float32], labels: NDArray[np.int64], k: int
    ) -> tuple[Metrics, Metrics]:
        points = umap.UMAP(n_neighbors=50, n_components=3, random_state=0, n_jobs=1).fit_transform(backbone)
        c1, c2 = (KMeans(n, n_init=10, random_state=0).fit_predict(normalize(points)) for n in (k, 2 * k))
        return {
            "rankme": rankme(projector),
            "rankme_backbone": rankme(backbone),
            "entropy": entropy(points),
            "silhouette": float(silhouette_score(backbone, c1)),
            "clustering_agreement": float(adjusted_mutual_info_score(c1, c2)),
            "ami_labels": float(adjusted_mutual_info_score(c1, labels)),
            "silhouette_labels": float(silhouette_score(backbone, labels)),
        }, {}

    return evaluate


def ours(seeds: int) -> Callable[..., tuple[Metrics, Metrics]]:
    from selector.metrics.arrays import Embeddings
    from selector.metrics.evaluate import evaluate
    from selector.metrics.inputs import Inputs, MetricSettings

    def run(
        backbone: NDArray[np.float32], projector: NDArray[np.float32], labels: NDArray[np.int64], k: int
    ) -> tuple[Metrics, Metrics]:
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


RUNS: dict[str, Callable[[], Callable[..., tuple[Metrics, Metrics]]]] = {
    "naive": naive,
    "ours, 1 seed": lambda: ours(1),
    "ours, 5 seeds": lambda: ours(5),
}


def growth(sizes: Sequence[int], clusters: int) -> None:
    """Seconds of each step at each N, with the exponent between N and the N before, and peak memory."""
    table: dict[int, dict[str, float]] = {}
    for size in sizes:
        code = f"import milestone, json; print(json.dumps(milestone.steps({size}, {clusters})))"
        place = Path(__file__).parent
        environment = os.environ | {"PYTHONPATH": str(place.parent)}
        command = [sys.executable, "-c", code]
        output = subprocess.check_output(command, cwd=place, env=environment, text=True)
        table[size] = json.loads(output.splitlines()[-1])
    print(f"{'step, s (exponent)':<20}" + "".join(f"{size:>18,}" for size in sizes))
    for step in table[sizes[0]]:
        cells = [f"{table[sizes[0]][step]:.2f}"]
        for before, size in pairwise(sizes):
            exponent = np.log(table[size][step] / table[before][step]) / np.log(size / before)
            cells.append(f"{table[size][step]:.2f} ({exponent:.1f})")
        print(f"{step:<20}" + "".join(f"{cell:>18}" for cell in cells))


def steps(images: int, clusters: int) -> dict[str, float]:
    """Seconds of one seed's steps, and the peak memory above the embeddings."""
    import torch

    from selector.metrics.clusters import clustering_agreement, cosine_kmeans, silhouettes
    from selector.metrics.entropy import histogram_entropy
    from selector.metrics.neighbors import nearest_neighbors
    from selector.metrics.spectral import rankme
    from selector.metrics.umap_layout import fuzzy_graph, layouts, spectral_starts

    small = embeddings(200, 2)[0]
    tiny = fuzzy_graph(*nearest_neighbors(small, 49))
    layouts(tiny, spectral_starts(tiny, torch.from_numpy(small), [0]), [0])  # loads what is compiled
    vectors, _, labels = embeddings(images, clusters)
    resident = resident_bytes()
    seconds = {}

    def timed(step: str, function: Callable[..., object], *arguments: object) -> object:
        start = time.perf_counter()
        result = function(*arguments)
        seconds[step] = seconds.get(step, 0) + time.perf_counter() - start
        return result

    timed("rankme", rankme, vectors)
    neighbors = timed("neighbours", nearest_neighbors, vectors, 49)
    graph = timed("fuzzy graph", lambda: fuzzy_graph(*neighbors))
    starts = timed("spectral start", spectral_starts, graph, torch.from_numpy(vectors), [0])
    (points,) = timed("layout", layouts, graph, starts, [0])
    timed("entropy", histogram_entropy, points)
    c1, c2 = (timed("k-means", cosine_kmeans, points, k, 0) for k in (clusters, 2 * clusters))
    timed("agreement", clustering_agreement, c1, c2)
    timed("silhouettes", silhouettes, vectors, [c1, labels])
    seconds["all"] = sum(seconds.values())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - resident
    return seconds | {"peak GiB": peak / 2**30}


def compare_rankme(rounds: int) -> None:
    """RankMe of 25,600 x 2,048 against float32 svdvals; the float64 SVD is the truth."""
    import torch

    from selector.metrics.spectral import rankme

    vectors = embeddings(25_600, 10, dimensions=2_048)[0]

    def by_svdvals(dtype: torch.dtype) -> float:
        sigma = torch.linalg.svdvals(torch.from_numpy(vectors).to(dtype))
        p = sigma / sigma.sum() + 1e-7
        return float(torch.exp(-(p * p.log()).sum()))

    truth = by_svdvals(torch.float64)
    times: dict[str, list[float]] = {"naive": [], "ours": []}
    values = {}
    for _ in range(rounds):
        for name, run in (("naive", lambda: by_svdvals(torch.float32)), ("ours", lambda: rankme(vectors))):
            start = time.perf_counter()
            values[name] = run()
            times[name].append(time.perf_counter() - start)
    print_times("RankMe, 25,600 x 2,048", times)
    for name, value in values.items():
        print(f"{name:<24}{value:.9g}, relative error {abs(value / truth - 1):.1e}")


def embeddings(
    images: int, classes: int, dimensions: int = DIMENSIONS
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
    """A Gaussian mixture through a ReLU layer with a power-law spectrum; projections of it; its labels."""
    random = np.random.default_rng(0)
    layer = random.standard_normal((64, dimensions)) * np.arange(1, dimensions + 1) ** -0.5
    centres = random.standard_normal((classes, 64))
    labels = random.integers(classes, size=images)
    hidden = centres[labels] + random.standard_normal((images, 64))
    backbone = np.maximum(hidden @ layer, 0).astype(np.float32)
    projector = backbone @ random.standard_normal((dimensions, PROJECTOR)).astype(np.float32)
    return backbone, projector, labels


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


if __name__ == "__main__":
    main()
