"""Linear probes and the vote of neighbours, against other solvers."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from selector.metrics.arrays import Embeddings
from selector.metrics.probes import fast_probe, knn_accuracy, paper_probe

CLASSES = 4


def sample(seed, count, split, dimension=12, spread=0.55):
    """Overlapping classes, features of unlike scales: a probe that is trained otherwise scores otherwise."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASSES, count)
    centers = spread * np.random.default_rng(99).standard_normal((CLASSES, dimension))
    vectors = (rng.standard_normal((count, dimension)) + centers[labels]) * np.logspace(-2, 1, dimension) + 1
    return Embeddings(vectors.astype(np.float32), labels, "backbone", split)


TRAIN, TEST = sample(0, 600, "train"), sample(1, 2000, "test")


def unlabelled(embeddings):
    return Embeddings(embeddings.vectors, None, embeddings.space, embeddings.split)


def relabelled(embeddings, labels):
    return Embeddings(embeddings.vectors, labels, embeddings.space, embeddings.split)


# --- fast: logistic regression


def test_fast_probe_is_converged_logistic_regression_on_standardised_features():
    # Another solver than the metric's: Newton's method.
    reference = make_pipeline(StandardScaler(), LogisticRegression(solver="newton-cg", tol=1e-8))
    reference.fit(TRAIN.vectors.astype(np.float64), TRAIN.labels)
    expected = reference.score(TEST.vectors, TEST.labels)
    assert 0.5 < expected < 0.9
    assert fast_probe(TRAIN, TEST).mean() == pytest.approx(expected, abs=1 / len(TEST.vectors))


def test_fast_probe_passes_over_constant_features():
    with_constants = []
    for sampled, value in ((TRAIN, 0.1), (TEST, 1000.0)):
        constants = np.full((len(sampled.vectors), 3), value, np.float32)
        vectors = np.hstack([sampled.vectors, constants])
        with_constants.append(Embeddings(vectors, sampled.labels, "backbone", sampled.split))
    assert np.array_equal(fast_probe(*with_constants), fast_probe(TRAIN, TEST))


@pytest.mark.parametrize("probe", [fast_probe, lambda train, test: paper_probe(lambda epoch: train, test)])
class TestBoth:
    def test_random_labels_are_guessed(self, probe):
        rng = np.random.default_rng(5)
        accuracy = probe(relabelled(TRAIN, rng.integers(0, CLASSES, len(TRAIN.vectors))), TEST).mean()
        assert accuracy == pytest.approx(1 / CLASSES, abs=0.1)

    def test_collapsed_embeddings_give_the_accuracy_of_a_constant_answer(self, probe):
        train = Embeddings(np.ones((100, 3), np.float32), np.repeat([0, 1], [30, 70]), "backbone", "train")
        test = Embeddings(np.ones((50, 3), np.float32), np.repeat([0, 1], [10, 40]), "backbone", "test")
        assert probe(train, test).mean() == 0.8

    @pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
    def test_what_is_not_finite_is_refused(self, probe, bad):
        for spoilt in (0, 1):
            sets = [TRAIN, TEST]
            vectors = sets[spoilt].vectors.copy()
            vectors[3, 1] = bad
            sets[spoilt] = replace(sets[spoilt], vectors=vectors)
            with pytest.raises(ValueError, match="expected finite embeddings"):
                probe(*sets)

    def test_says_which_labels_are_missing(self, probe):
        with pytest.raises(ValueError, match="the train embeddings have none"):
            probe(unlabelled(TRAIN), TEST)
        with pytest.raises(ValueError, match="the test embeddings have none"):
            probe(TRAIN, unlabelled(TEST))


# --- paper: Adam on augmented epochs


def adam_by_hand(epochs, test, peak, weight_decay, batch_size, seed):
    """Kingma & Ba 2014, algorithm 1, with a one-cycle rate and β1, in float64 numpy."""
    generator = torch.Generator().manual_seed(seed)
    count, dimension = epochs[0].vectors.shape
    bound = 1 / math.sqrt(dimension)
    weight = (
        torch.empty(CLASSES, dimension).uniform_(-bound, bound, generator=generator).numpy().astype(float)
    )
    bias = torch.empty(CLASSES).uniform_(-bound, bound, generator=generator).numpy().astype(float)
    parameters = np.hstack([weight, bias[:, None]])
    first, second = np.zeros_like(parameters), np.zeros_like(parameters)
    steps = len(epochs) * math.ceil(count / batch_size)
    step = 0
    for epoch in epochs:
        order = torch.randperm(count, generator=generator).numpy()
        for start in range(0, count, batch_size):
            batch = order[start : start + batch_size]
            x = np.hstack([epoch.vectors[batch].astype(float), np.ones((len(batch), 1))])
            logits = x @ parameters.T
            error = np.exp(logits - logits.max(1, keepdims=True))
            error /= error.sum(1, keepdims=True)
            error[np.arange(len(batch)), epoch.labels[batch]] -= 1
            gradient = error.T @ x / len(batch) + weight_decay * parameters
            rise = 0.3 * steps - 1
            if step <= rise:
                rate, beta = cosine(peak / 25, peak, step / rise), cosine(0.95, 0.85, step / rise)
            else:
                share = (step - rise) / (steps - 1 - rise)
                rate, beta = cosine(peak, peak / 25e4, share), cosine(0.85, 0.95, share)
            step += 1
            first = beta * first + (1 - beta) * gradient
            second = 0.999 * second + 0.001 * gradient**2
            parameters -= rate * (first / (1 - beta**step)) / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)
    predicted = (test.vectors @ parameters[:, :-1].T + parameters[:, -1]).argmax(axis=1)
    return (predicted == test.labels).mean()


def cosine(start, end, share):
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


@pytest.mark.parametrize(
    "recipe", [{}, {"peak_learning_rate": 0.003}, {"weight_decay": 0.1}, {"batch_size": 48}, {"seed": 3}]
)
def test_paper_probe_is_adam_with_one_cycle(recipe):
    defaults = {"peak_learning_rate": 0.08, "weight_decay": 1e-4, "batch_size": 256, "seed": 0}
    peak, weight_decay, batch_size, seed = (defaults | recipe).values()
    epochs = [sample(10 + epoch, 600, "train") for epoch in range(20)]
    expected = adam_by_hand(epochs, TEST, peak, weight_decay, batch_size, seed)
    actual = paper_probe(epochs.__getitem__, TEST, **recipe).mean()
    assert actual == pytest.approx(expected, abs=2 / len(TEST.vectors))


def test_the_last_epoch_counts_and_not_the_best():
    wrong = relabelled(TRAIN, (TRAIN.labels + 1) % CLASSES)
    assert paper_probe(lambda epoch: TRAIN if epoch < 8 else wrong, TEST).mean() < 0.2


def test_an_epoch_of_another_size_is_refused():
    with pytest.raises(ValueError, match="epoch 3 has 5 images, epoch 0 had 600"):
        paper_probe(lambda epoch: sample(0, 5, "train") if epoch == 3 else TRAIN, TEST)


def test_paper_probe_leaves_random_states_and_gradient_modes_alone():
    expected = paper_probe(lambda epoch: TRAIN, TEST, epochs=2)
    torch.manual_seed(0)
    state = torch.get_rng_state()
    with torch.inference_mode():
        assert np.array_equal(paper_probe(lambda epoch: TRAIN, TEST, epochs=2), expected)
        assert torch.is_inference_mode_enabled()
    with torch.no_grad():
        assert np.array_equal(paper_probe(lambda epoch: TRAIN, TEST, epochs=2), expected)
    assert torch.equal(torch.get_rng_state(), state)


RNG = np.random.default_rng(0)


def embeddings(vectors, labels, split="train"):
    return Embeddings(
        np.array(vectors, dtype=np.float32), None if labels is None else np.array(labels), "backbone", split
    )


# At cosine 1 from the test image one of class 0, at cosine 0.96 two of class 1.
VOTERS = embeddings([[2.0, 0.0], [0.96, 0.28], [0.96, -0.28], [-1.0, 0.0]], [0, 1, 1, 2])
VOTED = embeddings([[5.0, 0.0]], [0], "test")


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
    assert knn_accuracy(VOTERS, VOTED, neighbors=neighbors, temperature=temperature) == accuracy


@pytest.mark.parametrize(("neighbors", "temperature"), [(20, 0.07), (5, 0.5), (1, 0.07)])
def test_vote_agrees_with_scikit_learn(neighbors, temperature):
    labels = RNG.integers(0, 6, 700)
    vectors = RNG.standard_normal((700, 12)) + 0.7 * RNG.standard_normal((6, 12))[labels]
    train, test = embeddings(vectors[:500], labels[:500]), embeddings(vectors[500:], labels[500:], "test")
    classifier = KNeighborsClassifier(
        neighbors, metric="cosine", weights=lambda distances: np.exp((1 - distances) / temperature)
    ).fit(train.vectors, train.labels)
    expected = classifier.score(test.vectors, test.labels)
    assert 0.3 < expected < 0.9
    assert knn_accuracy(train, test, neighbors=neighbors, temperature=temperature) == pytest.approx(expected)


def test_vote_of_collapsed_embeddings_is_a_constant_answer():
    train = embeddings(np.ones((10, 3)), [0] * 4 + [1] * 6)
    assert knn_accuracy(train, embeddings(np.ones((4, 3)), [1, 1, 1, 0])) == 0.75


def test_vote_says_what_it_refuses():
    with pytest.raises(ValueError, match="labels"):
        knn_accuracy(VOTERS, embeddings([[1.0, 0.0]], None))
    with pytest.raises(ValueError, match=r"got 0 and 0\.07"):
        knn_accuracy(VOTERS, VOTED, neighbors=0)
    with pytest.raises(ValueError, match="got 20 and 0"):
        knn_accuracy(VOTERS, VOTED, temperature=0)
