"""How far a regret could have come out otherwise: three questions, three answers, or none.

- Of *these checkpoints*: the oracle saw so many images. Multiple comparisons with the best, in closed form.
- Of *these configurations*: other seeds of theirs could have been better. The same on seed means.
- Of *a repetition with other seeds*: the differences of two seeds that were seen are drawn for all runs.

The last two need seeds that were repeated: at least two configurations with three seeds each.

Source: Hsu 1981, Simultaneous confidence intervals for all distances from the "best".
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

RESAMPLES = 2000
SEED = 0
LEVEL = 0.95
LEAST_REPEATED, LEAST_SEEDS = 2, 3
_NEAREST_TO_CERTAIN = 1e-3  # a logit needs a share that is neither 0 nor 1

Floats = NDArray[np.float64]
Interval = tuple[float, float]


def t_quantile(probability: float, degrees: float = np.inf) -> float:
    """The quantile of Student's t; of the normal distribution for infinitely many degrees of freedom."""
    from scipy.special import ndtri, stdtrit  # here: its import takes longer than ranking many runs

    return float(ndtri(probability) if np.isinf(degrees) else stdtrit(degrees, probability))


def distance_from_best(
    quality: ArrayLike, chosen: int, errors: ArrayLike, degrees: float = np.inf
) -> Interval | None:
    """Interval (95 %) of the true regret of one of K, given how surely each is known.

    With d_j the Bonferroni quantile times the standard error of the difference between j and the chosen one,
    it reaches from max(0, max_j(q_j - q_c - d_j)) to max(0, max_j(q_j - q_c + d_j)) over all j but c.

    Args:
        quality: (K,) estimates, larger is better.
        chosen: Index c of the chosen one.
        errors: (K,) standard error of the difference between each and the chosen one; NaN where unknown.
        degrees: Of freedom of these errors.

    Returns:
        The ends, in the unit of the quality; None for fewer than two, or where an error is unknown.
    """
    quality, errors = np.asarray(quality, np.float64), np.asarray(errors, np.float64)
    others = np.arange(len(quality)) != chosen
    if not others.any() or np.isnan(errors[others]).any():
        return None
    gaps = (quality - quality[chosen])[others]
    reach = t_quantile(1 - (1 - LEVEL) / 2 / len(gaps), degrees) * errors[others]
    return max(0.0, float((gaps - reach).max())), max(0.0, float((gaps + reach).max()))


def seed_error(accuracies: Sequence[Sequence[float]]) -> tuple[float, float]:
    """Standard deviation over seeds on the logit scale, pooled over configurations; degrees of freedom."""
    repeated = [logit(seeds) for seeds in accuracies if len(seeds) > 1]
    degrees = sum(len(seeds) - 1 for seeds in repeated)
    squares = sum(float(((seeds - seeds.mean()) ** 2).sum()) for seeds in repeated)
    return float(np.sqrt(squares / degrees)), float(degrees)


def configuration_interval(accuracies: Sequence[Sequence[float]], chosen: int) -> Interval | None:
    """Interval (95 %) of a configuration's true regret, from how seeds of one configuration differ.

    The standard error of a mean accuracy a over n seeds is a (1 - a) s / √n, s pooled on the logit scale.

    Args:
        accuracies: Of each configuration, those of its seeds; shares from 0 to 1.
        chosen: Index of the chosen configuration.

    Returns:
        The ends; None unless two configurations have three seeds.
    """
    if not seeds_are_repeated(accuracies):
        return None
    deviation, degrees = seed_error(accuracies)
    means = np.array([np.mean(seeds) for seeds in accuracies])
    bounded = means.clip(_NEAREST_TO_CERTAIN, 1 - _NEAREST_TO_CERTAIN)
    own = bounded * (1 - bounded) * deviation / np.sqrt([len(seeds) for seeds in accuracies])
    return distance_from_best(means, chosen, np.hypot(own, own[chosen]), degrees)


def repetition_interval(seeds: Sequence[Sequence[tuple[float, float]]]) -> Interval | None:
    """Interval (95 %) of the regret if all configurations were trained once more with as many other seeds.

    Args:
        seeds: Of each configuration, (score, accuracy) of its seeds; the highest mean score is chosen, and
            accuracies are shares from 0 to 1.

    Returns:
        The ends; None unless two configurations have three seeds.
    """
    if not seeds_are_repeated(seeds):
        return None
    tables = [np.array(pairs) for pairs in seeds]
    scores, accuracies = np.array([table.mean(axis=0) for table in tables]).T
    again = resampled_regrets(
        scores,
        accuracies,
        [(table[:, 0], table[:, 1]) for table in tables if len(table) >= LEAST_SEEDS],
        1 / np.sqrt([len(table) for table in tables]),
    )
    low, high = np.percentile(again, [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
    return float(low), float(high)


def resampled_regrets(
    scores: ArrayLike,
    accuracies: ArrayLike,
    repeated: Sequence[tuple[ArrayLike, ArrayLike]],
    shrink: ArrayLike = 1.0,
) -> Floats:
    """Regrets of 2,000 imagined repetitions with other seeds.

    In each, each configuration is changed by the difference of two seeds of a repeated configuration: the
    score by theirs, the accuracy by theirs on the logit scale, both from the same two seeds. Then the best
    score is chosen again. Their mean is no estimate of the regret: it is biased upwards.

    Args:
        scores: (K,) higher is chosen.
        accuracies: (K,) shares from 0 to 1.
        repeated: Scores and accuracies of the seeds of each repeated configuration.
        shrink: Factor of the differences: 1/√n for a mean of n seeds.
    """
    centre, rng = logit(accuracies), np.random.default_rng(SEED)
    source = rng.integers(0, len(repeated), (RESAMPLES, len(centre)))
    of_scores = [np.asarray(seeds, np.float64) for seeds, _ in repeated]
    of_logits = [logit(shares) for _, shares in repeated]
    lengths = [len(some) for some in of_scores]
    seeds, start = np.array(lengths)[source], np.cumsum([0, *lengths])[source]
    first = rng.integers(0, seeds)
    second = (first + rng.integers(1, seeds)) % seeds  # any of the others
    both = (np.concatenate(of_scores), np.concatenate(of_logits))
    shifts = [np.asarray(shrink) * (one[start + second] - one[start + first]) for one in both]
    chosen = (np.asarray(scores, np.float64) + shifts[0]).argmax(axis=1)
    quality = 1 / (1 + np.exp(-(centre + shifts[1])))
    regrets: Floats = quality.max(axis=1) - np.take_along_axis(quality, chosen[:, None], axis=1)[:, 0]
    return regrets


def seeds_are_repeated(seeds: Sequence[Sequence[object]]) -> bool:
    """Whether enough is known of other seeds: two configurations with three each."""
    return sum(len(some) >= LEAST_SEEDS for some in seeds) >= LEAST_REPEATED


def logit(shares: ArrayLike) -> Floats:
    """ln(p / (1 - p)), of shares at most 0.999 and at least 0.001."""
    bounded = np.asarray(shares, np.float64).clip(_NEAREST_TO_CERTAIN, 1 - _NEAREST_TO_CERTAIN)
    odds: Floats = np.log(bounded / (1 - bounded))
    return odds
