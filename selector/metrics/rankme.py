"""RankMe: how many directions a set of embeddings uses."""

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from selector.metrics.callable_module import make_callable
from selector.metrics.spectrum import Spectrum, spectrum_of

EPS = 1e-7


def rankme(embeddings: ArrayLike | torch.Tensor | Spectrum, eps: float = EPS) -> float:
    """Effective rank of the embeddings; higher means less dimensional collapse.

    exp(-Σ p ln p) with p = σ / Σσ + eps over the min(N, D) singular values σ: about 1 when every image
    falls on one direction (a little more, because every unused direction adds its eps: 1.0008 for 512
    dimensions), min(N, D) when all directions are used equally. The mean is kept, as in the paper,
    so that a large common offset takes RankMe towards 1. Embeddings that are all zero have no σ to scale;
    they are as collapsed as can be and give 1.

    Only runs of one method, data set, number of images and dimension may be compared.

    Source: Garrido et al. 2023, https://arxiv.org/abs/2210.02885, equation 1.

    Args:
        embeddings: (N, D) array or tensor, one image a row; 25,600 images of the training data in the paper.
            Work on a tensor's rows is done where it is. Arithmetic is float64 whatever the dtype. Or their
            spectrum, which then serves other metrics too.
        eps: Added to each scaled singular value.

    Raises:
        ValueError: Embeddings that are not a finite, non-empty (N, D) matrix.
    """
    return rankme_of_singular_values(spectrum_of(embeddings).uncentred, eps)


def rankme_of_singular_values(sigma: NDArray[np.float64], eps: float = EPS) -> float:
    """RankMe from (K,) singular values, descending, of embeddings that are not centred."""
    if sigma[0] == 0:
        return 1.0
    p = sigma / sigma.sum() + eps
    # With eps = 0 a direction that nobody uses adds nothing: p ln p → 0.
    return float(np.exp(-(p[p > 0] * np.log(p[p > 0])).sum()))


make_callable(__name__)
