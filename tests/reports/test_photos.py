"""Photos show the images about which two encoders disagree, and little of the page's weight."""

import numpy as np
import pytest

from selector.reports.photos import MOST_BYTES, disagreements, nearest, thumbnails

RNG = np.random.default_rng(0)


def test_nearest_by_direction_and_never_oneself():
    features = np.array([[1.0, 0.0], [9.0, 1.0], [0.0, 2.0], [1.0, 5.0], [0.0, 0.0]])
    assert nearest(features, 1)[:4].ravel().tolist() == [1, 0, 3, 2]  # lengths do not count
    assert 4 not in nearest(features, 4)[4]


def test_the_images_that_two_encoders_see_differently():
    pick = np.repeat(np.eye(10), 7, axis=0) + 0.001 * RNG.standard_normal((70, 10))  # ten groups of seven
    rival = pick.copy()
    moved = [3, 20, 41]
    rival[moved] = -pick[moved]
    found = disagreements(pick, rival)
    assert [one.query for one in found[:3]] == moved
    assert len(found) == 8
    assert set(found[0].pick) == set(range(7)) - {3}
    assert not set(found[0].pick) & set(found[0].rival)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32), (3, 200, 200), (13, 64, 64)])
def test_thumbnails_are_small_whatever_the_images_are(shape):
    pixels = RNG.integers(0, 256, (104, *shape), np.uint8)
    used = list(range(104))  # 8 x (1 + 6 + 6)
    made = thumbnails(pixels, used)
    assert sum(len(made[i]) for i in used) <= MOST_BYTES
    assert all(text.startswith("data:image/jpeg;base64,") for text in made.values())
