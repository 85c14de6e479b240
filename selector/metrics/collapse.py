"""The two numbers that show complete collapse: all images at one point of the unit sphere."""

import math

import torch
from numpy.typing import ArrayLike

from selector.metrics.arrays import as_vectors, float64_blocks, unit_vectors


def channel_std(embeddings: ArrayLike | torch.Tensor) -> float:
    """Standard deviation of a channel of z/‖z‖ over the images, averaged over the channels; higher is better.

    0 when all images have one direction, near 1/√D when the directions are spread evenly; somewhat more is
    possible. Sees complete collapse alone: a few live channels hide how many are dead. Unchanged by rescaling
    single images, not by rotation. Divides by N − 1. A zero vector stays zero.

    Source: Chen and He 2021, "Exploring Simple Siamese Representation Learning", section 4.1 and figure 2, as
    lightly computes it (`lightly.utils.debug.std_of_l2_normalized`); the paper's own text was not read.

    Args:
        embeddings: (N, D) array or tensor; the work is done where it is.

    Raises:
        ValueError: When the embeddings are not (N, D) with N ≥ 2, or not finite.
    """
    vectors = as_vectors(embeddings, least=2)
    # Measured from one of the images, so that equal images give exactly 0.
    origin = unit_vectors(vectors[0].to(torch.float64))
    sums = torch.zeros_like(origin)
    for block in float64_blocks(vectors):
        sums += (unit_vectors(block) - origin).sum(dim=0)
    mean = sums / len(vectors)
    squares = torch.zeros_like(origin)
    for block in float64_blocks(vectors):
        squares += (unit_vectors(block) - origin - mean).square().sum(dim=0)
    return float((squares / (len(vectors) - 1)).sqrt().mean())


def collapse_level(embeddings: ArrayLike | torch.Tensor) -> float:
    """max(0, 1 − √D · channel std): 0 for evenly spread directions, 1 for complete collapse; lower is better.

    Source: lightly's SimSiam tutorial, which feeds it a moving average over batches; here it is one value of
    all embeddings. Otherwise as `channel_std`.

    Args:
        embeddings: (N, D) array or tensor.
    """
    vectors = as_vectors(embeddings, least=2)
    return max(0.0, 1.0 - math.sqrt(vectors.shape[1]) * channel_std(vectors))
