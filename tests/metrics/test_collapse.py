import numpy as np
import pytest
import torch
from lightly.utils.debug import std_of_l2_normalized

from selector.metrics import arrays
from selector.metrics.geometry import channel_std, collapse_level


def test_value_worked_out_by_hand():
    # Directions (1, 0), (0, 1), (0, 1): each channel deviates by ±(2/3, 1/3, 1/3); squares sum to 2/3, over
    # N − 1 = 2.
    embeddings = [[3.0, 0.0], [0.0, 2.0], [0.0, 5.0]]
    assert channel_std(embeddings) == pytest.approx(3**-0.5)
    assert collapse_level(embeddings) == pytest.approx(1 - (2 / 3) ** 0.5)


@pytest.mark.parametrize("shape", [(500, 16), (10, 64), (2, 3)])
def test_agrees_with_lightly(shape, monkeypatch):
    monkeypatch.setattr(arrays, "BLOCK_ELEMENTS", 100)
    embeddings = torch.from_numpy(np.random.default_rng(0).standard_normal(shape) + 1)
    theirs = std_of_l2_normalized(embeddings).item()
    assert channel_std(embeddings) == pytest.approx(theirs, rel=1e-12)
    assert collapse_level(embeddings) == pytest.approx(max(0, 1 - shape[1] ** 0.5 * theirs), abs=1e-12)


def test_collapsed_and_spread():
    rng = np.random.default_rng(0)
    direction = rng.standard_normal(64)
    for collapsed in (np.tile(direction, (100, 1)), np.zeros((100, 64)), np.full((100, 64), 0.1)):
        assert channel_std(collapsed) == 0
        assert collapse_level(collapsed) == 1
    lengths_alone = rng.uniform(1, 9, (100, 1)) * direction
    assert channel_std(lengths_alone) == pytest.approx(0, abs=1e-15)
    spread = rng.standard_normal((20000, 64))
    assert channel_std(spread) == pytest.approx(1 / 8, rel=1e-3)  # 1/√D
    assert collapse_level(spread) == pytest.approx(0, abs=1e-3)


def test_level_is_never_negative():
    # Two ends of a line, ±1/√2 in each channel: squares 1/2 + 1/2, over N − 1 = 1. Above 1/√D = 0.71.
    ends = np.array([[1.0, 1.0], [-1.0, -1.0]])
    assert channel_std(ends) == pytest.approx(1.0)
    assert collapse_level(ends) == 0.0
