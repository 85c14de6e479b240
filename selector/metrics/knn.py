"""kNN accuracy: how often the nearest training images name the class of a test image."""

import numpy as np

from selector.metrics.embeddings import Embeddings
from selector.metrics.neighbors import nearest_neighbors

NEIGHBORS = 20
TEMPERATURE = 0.07


def knn_accuracy(
    train: Embeddings, test: Embeddings, neighbors: int = NEIGHBORS, temperature: float = TEMPERATURE
) -> float:
    """Share of test images whose class wins a weighted vote of neighbours, from 0 to 1; higher is better.

    The `neighbors` training images (or all, if fewer) with the largest cosine similarity s vote for their
    class with weight exp(s / temperature). A tie goes to the lower class index. A zero vector has
    similarity 0 to everything but another zero vector, to which it has 1.

    Source: Wu et al. 2018, https://arxiv.org/abs/1805.01978, section 3.4: temperature 0.07 there and here,
    200 neighbours there on ImageNet; 20 here, the usual choice for smaller data sets.

    Args:
        train: Labelled embeddings that vote.
        test: Labelled embeddings to be classified.
        neighbors: Votes for each test image.
        temperature: Of the weights.

    Raises:
        ValueError: Embeddings without labels, or neighbours or a temperature that are not positive.
    """
    if train.labels is None or test.labels is None:
        raise ValueError("kNN accuracy needs labels of the train and of the test embeddings")
    if neighbors < 1 or not temperature > 0:
        raise ValueError(
            f"expected at least 1 neighbour and a temperature above 0, got {neighbors} and {temperature}"
        )
    neighbors = min(neighbors, len(train.vectors))
    indices, distances = nearest_neighbors(train.vectors, neighbors, "cosine", queries=test.vectors)
    weights = np.exp(-distances.astype(np.float64) / temperature)  # exp(s / temperature), but for a factor
    classes, votes_for = np.unique(train.labels, return_inverse=True)
    votes = np.zeros((len(test.vectors), len(classes)))
    rows = np.arange(len(votes))
    for column in range(neighbors):
        votes[rows, votes_for[indices[:, column]]] += weights[:, column]
    return float((classes[votes.argmax(axis=1)] == test.labels).mean())
