"""The pretext criteria against scikit-learn, scikit-image's definition, brute force and values by hand."""

import numpy as np
import pytest
from skimage.feature import hog as skimage_hog
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from sklearn.preprocessing import StandardScaler

from selector.metrics.pretext import (
    Answers,
    bootstrap_scores,
    hog,
    hog_probe,
    pretext_score,
    rotation_probe,
    score_of,
    view_retrieval,
)


def draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def planted_turns(count, seed, strength=3.0):
    """Representations in which the turn stands in four of the dimensions."""
    x = draw(count, 4, 12, seed=seed)
    x[:, np.arange(4), np.arange(4)] += strength
    return x


def test_rotation_is_scikit_learns_ridge():
    train, test = planted_turns(80, 1), planted_turns(40, 2)
    scaler = StandardScaler().fit(train.reshape(-1, 12))
    turns = np.tile(np.eye(4), (80, 1))
    ridge = Ridge(alpha=1e-3 * 320).fit(scaler.transform(train.reshape(-1, 12)), turns)
    guessed = ridge.predict(scaler.transform(test.reshape(-1, 12))).argmax(axis=1)
    expected = (guessed == np.tile(np.arange(4), 40)).mean()
    assert 0.6 < expected < 1
    assert rotation_probe(train, test) == pytest.approx(expected, abs=1e-12)


def test_hog_probe_is_scikit_learns_ridge():
    train, test = draw(200, 6, seed=1), draw(100, 6, seed=2)
    mixing = draw(6, 5, seed=3)
    y, truth = train @ mixing + draw(200, 5, seed=4), test @ mixing + draw(100, 5, seed=5)
    scaler = StandardScaler().fit(train)
    ridge = Ridge(alpha=1e-2 * 200).fit(scaler.transform(train), y)
    expected = r2_score(truth, ridge.predict(scaler.transform(test)))
    assert hog_probe(train, y, test, truth) == pytest.approx(expected, abs=1e-6)


def test_retrieval_is_the_mean_reciprocal_rank_of_brute_force():
    a = draw(30, 4, seed=1)
    b = a + 1.5 * draw(30, 4, seed=2)
    ranks = []
    for i in range(30):
        cosines = [float(a[i] @ v / np.linalg.norm(a[i]) / np.linalg.norm(v)) for v in b]
        ranks.append(1 + sum(c > cosines[i] for c in cosines))
    assert view_retrieval(a, b) == pytest.approx(np.mean([1 / r for r in ranks]))
    assert min(ranks) == 1 < max(ranks)


@pytest.mark.parametrize(
    ("view", "value"),
    [
        (np.eye(4), 1.0),  # every image finds itself
        (np.eye(4)[[1, 0, 2, 3]], 0.625),  # two miss: the other three tie or win, rank 4, so (1+1+1/4+1/4)/4
        (np.ones((4, 4)), 0.25),  # all tie, and ties count against
        (np.zeros((4, 4)), 0.25),
    ],
)
def test_retrieval_by_hand(view, value):
    assert view_retrieval(np.eye(4, dtype=np.float32), view.astype(np.float32)) == pytest.approx(value)


TURNS = np.eye(4, dtype=np.float32)  # a representation that is the turn itself


@pytest.mark.parametrize(
    ("test", "value"),
    [
        ([TURNS], 1.0),
        ([TURNS[[1, 2, 3, 0]]], 0.0),  # every turn is taken for the next one
        ([TURNS, TURNS[[1, 0, 3, 2]], TURNS[[0, 1, 3, 2]]], 0.5),  # (4 + 0 + 2) / 12
        ([TURNS[[0, 0, 2, 2]]], 0.5),  # 90 and 270 degrees look like 0 and 180
        ([0 * TURNS + 0.25], 0.25),  # in the middle: four equal scores are one guess in four
    ],
)
def test_rotation_by_hand(test, value):
    assert rotation_probe(np.stack([TURNS] * 3), np.stack(test).astype(np.float32)) == pytest.approx(value)


# Standardised, four one-hot channels have the correlation -1/3, and every contrast of them the variance 4/3.
# So the penalty of 0.01 leaves 0.01 / (4/3 + 0.01) = 3/403 of a target unexplained.
NEARLY_ALL = 1 - (3 / 403) ** 2
ONE, LINEAR = np.eye(4)[:, :1], np.eye(4) @ [[1.0], [2.0], [-5.0], [7.0]]


@pytest.mark.parametrize(
    ("train_targets", "test_targets", "value"),
    [
        (np.eye(4), np.eye(4), NEARLY_ALL),
        (LINEAR, LINEAR, NEARLY_ALL),
        (LINEAR, -LINEAR, 0.0),  # worse than the mean
        (LINEAR, np.ones((4, 1)), 0.0),  # nothing varies
        # The second target was always 0, which is predicted: as good as its mean, so its R² is 0.
        (np.hstack([ONE, 0 * ONE]), np.hstack([ONE, [[1], [-1], [1], [-1]]]), NEARLY_ALL / 2),
    ],
)
def test_hog_probe_by_hand(train_targets, test_targets, value):
    points = np.eye(4, dtype=np.float32)
    assert hog_probe(points, train_targets, points, test_targets) == pytest.approx(value)


@pytest.mark.parametrize("noise", [0.0, 1e-7])
def test_a_collapsed_encoder_is_at_chance_in_all_three(noise):
    point = 5 + noise * draw(40, 4, 6)
    flat = point[:, 0]
    targets = hog(draw(40, 16, 16))
    assert rotation_probe(point, point[:20]) == 0.25
    assert view_retrieval(flat, flat[::-1]) == pytest.approx(1 / 40)
    assert hog_probe(flat, targets, flat[:20], targets[:20]) < 0.1
    assert pretext_score(0.25, 0.0, 0.0) == 0.0


@pytest.mark.parametrize(
    ("image", "cell", "orientation"),
    [
        (np.tile(np.arange(16.0), (16, 1)), 0, 0),  # grey rises to the right: its gradient is at 0 degrees
        (np.tile(np.arange(16.0), (16, 1)).T, 3, 4),  # downwards: 90 degrees, the fifth of eight
        (np.add.outer(np.arange(16.0), np.arange(16.0)), 2, 2),  # 45 degrees
    ],
)
def test_a_ramp_has_one_orientation(image, cell, orientation):
    histograms = hog(image[None].astype(np.float32)).reshape(4, 8)
    assert histograms[cell].argmax() == orientation
    assert (histograms**2).sum() == pytest.approx(1)


def test_hog_is_scikit_images():
    images = np.random.default_rng(0).random((5, 32, 32)).astype(np.float32)
    expected = [
        skimage_hog(i, orientations=8, pixels_per_cell=(16, 16), cells_per_block=(2, 2), block_norm="L2")
        for i in images
    ]
    np.testing.assert_allclose(hog(images), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("rotation", "retrieval", "hog_r2", "score"),
    [
        (1.0, 1.0, 1.0, 1.0),
        (0.25, 0.3, 0.6, 0.3),
        (0.1, 0.3, 0.6, 0.3),
        (None, 0.2, 0.4, 0.3),
        (0.625, None, None, 0.5),
    ],
)
def test_the_score_is_the_mean_of_the_parts_on_the_scale_from_chance_to_perfect(
    rotation, retrieval, hog_r2, score
):
    assert pretext_score(rotation, retrieval, hog_r2) == pytest.approx(score)


def some_answers(seed, shift=0.0):
    rng = np.random.default_rng(seed)
    targets = rng.normal(size=(300, 4))
    return Answers(
        rotations=rng.choice([0.5, 0.75, 1.0], 100),
        ranks=np.clip(rng.random(200) + shift, 0.01, 1),
        residuals=0.5 * rng.normal(size=(300, 4)),
        targets=targets,
    )


def test_the_bootstrap_gives_the_standard_error_of_a_mean():
    values = np.random.default_rng(3).random(500)
    scores = bootstrap_scores(Answers(ranks=values), resamples=2000)
    assert np.std(scores) == pytest.approx(values.std() / np.sqrt(500), rel=0.08)
    assert np.mean(scores) == pytest.approx(values.mean(), abs=0.002)


def test_two_runs_are_resampled_alike_so_that_differences_are_paired():
    first = some_answers(1)
    second = Answers(first.rotations, np.clip(first.ranks - 0.05, 0.0, 1.0), first.residuals, first.targets)
    a, b = np.array(bootstrap_scores(first)), np.array(bootstrap_scores(second))
    assert np.std(a - b) < 0.1 * np.std(a)
    assert score_of(first) > score_of(second)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: rotation_probe(draw(5, 3, 2), draw(5, 3, 2)), r"\(N, 4, D\)"),
        (lambda: view_retrieval(draw(5, 2), draw(4, 2)), "one shape"),
        (lambda: hog(draw(2, 6, 6)), "at least 8 pixels"),
        (lambda: hog_probe(draw(5, 2), draw(4, 3), draw(5, 2), draw(5, 3)), "one row of targets"),
        (lambda: view_retrieval(np.full((3, 2), np.nan, np.float32), draw(3, 2)), "finite"),
        (lambda: rotation_probe(np.full((3, 4, 2), np.inf, np.float32), draw(3, 4, 2)), "finite"),
    ],
)
def test_bad_input_is_refused_by_what_was_wanted(call, message):
    with pytest.raises(ValueError, match=message):
        call()
