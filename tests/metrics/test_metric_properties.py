"""Every metric on arrays that hypothesis draws: a finite figure or a stated error, and its laws."""

import math

import numpy as np
import pytest
from handmade import FROM_UMAP
from hypothesis import HealthCheck, assume, given, settings, strategies as st
from hypothesis.extra import numpy as hnp
from test_edge_cases import FUNCTIONS, MOVED, OF_VIEWS

from selector.metrics import alignment, lidar, nesum, participation_ratio, rankme, stable_rank, uniformity

# Of exact ties k-means, UMAP's entropy boxes and nearest neighbours decide by order, and by the last digit.
_DISCRETE = FROM_UMAP | {"cluster_learnability", "clid", "idest"}
_SMOOTH = sorted(FUNCTIONS.keys() - _DISCRETE - OF_VIEWS)
QUICK = settings(
    max_examples=12, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)

SIZES = st.tuples(st.integers(1, 40), st.integers(1, 12))
DTYPES = st.sampled_from([np.float64, np.float32, np.float16])


@st.composite
def any_array(draw):
    """Real numbers of any size that the dtype holds: denormals, the largest, zeros, NaN and infinities."""
    dtype = np.dtype(draw(DTYPES))
    shape = draw(SIZES)
    elements = st.floats(width=8 * dtype.itemsize, allow_subnormal=True)
    return draw(hnp.arrays(dtype, shape, elements=elements, fill=st.sampled_from([0.0, 1.0, 1e-5])))


@st.composite
def sound_array(draw, least: int = 25):
    """A cloud of a random size, spectrum and mean, in general position."""
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    n, d = draw(st.integers(least, 80)), draw(st.integers(12, 24))
    decay = draw(st.floats(0, 2))
    return rng.standard_normal((n, d)) * np.arange(1, d + 1) ** -decay + draw(st.floats(-2, 2))


def value_or_refusal(name: str, array: np.ndarray) -> float | None:
    """The metric, or None where it says that it has no meaning; any other ending fails."""
    try:
        value = FUNCTIONS[name](array)
    except ValueError:
        return None
    assert type(value) is float
    assert math.isfinite(value)
    return value


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of test_edge_cases.views_of, on NaN
@pytest.mark.parametrize("name", FUNCTIONS)
@QUICK
@given(array=any_array())
def test_any_numbers_at_all(name, array):
    value = value_or_refusal(name, array)
    if not np.isfinite(array).all():
        assert value is None


CLOUD = np.random.default_rng(0).standard_normal((60, 12))
EXTREMES = {
    "denormal": CLOUD * 5e-310,
    "float16 that overflowed": (CLOUD * 1e6).astype(np.float16),
    "float16 near its end": (np.sign(CLOUD) * 65_000).astype(np.float16),
    "an offset of 1e30": CLOUD + 1e30,
    "an offset of 1e30 in float32": (CLOUD + 1e30).astype(np.float32),
    "beyond what is taken": CLOUD * 1e200,
    "one entry of 1e140": np.concatenate([CLOUD, np.full((1, 12), 1e140)]),
    "duplicates of two rows": np.repeat(np.eye(12)[:2], 30, axis=0),
    "fewer rows than clusters": np.eye(12)[:3],
}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("edge", EXTREMES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_extremes(name, edge):
    value = value_or_refusal(name, EXTREMES[edge])
    if edge in ("float16 that overflowed", "beyond what is taken"):
        assert value is None


@pytest.mark.parametrize(
    ("name", "change"),
    [
        (name, change)
        for change in ("rotation", "scale", "order of the images")
        for name in _SMOOTH
        if name not in MOVED[change]
    ],
)
@QUICK
@given(array=sound_array(), seed=st.integers(0, 1000), scale=st.floats(1e-3, 1e3))
def test_what_leaves_a_metric_alone(name, change, array, seed, scale):
    rng = np.random.default_rng(seed)
    match change:
        case "rotation":
            changed = array @ np.linalg.qr(rng.standard_normal((array.shape[1], array.shape[1])))[0]
        case "scale":
            changed = scale * array
        case _:
            changed = array[rng.permutation(len(array))]
    assume(name != "alpha_req_score" or array.shape[1] >= 15)  # it fits ranks 11 to 15 at least
    before, after = FUNCTIONS[name](array), FUNCTIONS[name](changed)
    assert after == pytest.approx(before, rel=1e-6, abs=1e-8)


OF_SPECTRUM = {
    "rankme": rankme,
    "stable_rank": stable_rank,
    "participation_ratio": participation_ratio,
    "nesum": nesum,
}


@pytest.mark.parametrize("name", OF_SPECTRUM)
@QUICK
@given(array=sound_array())
def test_each_image_twice_changes_nothing(name, array):
    metric = OF_SPECTRUM[name]
    assert metric(np.concatenate([array, array])) == pytest.approx(metric(array), rel=1e-6)


@pytest.mark.parametrize("name", OF_SPECTRUM)
@QUICK
@given(dimension=st.integers(2, 12), low=st.floats(0, 1), high=st.floats(0, 1))
def test_a_weaker_direction_that_grows_raises_the_rank(name, dimension, low, high):
    low, high = sorted((low, high))

    def with_last(share: float) -> np.ndarray:
        directions = np.diag([*[1.0] * (dimension - 1), share])
        return np.concatenate([directions, -directions])  # no mean

    metric = OF_SPECTRUM[name]
    assert metric(with_last(low)) <= metric(with_last(high)) * (1 + 1e-9)
    assert metric(with_last(1.0)) == pytest.approx(dimension, rel=1e-3)


@QUICK
@given(array=sound_array())
def test_a_rank_lies_between_one_and_the_number_of_directions(array):
    most = min(array.shape)
    assert 1 <= rankme(array) <= most * (1 + 1e-4)
    assert 1 <= stable_rank(array) <= most * (1 + 1e-9)
    assert 1 <= participation_ratio(array) <= most * (1 + 1e-9)
    assert -4 <= uniformity(array) <= 0  # -2 times the largest squared distance of unit vectors at the least


@QUICK
@given(seed=st.integers(0, 1000), noise=st.floats(0.01, 1), factor=st.floats(1.5, 10))
def test_views_that_scatter_more_align_less(seed, noise, factor):
    rng = np.random.default_rng(seed)
    images, scatter = rng.standard_normal((40, 1, 8)), rng.standard_normal((40, 4, 8))
    directions = images / np.linalg.norm(images, axis=-1, keepdims=True)
    near, far = (alignment(directions + size * 0.02 * scatter) for size in (noise, factor * noise))
    assert near < far
    assert 1 <= lidar(images + noise * scatter) <= 8 * (1 + 1e-3)
