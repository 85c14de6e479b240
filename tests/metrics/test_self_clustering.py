import numpy as np
import pytest

from selector.metrics import arrays
from selector.metrics.geometry import self_clustering


@pytest.mark.parametrize(
    ("embeddings", "expected"),
    [
        # Q = 2, E = 2 + 2/2 = 3: (2 − 3) / (4 − 3)
        (np.eye(2), -1),
        # e₁, e₁, e₂ in two dimensions: Q = 3 + 2 = 5, E = 3 + 6/2 = 6: (5 − 6) / (9 − 6)
        ([[1, 0], [5, 0], [0, 2]], -1 / 3),
        # and in three: E = 3 + 6/3 = 5, exactly chance
        ([[1, 0, 0], [5, 0, 0], [0, 2, 0]], 0),
        # an angle of 60°: Q = 2 + 2/4 = 2.5, E = 2 + 2/2 = 3
        ([[1, 0], [1, 3**0.5]], -0.5),
        ([[1, 2, 2]] * 7, 1),  # one point
        ([[1, 2, 2], [-1, -2, -2]], 1),  # opposite directions are one line
        ([[0.0], [1.0], [2.0]], 1),  # in one dimension all are
    ],
)
def test_value_worked_out_by_hand(embeddings, expected):
    assert self_clustering(np.array(embeddings)) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("shape", [(60, 8), (8, 60)])
def test_agrees_with_all_pairs(shape, monkeypatch):
    monkeypatch.setattr(arrays, "BLOCK_ELEMENTS", 50)
    embeddings = np.random.default_rng(0).standard_normal(shape) + 0.5
    count, dimension = shape
    pairs = 0.0
    for u in embeddings:
        for v in embeddings:
            pairs += (u @ v / np.linalg.norm(u) / np.linalg.norm(v)) ** 2
    chance = count + count * (count - 1) / dimension
    assert self_clustering(embeddings) == pytest.approx((pairs - chance) / (count**2 - chance))


def test_zero_vectors_are_one_point_of_their_own():
    assert self_clustering(np.zeros((5, 3))) == 1
    # Two zero vectors as one direction at right angles to e₁ and e₂: like e₁, e₂, e₃, e₃ in three dimensions.
    zeros = self_clustering(np.array([[1, 0, 0], [0, 1, 0], [0, 0, 0], [0, 0, 0]]))
    assert zeros == self_clustering(np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 1]]))
