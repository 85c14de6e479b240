"""scikit-learn's 1,797 handwritten digits, 8 × 8 grey (UCI; Alpaydin & Kaynak 1998)."""

from typing import TYPE_CHECKING

from selector.training.datasets import Loaded, Pictures, dataset

if TYPE_CHECKING:
    from selector.config import TrainConfig


@dataset(side=8, folder="none")
def digits(_: "TrainConfig") -> Loaded:
    """The 17 levels of grey are spread over 0 to 255."""
    import numpy as np
    from sklearn.datasets import load_digits

    found = load_digits()
    grey = np.round(found.images * (255 / 16)).astype(np.uint8)
    return Loaded(Pictures(grey[:, None], found.target.astype(np.int64)), None, "scikit-learn")


@dataset(side=8, folder="none")
def digits_turned(config: "TrainConfig") -> Loaded:
    """The digits, each rotated about its middle by its own angle, drawn with seed 0."""
    import numpy as np
    from scipy.ndimage import rotate

    upright = digits(config).train
    angles = np.random.default_rng(0).uniform(0, 360, len(upright.pixels))
    wide = upright.pixels[:, 0].astype(np.float32)
    turned = [rotate(i, angle, reshape=False, order=1) for i, angle in zip(wide, angles, strict=True)]
    pixels = np.stack(turned).round().astype(np.uint8)[:, None]
    return Loaded(Pictures(pixels, upright.labels), None, "scikit-learn, each turned by a random angle")
