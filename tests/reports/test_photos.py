"""Photos show the images about which two encoders disagree, and little of the page's weight."""

import numpy as np
import pytest

from selector.reports.photos import disagreements, thumbnail

RNG = np.random.default_rng(0)


def test_the_images_that_two_encoders_see_differently():
    pick = np.repeat(np.eye(10), 7, axis=0) + 0.001 * RNG.standard_normal((70, 10))  # ten groups of seven
    rival = pick.copy()
    moved = [3, 20, 41]
    rival[moved] = -pick[moved]
    found = disagreements(pick, rival)
    assert [query for query, _, _ in found[:3]] == moved
    assert len(found) == 8
    _, by_pick, by_rival = found[0]
    assert set(by_pick) == set(range(7)) - {3}
    assert not set(by_pick) & set(by_rival)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32), (3, 200, 200), (13, 64, 64)])
def test_thumbnails_are_small_whatever_the_images_are(shape):
    text = thumbnail(RNG.integers(0, 256, shape, np.uint8))  # of noise, which nothing compresses well
    assert text.startswith("data:image/jpeg;base64,")
    assert len(text) < 5000
