"""Encoder + images → embeddings, in evaluation mode and float32, leaving the training run as it was."""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from selector.errors import UserError
from selector.metrics.embeddings import Embeddings, Space, ViewEmbeddings

# (B, C, H, W) images as the encoder wants them, and (B,) labels or None.
Batch = tuple[Tensor, Tensor | None]
# Images → their vectors in each space that the method has.
Encode = Callable[[Tensor], dict[Space, Tensor]]


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """Within: evaluation mode, no gradients, float32, and a random state that the training never notices.

    Nothing is compiled: batches of other sizes and another mode would be compiled anew, for a single pass.

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
    """Embed `batches` in one pass with a network that is in training.

    Args:
        module: The network; in evaluation mode while it embeds.
        encode: Images → {"backbone": (B, D), "projector": (B, D')}.
        batches: What a data loader yields: tensors of images, or tuples that start with images and labels;
            in a fixed order.
        split: Name of the split, for the record.
        limits: The spaces wanted, each with the number of images wanted from the start (None: all).

    Raises:
        UserError: There is no image, or the network gives something other than (B, D) vectors.
    """
    device = next((p.device for p in module.parameters()), torch.device("cpu"))
    vectors: dict[Space, list[NDArray[np.float32]]] = {space: [] for space in limits}
    labels: list[Tensor] = []
    seen = 0
    with frozen(module):
        for images, batch_labels in map(as_batch, batches):  # within: a loader draws a seed when it starts
            encoded = encode(images.to(device))
            for space, limit in limits.items():
                kept = encoded[space][: None if limit is None else max(0, limit - seen)]
                if kept.ndim != 2:
                    raise UserError(
                        f"the {space} gives {tuple(kept.shape)} for a batch, expected (B, D): flatten it"
                    )
                vectors[space].append(kept.float().cpu().numpy())
            if batch_labels is not None:
                labels.append(batch_labels.cpu())
            seen += len(images)
            if all(limit is not None and seen >= limit for limit in limits.values()):
                break
    if seen == 0:
        raise UserError(f"no image in the {split} split: nothing to embed")
    truth = torch.cat(labels).to(torch.int64).numpy() if labels else None
    embeddings = {}
    for space, parts in vectors.items():
        stacked = np.concatenate(parts)
        embeddings[space] = Embeddings(
            stacked, None if truth is None else truth[: len(stacked)], space, split
        )
    return embeddings


def embed_views(module: nn.Module, encode: Encode, batches: Iterable[Tensor], source: str) -> ViewEmbeddings:
    """Project several views of each image with a network that is in training.

    Args:
        module: The network; in evaluation mode while it embeds.
        encode: Images → {"projector": (B, D), …}.
        batches: (B, q, C, H, W): q views of each of B images.
        source: What the views are, for the record.

    Raises:
        UserError: There is no view, or only one of an image, or another number of them in each batch.
    """
    device = next((p.device for p in module.parameters()), torch.device("cpu"))
    vectors: list[NDArray[np.float32]] = []
    with frozen(module):
        for views in batches:  # within: to draw views moves the random state
            projected = encode(views.to(device).flatten(0, 1))["projector"]
            vectors.append(projected.float().reshape(*views.shape[:2], -1).cpu().numpy())
    counts = sorted({batch.shape[1] for batch in vectors})
    if len(counts) != 1 or counts[0] < 2:
        raise UserError(
            f"expected batches (B, q, C, H, W) of the same number q of at least 2 views of each image,"
            f" got {' and '.join(map(str, counts)) or 'no batch'}"
        )
    return ViewEmbeddings(np.concatenate(vectors), source)


def as_batch(batch: Any) -> Batch:
    """What a data loader yields, as images and labels."""
    if isinstance(batch, Tensor):
        return batch, None
    images, *rest = batch
    return images, rest[0] if rest and isinstance(rest[0], Tensor) else None
