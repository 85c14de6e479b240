"""Do the metrics of our UMAP layout follow the same distribution as umap-learn's?

    OMP_NUM_THREADS=1 python benchmarks/umap_equality.py [--seeds 60] [--sets pixels-360 …] [--jobs 2]

For each kind of embeddings, umap.UMAP(n_neighbors=50, n_components=3, random_state=seed), with its own search
for neighbours, and `umap_layout`, with exact neighbours, lay out the same number of seeds; k-means always has
the seed 0. A row compares one metric: mean ± standard deviation of both, the difference of the means in
standard deviations of one seed, and the p-values of a Kolmogorov-Smirnov test and of a permutation test of
the means. Under equality p-values are uniform: the last line says how many are below 0.05, and how small the
smallest of so many would be by chance.

Both sides start from the same mirror image. umap-learn leaves the signs of the start's eigenvectors to
rounding: they turn over when rows change places, and cosine k-means sees the difference. `spectral_starts`
draws them by the seed ("as shipped"); for the comparison they are those of umap-learn's start.
"""

from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import numpy as np
import torch
from lightly.models import ResNetGenerator
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components
from scipy.stats import ks_2samp, permutation_test
from sklearn.datasets import load_digits

from selector.metrics.clusters import clustering_agreement, cosine_kmeans, silhouette
from selector.metrics.entropy import histogram_entropy
from selector.metrics.neighbors import nearest_neighbors
from selector.metrics.umap_layout import fuzzy_graph, layouts, spectral_starts

Vectors = NDArray[np.float32]
METRICS = ("H(Z3)", "S1", "AMI(C1,C2)")
NEIGHBORS, CLUSTERS = 50, 10
SEARCHES = 4096  # vectors from which on umap-learn's neighbours are approximate, and depend on the seed


def main() -> None:
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=60)
    parser.add_argument(
        "--sets", nargs="+", choices=SETS, default=[name for name in SETS if "k" not in name[-1]]
    )
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(
        f"{'embeddings':<14}{'metric':<12}{'umap.UMAP':>18}{'ours, its mirror':>18}{'shift':>7}{'KS p':>7}"
        f"{'mean p':>7}{'ours as shipped':>20}"
    )
    p_values: list[float] = []
    with ProcessPoolExecutor(options.jobs, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        for name in options.sets:
            p_values += compare_set(pool, name, range(options.seeds))
    low = sum(p < 0.05 for p in p_values)
    print(
        f"{options.seeds} seeds each; {low} of {len(p_values)} p-values below 0.05;"
        f" the smallest is {min(p_values):.4f}, by chance about {1 / (len(p_values) + 1):.4f}"
    )


def compare_set(pool: ProcessPoolExecutor, name: str, seeds: range) -> list[float]:
    """Print a set's rows; returns their p-values."""
    vectors = SETS[name]()
    graph = fuzzy_graph(*nearest_neighbors(vectors, NEIGHBORS - 1))
    shipped = spectral_starts(graph, torch.from_numpy(vectors), seeds)
    starts = shipped
    if connected_components(graph, return_labels=False) == 1:
        searched = seeds if len(vectors) >= SEARCHES else [seeds[0]] * len(seeds)
        starts = list(pool.map(partial(mirrored_as_umap_learn, vectors), shipped, searched))
    ours = partial(our_metrics, vectors, graph)
    columns = [
        np.array(list(pool.map(partial(umap_learn_metrics, vectors), seeds))).T,
        np.array(list(pool.map(ours, starts, seeds))).T,
        np.array(list(pool.map(ours, shipped, seeds))).T,
    ]
    return [
        p for metric, *values in zip(METRICS, *columns, strict=True) for p in compare(name, metric, *values)
    ]


def compare(
    name: str,
    metric: str,
    reference: NDArray[np.float64],
    ours: NDArray[np.float64],
    shipped: NDArray[np.float64],
) -> list[float]:
    """Print one row; returns its p-values."""

    def gap(x: NDArray[np.float64], y: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
        return x.mean(axis) - y.mean(axis)

    p_values = [
        float(ks_2samp(reference, ours).pvalue),
        float(permutation_test((reference, ours), gap, vectorized=True, n_resamples=9999, rng=0).pvalue),
    ]
    shift = (ours.mean() - reference.mean()) / np.sqrt((reference.var(ddof=1) + ours.var(ddof=1)) / 2)
    spread = [f"{values.mean():.4f} ± {values.std(ddof=1):.4f}" for values in (reference, ours, shipped)]
    print(
        f"{name:<14}{metric:<12}{spread[0]:>18}{spread[1]:>18}{shift:>7.2f}{p_values[0]:>7.3f}{p_values[1]:>7.3f}"
        f"{spread[2]:>20}",
        flush=True,
    )
    return p_values


def umap_learn_metrics(vectors: Vectors, seed: int) -> list[float]:
    return metrics(vectors, umap_learn(vectors, seed))


def umap_learn(vectors: Vectors, seed: int, epochs: int | None = None) -> Vectors:
    from umap import UMAP

    umap = UMAP(n_neighbors=NEIGHBORS, n_components=3, random_state=seed, n_jobs=1, n_epochs=epochs)
    points: Vectors = umap.fit_transform(vectors)
    return points


def mirrored_as_umap_learn(vectors: Vectors, start: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    """Our start with the signs of umap-learn's, whose points are its start after no epochs."""
    theirs = umap_learn(vectors, seed, epochs=0)
    agreement = np.array([np.corrcoef(theirs[:, c], start[:, c])[0, 1] for c in range(3)])
    if np.abs(agreement).min() < 0.9:
        raise SystemExit(f"the starts are not mirror images of each other: {agreement}")
    return start * np.sign(agreement)


def our_metrics(vectors: Vectors, graph: object, start: NDArray[np.float64], seed: int) -> list[float]:
    return metrics(vectors, layouts(graph, [start], [seed])[0])


def metrics(vectors: Vectors, points: Vectors) -> list[float]:
    clusters = [cosine_kmeans(points, k, seed=0) for k in (CLUSTERS, 2 * CLUSTERS)]
    return [histogram_entropy(points), silhouette(vectors, clusters[0]), clustering_agreement(*clusters)]


def mixture(count: int) -> Vectors:
    """Ten Gaussians, through a random ReLU layer with a power-law spectrum, in 512-d."""
    random = np.random.default_rng(0)
    layer = random.standard_normal((64, 512)) * np.arange(1, 513) ** -0.5
    centres = random.standard_normal((10, 64))
    hidden = centres[random.integers(10, size=count)] + random.standard_normal((count, 64))
    return np.maximum(hidden @ layer, 0).astype(np.float32)


def parts(count: int) -> Vectors:
    """Twelve Gaussians so far apart that their neighbourhoods are not connected."""
    random = np.random.default_rng(0)
    centres = 20 * random.standard_normal((12, 64))
    return (centres[random.integers(12, size=count)] + random.standard_normal((count, 64))).astype(np.float32)


def pixels() -> Vectors:
    """scikit-learn's digits, 1,797 × 64."""
    return (load_digits().images.reshape(-1, 64) / 16).astype(np.float32)


def resnet(images: NDArray[np.float64], epochs: int = 0) -> Vectors:
    """512-d features of the digits by a ResNet-9: untrained, or after epochs of classifying them."""
    torch.manual_seed(0)
    layers = list(ResNetGenerator("resnet-9").children())[:-1]
    network = torch.nn.Sequential(*layers, torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    classifier = torch.nn.Linear(512, 10)
    pixels = torch.tensor(images, dtype=torch.float32)[:, None].repeat(1, 3, 1, 1)
    optimizer = torch.optim.Adam([*network.parameters(), *classifier.parameters()], 1e-3)
    for _ in range(epochs):
        for batch in torch.randperm(1797).split(128):
            optimizer.zero_grad()
            labels = torch.from_numpy(load_digits().target)[batch]
            torch.nn.functional.cross_entropy(classifier(network(pixels[batch])), labels).backward()
            optimizer.step()
    with torch.no_grad():
        for batch in pixels.split(256)[:4]:  # statistics of BatchNorm, which has none before training
            network(batch)
        network.eval()
        return torch.cat([network(batch) for batch in pixels.split(256)]).numpy()


def jittered_digits(count: int) -> NDArray[np.float64]:
    """Digits shifted by a pixel or none, with other contrasts and noise: as many as are wanted."""
    random = np.random.default_rng(0)
    images = load_digits().images[random.integers(1797, size=count)] / 16
    images = images * random.uniform(0.6, 1.2, (count, 1, 1)) + 0.15 * random.standard_normal(images.shape)
    shifts = random.integers(-1, 2, (count, 2))
    return np.stack([np.roll(i, tuple(s), (0, 1)) for i, s in zip(images, shifts, strict=True)]).clip(0, 1)


def held_out() -> NDArray[np.int64]:
    return np.random.default_rng(0).permutation(1797)[:360]


def digits() -> NDArray[np.float64]:
    images: NDArray[np.float64] = load_digits().images / 16
    return images


SETS: dict[str, Callable[[], Vectors]] = {
    "pixels-360": lambda: pixels()[held_out()],
    "untrained-360": lambda: resnet(digits())[held_out()],
    "trained-360": lambda: resnet(digits(), epochs=2)[held_out()],
    "pixels-1797": pixels,
    "untrained-1797": lambda: resnet(digits()),
    "trained-1797": lambda: resnet(digits(), epochs=2),
    "parts-1500": lambda: parts(1_500),
    "mixture-2000": lambda: mixture(2_000),
    "mixture-10k": lambda: mixture(10_000),
    "untrained-10k": lambda: resnet(jittered_digits(10_000)),
    "mixture-12k": lambda: mixture(12_000),  # beyond 10,000 both take 200 epochs in place of 500
}


if __name__ == "__main__":
    main()
