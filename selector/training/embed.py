"""Encoder + images → embeddings, in evaluation mode and float32, leaving the training run as it was."""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import RandomSampler

from selector.errors import UserError
from selector.metrics.arrays import Embeddings, Space, refuse_masked
from selector.metrics.spectrum import Spectrum, SpectrumSums
from selector.text import first_line
from selector.training.processes import process_number, world_size

# (B, C, H, W) images as the encoder wants them, and (B,) labels or None.
Batch = tuple[Tensor, Tensor | None]
# Images → their vectors in each space that the method has.
Encode = Callable[[Tensor], dict[Space, Tensor]]


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """Within: evaluation mode, no gradients, float32, and a random state that the training never notices.

    Nothing is compiled: other batch sizes and another mode would be compiled again, for a single pass.

    BatchNorm normalises by its running statistics and does not update them. Every submodule gets its own mode
    back, so one that its owner had frozen stays frozen.
    """
    modes = [(part, part.training) for part in module.modules()]
    rounding = torch.backends.cudnn.allow_tf32  # torch's default: convolutions of 10 bits, called float32
    device = next((p.device for p in module.parameters()), torch.device("cpu"))
    module.eval()
    torch.backends.cudnn.allow_tf32 = False
    try:
        with (
            # torch.compile's machinery takes seconds to import, so only where it has been
            torch.compiler.set_stance("force_eager") if "torch._dynamo" in sys.modules else nullcontext(),
            torch.no_grad(),
            torch.autocast(device.type, enabled=False),
            torch.random.fork_rng([device] if device.type == "cuda" else []),
        ):
            yield
    finally:
        torch.backends.cudnn.allow_tf32 = rounding
        for part, training in modes:
            part.training = training


def embed(
    module: nn.Module, encode: Encode, batches: Iterable[Any], split: str, limits: dict[Space, int | None]
) -> dict[Space, Embeddings]:
    """Embed `batches`, a data loader's, in one pass with a network that is in training.

    `limits` are the spaces wanted, each with the number of images wanted from the start, or None for all.
    """
    vectors: dict[Space, list[NDArray[np.float32]]] = {space: [] for space in limits}
    labels: list[Tensor] = []
    seen = 0
    with frozen(module):
        for images, batch_labels in map(as_batch, batches):  # within: a loader draws a seed when it starts
            if images.is_floating_point() and not (finite := images.isfinite().flatten(1).all(1)).all():
                number = seen + int(finite.int().argmin())
                raise UserError(f"image {number} of the {split} split holds pixels that are NaN or infinite")
            encoded = encoded_by(module, encode, images)
            for space, limit in limits.items():
                kept = encoded[space][: None if limit is None else max(0, limit - seen)]
                vectors[space].append(kept.float().cpu().numpy())
            if batch_labels is not None:
                labels.append(batch_labels.cpu())
            seen += len(images)
            if all(limit is not None and seen >= limit for limit in limits.values()):
                break
    if seen == 0:
        raise UserError(f"no image in the {split} split: nothing to embed")
    truth = _classes(labels, split) if labels else None
    embeddings = {}
    for space, parts in vectors.items():
        stacked = np.concatenate(parts)
        embeddings[space] = Embeddings(
            stacked, None if truth is None else truth[: len(stacked)], space, split
        )
    return embeddings


def _classes(parts: Sequence[Tensor], split: str) -> NDArray[np.int64] | None:
    """(N,) classes; -1 means an unlabelled image, and None that all of them are unlabelled."""
    labels = torch.cat(list(parts))
    if labels.ndim != 1 or labels.is_floating_point():
        raise UserError(
            f"the labels of the {split} split are {str(labels.dtype).removeprefix('torch.')} of shape"
            f" {tuple(labels.shape)}, expected one class number per image:"
            " pass image_key=lambda batch: (images, classes), or image_key=lambda batch: batch[0] for none"
        )
    truth: NDArray[np.int64] = labels.to(torch.int64).numpy()
    return truth if (truth >= 0).any() else None


def labelled(embeddings: Embeddings) -> Embeddings:
    """Those of labelled images."""
    if embeddings.labels is None or (embeddings.labels >= 0).all():
        return embeddings
    known = embeddings.labels >= 0
    return replace(embeddings, vectors=embeddings.vectors[known], labels=embeddings.labels[known])


def encoded_by(module: nn.Module, encode: Encode, images: Tensor) -> dict[Space, Tensor]:
    """The vectors of a batch, which is moved to the network's device and precision."""
    weight = next((p for p in module.parameters() if p.is_floating_point()), torch.empty(0))
    images = images.to(weight.device)
    try:
        return encode(images.to(weight.dtype) if images.is_floating_point() else images)
    except (RuntimeError, AssertionError) as error:
        raise UserError(
            f"the encoder does not take {str(images.dtype).removeprefix('torch.')} images of shape"
            f" {tuple(images.shape)} ({first_line(error)}): scale and shape them as in training,"
            " in the loader or in Encoder(backbone=…)"
        ) from error


def embed_views(
    module: nn.Module, encode: Encode, batches: Iterable[Tensor], spaces: Sequence[Space]
) -> dict[Space, NDArray[np.float32]]:
    """(n, q, D) vectors of several views of each image, by a network that is in training.

    `batches`: (B, q, C, H, W), which are q views of each of B images; q is 2 or more, and always the same.
    """
    vectors: dict[Space, list[NDArray[np.float32]]] = {space: [] for space in spaces}
    counts = set()
    with frozen(module):
        for views in batches:  # within: to draw views moves the random state
            counts.add(views.shape[1])
            encoded = encoded_by(module, encode, views.flatten(0, 1))
            for space, parts in vectors.items():
                parts.append(encoded[space].float().reshape(*views.shape[:2], -1).cpu().numpy())
    if len(counts) != 1 or min(counts) < 2:
        raise UserError(
            f"expected batches (B, q, C, H, W) of the same number q of at least 2 views of each image,"
            f" got {' and '.join(map(str, sorted(counts))) or 'no batch'}"
        )
    return {space: np.concatenate(parts) for space, parts in vectors.items()}


def streamed_spectra(
    module: nn.Module, encode: Encode, batches: Iterable[Any], spaces: Sequence[Space], limit: int
) -> Mapping[Space, Spectrum] | None:
    """Spectra of the first `limit` images in O(D²) memory; every process that trains must call it.

    The batches are the same in every process; process i embeds every world-th of them, from the i-th on.
    Gives the spectra over all processes, or None where some embedding is NaN or infinite.
    """
    device = next((p.device for p in module.parameters()), torch.device("cpu"))
    sums = {space: SpectrumSums(device) for space in spaces}
    seen = 0
    with frozen(module):
        for number, batch in enumerate(batches):
            images = as_batch(batch)[0][: limit - seen]
            seen += len(images)
            if number % world_size() == process_number():
                _add(sums, encoded_by(module, encode, images))
            if seen >= limit:
                break
    for of_space in sums.values():
        of_space.reduce()
    if any(of_space.count != seen for of_space in sums.values()):
        return None
    return {space: of_space.spectrum() for space, of_space in sums.items()}


def _add(sums: Mapping[Space, SpectrumSums], encoded: Mapping[Space, Tensor]) -> None:
    """What is not finite is left out, and missed in the count of all processes."""
    for space, of_space in sums.items():
        if torch.isfinite(encoded[space]).all():
            of_space.add(encoded[space])


@dataclass(frozen=True)
class Loader:
    """Batches of images as often as they are asked for.

    Attributes:
        batches: A DataLoader, a list, or anything that can be iterated again and again.
        image_key: Where a batch that is a mapping holds its images, or a function of a batch that gives the
            images, or the images and labels; None for batches as `as_batch` takes them.
        name: What they are, for messages.
    """

    batches: Iterable[Any]
    image_key: str | Callable[[Any], Any] | None = None
    name: str = "the loader"

    def __post_init__(self) -> None:
        if isinstance(self.batches, Iterator):
            raise UserError(
                f"{self.name} is a {type(self.batches).__name__}, which is used up by the first milestone:"
                " pass a DataLoader, or a list of batches"
            )
        if isinstance(getattr(self.batches, "sampler", None), RandomSampler):
            print(
                f"{self.name} shuffles its images: metrics of some of them would read different ones"
                " at every milestone, and runs would be compared on different images; pass shuffle=False",
                file=sys.stderr,
            )

    def __iter__(self) -> Iterator[Batch]:
        for batch in self.batches:
            if callable(self.image_key):
                yield as_batch(self.image_key(batch))
            elif self.image_key is not None:
                yield as_batch(self._at_key(batch))
            else:
                yield as_batch(batch)

    def _at_key(self, batch: Any) -> Any:
        try:
            return batch[self.image_key]
        except (KeyError, TypeError, IndexError):
            held = f"with {', '.join(map(repr, batch))}" if isinstance(batch, Mapping) else "without names"
            raise UserError(
                f"image_key={self.image_key!r} is not in the batches of {self.name}, which are"
                f" {type(batch).__name__} {held}"
            ) from None


def as_batch(batch: Any) -> Batch:
    """What a data loader yields, as images and labels: a tensor of images, or (images, labels, …)."""
    first, *rest = batch if isinstance(batch, tuple | list) and batch else (batch,)
    try:
        for part in (first, *rest[:1]):
            refuse_masked(part)
    except ValueError as error:
        raise UserError(f"expected batches of images and labels without gaps, {error}") from None
    if isinstance(first, Tensor) and first.layout == torch.strided and first.ndim >= 2:
        return first, _labels(rest[0]) if rest else None
    match first:
        case Mapping():
            wanted = f'a mapping with {", ".join(map(repr, first))}: pass image_key="{next(iter(first), "")}"'
        case Tensor() if first.layout != torch.strided:
            wanted = "a sparse tensor: pass image_key=torch.Tensor.to_dense"
        case Tensor():
            shape = tuple(first.shape)
            wanted = (
                f"a tensor of shape {shape}: pass image_key=lambda batch: batch[1] if the images come second"
            )
        case _:
            wanted = f"{type(first).__name__}: pass image_key, a function of a batch that gives its images"
    raise UserError(f"expected batches of images, a tensor (B, C, H, W) first, got {wanted}")


def _labels(part: Any) -> Tensor | None:
    """The second part of a batch, if it is numbers; file names, for instance, are no labels."""
    if isinstance(part, Tensor):
        return part
    if isinstance(part, list | tuple) and all(isinstance(one, int) for one in part):
        part = np.asarray(part)
    return torch.as_tensor(part) if isinstance(part, np.ndarray) and part.dtype.kind in "iuf" else None
