"""Linear probes and kNN: how well classes can be read off frozen embeddings."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from selector.metrics.arrays import Embeddings, one_thread
from selector.metrics.metric import TEST, labelled
from selector.metrics.neighbors import nearest_neighbors

if TYPE_CHECKING:
    import torch

PROBE_BATCH_SIZE = 256


@labelled(
    reads="probed",
    symbol="LP",
    formula="paper: Adam, 20 augmented epochs; fast: logistic regression",
    space=TEST,
    direction="max",
    cost="20 augmented passes (fast: one)",
    source="Xu, Lowe & Trappenberg 2022, arXiv:2409.06612, section III-E",
    settings=("probe",),
)
def linear_probe_accuracy(correct: NDArray[np.bool_]) -> float:
    """Accuracy of a linear classifier on the frozen representations.

    Share of the (N,) truths of `fast_probe` or `paper_probe`, from 0 to 1.
    """
    return float(np.mean(correct))


@labelled(
    reads=("train_backbone", "labelled_backbone"),
    prefix="knn",
    symbol="kNN",
    formula="votes weighted by exp(cosine / temperature)",
    space=TEST,
    direction="max",
    cost="one pass over the training images",
    source="Wu et al. 2018, arXiv:1805.01978, section 3.4",
)
def knn_accuracy(
    train: Embeddings, test: Embeddings, *, neighbors: int = 20, temperature: float = 0.07
) -> float:
    """Accuracy of a vote among the nearest training images.

    Share of test images whose class wins a weighted vote, from 0 to 1.
    The `neighbors` training images (or all, if fewer) with the largest cosine similarity vote. A tie goes to
    the lower class index. A zero vector has similarity 0 to everything but another zero vector, to which it
    has 1. 200 neighbours in the source, on ImageNet; 20 is the usual choice for smaller data sets.
    """
    if train.labels is None or test.labels is None:
        raise ValueError("kNN accuracy needs labels of the train and of the test embeddings")
    if neighbors < 1 or not temperature > 0:
        raise ValueError(
            f"expected at least 1 neighbour and a temperature above 0, got {neighbors} and {temperature}"
        )
    neighbors = min(neighbors, len(train.vectors))
    indices, distances = nearest_neighbors(train.checked, neighbors, "cosine", queries=test.checked)
    weights = np.exp(-distances.astype(np.float64) / temperature)  # exp(s / temperature), but for a factor
    classes, votes_for = np.unique(train.labels, return_inverse=True)
    votes = np.zeros((len(test.vectors), len(classes)))
    rows = np.arange(len(votes))
    for column in range(neighbors):
        votes[rows, votes_for[indices[:, column]]] += weights[:, column]
    return float((classes[votes.argmax(axis=1)] == test.labels).mean())


def fast_probe(train: Embeddings, test: Embeddings) -> NDArray[np.bool_]:
    """Which test images a multinomial logistic regression gets right; the mean is its accuracy, 0 to 1.

    Trained to convergence on the features of the images as they are, each feature scaled to mean 0 and
    standard deviation 1 over the training images (a constant feature to 0). It minimises the summed
    cross-entropy plus half the squared weights of all classes (C = 1 of scikit-learn's multinomial logistic
    regression), so there is neither a seed nor an epoch to choose.

    Args:
        train: Labelled embeddings that the classifier is trained on.
        test: Labelled embeddings that it is judged on.

    Returns:
        (N,) truths, one per test image.

    Raises:
        ValueError: Embeddings without labels or not finite, or training images of one class only.
    """
    train_labels, test_labels = _labels(train), _labels(test)
    features = train.vectors.astype(np.float64)
    mean, deviation = features.mean(axis=0), features.std(axis=0)
    # A deviation of rounding errors is a constant feature: amplified, it would be noise.
    scale = np.where(deviation > 1e-12 * np.abs(mean), deviation, np.inf)
    classes, targets = np.unique(train_labels, return_inverse=True)
    if len(classes) < 2:
        raise ValueError(f"a linear probe needs at least 2 classes, got only class {classes[0]}")
    with one_thread():
        weights, bias = _logistic_regression((features - mean) / scale, targets)
    predicted = classes[((test.vectors - mean) / scale @ weights + bias).argmax(axis=1)]
    correct: NDArray[np.bool_] = predicted == test_labels
    return correct


@contextmanager
def _gradients() -> Iterator[None]:
    """Gradients are on, though callbacks may be called without."""
    import torch

    with torch.inference_mode(mode=False):
        yield


@_gradients()
def paper_probe(
    augmented: Callable[[int], Embeddings],
    test: Embeddings,
    *,
    epochs: int = 20,
    peak_learning_rate: float = 0.08,
    weight_decay: float = 1e-4,
    batch_size: int = PROBE_BATCH_SIZE,
    seed: int = 0,
) -> NDArray[np.bool_]:
    """Which test images the paper's linear probe gets right after its last epoch; the mean is its accuracy.

    A linear layer on the features as they are, trained by Adam with a one-cycle learning rate (PyTorch's,
    which rises for 30 % of the steps from 1/25 of the peak) and a momentum (β1) that falls from 0.95 to 0.85
    and rises again. Each epoch sees its images under a fresh augmentation: AutoAugment's CIFAR-10 policy in
    the paper. The global random state is neither read nor changed.

    Source: Xu, Lowe & Trappenberg 2022, https://arxiv.org/abs/2409.06612, section III-E, which does not
    say the batch size.

    Args:
        augmented: Epoch from 0 on → labelled embeddings of the training images, augmented for that epoch,
            in the same order each time.
        test: Labelled embeddings of images as they are.
        epochs: Passes over the training images.
        peak_learning_rate: 0.08 in the paper, 0.003 for its supervised pretrained models.
        weight_decay: Adam's L2 penalty.
        batch_size: Images per step; the last step of an epoch takes what is left.
        seed: Of the initial weights and the order of the images.

    Returns:
        (N,) truths, one per test image.

    Raises:
        ValueError: Embeddings without labels or not finite, or epochs of unequal size.
    """
    import torch
    from torch.nn.functional import cross_entropy, linear

    test_labels = _labels(test)
    generator = torch.Generator().manual_seed(seed)
    features, labels = _tensors(augmented(0))
    count, dimension = features.shape
    bound = dimension**-0.5  # torch.nn.Linear's start
    classes = int(labels.max()) + 1
    weight = torch.empty(classes, dimension).uniform_(-bound, bound, generator=generator).requires_grad_()
    bias = torch.empty(classes).uniform_(-bound, bound, generator=generator).requires_grad_()
    optimizer = torch.optim.Adam([weight, bias], weight_decay=weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, peak_learning_rate, epochs=epochs, steps_per_epoch=-(-count // batch_size)
    )
    for epoch in range(epochs):
        if epoch > 0:
            features, labels = _tensors(augmented(epoch))
            if len(features) != count:
                raise ValueError(f"epoch {epoch} has {len(features)} images, epoch 0 had {count}")
        with one_thread():  # but not for `augmented`, which has images to encode
            for batch in torch.split(torch.randperm(count, generator=generator), batch_size):
                optimizer.zero_grad()
                torch.autograd.backward(cross_entropy(linear(features[batch], weight, bias), labels[batch]))
                optimizer.step()
                schedule.step()
    with torch.no_grad():
        predicted = linear(torch.from_numpy(test.vectors), weight, bias).argmax(dim=1).numpy()
    correct: NDArray[np.bool_] = predicted == test_labels
    return correct


def _logistic_regression(
    features: NDArray[np.float64], targets: NDArray[np.intp]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(D, K) weights and (K,) bias at the minimum of Σ cross-entropy + ½ Σ weights².

    L-BFGS in coordinates in which the Hessian of the start is about the identity: features of an encoder are
    so correlated that without it takes five times as many steps. The bound on the gradient there leaves the
    summed cross-entropy of all images within about 0.01 nats of its minimum.
    """
    from scipy.optimize import minimize

    count, dimension = features.shape
    classes = int(targets.max()) + 1
    truth = np.zeros((count, classes))
    truth[np.arange(count), targets] = 1
    # The Hessian of Σ cross-entropy at equal probabilities 1/K is XᵀX / K in the directions that matter.
    hessian = features.T @ features / classes + np.eye(dimension)
    to_weights = np.linalg.inv(np.linalg.cholesky(hessian)).T
    to_bias = math.sqrt(classes / count)

    def unpacked(x: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        table = x.reshape(dimension + 1, classes)
        return to_weights @ table[:-1], to_bias * table[-1]

    def loss_and_gradient(x: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        weights, bias = unpacked(x)
        scores = features @ weights + bias
        scores -= scores.max(axis=1, keepdims=True)
        exponentials = np.exp(scores)
        sums = exponentials.sum(axis=1, keepdims=True)
        loss = np.log(sums).sum() - (scores * truth).sum() + 0.5 * (weights**2).sum()
        error = exponentials / sums - truth
        slopes = to_weights.T @ (features.T @ error + weights)
        return float(loss), np.concatenate([slopes.ravel(), to_bias * error.sum(axis=0)])

    options = {"maxiter": 10_000, "maxfun": 20_000, "maxcor": 20, "ftol": 0.0, "gtol": 1e-3}
    start = np.zeros((dimension + 1) * classes)
    found = minimize(loss_and_gradient, start, jac=True, method="L-BFGS-B", options=options)
    return unpacked(found.x)


def _labels(embeddings: Embeddings) -> NDArray[np.int64]:
    """The labels of embeddings that a probe can read."""
    _ = embeddings.checked  # of NaN the accuracy would be that of a constant answer
    if embeddings.labels is None:
        raise ValueError(f"a linear probe needs labels, and the {embeddings.split} embeddings have none")
    return embeddings.labels


def _tensors(embeddings: Embeddings) -> tuple[torch.Tensor, torch.Tensor]:
    import torch

    return torch.from_numpy(embeddings.vectors), torch.from_numpy(_labels(embeddings))
