"""scikit-learn's 1,797 handwritten digits, 8 × 8 grey (UCI; Alpaydin & Kaynak 1998)."""

from typing import TYPE_CHECKING

from selector.training.datasets import Loaded, Pictures, dataset

if TYPE_CHECKING:
    from selector.config import TrainConfig


@dataset(needs_folder=False)
def digits(_: "TrainConfig") -> Loaded:
    """The 17 levels of grey are spread over 0 to 255."""
    import numpy as np
    from sklearn.datasets import load_digits

    found = load_digits()
    grey = np.round(found.images * (255 / 16)).astype(np.uint8)
    return Loaded(Pictures(grey[:, None], found.target.astype(np.int64)), None, "scikit-learn")
