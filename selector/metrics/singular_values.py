"""Singular values of many rows, accurate to rounding, from matrix products and small eigenproblems."""

import warnings
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg.blas import dsyrk

from selector.metrics.arrays import float64_blocks
from selector.metrics.threads import one_thread

# Eigenvalues above this share of the largest are believed: their roots err by less than 1e-7 of themselves.
_TRUSTED = 1e-8
_ROUNDING = 1e-14  # singular values below this share of the largest are rounding, in an SVD too


def roots_of_gram(
    gram: torch.Tensor, gram_along: Callable[[torch.Tensor], torch.Tensor], floor: float = 0.0
) -> NDArray[np.float64]:
    """The singular values of a matrix A, largest first, from its Gram matrix AᵀA.

    They are roots of eigenvalues of the Gram matrix, which costs a fraction of an SVD when A is tall but
    by itself loses what is below about 1e-8 of the largest value, because squaring halves the digits
    (Higham 2002, section 20.4). So only the leading eigenvalues are believed; A is then projected on the
    eigenvectors of the others, where the largest of those is the new scale, and so on until nothing but
    rounding is left. One round is enough for well-conditioned rows, and three or four reach what
    an SVD reaches: about 1e-13 of the largest value.

    Args:
        gram: (D, D) float64 tensor. The eigenproblems are solved on the GPU where it is there, otherwise on
            the CPU in one thread.
        gram_along: Basis B (D, K) → Gram matrix of A · B, (K, K).
        floor: Values up to it need not be told apart.
    """
    found: list[float] = []
    basis = None
    while True:
        eigenvalues = eigenvalues_of(gram)  # a quarter of the time that eigenvectors take
        untrusted = int((eigenvalues < _TRUSTED * eigenvalues[-1]).sum())
        floor = max(floor, _ROUNDING * max(found, default=0.0))
        if untrusted == 0 or np.sqrt(eigenvalues[-1].clip(0)) <= floor:
            return np.array(sorted([*found, *np.sqrt(eigenvalues.clip(0)).tolist()], reverse=True))
        eigenvalues, eigenvectors = eigenvectors_of(gram)
        found += np.sqrt(eigenvalues[untrusted:]).tolist()
        rest = eigenvectors[:, :untrusted]
        basis = rest if basis is None else basis @ rest
        gram = gram_along(basis)


def gram_of(
    rows: torch.Tensor, scale: float, offset: torch.Tensor | None = None, basis: torch.Tensor | None = None
) -> torch.Tensor:
    """AᵀA in float64 of A = (rows / scale - offset) · basis; `rows` are never all in float64 at once.

    On the CPU by BLAS's dsyrk, which computes one triangle of the symmetric product: half the work.
    """
    size = rows.shape[1] if basis is None else basis.shape[1]
    gram = torch.zeros(size, size, dtype=torch.float64, device=rows.device)
    lower = np.zeros((size, size), order="F")
    for block in float64_blocks(rows):
        part = block if scale == 1 else block / scale
        if offset is not None:
            part = part - offset
        if basis is not None:
            part = part @ basis
        if gram.is_cuda:
            gram.addmm_(part.T, part)
        else:
            lower = dsyrk(1.0, part.contiguous().numpy().T, 1.0, lower, lower=1, overwrite_c=1)
    if gram.is_cuda:
        return gram
    triangle = torch.from_numpy(np.ascontiguousarray(lower))
    return triangle + triangle.tril(-1).T


def eigenvalues_of(gram: torch.Tensor) -> NDArray[np.float64]:
    """Eigenvalues of a symmetric matrix, ascending; where they do not converge, as `eigenvectors_of`."""
    try:
        with one_thread():
            eigenvalues: NDArray[np.float64] = torch.linalg.eigvalsh(gram).cpu().numpy()
    except (np.linalg.LinAlgError, torch.linalg.LinAlgError):  # type: ignore[attr-defined]
        return eigenvectors_of(gram)[0]
    return eigenvalues


def eigenvectors_of(gram: torch.Tensor) -> tuple[NDArray[np.float64], torch.Tensor]:
    """Eigenvalues of a symmetric matrix, ascending, and eigenvectors where the matrix is.

    Where LAPACK does not converge another algorithm computes them anew, and a RuntimeWarning says so.
    """
    try:
        if gram.is_cuda:
            eigenvalues, eigenvectors = torch.linalg.eigh(gram)
            return eigenvalues.cpu().numpy(), eigenvectors
        with one_thread():
            values, vectors = np.linalg.eigh(gram.numpy())
    except (np.linalg.LinAlgError, torch.linalg.LinAlgError) as error:  # type: ignore[attr-defined]
        _say_that_it_is_computed_anew("eigenvalues", gram, error)
        from scipy.linalg import eigh

        with one_thread():
            values, vectors = eigh(gram.cpu().numpy(), driver="ev")
    return values, torch.from_numpy(vectors).to(gram.device)


def singular_values_of(matrix: torch.Tensor) -> torch.Tensor:
    """Singular values by an SVD, largest first, where the matrix is; a fallback as of `eigenvectors_of`."""
    try:
        values: torch.Tensor = torch.linalg.svdvals(matrix)
    except torch.linalg.LinAlgError as error:  # type: ignore[attr-defined]
        _say_that_it_is_computed_anew("singular values", matrix, error)
        from scipy.linalg import svd

        with one_thread():
            found = svd(matrix.cpu().numpy(), compute_uv=False, lapack_driver="gesvd")
        values = torch.from_numpy(found).to(matrix.device)
    return values


def _say_that_it_is_computed_anew(what: str, matrix: torch.Tensor, error: Exception) -> None:
    """Divide and conquer gives up on some matrices (LAPACK's info > 0); the older QR iteration does not."""
    size = " x ".join(map(str, matrix.shape))
    warnings.warn(
        f"the {what} of a {size} matrix did not converge ({error}): computed anew by QR iteration",
        RuntimeWarning,
        stacklevel=3,
    )
