"""What the metrics accept: one vector per image, as a numpy array, nested lists or a tensor on any device.

`Embeddings` are vectors that carry their labels and where they come from.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    import torch

    # What the metrics take: one vector per image.
    Array: TypeAlias = "ArrayLike | torch.Tensor | Checked"

Space = Literal["backbone", "projector", "predictor"]

# 32 MiB of float64 at a time: large enough for the matrix products, small beside the embeddings themselves.
BLOCK_ELEMENTS = 2**22

# Metrics that compare all pairs of images (CLID, IdEst, uniformity) take a random subset of more.
PAIRWISE_MAX_IMAGES = 5000

_LARGEST = 1e150  # beyond it, squares leave float64


class TooFew(ValueError):
    """A metric has no meaning for so few embeddings or dimensions, so it is not measured."""


class Undefined(ValueError):
    """The embeddings leave a metric undefined: it is NaN."""


@dataclass(frozen=True, eq=False)
class Checked:
    """Embeddings that were checked before: the functions here take them without looking again."""

    tensor: torch.Tensor


def as_vectors(embeddings: Array, least: int = 1) -> torch.Tensor:
    """The embeddings as a tensor on the device where they are, checked; numpy arrays are not copied.

    Args:
        embeddings: (N, D), of any real dtype.
        least: The smallest N that the caller has a meaning for.

    Raises:
        TooFew: N < `least`.
        ValueError: When the shape is not (N, D), D = 0, or an entry is not a real number,
            not finite, or above 1e150 in size.
    """
    vectors = embeddings.tensor if isinstance(embeddings, Checked) else _as_tensor(embeddings)
    if vectors.ndim != 2 or vectors.shape[1] == 0:
        raise ValueError(f"expected (N, D) embeddings, got shape {tuple(vectors.shape)}")
    if len(vectors) < least:
        raise TooFew(f"expected at least {least} embeddings, got {len(vectors)}")
    return vectors if isinstance(embeddings, Checked) else _checked_entries(vectors)


def as_views(views: Array) -> torch.Tensor:
    """Embeddings of q views of each of n images as a checked tensor on the device where they are.

    Args:
        views: (n, q, D), of any real dtype.

    Raises:
        ValueError: When the shape is not (n, q, D) with n ≥ 1 and q ≥ 2, or an entry is not a real number,
            not finite, or above 1e150 in size.
    """
    if isinstance(views, Checked):
        return views.tensor
    tensor = _as_tensor(views)
    if tensor.ndim != 3 or len(tensor) == 0 or tensor.shape[1] < 2 or tensor.shape[2] == 0:
        raise ValueError(f"expected (n, q, D) views with q of at least 2, got shape {tuple(tensor.shape)}")
    return _checked_entries(tensor)


@dataclass(frozen=True, eq=False)
class Embeddings:
    """One vector per image, in the order of the data set.

    Attributes:
        vectors: (N, D) float32, finite.
        labels: (N,) int64 class indices, or None where the images have no labels.
        space: "backbone" (representations, what a probe reads) or "projector" (what the loss reads)
            or "predictor" (what SimSiam compares with projections).
        split: Name of the data split that the images are from, such as "train" or "test".
    """

    vectors: NDArray[np.float32]
    labels: NDArray[np.int64] | None
    space: Space
    split: str

    def __post_init__(self) -> None:
        refuse_masked(self.vectors)
        refuse_masked(self.labels)
        if self.vectors.ndim != 2 or self.vectors.dtype != np.float32:
            raise ValueError(
                f"expected (N, D) float32 vectors, got {self.vectors.dtype} of shape {self.vectors.shape}"
            )
        if self.labels is not None and self.labels.shape != self.vectors.shape[:1]:
            raise ValueError(f"got {self.labels.shape} labels for {len(self.vectors)} vectors")

    @cached_property
    def checked(self) -> Checked:
        """The vectors, looked through once for all who read them; a ValueError if one is not finite."""
        return Checked(as_vectors(self.vectors))


@dataclass(frozen=True, eq=False)
class ViewEmbeddings:
    """Projections of several augmented views of each image.

    Attributes:
        vectors: (n, q, D) float32: n images, q views of each.
        source: Where the views come from, in a few words; runs that differ here are not compared.
    """

    vectors: NDArray[np.float32]
    source: str

    def __post_init__(self) -> None:
        refuse_masked(self.vectors)
        if self.vectors.ndim != 3 or self.vectors.dtype != np.float32:
            raise ValueError(
                f"expected (n, q, D) float32 views, got {self.vectors.dtype} of shape {self.vectors.shape}"
            )

    @cached_property
    def checked(self) -> Checked:
        """As of `Embeddings`."""
        return Checked(as_views(self.vectors))


def some_of(
    vectors: torch.Tensor, most: int = PAIRWISE_MAX_IMAGES, rng: np.random.Generator | int = 0
) -> torch.Tensor:
    """The vectors, or a random subset of them if there are more than `most`: the same for each encoder."""
    import torch

    if most < 4:
        raise ValueError(f"expected max_images of at least 4, got {most}")
    if len(vectors) <= most:
        return vectors
    chosen = np.random.default_rng(rng).choice(len(vectors), most, replace=False)
    return vectors[torch.from_numpy(chosen).to(vectors.device)]


def float64_blocks(vectors: torch.Tensor) -> Iterator[torch.Tensor]:
    """The vectors in float64, some rows at a time, so that they are never all in float64 at once."""
    import torch

    rows = max(1, BLOCK_ELEMENTS // (vectors.numel() // len(vectors)))
    for block in torch.split(vectors, rows):
        yield block.to(torch.float64)


def unit_vectors(vectors: torch.Tensor) -> torch.Tensor:
    """Float64 vectors (…, D) over their lengths; a zero vector has no direction and stays zero."""
    import torch

    # The largest entry goes first, so that squares neither overflow nor vanish.
    scaled = vectors / _or_one(vectors.abs().amax(dim=-1, keepdim=True))
    return scaled / _or_one(torch.linalg.vector_norm(scaled, dim=-1, keepdim=True))


def _or_one(divisor: torch.Tensor) -> torch.Tensor:
    import torch

    return torch.where(divisor == 0, torch.ones_like(divisor), divisor)


# What torch computes with; unsigned integers of more than a byte and long doubles become float64.
_TORCHS = {np.dtype(kind) for kind in ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1")}


def refuse_masked(array: object) -> None:
    """Refuse a numpy.ma.MaskedArray: torch and numpy.asarray would bring its hidden entries back.

    Raises:
        ValueError: It is one.
    """
    if isinstance(array, np.ma.MaskedArray):
        raise ValueError(
            "got a numpy MaskedArray, whose hidden entries have no value: leave their rows out, or give them"
            " a value with array.filled(…)"
        )


def _as_tensor(array: Array) -> torch.Tensor:
    import torch

    refuse_masked(array)
    if isinstance(array, torch.Tensor):
        if array.layout != torch.strided:
            raise ValueError(f"expected a dense tensor, got one of {array.layout}: pass tensor.to_dense()")
        # Apple's GPUs have no float64.
        return array.detach().cpu() if array.device.type == "mps" else array.detach()
    array = np.asarray(array)
    if array.dtype.kind not in "fiu":
        raise ValueError(f"expected real numbers, got an array of {array.dtype}")
    # torch wants arrays that it may write to, in the machine's byte order.
    known = array.dtype.newbyteorder("=") if array.dtype in _TORCHS else np.dtype(np.float64)
    native = array.astype(known, copy=not array.flags.writeable)
    return torch.from_numpy(np.ascontiguousarray(native))


def _checked_entries(tensor: torch.Tensor) -> torch.Tensor:
    import torch

    if tensor.is_complex() or tensor.dtype == torch.bool:
        raise ValueError(f"expected real numbers, got a tensor of {tensor.dtype}")
    if tensor.numel() == 0:
        return tensor
    low, high = (float(bound) for bound in torch.aminmax(tensor))
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError("expected finite embeddings, got NaN or infinity among them")
    if max(-low, high) > _LARGEST:
        raise ValueError(f"expected entries up to {_LARGEST:g} in size, got {max(-low, high):g}")
    return tensor


@contextmanager
def one_thread() -> Iterator[None]:
    """Holds BLAS and OpenMP to one thread while it is open.

    Sums are then added in one order, so that the last digit, and with it everything that a stochastic
    layout or a k-means assignment makes of it, does not depend on the number of threads. It is also quicker
    where it is used: steps of a few microseconds cost more to share among threads than to do, many times
    more when another run occupies the cores.
    """
    import torch
    from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

    threads = torch.get_num_threads()
    with ThreadpoolController().limit(limits=1):
        # torch's own MKL is linked into it, where threadpoolctl does not find it.
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)
