"""How embeddings lie on the unit sphere: spread out, crowded together, or all in one place."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from selector.metrics.arrays import (
    BLOCK_ELEMENTS,
    PAIRWISE_MAX_IMAGES,
    Checked,
    as_vectors,
    float64_blocks,
    one_thread,
    some_of,
    unit_vectors,
)
from selector.metrics.metric import BACKBONE, OF_SUBSET, PROJECTOR, label_free

if TYPE_CHECKING:
    import torch

    from selector.metrics.arrays import Array


@label_free(
    reads="backbone_vectors",
    symbol="self-clustering",
    formula="(Q - E)/(N² - E), Q the sum of squared cosines, E = N + N(N - 1)/D",
    space=BACKBONE,
    direction="min",
    cost="one product, N D²",
    source="Tsitsulin et al. 2023, arXiv:2305.16562, in the authors' code, definition 3.5",
)
def self_clustering(embeddings: Array) -> float:
    """How far the directions of the images crowd together: 0 by chance, 1 for one line.

    Q is over all ordered pairs, an image with itself included, and E its expectation for directions spread
    evenly over the sphere. From −1/(N − 1) to 1. Unchanged by rotation, and by any scaling of single vectors.
    Not centred. A zero vector has no direction: all zero vectors together count as one point at right
    angles to the rest. In one dimension every direction is the same line: 1.

    From the (D, D) second moment of the directions, in O(N D²), or from their cosines where N < D.
    """
    vectors = as_vectors(embeddings, least=2)
    count, dimension = vectors.shape
    if dimension == 1:
        return 1.0
    zeros = int((vectors == 0).all(dim=1).sum())
    squared_cosines = _sum_of_squared_cosines(vectors) + zeros**2
    expected = count + count * (count - 1) / dimension
    return (squared_cosines - expected) / (count**2 - expected)


def _sum_of_squared_cosines(vectors: torch.Tensor) -> float:
    import torch

    count, dimension = vectors.shape
    if count < dimension:
        directions = unit_vectors(vectors.to(torch.float64))
        return float((directions @ directions.T).square().sum())
    moment = torch.zeros(dimension, dimension, dtype=torch.float64, device=vectors.device)
    for block in float64_blocks(vectors):
        directions = unit_vectors(block)
        moment += directions.T @ directions
    return float(moment.square().sum())  # ‖UᵀU‖²_F = ‖UUᵀ‖²_F


@label_free(
    reads="some_projector",
    symbol="L_uniform",
    formula="ln mean exp(-2 ‖u - v‖²) over all pairs, as unit vectors",
    space=PROJECTOR,
    direction="min",
    cost="all pairs; 5,000 images",
    source="Wang & Isola 2020, arXiv:2005.10242, equation 2",
    settings=OF_SUBSET,
)
def uniformity(embeddings: Array, max_images: int = PAIRWISE_MAX_IMAGES, *, t: float = 2.0) -> float:
    """How unevenly the directions of the projections fill the sphere.

    Logarithm of a Gaussian kernel's mean, from −2t N/(N − 1) to 0, complete collapse; t is its sharpness.

    Directions spread evenly by chance have about −2t + 2t²/D, so values of different D are not comparable.
    Unchanged by rotation and by rescaling single images. A zero vector stays zero. Of more than `max_images`
    images a random subset is taken, the same of each encoder; time O(N² D), in blocks of 32 MiB, in float64.
    """
    import torch

    vectors = some_of(as_vectors(embeddings, least=2), max_images)
    if not t > 0:
        raise ValueError(f"expected t above 0, got {t}")
    directions = torch.cat([unit_vectors(block) for block in float64_blocks(vectors)])
    count = len(directions)
    rows = max(1, BLOCK_ELEMENTS // count)
    logs = []
    with one_thread():  # a product's sums would follow the number of threads
        # Distances stay, and what a common offset makes alike keeps its digits in the product below.
        directions -= directions.mean(dim=0)
        squares = directions.square().sum(dim=1)
        for start in range(0, count - 1, rows):
            stop = min(start + rows, count)
            distances = directions[start:stop] @ directions[start + 1 :].T
            distances.mul_(-2).add_(squares[start:stop, None]).add_(squares[start + 1 :]).clamp_(min=0)
            # Each pair once: the columns right of the block's diagonal.
            below = torch.ones_like(distances, dtype=torch.bool).tril(-1)
            logs.append(torch.logsumexp(distances.mul_(-t).masked_fill_(below, -math.inf).flatten(), dim=0))
    total = torch.logsumexp(torch.stack(logs), dim=0)
    return float(total) - math.log(count * (count - 1) / 2)


@label_free(
    reads="projector_vectors",
    symbol="std(z/‖z‖)",
    formula="mean over channels of the standard deviation of z/‖z‖",
    space=PROJECTOR,
    direction="max",
    cost="two passes, N D",
    source="Chen & He 2021, arXiv:2011.10566, section 4.1, in lightly's code",
)
def channel_std(embeddings: Array) -> float:
    """How much a channel of the projections varies: 0 in complete collapse, about 1/√D if spread.

    0 when all images have one direction, near 1/√D when the directions are spread evenly; somewhat more is
    possible. Detects only complete collapse: a few live channels hide how many are dead. Unchanged by
    rescaling single images, not by rotation. Divides by N − 1. A zero vector stays zero.
    In lightly's code `lightly.utils.debug.std_of_l2_normalized`.
    """
    import torch

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


@label_free(
    reads="projector_vectors",
    symbol="collapse level",
    formula="max(0, 1 - √D · std(z/‖z‖))",
    space=PROJECTOR,
    direction="min",
    cost="two passes, N D",
    source="Chen & He 2021, arXiv:2011.10566, section 4.1, in lightly's code",
)
def collapse_level(embeddings: Array) -> float:
    """channel_std turned around: 0 for evenly spread directions, 1 for complete collapse.

    lightly's SimSiam tutorial feeds it a moving average over batches; here it is one value of all embeddings.
    """
    vectors = as_vectors(embeddings, least=2)
    return max(0.0, 1.0 - math.sqrt(vectors.shape[1]) * channel_std(Checked(vectors)))
