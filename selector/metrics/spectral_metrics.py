"""Metrics read from one spectrum: how evenly the directions of embedding space are used.

Each takes (N, D) embeddings or the `Spectrum` of them, so that one decomposition serves them all. The sources
define two metrics by one formula (NESum and the stable rank) with the mean taken away or left in;
each function says which it reads.
"""

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from selector.metrics.spectrum import Spectrum, spectrum_of

# The most that a ratio of singular values can mean in float64.
LARGEST_CONDITION_NUMBER = float(1 / np.finfo(np.float64).eps)
# Ranks that α-ReQ fits, counted from 1, where the embeddings have so many.
FIRST_RANK, LAST_RANK = 11, 100
FEWEST_RANKS = 5


def alpha_req_last_rank(count: int, dimension: int, last: int = LAST_RANK) -> int:
    """The rank that a fit up to `last` ends at: centred, N embeddings of dimension D have no more."""
    return min(last, dimension, count - 1)


def alpha_req(
    embeddings: ArrayLike | torch.Tensor | Spectrum, *, first: int = FIRST_RANK, last: int = LAST_RANK
) -> float:
    """Decay exponent α of the covariance eigenvalues, λⱼ ∝ j^(−α); near 1 is best, 0 is white noise.

    Least squares of ln λⱼ on ln j for the ranks j = first … last counted from 1, each weighted by 1/j, on
    centred embeddings. The window changes the value and can turn its correlation with accuracy around
    (Arputharaj et al. 2026, arXiv:2608.23182), so compare only values of one window; with fewer than `last`
    eigenvalues it ends at the last one that the shape allows.

    Source: Agrawal et al. 2022, "α-ReQ"; the fit is that of the authors' package reptrix (and, before it, of
    Stringer et al. 2019), read in its code. The paper's own text was not read. Code that fits singular
    values, or fits against the rank instead of its logarithm, gives other numbers.

    Args:
        embeddings: (N, D) embeddings, or their spectrum.
        first: First rank of the fit, counted from 1.
        last: Last rank of the fit, itself included.

    Raises:
        ValueError: When the window holds fewer than five ranks, or an eigenvalue in it is zero: the
            embeddings are collapsed to fewer dimensions, and no power law describes them.
    """
    spectrum = spectrum_of(embeddings)
    eigenvalues = _eigenvalues(spectrum.centred)
    last = alpha_req_last_rank(spectrum.count, spectrum.dimension, last)
    if first < 1 or last - first + 1 < FEWEST_RANKS:
        raise ValueError(
            f"α-ReQ fits at least five ranks; {spectrum.count} embeddings of dimension {spectrum.dimension} "
            f"leave ranks {first} to {last}"
        )
    rank = int(np.count_nonzero(eigenvalues))
    if rank < last:
        raise ValueError(f"α-ReQ fits ranks {first} to {last}, but the embeddings have rank {rank}")
    ranks = np.arange(first, last + 1)
    # numpy weights residuals, not their squares.
    slope = np.polyfit(np.log(ranks), np.log(eigenvalues[first - 1 : last]), 1, w=ranks**-0.5)[0]
    return float(-slope)


def alpha_req_score(embeddings: ArrayLike | torch.Tensor | Spectrum) -> float:
    """−|α − 1|: α-ReQ as a number of which more is better, at most 0; see `alpha_req`.

    Source: Agrawal et al. 2022 find α near 1 best; this form of their rule is ours.
    """
    return -abs(alpha_req(embeddings) - 1)


def nesum(embeddings: ArrayLike | torch.Tensor | Spectrum) -> float:
    """Normalised eigenvalue sum Σ λⱼ / λ₁ of the covariance; higher is whiter.

    From 1 (one direction varies) to min(N − 1, D) (all vary equally). The authors find that too white is also
    worse, so the best value need not be the highest. 1 when nothing varies: fully collapsed.

    Source: He and Ozay 2022, "Exploring the Gap between Collapsed & Whitened Features in Self-Supervised
    Learning", definition 4.1, read in code that cites it; the paper's own text was not read.

    Args:
        embeddings: (N, D) embeddings, or their spectrum.
    """
    return _sum_over_largest(spectrum_of(embeddings).centred)


def stable_rank(embeddings: ArrayLike | torch.Tensor | Spectrum) -> float:
    """‖X‖²_F / σ₁²: a rank that small singular values cannot inflate; higher is better.

    From 1 (one direction) to min(N, D). The mean is kept, so an offset of all embeddings lowers it; `nesum`
    is the same with the mean taken away. 1 when all embeddings are zero.

    Source: Tsitsulin et al. 2023, arXiv:2305.16562, read in the authors' code (`numerical_rank` in
    tensorflow_gnn, `stable_rank` in google-research, both uncentred); the paper's own text was not read.

    Args:
        embeddings: (N, D) embeddings, or their spectrum.
    """
    return _sum_over_largest(spectrum_of(embeddings).uncentred)


def participation_ratio(embeddings: ArrayLike | torch.Tensor | Spectrum) -> float:
    """(Σ λⱼ)² / Σ λⱼ² of the covariance eigenvalues: how many directions vary; higher is better.

    From 1 to min(N − 1, D). Biased low by about the share PR/N at finite N (Chun et al. 2026,
    arXiv:2509.26560), so compare only equal N. 1 when nothing varies.

    Source: Gao et al. 2017, "A theory of multineuronal dimensionality, dynamics and measurement"; a standard
    definition, not looked up there.

    Args:
        embeddings: (N, D) embeddings, or their spectrum.
    """
    eigenvalues = _eigenvalues(spectrum_of(embeddings).centred)
    return float(eigenvalues.sum() ** 2 / (eigenvalues**2).sum()) if eigenvalues[0] else 1.0


def condition_number(embeddings: ArrayLike | torch.Tensor | Spectrum) -> float:
    """σ₁ / σ_min of the centred embeddings; lower is better, 1 when all directions vary equally.

    `LARGEST_CONDITION_NUMBER`, 1/eps = 4.5e15, when a direction does not vary at all: dimensions that
    collapsed, and always when N ≤ D. An unstable statistic for N near D, and its correlation with accuracy
    turned around between data sets of the source.

    Source: Tsitsulin et al. 2023, arXiv:2305.16562, "pseudo-condition number", read in the authors' code
    (tensorflow_gnn, centred; it returns 0 where σ_min = 0, and google-research has the inverse);
    the paper's own text was not read.

    Args:
        embeddings: (N, D) embeddings, or their spectrum.
    """
    centred = spectrum_of(embeddings).centred
    if centred[-1] == 0:
        return LARGEST_CONDITION_NUMBER
    return float(centred[0] / centred[-1])


def _sum_over_largest(singular_values: NDArray[np.float64]) -> float:
    return float(_eigenvalues(singular_values).sum()) if singular_values[0] else 1.0


def _eigenvalues(singular_values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Squares of the singular values over the largest of them; all 0 where it is 0."""
    return (singular_values / (singular_values[0] or 1.0)) ** 2
