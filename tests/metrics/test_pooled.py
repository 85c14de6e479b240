"""The pooled probe against scikit-learn, and on runs that have something, nothing or all in common."""

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from sklearn.preprocessing import StandardScaler

from selector.metrics.pooled import Fingerprint, pooled_probe

COMMON = np.random.default_rng(0).normal(size=(450, 6))


def encoder(seed, share, width=12):
    """(450, width) representations that hold so large a share of what is common, and noise of their own."""
    rng = np.random.default_rng(seed)
    return share * COMMON @ rng.normal(size=(6, width)) + (1 - share) * 2.4 * rng.normal(size=(450, width))


def fingerprint(x):
    return Fingerprint.of(x[:300], x[300:])


def test_it_is_scikit_learns_ridge_to_scikit_learns_components():
    runs = [encoder(seed, share) for seed, share in ((1, 0.8), (2, 0.6), (3, 0.3), (4, 0.5))]
    scaled = [StandardScaler().fit(x[:300]).transform(x) for x in runs]
    others = np.concatenate(scaled[1:], axis=1)
    pca = PCA(30, whiten=True, svd_solver="full").fit(others[:300])
    targets = pca.transform(others)
    ridge = Ridge(alpha=1e-2 * 300).fit(scaled[0][:300], targets[:300])
    expected = r2_score(targets[300:], ridge.predict(scaled[0][300:]))
    own, *rest = map(fingerprint, runs)
    assert pooled_probe(own, rest) == pytest.approx(expected, abs=2e-3)  # float16, divisor N or N - 1


def test_the_encoder_that_holds_most_of_what_is_common_wins():
    prints = [fingerprint(encoder(seed, share)) for seed, share in enumerate((0.1, 0.5, 0.7, 0.95))]
    found = [pooled_probe(own, prints[:i] + prints[i + 1 :]) for i, own in enumerate(prints)]
    assert found == sorted(found)
    assert found[0] < 0.1 < found[3] < 1


@pytest.mark.parametrize("value", [0.0, 7.0])
def test_a_collapsed_run_predicts_nothing_and_is_no_target(value):
    healthy, dead = fingerprint(encoder(1, 0.9)), fingerprint(np.full((450, 12), value))
    assert pooled_probe(dead, [healthy]) == pytest.approx(0.0, abs=1e-12)
    assert pooled_probe(healthy, [dead]) == 0.0


def test_equal_runs_predict_each_other():
    assert pooled_probe(fingerprint(encoder(1, 0.9, 4)), [fingerprint(encoder(1, 0.9, 4))]) > 0.9


def test_a_fingerprint_is_small():
    found = Fingerprint.of(np.random.default_rng(0).normal(size=(3000, 512)), np.zeros((2000, 512)))
    assert (found.train.shape, found.held_out.shape) == ((1000, 32), (500, 32))
    assert found.train.nbytes + found.held_out.nbytes == 96_000


@pytest.mark.parametrize("others", [[], [Fingerprint(np.zeros((9, 2)), np.zeros((4, 2)))]])
def test_no_other_run_or_other_images_are_refused(others):
    with pytest.raises(ValueError, match=r"another run|same images"):
        pooled_probe(fingerprint(encoder(1, 0.5)), others)
