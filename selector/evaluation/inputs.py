"""What callers may pass where an array is wanted."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def finite_float64(values: Any, axes: str, name: str) -> NDArray[np.float64]:
    """An array or a tensor on any device, as a float64 array.

    Args:
        values: Array, tensor or nested sequence of real numbers.
        axes: What the axes are, as in "(N, D)": their number is checked.
        name: What the values are, for the message.

    Raises:
        ValueError: Another number of axes, no values, or NaN or inf among them.
    """
    if hasattr(values, "detach"):
        values = values.detach().double().cpu()
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != axes.count(",") + 1 or array.size == 0:
        raise ValueError(f"expected {axes} {name}, got shape {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"expected finite {name}, got NaN or inf among {array.shape}")
    return array


def integers(values: Any, size: int, name: str) -> NDArray[np.int64]:
    """`size` integers of an array or a tensor on any device.

    Raises:
        ValueError: Another shape, or values that are no integers.
    """
    array = np.asarray(values.detach().cpu() if hasattr(values, "detach") else values)
    if array.shape != (size,):
        raise ValueError(f"expected {size} {name}, got shape {array.shape}")
    if not np.issubdtype(array.dtype, np.integer):
        raise ValueError(f"expected integer {name}, got {array.dtype}")
    return array.astype(np.int64)
