from math import exp

import numpy as np
import pytest
from scipy.linalg import inv, sqrtm

from selector.metrics.views import lidar

rng = np.random.default_rng(0)


def by_definition(views, delta, eps):
    """Thilak et al. 2023, section 3, image by image and with matrix roots."""
    n, q, dimension = views.shape
    mean = views.mean(axis=(0, 1))
    between, within = np.zeros((2, dimension, dimension))
    for image in views:
        center = image.mean(axis=0)
        between += np.outer(center - mean, center - mean) / (n - 1)
        for view in image:
            within += np.outer(view - center, view - center) / (n * (q - 1))
    root = inv(np.real(sqrtm(within + delta * np.eye(dimension))))
    eigenvalues = np.linalg.eigvalsh(root @ between @ root).clip(0)
    p = eigenvalues / eigenvalues.sum() + eps
    return exp(-(p * np.log(p)).sum())


def test_value_worked_out_by_hand():
    # Means (±3, 0), (0, ±1): Sb = diag(2·9, 2·1)/3. Views at ±(1, 0) around them: Sw = diag(8/4, 0) + 1.
    # λ = (6/3, 2/3): p = (3/4, 1/4).
    means = np.array([[3.0, 0.0], [-3.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    views = means[:, None] + np.array([[1.0, 0.0], [-1.0, 0.0]])
    assert lidar(views, delta=1.0) == pytest.approx(4 / 3**0.75, abs=1e-5)


@pytest.mark.parametrize("shape", [(200, 5, 12), (10, 4, 30), (2, 2, 1), (50, 2, 20)])
@pytest.mark.parametrize(("delta", "eps"), [(1e-4, 1e-7), (0.5, 1e-3)])
def test_agrees_with_the_definition(shape, delta, eps):
    means = 3 * rng.standard_normal((shape[0], 1, shape[2]))
    views = means + rng.standard_normal(shape) * np.arange(1, shape[2] + 1)
    assert lidar(views, delta=delta, eps=eps) == pytest.approx(by_definition(views, delta, eps), rel=1e-6)


def test_a_delta_that_rounding_swallows_is_refused():
    one_direction = rng.standard_normal((20, 3, 1)) * np.ones(5) * 1e9
    with pytest.raises(ValueError, match=r"delta 0\.0001 is negligible next to"):
        lidar(one_direction)
    assert lidar(one_direction, delta=1e14) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(
    ("views", "delta", "message"),
    [
        (np.ones((4, 3)), 1e-4, r"shape \(4, 3\)"),
        (np.ones((1, 3, 2)), 1e-4, "at least 2 images, got 1"),
        (np.ones((4, 1, 2)), 1e-4, r"q of at least 2, got shape \(4, 1, 2\)"),
        (np.full((4, 2, 2), np.nan), 1e-4, "finite"),
        (np.ones((4, 2, 2)), 0.0, "delta must be greater than 0, got 0"),
    ],
)
def test_says_what_it_refuses(views, delta, message):
    with pytest.raises(ValueError, match=message):
        lidar(views, delta=delta)
