"""UMAP to 3-d from given neighbours: umap-learn's algorithm, faster, and the same for any number of threads.

The steps are those of McInnes, Healy & Melville 2020, https://arxiv.org/abs/1802.03426: a fuzzy graph
(section 3.1, algorithms 2 and 3), its spectral embedding as the start (algorithm 4), then stochastic
gradient descent with negative sampling (section 3.2, algorithm 5). Where the paper is silent, umap-learn's
defaults hold.

The layout takes umap-learn's own steps, in its order and with its random numbers: the two differ by rounding
alone, which after some epochs makes other points of the same distribution. It is quicker because forces are
looked up in a table, because the edges that are due are listed before they are walked, and because
seeds share neighbours and graph and run side by side.

What umap-learn leaves to rounding is left to the seed. The signs of the start's eigenvectors turn over when
rows change places or a weight changes by 1e-7, and mirror the points. Distances do not care, but k-means by
cosine does, for directions are seen from the origin: on scikit-learn's digits S1 is 0.14 to 0.18 depending on
the signs, while the seeds spread by 0.01 around each. With mirrors drawn by the seed, the mean over seeds
averages over this as well, and their spread contains it. Far parts of a graph that is not connected are
placed by a degenerate eigenproblem, for which ARPACK makes up random numbers; here they are the seed's.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import numba
import numpy as np
import scipy.sparse
import torch
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import ArpackError, eigsh
from scipy.spatial.distance import cdist

from selector.metrics.arrays import one_thread
from selector.metrics.spectrum import eigenvectors_of
from selector.metrics.umap import COMPONENTS

_A, _B = 1.576943460405378, 0.8950608781227859  # 1 / (1 + a d^2b) fitted for MIN_DIST by umap-learn
_REPELLERS = 5  # random points that repel the first point of a drawn edge, on average
_SMALL = 2 * COMPONENTS  # parts of fewer vectors start at random; more parts are placed by their means


def epochs_for(count: int) -> int:
    """Epochs in which so many points are laid out."""
    return 500 if count <= 10_000 else 200


def fuzzy_graph(indices: NDArray[np.int64], distances: NDArray[np.float32]) -> Any:
    """How strongly vectors are joined: a symmetric sparse (N, N) matrix of weights in (0, 1].

    A vector is joined to its nearest neighbour with weight 1 and to the others with exp(-(d - rho) / sigma),
    rho the nearest one's distance, sigma such that the weights sum to log2(k + 1). Weights u and v of the two
    directions make u + v - u v. Edges too weak to be drawn once in the layout are left out.

    Args:
        indices: (N, k) neighbours of each vector, not itself; umap-learn counts it, its k is this k + 1.
        distances: (N, k) distances to them, nearest first.
    """
    count, k = indices.shape
    rho, sigma = _local_scales(distances)
    weights = np.exp(-np.maximum(distances - rho, 0) / sigma)
    row_starts = np.arange(0, count * k + 1, k)
    directed = scipy.sparse.csr_matrix((weights.ravel(), indices.ravel(), row_starts), shape=(count, count))
    reverse = directed.T.tocsr()
    graph = (directed + reverse - directed.multiply(reverse)).tocsr()
    graph.data[graph.data < graph.data.max() / epochs_for(count)] = 0
    graph.eliminate_zeros()
    graph.sort_indices()
    return graph


def _local_scales(distances: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(N, 1) rho, the distance of the nearest vector that is no duplicate, and (N, 1) sigma, by bisection."""
    k = distances.shape[1]
    rho = np.where(distances > 0, distances, np.inf).min(1, keepdims=True)
    rho[np.isinf(rho)] = 0
    beyond = np.maximum(distances - rho, 0)
    low, high, sigma = np.zeros_like(rho), np.full_like(rho, np.inf), np.ones_like(rho)
    for _ in range(64):
        too_wide = np.exp(-beyond / sigma).sum(1, keepdims=True) > np.log2(k + 1)
        low, high = np.where(too_wide, low, sigma), np.where(too_wide, sigma, high)
        sigma = np.where(np.isinf(high), 2 * sigma, (low + high) / 2)
    # umap-learn's floor: 1e-3 of the mean distance, its 0 to itself included; for duplicates, of all.
    means = distances.sum(1, keepdims=True) / (k + 1)
    return rho, np.maximum(sigma, np.float32(1e-3) * np.where(rho > 0, means, means.mean()))


def spectral_starts(graph: Any, vectors: torch.Tensor, seeds: Sequence[int]) -> list[NDArray[np.float64]]:
    """Per seed, (N, 3) eigenvectors of the normalised Laplacian with the smallest eigenvalues above 0.

    The seed draws their signs. Each part of a graph that is not connected has eigenvectors of its own,
    shrunk so that parts do not overlap. Fewer than 6 vectors, and eigenvectors that do not converge, are
    replaced by random coordinates.

    Args:
        graph: As `fuzzy_graph` makes it.
        vectors: (N, D), what the graph was made of.
        seeds: Of signs, and of random coordinates.
    """
    count, part_of = connected_components(graph, directed=False)
    parts = [np.flatnonzero(part_of == part) for part in range(count)]
    eigenvectors = [_lowest_eigenvectors(graph[rows][:, rows]) for rows in parts]
    means = np.stack([vectors[torch.from_numpy(rows)].double().mean(0).cpu().numpy() for rows in parts])

    def start_of(seed: int) -> NDArray[np.float64]:
        random = np.random.RandomState(seed)
        start = np.empty((graph.shape[0], COMPONENTS))
        centres = _centres(means, random)
        gaps = cdist(centres, centres)
        for part, rows in enumerate(parts):
            reach = gaps[part][gaps[part] > 0].min() / 2 if count > 1 else 1.0
            start[rows] = centres[part] + reach * _within_part(len(rows), eigenvectors[part], random)
        return start

    return [start_of(seed) for seed in seeds]


def _lowest_eigenvectors(graph: Any) -> NDArray[np.float64] | None:
    """Of a connected graph's Laplacian, without the first, which is constant but for the degrees."""
    count = graph.shape[0]
    if count < _SMALL:
        return None
    scaling = scipy.sparse.diags(1 / np.sqrt(np.asarray(graph.sum(axis=0)).ravel()))
    laplacian = scipy.sparse.identity(count) - scaling @ graph @ scaling
    wanted = COMPONENTS + 1
    krylov = min(count, max(2 * wanted + 1, int(np.sqrt(count))))
    with one_thread(), suppress(ArpackError):
        values, eigenvectors = eigsh(
            laplacian, wanted, which="SM", ncv=krylov, tol=1e-4, v0=np.ones(count), maxiter=5 * count, rng=0
        )
        lowest: NDArray[np.float64] = eigenvectors[:, np.argsort(values)[1:]]
        return lowest
    return None


def _within_part(
    count: int, eigenvectors: NDArray[np.float64] | None, random: np.random.RandomState
) -> NDArray[np.float64]:
    """Coordinates up to 1 in size."""
    if eigenvectors is None:
        return random.uniform(-1, 1, (count, COMPONENTS))
    signs = random.choice((-1, 1), COMPONENTS)
    mirrored: NDArray[np.float64] = eigenvectors * (signs / np.abs(eigenvectors).max())
    return mirrored


def _centres(means: NDArray[np.float64], random: np.random.RandomState) -> NDArray[np.float64]:
    """(parts, 3) centres at which parts start: on the axes, or where a spectral embedding has their means.

    Means far apart have an affinity of 0 to each other, and any vectors are eigenvectors: the noise chooses.
    """
    count = len(means)
    if count == 1:
        return np.zeros((1, COMPONENTS))
    if count <= _SMALL:
        axes = np.eye(COMPONENTS)[: -(-count // 2)]
        return np.vstack([axes, -axes])[:count]
    with np.errstate(over="ignore", under="ignore"):
        affinity = np.exp(-cdist(means, means, "sqeuclidean"))
    np.fill_diagonal(affinity, 0)
    degrees = affinity.sum(0)
    scale = np.sqrt(np.where(degrees > 0, degrees, 1))
    noise = 1e-9 * random.normal(size=(count, count))
    laplacian = np.eye(count) - affinity / np.outer(scale, scale) + noise + noise.T
    eigenvectors = eigenvectors_of(laplacian)[1][:, 1 : COMPONENTS + 1]
    centres: NDArray[np.float64] = eigenvectors / scale[:, None]
    centres *= np.sign(np.take_along_axis(centres, np.abs(centres).argmax(0)[None], 0))
    centres /= centres.max()
    return centres


def layouts(
    graph: Any, starts: Sequence[NDArray[np.float64]], seeds: Sequence[int], threads: int = 1
) -> list[NDArray[np.float32]]:
    """(N, 3) points for each seed and its start.

    A seed is one thread's work from beginning to end: points do not depend on the number of threads.

    Args:
        graph: As `fuzzy_graph` makes it.
        starts: (N, 3) coordinates for each seed, of any scale.
        seeds: Of a little noise in the start, and of the points that repel.
        threads: Among which the seeds are shared.
    """
    edges = graph.tocoo()
    period = edges.data.max() / edges.data.astype(np.float64)  # epochs from one draw of an edge to its next
    epochs = epochs_for(graph.shape[0])

    def lay_out(start: NDArray[np.float64], seed: int) -> NDArray[np.float32]:
        random = np.random.RandomState(seed)
        points = _noisy(start, random)
        _lay_out(points, edges.row, edges.col, period, epochs, _streams(points, random))
        return points

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(lay_out, starts, seeds))


def _streams(points: NDArray[np.float32], random: np.random.RandomState) -> NDArray[np.int64]:
    """(N, 3) states of a random number generator for each point, as umap-learn makes them."""
    limits = np.iinfo(np.int32)
    common = random.randint(limits.min + 1, limits.max - 1, 3).astype(np.int64)
    return common + points[:, :1].astype(np.float64).view(np.int64)


def _noisy(start: NDArray[np.float64], random: np.random.RandomState) -> NDArray[np.float32]:
    """The start with a little noise, from 0 to 10 along each axis."""
    noisy = start * (10 / np.abs(start).max()) + random.normal(scale=1e-4, size=start.shape)
    low, high = noisy.min(0), noisy.max(0)
    return np.ascontiguousarray(10 * (noisy - low) / (high - low), np.float32)


def _compiled(function: Callable[..., Any]) -> Any:
    """The function, compiled by numba when it is first called and kept on disk for later processes."""
    options = {"nogil": True, "fastmath": True, "error_model": "numpy"}
    try:
        return numba.njit(function, cache=True, **options)
    except RuntimeError:  # there is no folder that numba may write to
        return numba.njit(function, **options)


_LOWEST, _HIGHEST = 2.0**-30, 2.0**40  # squared distances that the tables below cover: more than occur
_CUT = 14  # bits of a float32 that are cut off to find its line in a table: 512 lines an octave are left
_FIRST = int(np.float32(_LOWEST).view(np.int32)) >> _CUT


def _lines(force: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> NDArray[np.float32]:
    """(lines, 2) intercepts and slopes of a force as a function of the squared distance, right to 3e-6.

    Forces are looked up because points wait for each other: a step starts where the last one ended, and
    two loads and a product are there sooner than a power and a division.
    """
    knots = np.arange(_FIRST, (int(np.float32(_HIGHEST).view(np.int32)) >> _CUT) + 1, dtype=np.int32) << _CUT
    squares = knots.view(np.float32).astype(np.float64)
    forces = force(squares)
    slopes = np.diff(forces) / np.diff(squares)
    return np.stack([forces[:-1] - slopes * squares[:-1], slopes], axis=1).astype(np.float32)


_ATTRACTION = _lines(lambda square: -2 * _A * _B * square ** (_B - 1) / (1 + _A * square**_B))
_REPULSION = _lines(lambda square: 2 * _B / ((0.001 + square) * (1 + _A * square**_B)))


@_compiled
def _force(lines: Any, dx: Any, dy: Any, dz: Any) -> Any:
    """What a difference of coordinates is multiplied with to be a force."""
    square = dx * dx + np.float32(_LOWEST) + dy * dy + dz * dz
    line = np.uint64((np.float32(square).view(np.int32) >> _CUT) - _FIRST)
    return lines[line, 0] + lines[line, 1] * square


@_compiled
def _clipped(move: Any) -> Any:
    return min(max(move, np.float32(-4)), np.float32(4))


@_compiled
def _lay_out(points: Any, heads: Any, tails: Any, period: Any, epochs: int, streams: Any) -> None:
    """Moves the (N, 3) points; an edge is drawn when it is due, once in `period` epochs."""
    due, repel_period = period.copy(), period / _REPELLERS
    repel_due, drawn = repel_period.copy(), np.empty(len(heads), np.uint32)
    for epoch in range(epochs):
        rate = np.float32(1 - max(epoch - 1, 0) / epochs)  # an epoch late, as in umap-learn: S1 shows it
        count = 0
        for edge in range(len(heads)):
            drawn[count] = edge
            count += due[edge] <= epoch
        for edge in drawn[:count]:
            repellers = np.int64((epoch - repel_due[edge]) / repel_period[edge])
            _move(points, np.uint64(heads[edge]), np.uint64(tails[edge]), repellers, rate, streams)
            due[edge] += period[edge]
            repel_due[edge] += repellers * repel_period[edge]


@_compiled
def _move(points: Any, head: Any, tail: Any, repellers: int, rate: Any, streams: Any) -> None:
    """Brings an edge's ends together, and takes the head away from random points, one after the other.

    Forces on the ends at distance d: -2ab d^(2b-2) / (1 + a d^2b), and on the head from each random point:
    2b / ((0.001 + d²) (1 + a d^2b)), times the difference of coordinates, each clipped to ± 4, which the
    first never reaches.
    """
    x, y, z = points[head, 0], points[head, 1], points[head, 2]
    dx, dy, dz = x - points[tail, 0], y - points[tail, 1], z - points[tail, 2]
    force = rate * _force(_ATTRACTION, dx, dy, dz)
    dx, dy, dz = force * dx, force * dy, force * dz
    points[tail, 0] -= dx
    points[tail, 1] -= dy
    points[tail, 2] -= dz
    x, y, z = x + dx, y + dy, z + dz
    s, t, u = streams[head, 0], streams[head, 1], streams[head, 2]
    for _ in range(repellers):
        # A combined Tausworthe generator of int32, as umap-learn has it.
        s = (((s & 0xFFFFFFFE) << 12) & 0xFFFFFFFF) ^ ((((s << 13) & 0xFFFFFFFF) ^ s) >> 19)
        t = (((t & 0xFFFFFFF8) << 4) & 0xFFFFFFFF) ^ ((((t << 2) & 0xFFFFFFFF) ^ t) >> 25)
        u = (((u & 0xFFFFFFF0) << 17) & 0xFFFFFFFF) ^ ((((u << 3) & 0xFFFFFFFF) ^ u) >> 11)
        other = np.uint64(np.int32(s ^ t ^ u) % np.int32(len(points)))
        if other == head:
            continue
        dx, dy, dz = x - points[other, 0], y - points[other, 1], z - points[other, 2]
        force = _force(_REPULSION, dx, dy, dz)
        x += rate * _clipped(force * dx)
        y += rate * _clipped(force * dy)
        z += rate * _clipped(force * dz)
    points[head, 0], points[head, 1], points[head, 2] = x, y, z
    streams[head, 0], streams[head, 1], streams[head, 2] = s, t, u
