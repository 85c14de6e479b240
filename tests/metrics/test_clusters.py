from itertools import permutations
from math import log

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_mutual_info_score, silhouette_score
from sklearn.preprocessing import normalize

from selector.metrics.arrays import one_thread
from selector.metrics.clusters import clustering_agreement, cosine_kmeans, silhouette, silhouettes

rng = np.random.default_rng(0)


def same_partition(first, second):
    return adjusted_mutual_info_score(first, second) == pytest.approx(1)


# --- cosine k-means


def test_clusters_directions_not_lengths():
    clusters = cosine_kmeans([[1.0, 0.0], [100.0, 1.0], [0.0, 1.0], [1.0, 100.0]], 2, seed=0)
    assert same_partition(clusters, [0, 0, 1, 1])


def test_points_are_not_centred():
    # From the origin two directions, of two points each; from their mean (15, 0) left and right.
    clusters = cosine_kmeans([[10.0, 1.0], [20.0, 2.0], [10.0, -1.0], [20.0, -2.0]], 2, seed=0)
    assert same_partition(clusters, [0, 0, 1, 1])


@pytest.mark.parametrize("clusters", [3, 12, 25])
def test_is_scikit_learns_best_of_ten_starts_on_unit_vectors(clusters):
    points = rng.standard_normal((400, 3))
    with one_thread():
        expected = KMeans(clusters, n_init=10, random_state=7).fit_predict(normalize(points))
    assert same_partition(cosine_kmeans(points, clusters, seed=7), expected)


def test_says_what_it_refuses():
    with pytest.raises(ValueError, match="3 clusters need as many distinct directions, got 2"):
        # 0.1 and 3 times (1, 3) are one direction, though their unit vectors differ in the last digit
        cosine_kmeans([[0.1, 0.3], [0.3, 0.9], [0.0, 1.0]], 3, seed=0)
    with pytest.raises(ValueError, match="at least 1, got 0"):
        cosine_kmeans(np.eye(3), 0, seed=0)


# --- silhouettes


def test_silhouette_worked_out_by_hand():
    # on a line 0, 1 | 10, 12: (b - a) / max(a, b) = (11 - 1)/11, (10 - 1)/10, (9.5 - 2)/9.5, (11.5 - 2)/11.5
    expected = (10 / 11 + 9 / 10 + 15 / 19 + 19 / 23) / 4
    assert silhouette([[0.0], [1.0], [10.0], [12.0]], [0, 0, 1, 1]) == pytest.approx(expected)


def test_the_only_vector_of_a_cluster_counts_as_zero():
    # 0 and 1: (10 - 1)/10 and (9 - 1)/9
    assert silhouette([[0.0], [1.0], [10.0]], [4, 4, -1]) == pytest.approx((9 / 10 + 8 / 9) / 3)
    assert silhouette([[0.0], [1.0], [10.0]], [0, 1, 2]) == 0


@pytest.mark.parametrize(("count", "dimension"), [(50, 3), (1024, 5), (2500, 40)])
def test_agrees_with_scikit_learn(count, dimension):
    labels = rng.integers(0, 7, count)
    other = rng.integers(0, 40, count)
    vectors = rng.standard_normal((count, dimension)) + rng.standard_normal((7, dimension))[labels]
    expected = [silhouette_score(vectors, labels), silhouette_score(vectors, other)]
    assert silhouettes(vectors, [labels, other]) == pytest.approx(expected, rel=1e-9)
    assert silhouette(vectors.astype(np.float32), other) == pytest.approx(expected[1], abs=1e-6)


@pytest.mark.parametrize(
    ("clusters", "message"),
    [
        ([0, 0, 0], "at least 2 clusters, got 1"),
        ([0, 1], "each of 3 vectors, got 2"),
        ([0.5, 1.0, 2.0], "integers, got float64"),
        ([[0], [1], [2]], r"shape \(3, 1\)"),
    ],
)
def test_silhouette_says_what_it_refuses(clusters, message):
    with pytest.raises(ValueError, match=message):
        silhouette(np.eye(3), clusters)


# --- agreement


def mutual_information(first, second):
    """Equation 3 of the paper, in nats."""
    pairs = list(zip(first, second, strict=True))
    information = 0.0
    for a, b in set(pairs):
        joint, independent = (
            pairs.count((a, b)) / len(pairs),
            first.count(a) * second.count(b) / len(pairs) ** 2,
        )
        information += joint * log(joint / independent)
    return information


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((0, 0, 1, 1, 1, 2), (0, 0, 1, 1, 2, 2)),
        ((0, 0, 0, 1, 1), (0, 1, 2, 3, 3)),
        ((0, 1, 0, 1), (0, 0, 1, 1)),
    ],
)
def test_agreement_is_equation_4_with_chance_taken_over_all_permutations(first, second):
    chance = np.mean([mutual_information(first, shuffled) for shuffled in permutations(second)])
    entropies = (mutual_information(first, first) + mutual_information(second, second)) / 2
    expected = (mutual_information(first, second) - chance) / (entropies - chance)
    assert clustering_agreement(first, second) == pytest.approx(expected)


def test_agreement_ignores_names_and_order():
    first, second = rng.integers(0, 4, 100), rng.integers(0, 8, 100)
    assert clustering_agreement(first, 7 - first) == pytest.approx(1)
    assert clustering_agreement(torch.from_numpy(first), second) == pytest.approx(
        clustering_agreement(second, first)
    )
    assert clustering_agreement(first, second) == pytest.approx(0, abs=0.1)


def test_agreement_says_what_it_refuses():
    with pytest.raises(ValueError, match="got 2 and 3"):
        clustering_agreement([0, 1], [0, 1, 2])
    with pytest.raises(ValueError, match="got 0 and 0"):
        clustering_agreement(np.array([], int), np.array([], int))
