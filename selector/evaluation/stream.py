"""Singular values of embeddings that are never in memory together."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from selector.evaluation.arrays import as_vectors
from selector.evaluation.rankme import EPS, rankme_of_singular_values
from selector.evaluation.threads import one_thread


def singular_values_of_stream(batches: Iterable[ArrayLike]) -> NDArray[np.float64]:
    """The (min(N, D),) singular values, descending, of all batches one below the other.

    Keeps the triangular factor of what has come so far: [R; batch] = Q R' leaves R'ᵀR' the Gram matrix of
    all rows, and so the singular values, without ever squaring them (Golub & Van Loan, section 5.2). One
    pass; memory O(D²) and a batch, however many there are; as exact as an SVD of the whole.

    Args:
        batches: (B, D) arrays or tensors of one D.

    Raises:
        ValueError: When there is no batch, or they are not finite (B, D) matrices of one D.
    """
    triangle: NDArray[np.float64] | None = None
    for batch in batches:
        rows = as_vectors(batch).double().cpu().numpy()
        if triangle is not None:
            if rows.shape[1] != triangle.shape[1]:
                raise ValueError(f"got a {rows.shape[1]}-d batch after {triangle.shape[1]}-d ones")
            rows = np.concatenate([triangle, rows])
        with one_thread():
            triangle = np.asarray(np.linalg.qr(rows, mode="r"), np.float64)
    if triangle is None:
        raise ValueError("expected at least one batch of embeddings, got none")
    with one_thread():
        return np.asarray(np.linalg.svd(triangle, compute_uv=False), np.float64)


def rankme_of_stream(batches: Iterable[ArrayLike], eps: float = EPS) -> float:
    """RankMe of all batches together; see `rankme`, and `singular_values_of_stream` for memory.

    Args:
        batches: (B, D) arrays or tensors of one D, such as the outputs of a data loader.
        eps: Added to each scaled singular value.

    Raises:
        ValueError: When there is no batch, or they are not finite (B, D) matrices of one D.
    """
    return rankme_of_singular_values(singular_values_of_stream(batches), eps)
