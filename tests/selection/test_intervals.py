"""Intervals of a regret, by hand and by simulation with known truth."""

import numpy as np
import pytest
import scipy.special

from selector.selection.intervals import configuration_interval, distance_from_best, repetition_interval


@pytest.mark.parametrize(
    ("quality", "chosen", "errors", "expected"),
    [
        # One other: Φ⁻¹(0.975) = 1.960. 0.10 ± 0.098.
        ([0.9, 0.8], 1, [0.05, 0.0], (0.002, 0.198)),
        # Two others: Φ⁻¹(0.9875) = 2.2414. Lower: max(0.2 - 0.224, 0.1 - 0.022), upper: max(0.424, 0.122).
        ([0.9, 0.8, 0.7], 2, [0.1, 0.01, 0.0], (0.0776, 0.4241)),
        # The chosen one is clearly the best: nothing is regretted.
        ([0.9, 0.5], 0, [0.0, 0.01], (0.0, 0.0)),
        ([0.9], 0, [0.0], None),
        ([0.9, 0.8], 1, [np.nan, 0.0], None),
    ],
)
def test_distance_from_the_best_by_hand(quality, chosen, errors, expected):
    found = distance_from_best(quality, chosen, errors)
    assert found is None if expected is None else found == pytest.approx(expected, abs=1e-4)


def test_a_configuration_by_hand():
    # Logits 0.1, 0, -0.1 twice: squares 0.02 each, 0.04 over 4 degrees of freedom, s = 0.1. Around a mean of
    # 0.5 that is 0.25 · 0.1 / √3 = 0.01443 each, 0.02041 of the difference; t(0.975, 4) = 2.7764 times that.
    seeds = 1 / (1 + np.exp(-np.array([0.1, 0.0, -0.1])))
    assert configuration_interval([seeds, seeds], 0) == pytest.approx((0, 0.05667), abs=1e-4)


@pytest.mark.parametrize("seeds", [[3, 2, 2], [1, 1], [9, 1]])
def test_nothing_is_said_without_two_configurations_of_three_seeds(seeds):
    shares = [np.linspace(0.5, 0.6, n) for n in seeds]
    assert configuration_interval(shares, 0) is None
    assert repetition_interval([[(share, share) for share in some] for some in shares]) is None


def test_a_repetition_without_differences_between_seeds_repeats_the_regret():
    seeds = [[(3.0, 0.7)] * 3, [(2.0, 0.9)] * 3, [(-np.inf, 0.95)]]
    assert repetition_interval(seeds) == pytest.approx((0.25, 0.25))


def test_score_and_accuracy_change_by_the_same_two_seeds():
    # Accuracy follows the score exactly, so that whatever the seeds are, the best score is the best accuracy.
    # (Logits around 0: the logit of the mean share is the mean logit.)
    logits = [[-1, 0, 1], [-0.5, 0, 0.5], [0.2], [-0.3]]
    seeds = [[(score, scipy.special.expit(score)) for score in some] for some in logits]
    assert repetition_interval(seeds) == pytest.approx((0, 0), abs=1e-12)


def sweeps_trained_twice(rng, trials, repeated, deviation, noise, configurations=24):
    """True accuracies, and two sweeps of them as (score, accuracy) of each seed; both depend on it."""
    size = np.where(np.arange(configurations) < repeated, 3, 1)
    for _ in range(trials):
        centre = rng.normal(2, 1, configurations)  # logits: accuracies of 0.5 to 0.98
        score_centre = centre + rng.normal(0, noise, configurations)

        def seeds(centre=centre, score_centre=score_centre):
            both = [deviation * rng.multivariate_normal([0, 0], [[1, 0.5], [0.5, 1]], n) for n in size]
            return [
                np.column_stack([score + pairs[:, 0], scipy.special.expit(logit + pairs[:, 1])])
                for score, logit, pairs in zip(score_centre, centre, both, strict=True)
            ]

        yield 1 / (1 + np.exp(-centre)), seeds(), seeds()


def regret_of(seeds):
    scores, means = np.array([pairs.mean(axis=0) for pairs in seeds]).T
    chosen = int(np.argmax(scores))
    return means.max() - means[chosen], chosen


@pytest.mark.slow
@pytest.mark.parametrize("images", [360, 10_000])
@pytest.mark.parametrize("paired", [False, True])
def test_coverage_of_these_checkpoints(images, paired):
    """At least 95 % of the intervals hold the true regret, whether errors are paired or independent."""
    rng, held, trials = np.random.default_rng(images), 0, 1000
    for _ in range(trials):
        truth = scipy.special.expit(rng.normal(2, 1, 24))
        hardness = rng.random(images) if paired else rng.random((24, images))
        right = (hardness < truth[:, None]).astype(float)
        accuracy = right.mean(axis=1)
        chosen = int((truth + rng.normal(0, 0.05, 24)).argmax())
        if paired:
            errors = np.std(right - right[chosen], axis=1, ddof=1) / np.sqrt(images)
        else:
            own = np.sqrt(accuracy * (1 - accuracy) / images)
            errors = np.hypot(own, own[chosen])
        low, high = distance_from_best(accuracy, chosen, errors)
        held += low <= truth.max() - truth[chosen] <= high
    assert held / trials >= 0.95


@pytest.mark.slow
@pytest.mark.parametrize(("repeated", "deviation", "noise"), [(4, 0.15, 1), (4, 0.15, 2), (4, 0.3, 2)])
def test_coverage_of_other_seeds(repeated, deviation, noise):
    """90 to 97 % for the regret of a repetition, and at least 95 % for that of the configuration itself.

    Regrets are not below 0: where the lower end is 0, only the upper one can miss, in 2.5 %.
    """
    rng, again, own, trials = np.random.default_rng(0), 0, 0, 1000
    for truth, first, second in sweeps_trained_twice(rng, trials, repeated, deviation, noise):
        _, chosen = regret_of(first)
        low, high = repetition_interval(first)
        again += low - 1e-12 <= regret_of(second)[0] <= high + 1e-12
        low, high = configuration_interval([pairs[:, 1] for pairs in first], chosen)
        own += low <= truth.max() - truth[chosen] <= high
    assert 0.90 <= again / trials <= 0.97
    assert own / trials >= 0.95
