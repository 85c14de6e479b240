"""UMAP to 3-d from given neighbours: umap-learn's algorithm, faster, and the same for any number of threads.

The steps are those of McInnes, Healy & Melville 2020, https://arxiv.org/abs/1802.03426: a fuzzy graph
(section 3.1, algorithms 2 and 3), its spectral embedding as the start (algorithm 4), then stochastic
gradient descent with negative sampling (section 3.2, algorithm 5). Where the paper is silent, umap-learn's
defaults hold.

The points follow the distribution of umap-learn's with a random_state, which benchmarks/umap_equality.py
tests. They are other points: the random numbers differ, and where umap-learn walks along the row of
edges, sorted by their first point, here `_LANES` walkers, each with a stretch of the row, take their steps
together, so that the arithmetic fills vector registers. None sees points as they were more than `_LANES`
moves ago. That each point's edges follow one another matters: with the edges drawn in another order
(each point's first, then each point's second, …) the silhouette of small sets came out a tenth lower.

What umap-learn leaves to rounding is left to the seed: the signs of the start's eigenvectors, which turn
over when a weight changes by 1e-7, and mirror the points. Distances do not care, but k-means by cosine
does, for directions are seen from the origin: on scikit-learn's digits S1 is 0.14 to 0.18 depending on
the signs, while the seeds spread by 0.01 around each. With mirrors drawn by the seed, the mean over seeds
averages over this as well, and their spread contains it.
"""

import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import numba
import numpy as np
import scipy.sparse
from numpy.polynomial import Chebyshev, Polynomial
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import ArpackError, eigsh

from selector.evaluation.threads import one_thread

COMPONENTS = 3
MIN_DIST = 0.1
_A, _B = 1.576943460405378, 0.8950608781227859  # 1 / (1 + a d^2b) fitted for MIN_DIST (umap-learn's figures)
_REPELLERS = 5  # random points that repel the first point of a drawn edge
_LANES = 32


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


def spectral_start(graph: Any, vectors: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """(N, 3) eigenvectors of the graph's normalised Laplacian with the smallest eigenvalues above 0.

    A graph in several parts is left to umap-learn, which places them by the means of their vectors, and so is
    one whose eigenvectors do not converge: it starts at random.
    """
    count = graph.shape[0]
    if connected_components(graph, directed=False, return_labels=False) == 1:
        scaling = scipy.sparse.diags(1 / np.sqrt(np.asarray(graph.sum(axis=0)).ravel()))
        laplacian = scipy.sparse.identity(count) - scaling @ graph @ scaling
        wanted = COMPONENTS + 1  # the first is constant but for the degrees, and left out
        krylov = max(2 * wanted + 1, int(np.sqrt(count)))
        with one_thread(), suppress(ArpackError):
            values, eigenvectors = eigsh(
                laplacian, wanted, which="SM", ncv=krylov, tol=1e-4, v0=np.ones(count), maxiter=5 * count
            )
            start: NDArray[np.float64] = eigenvectors[:, np.argsort(values)[1:]]
            return start
    from umap.spectral import spectral_layout

    with one_thread(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of parts too alike to be told apart, and of random starts
        parts: NDArray[np.float64] = spectral_layout(vectors, graph, COMPONENTS, np.random.RandomState(0))
    return parts


def layouts(
    graph: Any, start: NDArray[np.float64], seeds: Sequence[int], threads: int = 1
) -> list[NDArray[np.float32]]:
    """(N, 3) points for each seed, all laid out for the same graph from the same start.

    A seed is one thread's work from beginning to end: points do not depend on the number of threads.

    Args:
        graph: As `fuzzy_graph` makes it.
        start: (N, 3) coordinates, of any scale.
        seeds: Of the signs of the start, the noise in it, and of the points that repel.
        threads: Among which the seeds are shared.
    """
    edges = graph.tocoo()
    period = (edges.data.max() / edges.data).astype(np.float32)  # epochs from one draw of an edge to its next
    epochs = epochs_for(len(start))

    def lay_out(seed: int) -> NDArray[np.float32]:
        random = np.random.RandomState(seed)
        points = _noisy(start * random.choice((-1, 1), COMPONENTS), random)
        _lay_out(points, edges.row, edges.col, period, epochs, random.randint(1, 2**32, _LANES, np.uint32))
        return points

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(lay_out, seeds))


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


def _interpolation(function: Callable[[NDArray[np.float64]], NDArray[np.float64]], degree: int) -> Any:
    """Coefficients of the polynomial through a function's values on [0, 1], the constant first."""
    polynomial = Chebyshev.interpolate(function, degree, domain=[0, 1]).convert(kind=Polynomial)
    return tuple(polynomial.coef.astype(np.float32))


_LOG2 = _interpolation(lambda t: np.log2(1 + t) / t, 5)
_EXP2 = _interpolation(np.exp2, 4)


@_compiled
def _power(x: Any) -> Any:
    """x^b to a relative 1e-5, for positive normal float32; the C library's would not be vectorised."""
    bits = np.float32(x).view(np.int32)
    t = np.int32((bits & 0x7FFFFF) | 0x3F800000).view(np.float32) - np.float32(1)  # x = (1 + t) 2^exponent
    exponent = np.float32((bits >> 23) - 127)
    log2 = _LOG2[5]
    for coefficient in _LOG2[4::-1]:
        log2 = log2 * t + coefficient
    y = np.float32(_B) * (exponent + t * log2)
    whole = np.floor(y)
    exp2 = _EXP2[4]
    for coefficient in _EXP2[3::-1]:
        exp2 = exp2 * (y - whole) + coefficient
    return exp2 * np.int32((np.int32(whole) + 127) << 23).view(np.float32)


@_compiled
def _clipped(move: Any) -> Any:
    return min(max(move, np.float32(-4)), np.float32(4))


@_compiled
def _difference(p: Any, q: Any, lane: int) -> Any:
    return p[0, lane] - q[0, lane], p[1, lane] - q[1, lane], p[2, lane] - q[2, lane]


@_compiled
def _lay_out(points: Any, heads: Any, tails: Any, period: Any, epochs: int, state: Any) -> None:
    """Moves the (N, 3) points; an edge is drawn when it is due, once in `period` epochs."""
    due, repel_period = period.copy(), period / np.float32(_REPELLERS)
    repel_due = repel_period.copy()
    drawn, repellers = np.empty(len(heads), np.int64), np.empty(len(heads), np.int64)
    for epoch in range(epochs):
        now = np.float32(epoch)
        count = 0
        for edge in range(len(heads)):
            drawn[count] = edge
            count += due[edge] <= now
        for i in range(count):
            edge = drawn[i]
            repellers[i] = np.int64((now - repel_due[edge]) / repel_period[edge])
            repel_due[edge] += np.float32(repellers[i]) * repel_period[edge]
            due[edge] += period[edge]
        rate = np.float32(1 - max(epoch - 1, 0) / epochs)  # an epoch late, as in umap-learn: S1 shows it
        _move(points, heads, tails, drawn[:count], repellers, rate, state)


@_compiled
def _move(points: Any, heads: Any, tails: Any, drawn: Any, repellers: Any, rate: Any, state: Any) -> None:
    """One epoch: each lane goes through its stretch of the drawn edges, all in step.

    Forces on an edge's ends at distance d: -2ab d^(2b-2) / (1 + a d^2b), and on its head from each random
    point: 2b / ((0.001 + d²) (1 + a d^2b)), times the difference of coordinates, each clipped to ± 4.
    """
    a, b, one, tiny = np.float32(_A), np.float32(_B), np.float32(1), np.float32(1e-30)
    old, new, other, pull = (
        np.zeros((3, _LANES), np.float32), np.zeros((3, _LANES), np.float32),
        np.zeros((3, _LANES), np.float32), np.zeros((3, _LANES), np.float32),
    )  # fmt: skip
    head, partner, wanted = np.zeros(_LANES, np.int64), np.zeros(_LANES, np.int64), np.zeros(_LANES, np.int64)
    steps = -(-len(drawn) // _LANES)
    for step in range(steps):
        lanes = -(-(len(drawn) - step) // steps)  # the last lanes' stretches may be shorter
        for lane in range(lanes):
            i = lane * steps + step
            head[lane], partner[lane], wanted[lane] = heads[drawn[i]], tails[drawn[i]], repellers[i]
            for d in range(3):
                old[d, lane], other[d, lane] = points[head[lane], d], points[partner[lane], d]
        for lane in range(_LANES):
            x, y, z = _difference(old, other, lane)
            square = max(x * x + y * y + z * z, tiny)
            power = _power(square)
            force = np.float32(-2) * a * b * power / (square * (a * power + one))
            pull[0, lane] = rate * _clipped(force * x)
            pull[1, lane] = rate * _clipped(force * y)
            pull[2, lane] = rate * _clipped(force * z)
            for d in range(3):
                new[d, lane] = old[d, lane] + pull[d, lane]
        for lane in range(lanes):
            for d in range(3):
                points[partner[lane], d] -= pull[d, lane]
        for repeller in range(wanted[:lanes].max()):
            for lane in range(_LANES):  # xorshift32 (Marsaglia 2003), scaled to an index
                bits = state[lane]
                bits = np.uint32(bits ^ (bits << np.uint32(13)))
                bits = np.uint32(bits ^ (bits >> np.uint32(17)))
                bits = np.uint32(bits ^ (bits << np.uint32(5)))
                state[lane] = bits
                partner[lane] = (np.uint64(bits) * np.uint64(len(points))) >> np.uint64(32)
            for lane in range(_LANES):
                for d in range(3):
                    other[d, lane] = points[partner[lane], d]
            for lane in range(_LANES):
                x, y, z = _difference(new, other, lane)
                square = x * x + y * y + z * z
                power = _power(max(square, tiny))
                force = np.float32(2) * b / ((np.float32(0.001) + square) * (a * power + one))
                # A point does not repel itself: its own entry is where it was before this step.
                on = rate if (repeller < wanted[lane]) & (partner[lane] != head[lane]) else np.float32(0)
                new[0, lane] += on * _clipped(force * x)
                new[1, lane] += on * _clipped(force * y)
                new[2, lane] += on * _clipped(force * z)
        for lane in range(lanes):
            for d in range(3):
                points[head[lane], d] += new[d, lane] - old[d, lane]
