"""Spectra of more embeddings than are kept: each process embeds its share, and their sums are added up."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from selector.metrics.embeddings import Space
from selector.metrics.spectrum import Spectrum, SpectrumSums
from selector.training.embed import Encode, as_batch, encoded_by, frozen
from selector.training.processes import process_number, world_size

# Rows that a milestone holds in memory at most: the paper's number for RankMe (Garrido et al. 2023).
KEPT_ROWS = 25_600


def streamed_spectra(
    module: nn.Module, encode: Encode, batches: Iterable[Any], spaces: Sequence[Space], limit: int
) -> Mapping[Space, Spectrum] | None:
    """Spectra of the first `limit` images in O(D²) memory; every process that trains must call it.

    Args:
        module: The network; in evaluation mode while it embeds.
        encode: Images → vectors by space.
        batches: Tensors of images, or tuples that start with images, the same in every process. Process i
            embeds every world-th batch, from the i-th on.
        spaces: Which spectra.
        limit: Number of images.

    Returns:
        The spectra over all processes; None where some embedding is NaN or infinite.
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
