"""Pretext criteria: how well representations answer questions that need no labels.

An encoder that knows what an image shows can tell which way up it is (rotation), can find it again after it
was cropped and recoloured (retrieval), and keeps where its edges run (HOG). No label is needed to know the
answers. All three read the same fixed images for all runs of a data set. docs/protocol.md defines the score.

Sources: rotation after Gidaris et al. 2018 (arXiv:1803.07728), as a criterion after SelfAugment (Reed et al.
2021, arXiv:2009.07724); histograms of oriented gradients after Dalal & Triggs 2005.
"""

from dataclasses import dataclass
from functools import partial
from math import fsum

import numpy as np
from numpy.typing import NDArray

from selector.metrics.metric import SAME_TRAINING, Place, label_free

ROTATIONS = 4
HOG_CELLS = 2  # a side
HOG_ORIENTATIONS = 8
SMALLEST_FOR_HOG = 8  # pixels a side: below, a cell has fewer than 4
FEW_IMAGES = 100  # with fewer, view_retrieval is above 0.05 by chance alone (the mean of 1/1 … 1/N)
RESAMPLES = 100
_VARIES = 1e-12  # variance of a target; below, it is rounding

_Array = NDArray[np.float64]
_Vectors = NDArray[np.float32]

_IMAGES = Place(
    "backbone, training and evaluation images", (*SAME_TRAINING, "pretext_images", "pretext_views")
)
_of_answers = partial(label_free, space=_IMAGES, direction="max")


@dataclass(frozen=True, eq=False)
class Questions:
    """Representations of the images that an encoder is asked about.

    Attributes:
        turned_train: (N, 4, D) training images, turned by 0, 90, 180 and 270 degrees; None where training
            turned its views, and the encoder was taught not to tell.
        turned: (M, 4, D) evaluation images, likewise.
        first: (V, D) views of evaluation images by the common augmentation.
        second: (V, D) second views of the same images.
        train: (N, D) training images, for the HOG probe.
        held_out: (H, D) evaluation images, likewise.
        hogs: (N, T) and (H, T) gradients of these images, as `hog` gives them; None where they are too small,
            or all alike.
        views: What the common augmentation is, in a few words.
    """

    turned_train: _Vectors | None
    turned: _Vectors | None
    first: _Vectors
    second: _Vectors
    train: _Vectors
    held_out: _Vectors
    hogs: tuple[_Array, _Array] | None = None
    views: str = ""

    @property
    def is_finite(self) -> bool:
        """Whether the encoder gave numbers."""
        found = (self.turned_train, self.turned, self.first, self.second, self.train, self.held_out)
        return all(vectors is None or bool(np.isfinite(vectors).all()) for vectors in found)

    @property
    def images(self) -> int:
        """How many evaluation images the largest question is about."""
        edges = 0 if self.hogs is None else len(self.held_out)
        return max(len(self.first), edges, 0 if self.turned is None else len(self.turned))

    def answers(self) -> "Answers":
        """How each image was answered."""
        rotations = residuals = targets = None
        if self.turned_train is not None and self.turned is not None:
            rotations = rotation_answers(self.turned_train, self.turned)
        if self.hogs is not None:
            of_training, targets = self.hogs
            residuals = hog_answers(self.train, of_training, self.held_out, targets)
        return Answers(rotations, retrieval_answers(self.first, self.second), residuals, targets)


@dataclass(frozen=True)
class Answers:
    """How each held-out image was answered.

    Attributes:
        rotations: (M,) share of the four turns of an image that were told apart, or None.
        ranks: (V,) reciprocal rank of an image's second view, or None.
        residuals: (H, T) HOG targets minus their prediction, or None.
        targets: (H, T) HOG targets, or None.
    """

    rotations: _Array | None = None
    ranks: _Array | None = None
    residuals: _Array | None = None
    targets: _Array | None = None


@_of_answers(
    shared="rotation_accuracy",
    symbol="rotation",
    formula="held-out accuracy of ridge regression to four turns",
    cost="6,000 images embedded",
    source="Reed et al. 2021, arXiv:2009.07724 (SelfAugment); see docs/protocol.md",
)
def rotation_probe(train: _Vectors, test: _Vectors, *, ridge: float = 1e-3) -> float:
    """How well the encoder can tell which way up an image is.

    Held-out accuracy of telling how far an image was turned, from 0.25 (chance) to 1.
    Ridge regression to one-hot turns on standardised representations, in closed form.

    Args:
        train: (N, 4, D) representations of N images, turned by 0, 90, 180 and 270 degrees.
        test: (M, 4, D) representations of other images.
        ridge: Penalty per row of the training part.

    Raises:
        ValueError: Another shape, or values that are not finite.
    """
    return float(rotation_answers(train, test, ridge).mean())


@_of_answers(
    shared="retrieval",
    symbol="retrieval",
    formula="mean 1/rank of the second view among all second views, by cosine",
    cost="2,000 images embedded",
    source="ours; see docs/protocol.md",
)
def view_retrieval(a: _Vectors, b: _Vectors) -> float:
    """How well an image is found again from another view of it, with one augmentation for all runs.

    Mean reciprocal rank of an image's second view among all second views, from 1/N to 1.
    By cosine similarity. Ties count against, so that equal representations have the lowest value.

    Args:
        a: (N, D) representations of the first views.
        b: (N, D) representations of the second views of the same images.

    Raises:
        ValueError: Another shape, or values that are not finite.
    """
    return float(retrieval_answers(a, b).mean())


@_of_answers(
    shared="hog_r2",
    symbol="HOG R²",
    formula="held-out R² of ridge regression to 32 oriented gradients",
    cost="7,000 images embedded",
    source="ours, with the features of Dalal & Triggs 2005; see docs/protocol.md",
)
def hog_probe(
    train: _Vectors,
    train_targets: _Array,
    test: _Vectors,
    test_targets: _Array,
    *,
    ridge: float = 1e-2,
) -> float:
    """How well oriented gradients can be read off: does the encoder still know where edges run?

    Held-out R² of histograms of oriented gradients, from 0 to 1.
    Ridge regression on standardised representations, in closed form; R² is averaged over the targets that
    vary, and clipped to [0, 1].

    Args:
        train: (N, D) representations.
        train_targets: (N, T) as `hog` gives them.
        test: (M, D) representations of other images.
        test_targets: (M, T).
        ridge: Penalty per row of the training part.

    Raises:
        ValueError: Another shape, or values that are not finite.
    """
    residuals = hog_answers(train, train_targets, test, test_targets, ridge)
    return _r2(residuals, test_targets, np.full(len(residuals), 1 / len(residuals)))


@_of_answers(
    shared="pretext",
    symbol="pretext",
    formula="mean of (rotation - 1/4)/(3/4), retrieval and HOG R²",
    cost="its parts",
    source="ours; see docs/protocol.md",
)
def pretext_score(rotation: float | None, retrieval: float | None, hog: float | None) -> float:
    """How well three questions that need no labels are answered.

    Mean of the parts that there are, each on the scale 0 = chance, 1 = perfect.
    It belongs to the run alone: no other run is needed, and removing one changes nothing.

    Raises:
        ValueError: There is no part.
    """
    told = None if rotation is None else max(0.0, (rotation - 1 / ROTATIONS) / (1 - 1 / ROTATIONS))
    known = [part for part in (told, retrieval, hog) if part is not None]
    if not known:
        raise ValueError("a pretext score needs at least one of its parts")
    return fsum(known) / len(known)


def score_of(answers: Answers, weights: _Array | None = None) -> float:
    """The pretext score of answers, each image weighted by `weights` (K,) in order; None weighs all alike.

    The three parts read the first images of one list, so that one draw of weights serves them all.
    """

    def of(count: int) -> _Array:
        chosen = np.ones(count) if weights is None else weights[:count]
        return chosen / chosen.sum()  # type: ignore[no-any-return]

    rotations, ranks, residuals = answers.rotations, answers.ranks, answers.residuals
    return pretext_score(
        None if rotations is None else float(of(len(rotations)) @ rotations),
        None if ranks is None else float(of(len(ranks)) @ ranks),
        None
        if residuals is None or answers.targets is None
        else _r2(residuals, answers.targets, of(len(residuals))),
    )


def bootstrap_scores(answers: Answers, resamples: int = RESAMPLES, seed: int = 0) -> tuple[float, ...]:
    """The pretext score on resampled images; its standard deviation is the score's standard error.

    The draws depend on the number of images alone. Two runs that were asked about the same images are
    resampled alike, and the differences of their resampled scores are paired.
    """
    parts = (answers.rotations, answers.ranks, answers.residuals)
    count = max(len(part) for part in parts if part is not None)
    rng = np.random.default_rng(seed)
    # Weights of the Bayesian bootstrap (Rubin 1981): unlike counts, they leave no part without images.
    return tuple(score_of(answers, rng.exponential(size=count)) for _ in range(resamples))


def rotation_answers(train: _Vectors, test: _Vectors, ridge: float = 1e-3) -> _Array:
    """(M,) share of the turns of each test image that are recognised; see `rotation_probe`."""
    if train.ndim != 3 or train.shape[1] != ROTATIONS or test.shape[1:] != train.shape[1:]:
        raise ValueError(
            f"expected (N, 4, D) and (M, 4, D) representations, got {train.shape} and {test.shape}"
        )
    turns = np.tile(np.eye(ROTATIONS), (len(train), 1))
    predicted = _ridge(train.reshape(len(turns), -1), turns, test.reshape(-1, test.shape[2]), ridge)
    # A turn counts only if it has the highest score alone: equal scores are no answer, except at chance.
    highest = predicted == predicted.max(axis=1, keepdims=True)
    right = highest[np.arange(len(predicted)), np.tile(np.arange(ROTATIONS), len(test))]
    shares: _Array = (right / highest.sum(axis=1)).reshape(len(test), ROTATIONS).mean(axis=1)
    return shares


def retrieval_answers(a: _Vectors, b: _Vectors) -> _Array:
    """(N,) reciprocal rank of each image's second view; see `view_retrieval`."""
    if a.ndim != 2 or a.shape != b.shape:
        raise ValueError(f"expected two arrays (N, D) of one shape, got {a.shape} and {b.shape}")
    similarity = _directions(a) @ _directions(b).T
    own = np.diagonal(similarity)[:, None]
    # Similarities closer than rounding are equal.
    return 1 / (similarity >= own - 1e-9).sum(axis=1)  # type: ignore[no-any-return]


def hog_answers(
    train: _Vectors,
    train_targets: _Array,
    test: _Vectors,
    test_targets: _Array,
    ridge: float = 1e-2,
) -> _Array:
    """(M, T) targets minus their prediction; see `hog_probe`."""
    if len(train) != len(train_targets) or len(test) != len(test_targets):
        raise ValueError(
            f"expected one row of targets an image, got {len(train_targets)} for {len(train)} training images"
            f" and {len(test_targets)} for {len(test)} others"
        )
    return test_targets - _ridge(train, train_targets, test, ridge)


def hog(images: _Vectors) -> _Array:
    """(N, 32) histograms of oriented gradients of (N, S, S) grey images: 2 x 2 cells of 8 orientations.

    Gradients are central differences, and zero at the border. Each votes with its length for one unsigned
    orientation of its cell; the whole descriptor has L2 norm 1 (as skimage.feature.hog with one block and
    block_norm "L2"). A last row or column that does not fill a cell is left out.

    Raises:
        ValueError: Images of fewer than 8 pixels a side.
    """
    if images.ndim != 3 or min(images.shape[1:]) < SMALLEST_FOR_HOG:
        raise ValueError(f"expected (N, S, S) grey images of at least 8 pixels a side, got {images.shape}")
    grey = images.astype(np.float64)
    down, right = np.zeros_like(grey), np.zeros_like(grey)
    down[:, 1:-1] = grey[:, 2:] - grey[:, :-2]
    right[:, :, 1:-1] = grey[:, :, 2:] - grey[:, :, :-2]
    length = np.hypot(down, right)
    degrees = np.rad2deg(np.arctan2(down, right)) % 180
    orientation = np.minimum((degrees * (HOG_ORIENTATIONS / 180)).astype(int), HOG_ORIENTATIONS - 1)
    cell = tuple(side // HOG_CELLS for side in grey.shape[1:])
    histograms = np.zeros((len(grey), HOG_CELLS, HOG_CELLS, HOG_ORIENTATIONS))
    for row, column in np.ndindex(HOG_CELLS, HOG_CELLS):
        part = np.s_[:, row * cell[0] : (row + 1) * cell[0], column * cell[1] : (column + 1) * cell[1]]
        for k in range(HOG_ORIENTATIONS):
            votes = np.where(orientation[part] == k, length[part], 0.0)
            histograms[:, row, column, k] = votes.mean(axis=(1, 2))
    flat = histograms.reshape(len(grey), -1)
    return flat / np.sqrt((flat**2).sum(axis=1, keepdims=True) + 1e-10)  # type: ignore[no-any-return]


def _ridge(x: _Vectors, y: _Array, new: _Vectors, penalty: float) -> _Array:
    """Predictions for `new` of the ridge regression from standardised (N, D) `x` to (N, T) `y`."""
    if not all(np.isfinite(part).all() for part in (x, new, y)):
        raise ValueError("expected finite representations and targets")
    rows, others = standardised(x, new)
    middle = y.mean(axis=0)
    gram = rows.T @ rows + penalty * len(rows) * np.eye(rows.shape[1])
    return others @ np.linalg.solve(gram, rows.T @ (y - middle)) + middle  # type: ignore[no-any-return]


def standardised(rows: NDArray[np.floating], others: NDArray[np.floating]) -> tuple[_Array, _Array]:
    """Both in float64, each channel scaled to the mean 0 and the standard deviation 1 of its `rows`."""
    first, other = np.asarray(rows, np.float64), np.asarray(others, np.float64)
    mean, deviation = first.mean(axis=0), first.std(axis=0)
    # A deviation of rounding errors is a constant feature: amplified, it would be noise.
    scale = np.where(deviation > 1e-6 * np.abs(first).max(initial=0.0), deviation, np.inf)
    return (first - mean) / scale, (other - mean) / scale


def _directions(x: _Vectors) -> _Array:
    vectors = np.asarray(x, np.float64)
    if not np.isfinite(vectors).all():
        raise ValueError("expected finite representations")
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(norms > 0, norms, 1.0)


def is_constant(targets: _Array) -> bool:
    """Whether no column of (N, T) targets varies: there is nothing to predict."""
    return not (targets.var(axis=0) > _VARIES).any()


def _r2(residuals: _Array, targets: _Array, weights: _Array) -> float:
    """Weighted R², averaged over the targets that vary, clipped to [0, 1]."""
    spread = weights @ (targets - weights @ targets) ** 2
    varies = spread > _VARIES
    if not varies.any():
        return 0.0
    unexplained = weights @ residuals**2
    return float(np.clip((1 - unexplained[varies] / spread[varies]).mean(), 0.0, 1.0))
