"""Labels that came later: images with their classes, and how well a simple probe tells these."""

import csv
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from selector.errors import UserError
from selector.metrics.arrays import one_thread
from selector.metrics.neighbors import nearest_neighbors
from selector.text import counted, first_line, printable
from selector.training.embed_files import images_below

REPEATS = 5
FOLDS = 5
NEIGHBOURS = 20
SEED = 0

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Labelled:
    """N images, (N,) class indices, and the names of the classes."""

    files: tuple[Path, ...]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]


def read_labelled(place: Path) -> Labelled:
    """Images in a folder with a sub-folder per class, or in a CSV file of (file name, label).

    File names in a CSV file are relative to its own folder; a first line without a file name is a heading.
    """
    shown = printable(str(place))
    if place.is_file() and place.suffix.lower() == ".csv":
        pairs = _pairs_of_csv(place)
    elif place.is_dir():
        files = images_below(place)
        if stray := [file for file in files if file.parent == place]:
            raise UserError(
                f"{printable(str(stray[0]))!r} lies next to the classes of {shown!r}: put each image into a"
                " sub-folder named after its class, or name a CSV file of (file name, label)"
            )
        pairs = [(file, file.relative_to(place).parts[0]) for file in files]
    else:
        raise UserError(f"no labelled images in {shown!r}: name a folder of classes, or a CSV file")
    counts = Counter(label for _, label in pairs)
    if len(counts) < 2:
        raise UserError(f"{shown!r} has images of one class only: a probe needs two classes or more")
    if single := [label for label, count in counts.items() if count < 2]:
        raise UserError(
            f"class {printable(single[0])!r} of {shown!r} has one image: each class needs two or more, one to"
            " learn from and one to test on"
        )
    classes = tuple(sorted(counts))
    labels = np.array([classes.index(label) for _, label in pairs])
    return Labelled(tuple(file for file, _ in pairs), labels, classes)


def _pairs_of_csv(file: Path) -> list[tuple[Path, str]]:
    shown = printable(str(file))
    try:
        with file.open(encoding="utf-8-sig", newline="") as opened:
            rows = [row for row in csv.reader(opened) if row]
    except (OSError, ValueError, csv.Error) as error:
        raise UserError(f"{shown!r} cannot be read as CSV ({printable(first_line(error))})") from error
    if wrong := [row for row in rows if len(row) != 2]:
        raise UserError(f"{shown!r} must have two columns, file name and label; a line has {len(wrong[0])}")
    pairs = [(file.parent / name.strip(), label.strip()) for name, label in rows]
    if pairs and not pairs[0][0].is_file() and not pairs[0][0].suffix:
        pairs = pairs[1:]
    missing = [path for path, _ in pairs if not path.is_file()]
    if missing or not pairs:
        first = f", the first is {printable(str(missing[0]))!r}" if missing else ""
        raise UserError(
            f"{shown!r} names {counted(len(missing), 'missing file') if missing else 'no files'}{first}"
        )
    if twice := [path for path, count in Counter(path for path, _ in pairs).items() if count > 1]:
        raise UserError(
            f"{shown!r} names {counted(len(twice), 'file')} more than once,"
            f" the first is {printable(str(twice[0]))!r}:"
            " a probe would be tested on images that it has learned from"
        )
    if blank := [path for path, label in pairs if not label]:
        raise UserError(
            f"{shown!r} has {counted(len(blank), 'file')} without a label,"
            f" the first is {printable(str(blank[0]))!r}:"
            " leave them out"
        )
    return pairs


def probed(features: NDArray[np.float32], labels: NDArray[np.int64]) -> Floats:
    """How often each image is told right by a probe that has not seen it, (N,) from 0 to 1.

    Logistic regression on standardised features, cross-validated with 5 folds (or as many as the smallest
    class has images), stratified, 5 times with other folds. The mean over the images is the accuracy.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    right = np.zeros(len(labels))
    folds = min(FOLDS, int(np.bincount(labels).min()))
    with one_thread():
        for repeat in range(REPEATS):
            parts = StratifiedKFold(folds, shuffle=True, random_state=SEED + repeat)
            probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
            right += cross_val_predict(probe, features, labels, cv=parts) == labels
    return right / REPEATS


def knn_accuracy(features: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """Share of images whose class most of their nearest neighbours have, by cosine, themselves left out."""
    nearest, _ = nearest_neighbors(features, min(NEIGHBOURS, int(np.bincount(labels).min())), "cosine")
    votes = np.apply_along_axis(np.bincount, 1, labels[nearest], minlength=labels.max() + 1)
    return float((votes.argmax(axis=1) == labels).mean())
