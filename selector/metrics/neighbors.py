"""The exact k-nearest-neighbour graph that UMAP, the kNN probe and CLID share."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from selector.metrics.arrays import as_vectors, float64_blocks, unit_vectors

if TYPE_CHECKING:
    import torch

Metric = Literal["euclidean", "cosine"]

_SPARE = 16  # candidates beyond k: room for the rounding of the matrix product to reorder the last few
# Scores or gathered candidates held at once: more than 32 MiB would be fresh, unmapped memory every time.
_BLOCK_BYTES = 8 << 20
_BY_DIFFERENCES = "donot_use_mm_for_euclid_dist"  # torch.cdist's name for it


def nearest_neighbors(
    vectors: Any, k: int, metric: Metric = "euclidean", *, queries: Any = None
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The k nearest of `vectors` to each query, nearest first.

    Without `queries` every vector is a query and is never its own neighbour: the row itself is left out
    by its index, so that a duplicate of it counts as a neighbour at distance 0. With `queries` nothing is
    left out. Equal distances are ordered by index.

    Exact: a matrix product picks k + 16 candidates per query, their distances are then computed in float64
    from the differences, and a bound on the product's rounding error proves that no other vector is nearer;
    queries without that proof are searched again in float64 and, should equal distances defeat that too,
    by differences to all vectors. No result depends on how the product was rounded, so none depends on
    the number of threads. Time O(Q N D); memory above the input O((N + Q) D), and never Q N.

    Args:
        vectors: (N, D) finite array or tensor; the work is done on the tensor's device.
        k: Neighbours per query; at most N - 1 without queries, at most N with them.
        metric: "euclidean", or "cosine" for 1 - cos; a zero vector is at cosine distance 1 from every
            other vector and 0 from another zero vector.
        queries: (Q, D), or None to search the vectors among themselves.

    Returns:
        (Q, k) indices into `vectors`, and their (Q, k) distances.

    Raises:
        ValueError: Vectors or queries that are not finite (N, D) matrices of one D, or k out of range.
    """
    import torch

    points = as_vectors(vectors).to(torch.float64, copy=True)
    own = queries is None
    targets = points if own else as_vectors(queries).to(points.device, torch.float64, copy=True)
    if targets.shape[1] != points.shape[1]:
        raise ValueError(f"got {targets.shape[1]}-d queries for {points.shape[1]}-d vectors")
    most = len(points) - own
    if not 1 <= k <= most:
        raise ValueError(f"k must be from 1 to {most} for {len(points)} vectors, got {k}")
    match metric:
        case "euclidean":
            # A unit and a mean that leave distances as they are, but rounding errors small: differences of
            # float32 vectors stay exact, for the unit is a power of two and the mean a float32.
            unit = 2.0 ** math.frexp(float(points.abs().amax()))[1]
            points /= unit
            mean = points.mean(0).float()
            points -= mean
            targets = points if own else targets / unit - mean
        case "cosine":
            unit = 1.0
            points, *others = _directions(points) if own else _directions(points, targets)
            targets = points if own else others[0]
        case _:
            raise ValueError(f"metric must be euclidean or cosine, got {metric!r}")
    indices, distances = _search(points, targets, k, own)
    # |u - v|² = 2 - 2 cos of unit vectors
    distances = distances.square() / 2 if metric == "cosine" else distances * unit
    return indices.cpu().numpy(), distances.float().cpu().numpy()


def _directions(*sets: torch.Tensor) -> list[torch.Tensor]:
    """Unit vectors; zero vectors become one direction of their own, at right angles to all others.

    All sets get that dimension where one of them holds a zero vector.
    """
    import torch

    units = [torch.cat([unit_vectors(block) for block in float64_blocks(points)]) for points in sets]
    zeros = [~of_set.any(dim=1, keepdim=True) for of_set in units]
    if not any(zero.any() for zero in zeros):
        return units
    return [torch.cat([of_set, zero.double()], dim=1) for of_set, zero in zip(units, zeros, strict=True)]


def _search(
    points: torch.Tensor, targets: torch.Tensor, k: int, own: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    import torch

    indices = torch.empty(len(targets), k, dtype=torch.int64, device=points.device)
    distances = torch.empty(len(targets), k, dtype=torch.float64, device=points.device)
    unproven = torch.arange(len(targets), device=points.device)
    # Where float32 products may run in TF32 or bfloat16, their error is not the bound's.
    trusted = not points.is_cuda and torch.get_float32_matmul_precision() == "highest"
    for dtype in (torch.float32, torch.float64) if trusted else (torch.float64,):
        if len(unproven):
            unproven = _by_product(points, targets, unproven, own, dtype, (indices, distances))
    _by_differences(points, targets, unproven, own, (indices, distances))
    return indices, distances


def _by_product(
    points: torch.Tensor,
    targets: torch.Tensor,
    rows: torch.Tensor,
    own: bool,
    dtype: torch.dtype,
    found: tuple[torch.Tensor, torch.Tensor],
) -> torch.Tensor:
    """Fill in the given rows of what is found; returns those for which the rounding bound proves nothing.

    Candidates are the smallest |y|²/2 - x·y, which orders like |x - y|. The computed value differs from
    the exact one by at most (D + 8) u (|x||y| + |y|²/2), u the unit roundoff (Higham 2002, section 3.1,
    inputs rounded too). Only |y| ≤ |x| + d_k matters: a longer y is farther than the k-th candidate.
    """
    import torch

    indices, distances = found
    k = indices.shape[1]
    candidates = min(k + _SPARE, len(points) - own)
    everything = candidates == len(points) - own
    norms = points.norm(dim=1)
    half_squares = (norms.square() / 2).to(dtype)
    rounded = points.to(dtype).T.contiguous()
    roundoff = (points.shape[1] + 8) * torch.finfo(dtype).eps / 2
    underflow = points.shape[1] * torch.finfo(dtype).tiny
    unproven = []
    for block in torch.split(rows, _rows_a_block(len(points) * rounded.itemsize)):
        x = targets[block]
        scores = torch.addmm(half_squares, x.to(dtype), rounded, alpha=-1)
        if own:
            scores[torch.arange(len(block)), block] = torch.inf
        best = scores.topk(candidates, largest=False, sorted=False)
        index = best.indices.sort(dim=1).values  # by index first, so that equal distances stay in its order
        exact = _distances(x, points, index)
        nearest, order = exact.sort(dim=1, stable=True)
        indices[block], distances[block] = index.gather(1, order[:, :k]), nearest[:, :k]
        if not everything:
            length, kth = x.norm(dim=1), nearest[:, k - 1]
            reach = length + kth
            error = roundoff * (length * reach + reach.square() / 2) + underflow
            beyond = best.values.max(dim=1).values - error  # no exact score outside the candidates is less
            unproven.append(block[~((kth.square() - length.square()) / 2 < beyond)])  # NaN proves nothing
    return torch.cat(unproven) if unproven else rows[:0]


def _distances(x: torch.Tensor, points: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """(B, C) distances of each x to its own candidates."""
    import torch

    exact = torch.empty(index.shape, dtype=torch.float64, device=x.device)
    rows = _rows_a_block(index.shape[1] * points.shape[1] * 8)
    for start in range(0, len(x), rows):
        block = slice(start, start + rows)
        exact[block] = torch.cdist(x[block, None], points[index[block]], compute_mode=_BY_DIFFERENCES)[:, 0]
    return exact


def _rows_a_block(row_bytes: int) -> int:
    return max(1, _BLOCK_BYTES // row_bytes)


def _by_differences(
    points: torch.Tensor,
    targets: torch.Tensor,
    rows: torch.Tensor,
    own: bool,
    found: tuple[torch.Tensor, torch.Tensor],
) -> None:
    """Fill in the given rows from the distances to all points: slow, and needed for duplicates alone."""
    import torch

    indices, distances = found
    k = indices.shape[1]
    for block in torch.split(rows, _rows_a_block(len(points) * 8)):
        exact = torch.cdist(targets[block], points, compute_mode=_BY_DIFFERENCES)
        if own:
            exact[torch.arange(len(block)), block] = torch.inf
        nearest, order = exact.sort(dim=1, stable=True)
        indices[block], distances[block] = order[:, :k], nearest[:, :k]
