import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from selector.metrics.embeddings import Embeddings
from selector.metrics.probes import knn_accuracy

rng = np.random.default_rng(0)


def embeddings(vectors, labels, split="train"):
    return Embeddings(
        np.array(vectors, dtype=np.float32), None if labels is None else np.array(labels), "backbone", split
    )


# At cosine 1 from the test image one of class 0, at cosine 0.96 two of class 1.
TRAIN = embeddings([[2.0, 0.0], [0.96, 0.28], [0.96, -0.28], [-1.0, 0.0]], [0, 1, 1, 2])
TEST = embeddings([[5.0, 0.0]], [0], "test")


@pytest.mark.parametrize(
    ("neighbors", "temperature", "accuracy"),
    [
        (3, 0.07, 0.0),  # exp(0) = 1 vote for 0, 2 exp(-0.04/0.07) = 1.13 for 1
        (3, 0.05, 1.0),  # 1 for 0, 2 exp(-0.04/0.05) = 0.90 for 1
        (1, 0.07, 1.0),
        (4, 0.07, 0.0),
        (99, 0.07, 0.0),  # all four
        (99, 1e9, 0.0),  # every vote counts alike
    ],
)
def test_vote_worked_out_by_hand(neighbors, temperature, accuracy):
    assert knn_accuracy(TRAIN, TEST, neighbors=neighbors, temperature=temperature) == accuracy


@pytest.mark.parametrize(("neighbors", "temperature"), [(20, 0.07), (5, 0.5), (1, 0.07)])
def test_agrees_with_scikit_learn(neighbors, temperature):
    labels = rng.integers(0, 6, 700)
    vectors = rng.standard_normal((700, 12)) + 0.7 * rng.standard_normal((6, 12))[labels]
    train, test = embeddings(vectors[:500], labels[:500]), embeddings(vectors[500:], labels[500:], "test")
    classifier = KNeighborsClassifier(
        neighbors, metric="cosine", weights=lambda distances: np.exp((1 - distances) / temperature)
    ).fit(train.vectors, train.labels)
    expected = classifier.score(test.vectors, test.labels)
    assert 0.3 < expected < 0.9
    assert knn_accuracy(train, test, neighbors=neighbors, temperature=temperature) == pytest.approx(expected)


def test_collapsed_embeddings_give_the_accuracy_of_a_constant_answer():
    train = embeddings(np.ones((10, 3)), [0] * 4 + [1] * 6)
    assert knn_accuracy(train, embeddings(np.ones((4, 3)), [1, 1, 1, 0])) == 0.75


def test_says_what_it_refuses():
    with pytest.raises(ValueError, match="labels"):
        knn_accuracy(TRAIN, embeddings([[1.0, 0.0]], None))
    with pytest.raises(ValueError, match=r"got 0 and 0\.07"):
        knn_accuracy(TRAIN, TEST, neighbors=0)
    with pytest.raises(ValueError, match="got 20 and 0"):
        knn_accuracy(TRAIN, TEST, temperature=0)
