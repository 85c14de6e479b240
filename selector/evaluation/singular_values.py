"""Singular values of many rows, accurate to rounding, from matrix products and small eigenproblems."""

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from selector.evaluation.arrays import as_vectors, float64_blocks
from selector.evaluation.threads import one_thread

_TRUSTED = (
    1e-8  # eigenvalues above this share of the largest: their roots err by less than 1e-7 of themselves
)
_ROUNDING = 1e-14  # singular values below this share of the largest are rounding, in an SVD too


def singular_values(matrix: ArrayLike | torch.Tensor) -> NDArray[np.float64]:
    """The min(N, D) singular values of an (N, D) matrix, largest first, in float64.

    They are roots of eigenvalues of the Gram matrix, which costs a fraction of an SVD when N >> D but
    by itself loses what is below about 1e-8 of the largest value, because squaring halves the digits. So
    only the leading eigenvalues are believed; the rows are then projected on the eigenvectors of
    the others, where the largest of those is the new scale, and so on until nothing but rounding
    is left. One round is enough for well-conditioned rows, and three or four reach what an SVD reaches:
    about 1e-13 of the largest value.

    Args:
        matrix: (N, D) array or tensor. Work on its rows is done where it is, the eigenproblems of at most
            min(N, D) x min(N, D) on the CPU.

    Raises:
        ValueError: Not (N, D), empty, or not finite.
    """
    rows = as_vectors(matrix)
    if len(rows) < rows.shape[1]:
        rows = rows.T
    largest = float(rows.abs().max()) or 1.0
    basis = None
    found: list[float] = []
    while len(found) < rows.shape[1]:
        gram = _gram(rows, largest, basis).cpu().numpy()
        with one_thread():
            eigenvalues, eigenvectors = np.linalg.eigh(gram)
        ascending = np.sqrt(eigenvalues.clip(0))
        untrusted = int((eigenvalues < _TRUSTED * eigenvalues[-1]).sum())
        if ascending[-1] <= _ROUNDING * max(found, default=0.0):
            untrusted = 0
        found += ascending[untrusted:].tolist()
        rest = torch.from_numpy(eigenvectors[:, :untrusted]).to(rows.device)
        basis = rest if basis is None else basis @ rest
    return np.array(sorted(found, reverse=True)) * largest


def _gram(rows: torch.Tensor, largest: float, basis: torch.Tensor | None) -> torch.Tensor:
    """AᵀA of A = rows · basis / largest entry, which keeps squares from overflowing and vanishing."""
    size = rows.shape[1] if basis is None else basis.shape[1]
    gram = torch.zeros(size, size, dtype=torch.float64, device=rows.device)
    for block in float64_blocks(rows):
        scaled = block / largest
        projected = scaled if basis is None else scaled @ basis
        gram.addmm_(projected.T, projected)
    return gram
