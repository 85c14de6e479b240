"""Singular values of embeddings, computed once for every metric that reads them, held or streamed."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from selector.metrics.arrays import BLOCK_ELEMENTS, Space, as_vectors, float64_blocks, one_thread
from selector.metrics.metric import SPECTRUM_PREFIX

if TYPE_CHECKING:
    import torch

    from selector.metrics.arrays import Array

_EPS = float(np.finfo(np.float64).eps)
_LEAST = 1e-60  # the square of a millionth of a millionth of it is far from float64's smallest number


class Spectrum:
    """Singular values of one (N, D) array of embeddings, as they are and with their mean taken away.

    Each of the two is computed when it is first asked for, and once, by an SVD in float64. Both come from one
    triangular factor, that of the centred rows: with the row √N · mean below it, it is a factor of the rows
    as they are, however far from the origin these are. Work on N rows runs on the device of the embeddings;
    memory above them is O(D²). Takes 0.3 s for 10,000 x 512 on one core.

    Attributes:
        count: N, the number of embeddings.
        dimension: D.
    """

    def __init__(self, embeddings: Array) -> None:
        """Take (N, D) embeddings, an array or a tensor.

        Raises:
            ValueError: When the embeddings are not (N, D), are empty, or are not finite.
        """
        import torch

        self._vectors = as_vectors(embeddings)
        self.count, self.dimension = self._vectors.shape
        low, high = (float(bound) for bound in torch.aminmax(self._vectors))
        largest = max(-low, high)
        # Divided out where squares would overflow or vanish.
        self._scale = 1.0 if largest == 0 or _LEAST < largest < 1 / _LEAST else largest

    @cached_property
    def uncentred(self) -> NDArray[np.float64]:
        """(min(N, D),) float64, descending: what RankMe and the stable rank read."""
        return self._values(self._uncentred_factor)

    @cached_property
    def centred(self) -> NDArray[np.float64]:
        """(min(N, D),) float64, descending; their squares over N are the eigenvalues of the covariance.

        Values that cannot be told from zero are 0: those up to max(N, D) · eps · ‖X‖_F (float64; after the
        tolerance of numpy.linalg.matrix_rank), and those up to eps · ‖X‖_F / √min(N, D) of the dtype that the
        embeddings came in, about what rounding every entry to that dtype adds to each singular value. X is
        uncentred there: equal embeddings far from the origin have a spectrum of zeros, not one of
        rounding errors.
        """
        import torch

        dtype = self._vectors.dtype
        entries_eps = torch.finfo(dtype).eps if dtype.is_floating_point else 0.0
        norm = float(torch.linalg.vector_norm(self._uncentred_factor)) * self._scale
        least = least_singular_value(self.count, self.dimension, norm, entries_eps)
        values = self._values(self._centred_factor)
        return np.where(values > least, values, 0.0)

    def _values(self, factor: torch.Tensor) -> NDArray[np.float64]:
        values: NDArray[np.float64] = singular_values_of(factor).cpu().numpy()
        return values[: min(self.count, self.dimension)] * self._scale

    @cached_property
    def _mean(self) -> torch.Tensor:
        import torch

        total = torch.zeros(self.dimension, dtype=torch.float64, device=self._vectors.device)
        for block in float64_blocks(self._vectors):
            total += block.sum(dim=0) / self._scale
        return total / self.count

    @cached_property
    def _centred_factor(self) -> torch.Tensor:
        """(at most D, D) R with RᵀR = (X - mean)ᵀ(X - mean): a QR decomposition, some rows at a time."""
        import torch

        factor = self._vectors.new_zeros(0, self.dimension, dtype=torch.float64)
        # At least 2 D rows at a time: each time the D rows of the factor so far are factored anew.
        rows = max(2 * self.dimension, BLOCK_ELEMENTS // self.dimension)
        with one_thread():
            for block in torch.split(self._vectors, rows):
                centred = block.to(torch.float64) / self._scale - self._mean
                factor = torch.linalg.qr(torch.cat([factor, centred]), mode="r").R
        return factor

    @property
    def _uncentred_factor(self) -> torch.Tensor:
        import torch

        return torch.cat([self._centred_factor, math.sqrt(self.count) * self._mean[None]])


def least_singular_value(count: int, dimension: int, norm: float, entries_eps: float) -> float:
    """Up to which size a centred singular value cannot be told from 0: see `Spectrum.centred`.

    Args:
        count: N embeddings.
        dimension: D.
        norm: Frobenius norm of the uncentred embeddings.
        entries_eps: Machine epsilon of the dtype that they came in; 0 where their entries are exact.
    """
    return max(max(count, dimension) * _EPS, entries_eps / math.sqrt(min(count, dimension))) * norm


def spectrum_of(embeddings: Array | Spectrum) -> Spectrum:
    """The spectrum of (N, D) embeddings; one that is already a spectrum is handed back."""
    return embeddings if isinstance(embeddings, Spectrum) else Spectrum(embeddings)


class SpectrumSums:
    """Count, mean and centred Gram matrix of the embeddings added so far, in O(D²) memory.

    Batches are merged without a loss of digits (Chan, Golub & LeVeque 1983, equation 2.1, for matrices), so
    that the spectrum does not depend on how the embeddings were cut into batches or shared out among
    processes, but for rounding.

    Example:
        sums = SpectrumSums()
        for images in loader:
            sums.add(encoder(images))
        sums.reduce()                  # where several processes have each added their own part
        rankme(sums.spectrum())
    """

    def __init__(self, device: torch.device | str = "cpu") -> None:
        """`device`: where the sums are kept and the products computed, in float64."""
        import torch

        self.device = torch.device(device)
        self.count = 0
        self._mean = torch.zeros(0, dtype=torch.float64, device=self.device)
        self._gram = torch.zeros(0, 0, dtype=torch.float64, device=self.device)
        self._eps = 0.0

    def add(self, embeddings: Array) -> None:
        """Add (B, D) embeddings.

        Raises:
            ValueError: When they are not (B, D), are empty, are not finite, or D has changed.
        """
        import torch

        vectors = as_vectors(embeddings).to(self.device)
        self._be_of(vectors.shape[1])
        if vectors.dtype.is_floating_point:
            self._eps = max(self._eps, torch.finfo(vectors.dtype).eps)
        for block in float64_blocks(vectors):
            mean = block.mean(dim=0)
            centred = block - mean
            apart = mean - self._mean
            total = self.count + len(block)
            self._gram.addmm_(centred.T, centred)
            self._gram.addr_(apart, apart, alpha=self.count * len(block) / total)
            self._mean += apart * (len(block) / total)
            self.count = total

    def reduce(self) -> None:
        """Let every process of torch's default group have the sums over all of them; all must call it.

        Two all-reduces of D + 1 and D² numbers. A process may have added nothing.
        """
        import torch
        import torch.distributed as dist

        if not dist.is_initialized() or dist.get_world_size() == 1:
            return
        shape = torch.tensor([float(len(self._mean)), self._eps], dtype=torch.float64, device=self.device)
        dist.all_reduce(shape, dist.ReduceOp.MAX)
        self._be_of(int(shape[0]))
        self._eps = float(shape[1])
        sums = torch.cat([self._mean * self.count, self._mean.new_tensor([float(self.count)])])
        dist.all_reduce(sums)
        total = int(sums[-1])
        mean = sums[:-1] / max(total, 1)
        apart = self._mean - mean
        self._gram.addr_(apart, apart, alpha=float(self.count))
        dist.all_reduce(self._gram)
        self.count, self._mean = total, mean

    def spectrum(self) -> Spectrum:
        """The spectrum of what has been added, for any metric that takes one; later additions leave it alone.

        Raises:
            ValueError: Nothing has been added.
        """
        if self.count == 0:
            raise ValueError("no embeddings have been added")
        return _GramSpectrum(self.count, self._mean.clone(), self._gram.clone(), self._eps)

    def _be_of(self, dimension: int) -> None:
        if len(self._mean) == 0:
            self._mean = self._mean.new_zeros(dimension)
            self._gram = self._gram.new_zeros(dimension, dimension)
        elif len(self._mean) != dimension:
            raise ValueError(f"expected {len(self._mean)}-d embeddings as before, got {dimension}-d ones")


class _GramSpectrum(Spectrum):
    """The spectrum that a Gram matrix alone can tell; there are no rows to look at again.

    Squaring halves the digits: below √(D · eps) of the largest (4e-7 for D = 512, 7e-7 for D = 2048) a value
    may be off by that much, where `Spectrum` of rows in memory stays exact. Embeddings in float32 carry
    rounding errors of about that size themselves. RankMe is then off by at most about D times that, times
    ln(1 / eps), over the sum of all: 1e-4 of itself for a collapsed encoder, nothing for a healthy one.
    """

    def __init__(self, count: int, mean: torch.Tensor, gram: torch.Tensor, entries_eps: float) -> None:
        self.count, self.dimension = count, len(mean)
        self._mean_vector, self._centred = mean, gram
        self._entries_eps = entries_eps

    def __getstate__(self) -> dict[str, Any]:
        """For another process, which may see no GPU."""
        import torch

        return {name: of.cpu() if isinstance(of, torch.Tensor) else of for name, of in vars(self).items()}

    @cached_property
    def uncentred(self) -> NDArray[np.float64]:
        return self._roots(self._uncentred)

    @cached_property
    def centred(self) -> NDArray[np.float64]:
        """As `Spectrum.centred`, with zeros below what a Gram matrix resolves."""
        roots = self._roots(self._centred)
        norm = float(self._uncentred.trace()) ** 0.5
        least = max(
            least_singular_value(self.count, self.dimension, norm, self._entries_eps),
            (self.dimension * _EPS) ** 0.5 * float(roots[0]),
        )
        return np.where(roots > least, roots, 0.0)

    @property
    def _uncentred(self) -> torch.Tensor:
        import torch

        return self._centred + self.count * torch.outer(self._mean_vector, self._mean_vector)

    def _roots(self, gram: torch.Tensor) -> NDArray[np.float64]:
        roots: NDArray[np.float64] = np.sqrt(eigenvalues_of(gram.cpu())[::-1].clip(0))
        return roots[: min(self.count, self.dimension)]


def eigenvalues_of(gram: torch.Tensor) -> NDArray[np.float64]:
    """Eigenvalues of a symmetric matrix, ascending; where they do not converge, as `eigenvectors_of`."""
    import torch

    try:
        with one_thread():
            eigenvalues: NDArray[np.float64] = torch.linalg.eigvalsh(gram).cpu().numpy()
    except torch.linalg.LinAlgError:  # type: ignore[attr-defined]
        return eigenvectors_of(gram.cpu().numpy())[0]
    return eigenvalues


def eigenvectors_of(gram: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Eigenvalues of a symmetric matrix, ascending, and eigenvectors.

    If LAPACK does not converge, another algorithm computes them again, and a RuntimeWarning says so.
    """
    with one_thread():
        try:
            values, vectors = np.linalg.eigh(gram)
        except np.linalg.LinAlgError as error:
            from scipy.linalg import eigh

            _say_that_it_is_computed_anew("eigenvalues", gram.shape, error)
            values, vectors = eigh(gram, driver="ev")
    return values, vectors


def singular_values_of(matrix: torch.Tensor) -> torch.Tensor:
    """Singular values by an SVD, largest first, where the matrix is; a fallback as of `eigenvectors_of`."""
    import torch

    with one_thread():
        try:
            values: torch.Tensor = torch.linalg.svdvals(matrix)
        except torch.linalg.LinAlgError as error:  # type: ignore[attr-defined]
            from scipy.linalg import svd

            _say_that_it_is_computed_anew("singular values", matrix.shape, error)
            found = svd(matrix.cpu().numpy(), compute_uv=False, lapack_driver="gesvd")
            values = torch.from_numpy(found).to(matrix.device)
    return values


def _say_that_it_is_computed_anew(what: str, shape: Sequence[int], error: Exception) -> None:
    """Divide and conquer gives up on some matrices (LAPACK's info > 0); the older QR iteration does not."""
    size = " x ".join(map(str, shape))
    warnings.warn(
        f"the {what} of a {size} matrix did not converge ({error}): recomputed by QR iteration",
        RuntimeWarning,
        stacklevel=3,
    )


POINTS = 64
_RANKS = "_ranks"
_Numbers: TypeAlias = tuple[float, ...]


def logged_spectrum(
    space: Space, singular_values: NDArray[np.float64], points: int = POINTS
) -> dict[str, _Numbers]:
    """The (K,) descending singular values at `points` log-spaced ranks, or all where there are no more.

    W&B key → numbers: under spectrum/<space> the shares σ_rank / σ₁, from 1 down, or all 0 when every value
    is; under spectrum/<space>_ranks the ranks, counted from 1 up to K: 1, 2, 3, … until log-spacing takes
    steps above 1. They depend on K alone, so they are the same at every milestone. Values are taken at whole
    ranks, not averaged, with four digits, because a row is read again and again.
    """
    count = len(singular_values)
    log_spaced = np.rint(np.geomspace(1, count, points)).astype(np.int64)
    ranks = np.unique(np.minimum(np.maximum(log_spaced, np.arange(1, points + 1)), count))
    shares = singular_values[ranks - 1] / (singular_values[0] or 1.0)
    key = SPECTRUM_PREFIX + space
    return {key: tuple(float(f"{share:.4g}") for share in shares), key + _RANKS: tuple(map(float, ranks))}


def spectra_of(lists: Mapping[str, _Numbers]) -> dict[str, tuple[_Numbers, _Numbers]]:
    """Space → ranks and shares of the spectra in `Milestone.lists`; what has no ranks of its own is none."""
    spectra = {}
    for key, shares in lists.items():
        ranks = lists.get(key + _RANKS, ())
        if key.startswith(SPECTRUM_PREFIX) and shares and len(ranks) == len(shares):
            spectra[key.removeprefix(SPECTRUM_PREFIX)] = ranks, shares
    return spectra
