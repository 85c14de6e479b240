"""Singular values of embeddings, computed once for every metric that reads them."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from selector.evaluation.arrays import as_vectors, float64_blocks

_EPS = float(np.finfo(np.float64).eps)

# A Gram matrix holds squares: an eigenvalue this small beside the largest keeps six digits of its singular
# value, a smaller one fewer, and below about eps none (Higham 2002, section 20.4, on normal equations).
_GRAM_IS_SAFE_ABOVE = 1e-10


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Singular values of one (N, D) array of embeddings, as they are and with their mean taken away.

    Values that cannot be told from zero are 0: those up to max(N, D) · eps · σ₁ (float64; the tolerance of
    numpy.linalg.matrix_rank), and those up to eps · ‖X‖_F / √min(N, D) of the dtype that the embeddings came
    in, about what rounding every entry to that dtype adds to each singular value. Both are taken from the
    uncentred embeddings: equal embeddings far from the origin have a centred spectrum of zeros, not one
    of rounding errors.

    Attributes:
        uncentred: (min(N, D),) float64, descending: what RankMe and the stable rank read.
        centred: (min(N, D),) float64, descending; their squares over N are the eigenvalues of the covariance.
        count: N, the number of embeddings.
        dimension: D.
    """

    uncentred: NDArray[np.float64]
    centred: NDArray[np.float64]
    count: int
    dimension: int


def spectrum_of(embeddings: ArrayLike | torch.Tensor | Spectrum) -> Spectrum:
    """The spectrum of embeddings; one that is already a spectrum is handed back.

    From the Gram matrix of the centred embeddings, in float64 and block by block, where that keeps six digits
    of every singular value. Elsewhere (collapsed or dependent dimensions) the directions of the small values
    get Gram matrices of their own, which reaches the accuracy of a full SVD; N ≤ D goes to an SVD at once.
    Work on N rows runs on the device of the embeddings, work on D x D matrices on the CPU. Memory above the
    embeddings: O(D²).

    Args:
        embeddings: (N, D) array or tensor.

    Raises:
        ValueError: When the embeddings are not (N, D), are empty, or are not finite.
    """
    if isinstance(embeddings, Spectrum):
        return embeddings
    vectors = as_vectors(embeddings)
    count, dimension = vectors.shape
    if count <= dimension:
        few = vectors.to(torch.float64).cpu().numpy()
        uncentred = np.linalg.svd(few, compute_uv=False)
        centred = np.linalg.svd(few - few.mean(axis=0), compute_uv=False)
        return _spectrum(uncentred, centred, count, dimension, _rounding(vectors))
    gram = StreamingGram(dimension, vectors.device)
    gram.add(vectors)
    spectrum = _from_gram(gram)
    if spectrum is not None:
        return spectrum
    factor = _deflated_factor(vectors, gram)
    centred = np.linalg.norm(factor, axis=1)  # its rows are orthogonal
    return _spectrum(_uncentred(factor, gram), centred, count, dimension, gram.rounding)


def singular_values(
    embeddings: ArrayLike | torch.Tensor | Spectrum, *, centred: bool = False
) -> NDArray[np.float64]:
    """Singular values of (N, D) embeddings in float64, descending, min(N, D) of them; see `spectrum_of`."""
    spectrum = spectrum_of(embeddings)
    return spectrum.centred if centred else spectrum.uncentred


class StreamingGram:
    """Singular values of embeddings that come batch by batch and are never all in memory; O(D²) memory.

    Holds the mean and the scatter matrix Σ (x − mean)(x − mean)ᵀ in float64 and updates both with each batch
    (Chan, Golub and LeVeque 1983, equations 1.5 and 2.1), so that an offset of the embeddings, however large,
    costs the centred spectrum no digits. Parts from several processes can be merged.

    The embeddings themselves are gone, so singular values below √(D · eps) of the largest centred one, some
    1e-7, cannot be told from zero and are returned as 0; `spectrum_of` reads them from the embeddings.

    Attributes:
        count: Embeddings seen so far.
        mean: (D,) float64 tensor.
        scatter: (D, D) float64 tensor.
        rounding: Machine epsilon of the coarsest dtype seen.
    """

    def __init__(self, dimension: int, device: torch.device | str = "cpu") -> None:
        if dimension < 1:
            raise ValueError(f"expected a dimension of at least 1, got {dimension}")
        self.count = 0
        self.rounding = 0.0
        self.mean = torch.zeros(dimension, dtype=torch.float64, device=device)
        self.scatter = torch.zeros(dimension, dimension, dtype=torch.float64, device=device)

    def add(self, batch: ArrayLike | torch.Tensor) -> None:
        """Take in a (B, D) batch; any B, also 0.

        Raises:
            ValueError: When the batch is not (B, D) or not finite; nothing of it is then taken in.
        """
        vectors = as_vectors(batch, least=0)
        if vectors.shape[1] != len(self.mean):
            raise ValueError(
                f"expected batches of dimension {len(self.mean)}, got shape {tuple(vectors.shape)}"
            )
        if len(vectors) == 0:
            return
        self.rounding = max(self.rounding, _rounding(vectors))
        for block in float64_blocks(vectors):
            block = block.to(self.mean.device)
            mean = block.mean(dim=0)
            centred = block - mean
            self._combine(len(block), mean, centred.T @ centred)

    def merge(self, other: "StreamingGram") -> None:
        """Take in what `other` has seen; the result is that of one gram which saw both."""
        if len(other.mean) != len(self.mean):
            raise ValueError(f"cannot merge dimension {len(other.mean)} into dimension {len(self.mean)}")
        if other.count:
            device = self.mean.device
            self.rounding = max(self.rounding, other.rounding)
            self._combine(other.count, other.mean.to(device), other.scatter.to(device))

    def spectrum(self) -> Spectrum:
        """The spectrum of everything seen so far; more may be added afterwards.

        Raises:
            ValueError: When nothing has been added.
        """
        if self.count == 0:
            raise ValueError("no embeddings were added")
        spectrum = _from_gram(self)
        if spectrum is not None:
            return spectrum
        eigenvalues, vectors = np.linalg.eigh(self.scatter.cpu().numpy())
        centred = np.sqrt(eigenvalues.clip(0))
        uncentred = _uncentred(centred[:, None] * vectors.T, self)
        resolution = np.sqrt(len(centred) * _EPS) * centred[-1]
        return _spectrum(uncentred, centred, self.count, len(centred), self.rounding, resolution)

    def _combine(self, count: int, mean: torch.Tensor, scatter: torch.Tensor) -> None:
        total = self.count + count
        shift = mean - self.mean
        self.scatter += scatter
        self.scatter.addr_(shift, shift, alpha=self.count * count / total)
        self.mean += shift * (count / total)
        self.count = total


def _from_gram(gram: StreamingGram) -> Spectrum | None:
    """The spectrum from eigenvalues alone, or None where those of the centred embeddings are not safe."""
    scatter, mean = gram.scatter.cpu().numpy(), gram.mean.cpu().numpy()
    eigenvalues = np.linalg.eigvalsh(scatter)
    if not _is_safe(eigenvalues):
        return None
    with_mean = np.linalg.eigvalsh(scatter + gram.count * np.outer(mean, mean))
    if _is_safe(with_mean):
        uncentred = np.sqrt(with_mean)
    else:  # a mean far from the origin drowns the rest
        uncentred = _uncentred(np.linalg.cholesky(scatter).T, gram)
    return _spectrum(uncentred, np.sqrt(eigenvalues), gram.count, len(mean), gram.rounding)


def _is_safe(eigenvalues: NDArray[np.float64]) -> bool:
    return bool(eigenvalues[0] > _GRAM_IS_SAFE_ABOVE * eigenvalues[-1])


def _uncentred(factor: NDArray[np.float64], gram: StreamingGram) -> NDArray[np.float64]:
    """Singular values of the embeddings X, given a factor of their scatter matrix: factorᵀ factor.

    XᵀX = factorᵀ factor + N · mean meanᵀ, so the factor with the row √N · mean below it has those of X.
    """
    mean = gram.mean.cpu().numpy()
    return np.linalg.svd(np.vstack([factor, np.sqrt(gram.count) * mean]), compute_uv=False)


def _spectrum(
    uncentred: NDArray[np.float64],
    centred: NDArray[np.float64],
    count: int,
    dimension: int,
    rounding: float,
    resolution: float = 0.0,
) -> Spectrum:
    """Sort the values, cut or fill them up to min(N, D), and set those that mean nothing to 0.

    `rounding` is the machine epsilon of the embeddings' dtype; no value below `resolution` is believed.
    """
    kept = min(count, dimension)
    arithmetic = max(count, dimension) * _EPS * uncentred.max()
    entries = rounding * np.linalg.norm(uncentred) / np.sqrt(kept)
    least = max(arithmetic, entries, resolution)
    uncentred, centred = (
        np.sort(np.append(np.where(values > least, values, 0.0), np.zeros(kept)))[::-1][:kept]
        for values in (uncentred, centred)
    )
    return Spectrum(uncentred, centred, count, dimension)


def _rounding(vectors: torch.Tensor) -> float:
    return torch.finfo(vectors.dtype).eps if vectors.is_floating_point() else 0.0


def _deflated_factor(vectors: torch.Tensor, gram: StreamingGram) -> NDArray[np.float64]:
    """A factor of the scatter matrix of the vectors, small singular values to the accuracy of an SVD.

    Only the large eigenvalues of a Gram matrix are exact. The vectors are projected on the eigenvectors of
    the others, where the largest of those sets the scale, and so on, until nothing but rounding is left.
    """
    rows = []
    basis = np.eye(len(gram.mean))
    scatter = gram.scatter.cpu().numpy()
    nothing = _EPS**2 * np.trace(scatter)
    while True:
        eigenvalues, eigenvectors = np.linalg.eigh(scatter)
        safe = eigenvalues > max(_GRAM_IS_SAFE_ABOVE * eigenvalues[-1], nothing)
        directions = basis @ eigenvectors
        rows.append(np.sqrt(eigenvalues[safe])[:, None] * directions[:, safe].T)
        if safe.all() or not safe.any():
            return np.vstack(rows)
        basis = directions[:, ~safe]
        scatter = _scatter_along(torch.from_numpy(basis), vectors, gram.mean)


def _scatter_along(basis: torch.Tensor, vectors: torch.Tensor, mean: torch.Tensor) -> NDArray[np.float64]:
    basis = basis.to(vectors.device)
    scatter = torch.zeros(basis.shape[1], basis.shape[1], dtype=torch.float64, device=vectors.device)
    for block in float64_blocks(vectors):
        along = (block - mean) @ basis
        scatter += along.T @ along
    return scatter.cpu().numpy()
