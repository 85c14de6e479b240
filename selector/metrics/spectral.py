"""Metrics read from one spectrum: how many directions of embedding space are used, and how evenly.

Each takes (N, D) embeddings, one image per row, or the `Spectrum` of them, so that one decomposition serves
them all; arithmetic is float64 whatever the dtype. What comes from an author's code was read there, and the
paper's own text was not. The sources define two metrics by one formula (NESum and the stable rank) with the
mean taken away or left in.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from selector.metrics.arrays import TooFew, Undefined
from selector.metrics.metric import BACKBONE, PROJECTOR, label_free
from selector.metrics.spectrum import Spectrum, spectrum_of

if TYPE_CHECKING:
    from selector.metrics.arrays import Array

_ONE_SVD = "one SVD per space, shared"
_of_backbone = partial(label_free, reads="backbone_spectrum", space=BACKBONE, cost=_ONE_SVD)
_RANKME = "exp(-Σ p ln p), p = σ/Σσ + 1e-7, not centred"
_GARRIDO = "Garrido et al. 2023, arXiv:2210.02885, equation 1"
_TSITSULIN = "Tsitsulin et al. 2023, arXiv:2305.16562, in the authors' code"
# The most that a ratio of singular values can mean in float64.
LARGEST_CONDITION_NUMBER = float(1 / np.finfo(np.float64).eps)
# Ranks that α-ReQ fits, counted from 1, where the embeddings have so many.
FIRST_RANK, LAST_RANK = 11, 100
FEWEST_RANKS = 5


@_of_backbone(
    name="rankme_backbone",
    symbol="RankMe(Z_backbone)",
    meaning="How many directions the representations of the evaluation images use.",
    formula=_RANKME,
    direction="max",
    source=f"{_GARRIDO}, on representations",
)
@label_free(
    reads="projector_spectrum",
    symbol="RankMe(Z_projector)",
    meaning="How many directions the projections of the training images use.",
    formula=_RANKME,
    space=PROJECTOR,
    direction="max",
    cost=_ONE_SVD,
    source=_GARRIDO,
)
def rankme(embeddings: Array | Spectrum, *, eps: float = 1e-7, centred: bool = False) -> float:
    """Effective rank of the embeddings over the min(N, D) singular values σ.

    About 1 when every image falls on one direction (a little more, because every unused direction adds its
    eps: 1.0008 for 512 dimensions), min(N, D) when all directions are used equally. The mean is kept,
    so that a large common offset takes RankMe towards 1. Embeddings that are all zero have no σ to scale;
    they are as collapsed as can be and give 1.

    Args:
        embeddings: 25,600 images of the training data in the paper.
        eps: Added to each scaled singular value.
        centred: Take the mean away first, which the paper does not.
    """
    spectrum = spectrum_of(embeddings)
    sigma = spectrum.centred if centred else spectrum.uncentred
    if sigma[0] == 0:
        return 1.0
    p = sigma / sigma.sum() + eps
    # With eps = 0 a direction that nobody uses adds nothing: p ln p → 0.
    return float(np.exp(-(p[p > 0] * np.log(p[p > 0])).sum()))


def alpha_req_last_rank(count: int, dimension: int, last: int = LAST_RANK) -> int:
    """The rank that a fit up to `last` ends at: centred, N embeddings of dimension D have no more."""
    return min(last, dimension, count - 1)


def alpha_req(embeddings: Array | Spectrum, *, first: int = FIRST_RANK, last: int = LAST_RANK) -> float:
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
        TooFew: The window holds fewer than five ranks.
        Undefined: An eigenvalue in it is zero: the embeddings are collapsed to fewer dimensions, and no power
            law describes them.
    """
    spectrum = spectrum_of(embeddings)
    eigenvalues = _eigenvalues(spectrum.centred)
    last = alpha_req_last_rank(spectrum.count, spectrum.dimension, last)
    if first < 1 or last - first + 1 < FEWEST_RANKS:
        raise TooFew(
            f"α-ReQ fits at least five ranks; {spectrum.count} embeddings of dimension {spectrum.dimension} "
            f"leave ranks {first} to {last}"
        )
    rank = int(np.count_nonzero(eigenvalues))
    if rank < last:
        raise Undefined(f"α-ReQ fits ranks {first} to {last}, but the embeddings have rank {rank}")
    ranks = np.arange(first, last + 1)
    # numpy weights residuals, not their squares.
    slope = np.polyfit(np.log(ranks), np.log(eigenvalues[first - 1 : last]), 1, w=ranks**-0.5)[0]
    return float(-slope)


@_of_backbone(
    also={"alpha_req": alpha_req},
    symbol="-|α - 1|",
    formula="λ_j ~ j^-α, least squares in logarithms over ranks 11 to 100, weights 1/j",
    direction="max",
    source="Agrawal et al. 2022, α-ReQ, in the authors' code",
)
def alpha_req_score(embeddings: Array | Spectrum) -> float:
    """How closely the eigenvalues of the covariance fall off as one over their rank.

    −|α − 1|: `alpha_req` as a number of which more is better, at most 0; this form of the rule is ours.
    """
    return -abs(alpha_req(embeddings) - 1)


@_of_backbone(
    symbol="NESum",
    formula="Σ λ / λ_1 of the covariance",
    direction="max",
    source="He & Ozay 2022, definition 4.1, in code that cites it",
)
def nesum(embeddings: Array | Spectrum) -> float:
    """How much varies besides the strongest direction; its authors find that too much is also bad.

    Normalised eigenvalue sum, from 1 (one direction varies, or none) to min(N − 1, D) (all vary equally). The
    best value need not be the highest.
    """
    return _sum_over_largest(spectrum_of(embeddings).centred)


@_of_backbone(
    symbol="stable rank",
    formula="‖X‖²_F / σ_1², not centred",
    direction="max",
    source=_TSITSULIN,
)
def stable_rank(embeddings: Array | Spectrum) -> float:
    """How many directions are used, measured so that small singular values cannot inflate it.

    From 1 (one direction, or all zero) to min(N, D). The mean is kept, so an offset of all embeddings lowers
    it; `nesum` is the same with the mean taken away. In the authors' code `numerical_rank` of tensorflow_gnn
    and `stable_rank` of google-research.
    """
    return _sum_over_largest(spectrum_of(embeddings).uncentred)


@_of_backbone(
    symbol="PR",
    formula="(Σ λ)² / Σ λ² of the covariance",
    direction="max",
    source="Gao et al. 2017",
)
def participation_ratio(embeddings: Array | Spectrum) -> float:
    """How many directions vary.

    From 1 to min(N − 1, D); 1 when nothing varies. Biased low by about the share PR/N at finite N (Chun et
    al. 2026, arXiv:2509.26560).
    """
    eigenvalues = _eigenvalues(spectrum_of(embeddings).centred)
    return float(eigenvalues.sum() ** 2 / (eigenvalues**2).sum()) if eigenvalues[0] else 1.0


@_of_backbone(
    symbol="κ",
    formula="σ_1 / σ_min, centred",
    direction="min",
    source=_TSITSULIN,
)
def condition_number(embeddings: Array | Spectrum) -> float:
    """How much more the strongest direction varies than the weakest.

    1 when all directions vary equally. `LARGEST_CONDITION_NUMBER`, 1/eps = 4.5e15, when a direction does not
    vary at all: dimensions that collapsed, and always when N ≤ D. An unstable statistic for N near D, and its
    correlation with accuracy turned around between data sets of the source. The authors' code returns 0 where
    σ_min = 0.
    """
    centred = spectrum_of(embeddings).centred
    if centred[-1] == 0:
        return LARGEST_CONDITION_NUMBER
    return float(centred[0] / centred[-1])


@_of_backbone(
    symbol="AUC",
    formula="mean over k of Σ_{j ≤ k} σ_j / Σ σ, centred",
    direction="min",
    source="Li et al. 2022, arXiv:2209.15007, equation 2, in code that cites it",
)
def spectrum_auc(embeddings: Array | Spectrum) -> float:
    """How fast the share of the strongest directions adds up: 1 where there is only one.

    The area under their cumulative share: from (K + 1) / 2K, where all K = min(N, D) directions vary equally,
    to 1, where one does or none. The source's code scales every image to unit length first, which this does
    not.
    """
    sigma = spectrum_of(embeddings).centred
    return float(np.mean(np.cumsum(sigma) / sigma.sum())) if sigma[0] else 1.0


def _sum_over_largest(singular_values: NDArray[np.float64]) -> float:
    return float(_eigenvalues(singular_values).sum()) if singular_values[0] else 1.0


def _eigenvalues(singular_values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Squares of the singular values over the largest of them; all 0 where it is 0."""
    return (singular_values / (singular_values[0] or 1.0)) ** 2
