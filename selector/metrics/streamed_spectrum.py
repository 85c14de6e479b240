"""Singular values of embeddings that are too many to hold: batch by batch, and over several processes."""

from functools import cached_property
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import ArrayLike, NDArray

from selector.metrics.arrays import as_vectors, float64_blocks
from selector.metrics.singular_values import eigenvalues_of
from selector.metrics.spectrum import Spectrum, least_singular_value

_EPS = float(np.finfo(np.float64).eps)


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
        self.device = torch.device(device)
        self.count = 0
        self._mean = torch.zeros(0, dtype=torch.float64, device=self.device)
        self._gram = torch.zeros(0, 0, dtype=torch.float64, device=self.device)
        self._eps = 0.0

    def add(self, embeddings: ArrayLike | torch.Tensor) -> None:
        """Add (B, D) embeddings.

        Raises:
            ValueError: When they are not (B, D), are empty, are not finite, or D has changed.
        """
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
        return self._centred + self.count * torch.outer(self._mean_vector, self._mean_vector)

    def _roots(self, gram: torch.Tensor) -> NDArray[np.float64]:
        roots: NDArray[np.float64] = np.sqrt(eigenvalues_of(gram.cpu())[::-1].clip(0))
        return roots[: min(self.count, self.dimension)]
