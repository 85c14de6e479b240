import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.neighbors import KNeighborsClassifier

from selector.metrics.clid import clid, cluster_learnability, twonn


def four_directions(images: int, noise: float) -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.eye(4, 12)[np.arange(images) % 4] + noise * rng.standard_normal((images, 12))


def test_separate_clusters_are_learnt_and_single_images_are_not():
    assert (
        cluster_learnability(four_directions(16, 0.01), seed=0) == 1.0
    )  # ⌊√16⌋ clusters, as many as there are
    # With a cluster for each image, no cluster of the held-out half is known.
    assert cluster_learnability(four_directions(16, 0.01), clusters=16) == 0.0
    assert cluster_learnability(four_directions(16, 0.01), clusters=1) == 1.0


@pytest.mark.parametrize("seed", [0, 1])
def test_agrees_with_scikit_learn(seed):
    embeddings = four_directions(300, 0.4)
    directions = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    labels = KMeans(17, n_init=1, random_state=seed).fit_predict(directions)  # ⌊√300⌋ = 17
    order = np.random.default_rng(seed).permutation(300)
    known, held_out = order[:150], order[150:]
    classifier = KNeighborsClassifier(1, metric="cosine").fit(embeddings[known], labels[known])
    theirs = classifier.score(embeddings[held_out], labels[held_out])
    assert 0.2 < theirs < 0.9
    assert cluster_learnability(embeddings, seed=seed) == pytest.approx(theirs)


def test_twonn_worked_out_by_hand():
    # Places 0, 1, 3, 7 on a line: ratios 3/1, 2/1, 3/2, 6/4; the largest of four is left out. With
    # x = ln 1.5, ln 1.5, ln 2 = .405465, .405465, .693147 and
    # y = −ln(1 − 1/4, 1 − 2/4, 1 − 3/4) = .287682, .693147, 1.386294: Σxy = 1.358599, Σx² = .809257
    line = np.array([[0, 0, 0], [1, 0, 0], [3, 0, 0], [7, 0, 0]])
    assert twonn(line) == pytest.approx(1.358599 / 0.809257, rel=1e-5)
    # Equal images count once.
    assert twonn(np.concatenate([line, line[:2]])) == pytest.approx(1.358599 / 0.809257, rel=1e-5)
    # Leaving out half: x = ln 1.5 twice, Σxy = .397691, Σx² = .328804
    assert twonn(line, discard=0.5) == pytest.approx(0.397691 / 0.328804, rel=1e-5)


def test_twonn_is_that_of_scikit_dimension():
    rng = np.random.default_rng(0)
    curved = np.tanh(rng.standard_normal((500, 5)) @ rng.standard_normal((5, 40)))
    # scikit-dimension 0.5.0: TwoNN().fit(curved).dimension_
    assert twonn(curved) == pytest.approx(4.37281981420306, rel=1e-5)


@pytest.mark.parametrize("dimension", [1, 2, 5])
def test_twonn_finds_the_dimension_of_a_cube(dimension):
    rng = np.random.default_rng(0)
    cube = rng.random((3000, dimension)) @ np.linalg.qr(rng.standard_normal((20, dimension)))[0].T
    assert twonn(cube) == pytest.approx(dimension, rel=0.1)


@pytest.mark.filterwarnings("error")
def test_twonn_is_at_most_the_dimension_of_the_space():
    assert twonn(np.eye(10)) == 10.0  # all equally far from each other
    assert twonn(np.eye(10) + 1e-3 * np.random.default_rng(0).random((10, 10))) == 10.0  # and nearly so


def test_clid_adds_the_dimension_as_a_share():
    embeddings = four_directions(300, 0.4)
    expected = cluster_learnability(embeddings, seed=3) + twonn(embeddings) / 12
    assert clid(embeddings, seed=3) == pytest.approx(expected)


def test_refused_arguments():
    embeddings = four_directions(16, 0.1)
    with pytest.raises(ValueError, match="1 to 16 clusters for 16 embeddings, got 17"):
        cluster_learnability(embeddings, clusters=17)
    with pytest.raises(ValueError, match="got 0"):
        cluster_learnability(embeddings, clusters=0)
    with pytest.raises(ValueError, match="at least 2 embeddings, got 1"):
        cluster_learnability(embeddings[:1])
    for metric in (twonn, clid):
        with pytest.raises(ValueError, match="at least 3 embeddings, got 2"):
            metric(embeddings[:2])
    for discard in (0, 1):
        with pytest.raises(ValueError, match=f"got {discard}"):
            twonn(embeddings, discard=discard)
