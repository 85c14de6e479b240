"""Do the metrics of our UMAP layout follow the same distribution as umap-learn's?

    OMP_NUM_THREADS=1 python -W ignore benchmarks/umap_equality.py [--seeds 60] [--sets SET …] [--jobs 2]

For each set of embeddings, umap.UMAP(n_neighbors=50, n_components=3, random_state=seed) and `umap_layout`
lay out the same number of seeds; k-means always has the seed 0. A row compares one metric: mean ± standard
deviation of both, the difference of the means in standard deviations of one seed, and the p-values of a
Kolmogorov-Smirnov test and of a permutation test of the means. Under equality p-values are uniform: the last
line says how many are below 0.05, and how small the smallest of so many would be by chance.

Both sides start from the same mirror image. umap-learn leaves the signs of the start's eigenvectors to
rounding: they turn over when rows change places, and cosine k-means sees the difference. `spectral_starts`
draws them by the seed; here they are those of umap-learn's start.
"""

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import numpy as np
import torch
from compare import head, options, row
from lightly.models import ResNetGenerator
from scipy.sparse.csgraph import connected_components
from scipy.stats import ks_2samp, permutation_test
from sklearn.datasets import load_digits

from selector.metrics.clusters import clustering_agreement, cosine_kmeans, silhouette
from selector.metrics.entropy import histogram_entropy
from selector.metrics.neighbors import nearest_neighbors
from selector.metrics.umap_layout import fuzzy_graph, layouts, spectral_starts

METRICS = ("H(Z3)", "S1", "AMI(C1,C2)")
NEIGHBORS, CLUSTERS = 50, 10


def main() -> None:
    asked = options(__doc__, seeds=60, sets=[*SETS], jobs=2)
    torch.set_num_threads(1)
    print(head("embeddings", "metric", "umap.UMAP", "ours", "shift in sd", "p", "p of means"))
    p_values: list[float] = []
    with ProcessPoolExecutor(asked.jobs, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        for name in asked.sets:
            p_values += compare_set(pool, name, range(asked.seeds))
    low = sum(p < 0.05 for p in p_values)
    print(
        f"\n{asked.seeds} seeds each; {low} of {len(p_values)} p-values below 0.05;"
        f" the smallest is {min(p_values):.4f}, by chance about {1 / (len(p_values) + 1):.4f}"
    )


def compare_set(pool: ProcessPoolExecutor, name: str, seeds: range) -> list[float]:
    """Print a set's rows; returns their p-values."""
    vectors = SETS[name]()
    graph = fuzzy_graph(*nearest_neighbors(vectors, NEIGHBORS - 1))
    starts = spectral_starts(graph, torch.from_numpy(vectors), seeds)
    if connected_components(graph, return_labels=False) == 1:
        theirs = pool.submit(umap_learn, vectors, seeds[0], epochs=0).result()
        starts = [mirrored(start, theirs) for start in starts]
    laid_out = pool.map(partial(umap_learn, vectors), seeds), pool.map(partial(ours, graph), starts, seeds)
    by_umap_learn, by_us = (list(pool.map(partial(metrics, vectors), points)) for points in laid_out)
    p_values = []
    for metric, reference, own in zip(METRICS, np.array(by_umap_learn).T, np.array(by_us).T, strict=True):
        p_values += compare(name, metric, reference, own)
    return p_values


def compare(name: str, metric: str, reference: np.ndarray, ours: np.ndarray) -> list[float]:
    """Print one row; returns its p-values."""

    def gap(x: np.ndarray, y: np.ndarray, axis: int) -> np.ndarray:
        return x.mean(axis) - y.mean(axis)

    of_means = permutation_test((reference, ours), gap, vectorized=True, n_resamples=9999, rng=0)
    p_values = [float(ks_2samp(reference, ours).pvalue), float(of_means.pvalue)]
    shift = (ours.mean() - reference.mean()) / np.sqrt((reference.var(ddof=1) + ours.var(ddof=1)) / 2)
    spread = [f"{values.mean():.3f} ± {values.std(ddof=1):.3f}" for values in (reference, ours)]
    print(row(name, metric, *spread, *(f"{value:.3f}" for value in (shift, *p_values))), flush=True)
    return p_values


def umap_learn(vectors: np.ndarray, seed: int, epochs: int | None = None) -> np.ndarray:
    from umap import UMAP

    umap = UMAP(n_neighbors=NEIGHBORS, n_components=3, random_state=seed, n_jobs=1, n_epochs=epochs)
    return umap.fit_transform(vectors)


def mirrored(start: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """Our start with the signs of umap-learn's, whose points are its start after no epochs."""
    agreement = np.array([np.corrcoef(theirs[:, c], start[:, c])[0, 1] for c in range(3)])
    if np.abs(agreement).min() < 0.9:
        raise SystemExit(f"the starts are not mirror images of each other: {agreement}")
    return start * np.sign(agreement)


def ours(graph: object, start: np.ndarray, seed: int) -> np.ndarray:
    return layouts(graph, [start], [seed])[0]


def metrics(vectors: np.ndarray, points: np.ndarray) -> list[float]:
    clusters = [cosine_kmeans(points, k, seed=0) for k in (CLUSTERS, 2 * CLUSTERS)]
    return [histogram_entropy(points), silhouette(vectors, clusters[0]), clustering_agreement(*clusters)]


def parts() -> np.ndarray:
    """Twelve Gaussians so far apart that their neighbourhoods are not connected."""
    random = np.random.default_rng(0)
    centres = 20 * random.standard_normal((12, 64))
    return (centres[random.integers(12, size=1500)] + random.standard_normal((1500, 64))).astype(np.float32)


def pixels() -> np.ndarray:
    """scikit-learn's digits, 1,797 × 64."""
    return (load_digits().images.reshape(-1, 64) / 16).astype(np.float32)


def resnet(epochs: int) -> np.ndarray:
    """512-d features of the digits by a ResNet-9: untrained, or after epochs of classifying them."""
    torch.manual_seed(0)
    layers = list(ResNetGenerator("resnet-9").children())[:-1]
    network = torch.nn.Sequential(*layers, torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    classifier = torch.nn.Linear(512, 10)
    images, labels = torch.from_numpy(pixels()), torch.from_numpy(load_digits().target)
    images = images.reshape(-1, 1, 8, 8).repeat(1, 3, 1, 1)
    optimizer = torch.optim.Adam([*network.parameters(), *classifier.parameters()], 1e-3)
    for _ in range(epochs):
        for batch in torch.randperm(len(images)).split(128):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(classifier(network(images[batch])), labels[batch]).backward()
            optimizer.step()
    with torch.no_grad():
        for batch in images.split(256)[:4]:  # statistics of BatchNorm, which has none before training
            network(batch)
        network.eval()
        return torch.cat([network(batch) for batch in images.split(256)]).numpy()


def held_out() -> np.ndarray:
    return np.random.default_rng(0).permutation(1797)[:360]


SETS: dict[str, Callable[[], np.ndarray]] = {
    "untrained-1797": lambda: resnet(0),
    "pixels-360": lambda: pixels()[held_out()],
    "trained-360": lambda: resnet(2)[held_out()],
    "pixels-1797": pixels,
    "parts-1500": parts,
}


if __name__ == "__main__":
    main()
